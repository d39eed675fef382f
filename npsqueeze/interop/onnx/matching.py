"""A graph that is a SqueezeNet becomes one, whoever wrote it."""

from collections.abc import Mapping
from typing import Any

from npsqueeze.interop.inference import infer_metaparameters
from npsqueeze.interop.onnx.graph import Graph
from npsqueeze.interop.onnx.parsing import NoMatch, Outline, Parser
from npsqueeze.layers import Fire
from npsqueeze.metaparameters import complete
from npsqueeze.models import SqueezeNet
from npsqueeze.module import Shape
from npsqueeze.state_shapes import check_state


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
        Metaparameters that may be the network's own; otherwise they are inferred.
    """
    try:
        parser = Parser(graph, shape)
        outline = parser.outline()
        shapes = {name: array.shape for name, array in parser.state.items()}
        config = _drawn_in(outline, hints or infer_metaparameters(shapes, shape[2]))
        check_state(parser.state, config)
    except (NoMatch, KeyError, TypeError, ValueError, OverflowError):
        return None
    model = SqueezeNet(config).astype(parser.state["classifier.1.weight"].dtype)
    fires = [layer for layer in model.features.layers.values() if isinstance(layer, Fire)]
    if tuple(fire.bypass for fire in fires) != outline.bypasses:
        return None
    model.load_state_dict(parser.state)
    return model.eval()


def _drawn_in(outline: Outline, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return metaparameters in which all that the shapes of weights cannot tell is the graph's."""
    channels, *_ = config["stem"]
    return complete(
        {
            **config,
            "stem": (channels, *outline.stem),
            "pool_after": outline.pool_after,
            "bypass": next((b for b in ("complex", "simple") if b in outline.bypasses), "none"),
            "final_relu": outline.final_relu,
            "dropout": outline.dropout,
        }
    )
