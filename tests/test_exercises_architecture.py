from tests.exercise_checks import Planted

planted = Planted()


def _branches(config, e):
    sizes = sorted(k for k, share in config["expand"].items() if share > 0)
    expand = {k: round(config["expand"][k] * e) for k in sizes[:-1]}
    expand[sizes[-1]] = e - sum(expand.values())
    return expand


def _total(config, i):
    e = config["base_e"] + config["incr_e"] * (i // config["freq"])
    return max(1, round(config["width"] * e))


@planted("fire_channels", "rounded down")
def fire_channels_truncates(config, i):
    e = int(config["width"] * (config["base_e"] + config["incr_e"] * (i // config["freq"])))
    e = max(e, 1)
    return max(1, int(config["squeeze_ratio"] * e)), _branches(config, e)


@planted("fire_channels", "each branch is rounded by itself")
def fire_channels_rounds_every_branch(config, i):
    e = _total(config, i)
    expand = {k: round(v * e) for k, v in sorted(config["expand"].items()) if v > 0}
    return max(1, round(config["squeeze_ratio"] * e)), expand


@planted("fire_channels", "i/freq must be rounded down")
def fire_channels_true_division(config, i):
    e = config["base_e"] + config["incr_e"] * i / config["freq"]
    e = max(1, round(config["width"] * e))
    return max(1, round(config["squeeze_ratio"] * e)), _branches(config, e)


@planted("fire_channels", "the width is ignored")
def fire_channels_without_width(config, i):
    e = config["base_e"] + config["incr_e"] * (i // config["freq"])
    return max(1, round(config["squeeze_ratio"] * e)), _branches(config, e)


@planted("fire_channels", "i counts from 0")
def fire_channels_counts_from_one(config, i):
    e = _total(config, i + 1)
    return max(1, round(config["squeeze_ratio"] * e)), _branches(config, e)


@planted("fire_channels", "at least one squeeze filter")
def fire_channels_zero_squeeze(config, i):
    e = _total(config, i)
    return round(config["squeeze_ratio"] * e), _branches(config, e)


@planted("fire_channels", "share is 0")
def fire_channels_keeps_empty_branches(config, i):
    e = _total(config, i)
    sizes = sorted(config["expand"])
    expand = {k: round(config["expand"][k] * e) for k in sizes[:-1]}
    expand[sizes[-1]] = e - sum(expand.values())
    return max(1, round(config["squeeze_ratio"] * e)), expand


@planted("fire_channels", "after the width")
def fire_channels_squeeze_before_width(config, i):
    e = config["base_e"] + config["incr_e"] * (i // config["freq"])
    return max(1, round(config["squeeze_ratio"] * e)), _branches(config, _total(config, i))


@planted("fire_channels", "not to one branch")
def fire_channels_squeeze_of_one_branch(config, i):
    expand = _branches(config, _total(config, i))
    return max(1, round(config["squeeze_ratio"] * expand[3])), expand


@planted("fire_channels", "expected (squeeze filters, {kernel size: expand filters})")
def fire_channels_swapped(config, i):
    e = _total(config, i)
    return _branches(config, e), max(1, round(config["squeeze_ratio"] * e))


@planted("fire_channels", "the squeeze filters are subtracted")
def fire_channels_expand_is_the_rest(config, i):
    e = _total(config, i)
    squeeze = max(1, round(config["squeeze_ratio"] * e))
    return squeeze, _branches(config, e - squeeze)


@planted(
    "fire_channels",
    "squeeze: right for width 1, wrong",
    "(size, filters): right for width 1, wrong",
)
def fire_channels_width_on_base_only(config, i):
    e = round(config["width"] * config["base_e"]) + config["incr_e"] * (i // config["freq"])
    return max(1, round(config["squeeze_ratio"] * e)), _branches(config, e)


@planted("fire_channels", "the first kernel size takes what is left")
def fire_channels_first_takes_the_rest(config, i):
    e = _total(config, i)
    sizes = sorted(k for k, share in config["expand"].items() if share > 0)
    expand = {k: round(config["expand"][k] * e) for k in sizes[1:]}
    return max(1, round(config["squeeze_ratio"] * e)), {
        sizes[0]: e - sum(expand.values()),
        **expand,
    }


test_a_planted_mistake_is_named = planted.test()
