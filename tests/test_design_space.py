"""How large a network is follows from its metaparameters by a formula written down here."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import npsqueeze as nps
from npsqueeze.design_space import family_table


def convolution(inputs, filters, side=1, bias=True):
    return filters * (inputs * side**2 + bias)


def expected_parameters(
    stem=(96, 7), base_e=128, incr_e=128, freq=2, squeeze_ratio=0.125, shares=None, bypass="none",
    batch_norm=False, classes=1000,
):  # fmt: skip
    """Return the parameters by the formulas of the paper, sections 3 to 6.

    A batch normalisation has two parameters a channel, and the convolution before it no bias. A
    head has a weight for each channel and class, and a bias, whichever kind it is.
    """
    shares = shares or {1: 0.5, 3: 0.5}
    bias = not batch_norm
    channels, side = stem
    total = convolution(3, channels, side, bias) + 2 * channels * batch_norm
    for i in range(8):
        e = base_e + incr_e * (i // freq)
        s = max(1, round(squeeze_ratio * e))
        *small, largest = sorted(size for size in shares if shares[size] > 0)
        filters = {size: round(shares[size] * e) for size in small}
        filters[largest] = e - sum(filters.values())
        total += convolution(channels, s, 1, bias) + 2 * s * batch_norm
        total += sum(convolution(s, count, size, bias) for size, count in filters.items())
        total += 2 * e * batch_norm
        if bypass == "complex" and channels != e:
            total += convolution(channels, e)  # which no normalisation follows
        channels = e
    return total + classes * (channels + 1)


def parameters(version, **network):
    model = nps.squeezenet(version, seed=0, **network)
    return sum(parameter.data.size for parameter in model.parameters())


shares = st.sampled_from(
    [{1: 0.5, 3: 0.5}, {1: 0.99, 3: 0.01}, {1: 0.01, 3: 0.99}, {1: 0.5, 3: 0.25, 5: 0.25},
     {1: 0.2, 3: 0.3, 5: 0.1, 7: 0.4}, {3: 1.0}, {1: 0.0, 5: 1.0}]
)  # fmt: skip


@settings(max_examples=60)
@given(
    stem=st.tuples(st.integers(1, 20), st.integers(1, 7)),
    base_e=st.integers(60, 90),  # so that even a share of 1 % is a filter
    incr_e=st.integers(0, 40),
    freq=st.integers(1, 9),
    squeeze_ratio=st.floats(0.001, 1),
    shares=shares,
    bypass=st.sampled_from(["none", "simple", "complex"]),
    batch_norm=st.booleans(),
    head=st.sampled_from(["conv", "linear"]),
    classes=st.integers(1, 20),
)
def test_parameters_over_the_whole_design_space(stem, shares, head, classes, **options):
    built = parameters(
        "1.0", stem=(*stem, 2, 0), expand=shares, head=head, num_classes=classes, **options
    )
    expected = expected_parameters(stem, shares=shares, classes=classes, **options)
    assert built == expected


def test_the_published_networks():
    assert expected_parameters() == parameters("1.0") == 1_248_424
    assert expected_parameters(stem=(64, 3)) == parameters("1.1") == 1_235_496
    assert expected_parameters(stem=(64, 3), classes=10) == 727_626
    assert parameters("cifar", num_classes=10) == 727_626


def test_squeeze_ratios_of_figure_3a():
    sizes = nps.family_sizes("squeeze-ratio")
    assert list(sizes) == ["0.125", "0.25", "0.375", "0.5", "0.75", "1"]
    assert sizes == {ratio: expected_parameters(squeeze_ratio=float(ratio)) for ratio in sizes}
    mib = {ratio: 4 * count / 2**20 for ratio, count in sizes.items()}
    assert round(mib["0.125"], 1) == 4.8
    assert round(mib["0.5"]) == 13
    assert mib["0.75"] < 19 < 4 * sizes["0.75"] / 1e6  # the paper's 19 MB are neither unit's


def test_shares_of_3x3_filters_of_figure_3b():
    sizes = nps.family_sizes("share-3x3")
    assert [float(share.removesuffix(" %")) for share in sizes] == [
        1, 12.5, 25, 37.5, 50, 62.5, 75, 87.5, 99,
    ]  # fmt: skip
    for share, count in sizes.items():
        part = float(share.removesuffix(" %")) / 100
        assert count == expected_parameters(squeeze_ratio=0.5, shares={1: 1 - part, 3: part})
    assert sizes["50 %"] == nps.family_sizes("squeeze-ratio")["0.5"]


def test_bypasses_of_table_3():
    sizes = nps.family_sizes("bypass")
    assert sizes == {"none": 1_248_424, "simple": 1_248_424, "complex": 1_589_672}
    four = sum(c * e + e for c, e in ((96, 128), (128, 256), (256, 384), (384, 512)))
    assert sizes["complex"] - sizes["none"] == four == 341_248
    # Table 3 states 7.7 MB, which is more than the network of section 6 has in either unit; the
    # docstring tells of the one count that would give it.
    assert round(4 * sizes["complex"] / 2**20, 1) == 6.1
    assert round(4 * sizes["complex"] / 1e6, 1) == 6.4
    assert round(4 * (sizes["none"] + 2 * four) / 1e6, 1) == 7.7


def test_a_family_of_another_network():
    sizes = nps.family_sizes("bypass", "cifar", num_classes=10)
    assert sizes["none"] == 727_626
    assert sizes["complex"] == expected_parameters((64, 3), bypass="complex", classes=10)


def test_the_table():
    assert family_table("bypass").splitlines() == [
        "bypass   parameters    MB   MiB",
        "-------------------------------",
        "none      1,248,424  4.99  4.76",
        "simple    1,248,424  4.99  4.76",
        "complex   1,589,672  6.36  6.06",
    ]


def test_a_family_that_is_not():
    with pytest.raises(ValueError, match=r"family: expected one of squeeze-ratio, .*'depth'"):
        nps.family_sizes("depth")
