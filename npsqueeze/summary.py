"""The table of a network: layers, output shapes, parameters, operations, memory."""

from npsqueeze.layers import Conv2d, Fire, Module
from npsqueeze.models import SqueezeNet
from npsqueeze.module import Shape

HEADINGS = ("layer", "", "output", "parameters", "MACs", "activations")


def summary(model: SqueezeNet, shape: Shape) -> str:
    """Return a table with a line a layer for an input of `shape` (N, 3, H, W).

    MACs are multiply-accumulate operations of the convolutions and the linear layer; the
    activations are the numbers that the forward pass writes, in bytes, none of them reused.

    Raises
    ------
    ValueError
        If the shape does not suit the model.
    """
    model.output_shape(shape)
    size = model.parameters()[0].data.itemsize
    rows, totals = [], [0, 0, 0]
    for part in ("features", "classifier"):
        for name, layer in getattr(model, part).layers.items():
            out = layer.output_shape(shape)
            counts = [
                sum(parameter.data.size for parameter in layer.parameters()),
                layer.macs(shape),
                layer.activations(shape) * size,
            ]
            totals = [total + count for total, count in zip(totals, counts, strict=True)]
            rows.append(
                (f"{part}.{name}", _describe(layer), "x".join(map(str, out)), *_format(counts))
            )
            shape = out
    rows.append(("total", "", "", *_format(totals)))
    return _align([HEADINGS, *rows])


def _describe(layer: Module) -> str:
    kind = type(layer).__name__
    if isinstance(layer, Fire):
        filters = [
            f"{name} {len(member.weight.data)}"
            for name, member in layer.members().items()
            if isinstance(member, Conv2d)
        ]
        return f"{kind} {', '.join(filters)}"
    if isinstance(layer, Conv2d):
        height, width = layer.windows.kernel_size
        return f"{kind} {height}x{width}/{layer.windows.stride[0]}"
    return kind


def _format(counts: list[int]) -> tuple[str, str, str]:
    parameters, macs, memory = counts
    return f"{parameters:,}", f"{macs:,}", f"{memory / 2**20:.2f} MiB"


def _align(rows: list[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            cell.ljust(width) if column < 3 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    rule = "-" * max(map(len, lines))
    return "\n".join([lines[0], rule, *lines[1:-1], rule, lines[-1]])
