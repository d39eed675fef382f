"""The table of a network: layers, output shapes, parameters, operations, memory."""

from npsqueeze.layers import Conv2d, Fire, GlobalAvgPool2d, Linear, MaxPool2d, Module
from npsqueeze.models import SqueezeNet
from npsqueeze.module import Shape
from npsqueeze.tables import table
from npsqueeze.units import named_units

DEPTHS = {Conv2d: "1", Linear: "1", Fire: "2", MaxPool2d: "0", GlobalAvgPool2d: "0"}


def summary(model: SqueezeNet, shape: Shape) -> str:
    """Return a table with a line a layer for an input of `shape` (N, 3, H, W).

    The columns, of which those up to the parameters are table 1 of the paper:

    - the name in the `state_dict`, and the paper's name;
    - the output, N x C x H x W;
    - the filter's (or pooling window's) size and stride;
    - the depth, how many layers of weights lie behind each other;
    - s1x1, e1x1, e3x3 …: the filters of a Fire module, squeeze and expand;
    - the parameters;
    - MACs, the multiply-accumulate operations of the convolutions and the linear layer;
    - activations, the numbers that the forward pass writes, in bytes, none of them reused.

    With version 1.0 and 227x227 pixels, the outputs and parameters are those that the paper prints.
    It gives the input as 224x224, which would make 109x109 of conv1 instead of its 111x111.

    Raises
    ------
    ValueError
        If the shape does not suit the model.

    References
    ----------
    Iandola et al., "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and <0.5MB model
    size", 2016, table 1.
    """
    model.output_shape(shape)
    size = model.parameters()[0].data.itemsize
    branches = ["s1x1", *(f"e{kernel}x{kernel}" for kernel in sorted(_kernel_sizes(model)))]
    rows, totals = [], [0, 0, 0]
    for name, unit, layer in named_units(model):
        out = layer.output_shape(shape)
        counts = [
            sum(parameter.data.size for parameter in layer.parameters()),
            layer.macs(shape),
            layer.activations(shape) * size,
        ]
        totals = [total + count for total, count in zip(totals, counts, strict=True)]
        filters = _fire_filters(layer) if isinstance(layer, Fire) else {}
        rows.append(
            [
                *(
                    name,
                    unit,
                    "x".join(map(str, out)),
                    _filter(layer, shape),
                    DEPTHS.get(type(layer), ""),
                ),
                *(str(filters.get(branch, "")) for branch in branches),
                *_format(counts),
            ]
        )
        shape = out
    headings = ["layer", "unit", "output", "filter", "depth", *branches]
    headings += ["parameters", "MACs", "activations"]
    rows.append(["total", *[""] * (len(headings) - 4), *_format(totals)])
    return table(headings, rows, left=4, total=True)


def _kernel_sizes(model: SqueezeNet) -> set[int]:
    return {size for size, share in model.config["expand"].items() if share > 0}


def _fire_filters(fire: Fire) -> dict[str, int]:
    """Return the filters of a Fire module by the paper's names, s1x1, e1x1, e3x3."""
    return {
        name.replace("squeeze", "s1x1").replace("expand", "e"): len(member.weight.data)
        for name, member in fire.members().items()
        if isinstance(member, Conv2d)
    }


def _filter(layer: Module, shape: Shape) -> str:
    """Return what the paper calls filter size and stride, such as 7x7/2."""
    if isinstance(layer, Conv2d | MaxPool2d):
        height, width = layer.windows.kernel_size
        return f"{height}x{width}/{layer.windows.stride[0]}"
    if isinstance(layer, GlobalAvgPool2d):
        return f"{shape[2]}x{shape[3]}/1"
    return ""


def _format(counts: list[int]) -> tuple[str, str, str]:
    parameters, macs, memory = counts
    return f"{parameters:,}", f"{macs:,}", f"{memory / 2**20:.2f} MiB"
