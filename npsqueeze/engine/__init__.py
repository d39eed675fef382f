"""The fast road: a network compiled for a batch shape into steps over NHWC memory."""

from npsqueeze.engine.compiling import compile  # noqa: A004 (as PyTorch calls it)
from npsqueeze.engine.plan import Plan

__all__ = ["Plan", "compile"]
