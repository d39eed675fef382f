"""Who is measured: what each contender needs, which works it can do, and where its code is."""

import importlib
import importlib.util
from collections.abc import Callable
from typing import NamedTuple

from npsqueeze.benchmark.works import Work

OURS = "npsqueeze"


class Contender(NamedTuple):
    """A library in one of its ways of working.

    `module` has ``prepare(work, way, threads)``, which returns a function without arguments that
    does the work once. It is imported in the contender's own process alone.
    """

    name: str
    module: str
    kinds: tuple[str, ...]
    way: str = ""
    packages: tuple[str, ...] = ()

    @property
    def is_ours(self) -> bool:
        """Whether it is npsqueeze, by either road."""
        return self.name.startswith(OURS)

    def missing(self) -> list[str]:
        """Return the packages that it needs and that are not installed."""
        return [name for name in self.packages if importlib.util.find_spec(name) is None]

    def prepare(self, work: Work, threads: int) -> Callable[[], object] | None:
        """Return the function that does the work, or None if it cannot; imports the library."""
        return importlib.import_module(self.module).prepare(work, self.way, threads)


_FOLDER = "npsqueeze.benchmark"
_TORCH_KINDS = ("gemm", "convolution", "step", "picture")
CONTENDERS = (
    Contender(
        OURS,
        f"{_FOLDER}.with_npsqueeze",
        ("peak", "gemm", "convolution", "step", "picture", "size"),
        way="compiled",
    ),
    Contender(f"{OURS} layers", f"{_FOLDER}.with_npsqueeze", ("step", "picture"), way="layers"),
    Contender("numpy", f"{_FOLDER}.with_numpy", ("gemm", "convolution")),
    Contender("torch", f"{_FOLDER}.with_torch", _TORCH_KINDS, "contiguous_format", ("torch",)),
    Contender(
        "torch channels_last",
        f"{_FOLDER}.with_torch",
        _TORCH_KINDS[1:],  # a product of matrices has no channels
        "channels_last",
        ("torch",),
    ),
    Contender(
        "onnxruntime",
        f"{_FOLDER}.with_onnxruntime",
        ("picture",),
        packages=("onnxruntime", "torch", "onnx", "onnxscript"),  # all but the first to export
    ),
)


def installed() -> tuple[list[Contender], list[str]]:
    """Return the contenders whose packages are there, and a note about each other one."""
    missing = {contender: contender.missing() for contender in CONTENDERS}
    notes = [
        f"{contender.name}: left out, it needs {', '.join(names)}"
        for contender, names in missing.items()
        if names
    ]
    return [contender for contender, names in missing.items() if not names], notes
