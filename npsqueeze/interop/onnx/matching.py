"""A graph that is a SqueezeNet becomes one, whoever wrote it."""

from collections.abc import Mapping
from typing import Any

from npsqueeze.interop.onnx.graph import Graph
from npsqueeze.interop.onnx.parsing import NoMatch, Outline, Parser
from npsqueeze.layers import Fire
from npsqueeze.metaparameters import FIRE_MODULES, complete, fire_channels, scaled
from npsqueeze.models import SqueezeNet
from npsqueeze.module import Shape


def find_squeezenet(
    graph: Graph, shape: Shape, hints: Mapping[str, Any] | None = None
) -> SqueezeNet | None:
    """Return the SqueezeNet that computes what `graph` does, or None if there is none.

    A softmax at the end is left out: the SqueezeNet returns logits. So is what changes the shape
    alone. Poolings may differ from our own in what they would do with images of another size.

    Parameters
    ----------
    graph : Graph
    shape : (N, C, H, W)
        Of the images that it is for.
    hints : mapping, optional
        Metaparameters that may be the network's own.
    """
    try:
        parser = Parser(graph, shape)
        outline = parser.outline()
        config = _fitting(outline, hints)
        model = SqueezeNet(config)
        model.astype(next(iter(parser.state.values())).dtype)
        fires = [layer for layer in model.features.layers.values() if isinstance(layer, Fire)]
        if tuple(fire.bypass for fire in fires) != outline.bypasses:
            return None
        own = model.state_dict()
        if own.keys() != parser.state.keys() or any(
            own[name].shape != array.shape for name, array in parser.state.items()
        ):
            return None
    except NoMatch:
        return None
    model.load_state_dict(parser.state)
    return model.eval()


def _fitting(outline: Outline, hints: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return metaparameters that give a network of this outline."""
    derived = _derived(outline)
    for given in (dict(hints or derived), derived):
        try:
            config = complete(given)
        except (TypeError, ValueError, OverflowError):
            continue
        channels, *windows = config["stem"]
        if (
            (scaled(channels, config), *windows) == outline.stem
            and set(config["pool_after"]) == set(outline.pool_after)
            and all(fire_channels(config, i) == fire for i, fire in enumerate(outline.fires))
            and all(
                config[name] == getattr(outline, name)
                for name in ("batch_norm", "head", "final_relu", "num_classes")
            )
        ):
            return config | {name: derived[name] for name in ("bypass", "dropout")}
    raise NoMatch


def _derived(outline: Outline) -> dict[str, Any]:
    """Return the metaparameters that the numbers of filters follow from, if they follow a rule."""
    totals = [sum(expand.values()) for _, expand in outline.fires]
    freq = next((i for i, total in enumerate(totals) if total != totals[0]), FIRE_MODULES)
    squeeze, expand = outline.fires[0]
    shares = {size: count / totals[0] for size, count in expand.items()}
    bypass = next((b for b in ("complex", "simple") if b in outline.bypasses), "none")
    return {
        "version": "1.1",
        "seed": 0,
        "stem": outline.stem,
        "pool_after": outline.pool_after,
        "base_e": totals[0],
        "incr_e": totals[freq] - totals[0] if freq < FIRE_MODULES else 0,
        "freq": freq,
        "squeeze_ratio": squeeze / totals[0],
        "expand": shares,
        "bypass": bypass,
        "batch_norm": outline.batch_norm,
        "head": outline.head,
        "final_relu": outline.final_relu,
        "dropout": outline.dropout,
        "num_classes": outline.num_classes,
    }
