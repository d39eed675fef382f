"""Tables as lines of text."""

from collections.abc import Sequence


def table(
    headings: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1, total: bool = False
) -> str:
    """Return lines with aligned columns, and a rule below the headings.

    Parameters
    ----------
    headings : sequence of str
    rows : sequence of sequences of str
        As many cells each as there are headings.
    left : int
        How many columns, from the first on, are flushed left; the others are flushed right.
    total : bool
        Whether the last row is a total, with a rule above it.
    """
    widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
    lines = [
        "  ".join(
            cell.ljust(width) if column < left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in (headings, *rows)
    ]
    rule = "-" * max(map(len, lines))
    lines.insert(1, rule)
    if total:
        lines.insert(-1, rule)
    return "\n".join(lines)
