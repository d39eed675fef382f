"""A plan: a network and a batch shape turned into a list of steps over memory got once."""

from collections.abc import Sequence

import numpy as np

from npsqueeze.arrays import Array, as_gradient
from npsqueeze.engine.steps import Step
from npsqueeze.engine.tensors import Tensor, aligned_zeros
from npsqueeze.module import Module


class Plan:
    """What `npsqueeze.compile` returns: the network's forward and backward pass, faster.

    It reads the parameters at every pass (until it is frozen), adds to their gradients at every
    backward pass, and follows `model.training`. The arrays that it returns are the caller's.
    """

    def __init__(
        self, model: Module, steps: Sequence[Step], tensors: Sequence[Tensor], training: bool
    ) -> None:
        self.model, self.steps, self.tensors, self.training = model, steps, tensors, training
        self.x, self.logits = tensors[0], tensors[-1]
        self.images, self.is_frozen = 0, False
        if not training:
            _share_memory(steps)
        for tensor in tensors:
            tensor.allocate()
        for step in steps:
            step.prepare()

    def __del__(self) -> None:
        """Give the memory back at once: tensors and the steps that read them know each other."""
        for tensor in getattr(self, "tensors", ()):
            tensor.readers.clear()
            tensor.lender = tensor.borrower = None

    def forward(self, x: Array) -> Array:
        """Return the logits (n, classes) of n images, at most as many as the plan's batch.

        Raises
        ------
        TypeError, ValueError
            If x is no array of the plan's type, or does not have the plan's shape (n aside).
        """
        batch, *rest = self.x.shape
        if not isinstance(x, np.ndarray) or x.dtype != self.x.dtype:
            found = x.dtype if isinstance(x, np.ndarray) else type(x).__name__
            raise TypeError(f"x: expected an array of {self.x.dtype}, got {found}")
        if x.ndim != 4 or list(x.shape[1:]) != rest or not 1 <= len(x) <= batch:
            shape = (f"1 to {batch}", *rest)
            raise ValueError(f"x: expected shape ({', '.join(map(str, shape))}), got {x.shape}")
        self.images = len(x)
        self.x.write(self.x.data, x)
        for step in self.steps:
            step.forward(self.images, self.model.training and not self.is_frozen)
        return self.logits.read(self.logits.data, self.images).reshape(self.images, -1)

    def backward(self, dlogits: Array) -> None:
        """Add to the gradients of all parameters, for the last forward pass.

        Raises
        ------
        RuntimeError
            If there was no forward pass yet, or the plan is for prediction only.
        TypeError, ValueError
            If dlogits has not the type and the shape of the logits.
        """
        if not self.training:
            raise RuntimeError("Plan: it was compiled with training=False, and cannot go backwards")
        if not self.images:
            raise RuntimeError("Plan: backward needs a forward pass before it")
        dlogits = as_gradient(dlogits, (self.images, self.logits.shape[1]), self.x.dtype)
        self.logits.write(self.logits.grad, dlogits[:, :, None, None])
        for step in reversed(self.steps):
            step.backward(self.images)

    def freeze(self) -> None:
        """Promise that the weights will not change any more: they are taken now, and only now.

        The plan then predicts, whatever `model.training` says, and a single picture takes a fifth
        less time. Weights that change nevertheless are not seen.

        Raises
        ------
        RuntimeError
            If the plan is for training.
        """
        if self.training:
            raise RuntimeError("Plan: only one that was compiled with training=False can be frozen")
        self.is_frozen = True
        for step in self.steps:
            step.freeze()

    def describe(self) -> str:
        """Return a table of the steps: what each reads and writes, with MACs and bytes."""
        rows = [("step", "", "reads", "writes", "MACs", "memory of what it writes")]
        for step in self.steps:
            n, c, h, w = step.y.shape
            rows.append(
                (
                    step.name, type(step).__name__, step.x.name, f"{step.y.name} {n}x{h}x{w}x{c}",
                    f"{step.macs():,}", f"{step.y.bytes / 2**20:.2f} MiB",
                )
            )  # fmt: skip
        arrays = [array for tensor in self.tensors for array in (tensor.data, tensor.grad)]
        memory = {id(array.base): array.base.nbytes for array in arrays if array.base is not None}
        macs = sum(step.macs() for step in self.steps)
        rows.append(("all", "", "", "", f"{macs:,}", f"{sum(memory.values()) / 2**20:.2f} MiB"))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in rows
        )


def _share_memory(steps: Sequence[Step]) -> None:
    """Let tensors take turns in the same memory.

    A tensor needs its slot from the step that writes it to the last one that reads it. Those with a
    border, or channels that are never written, keep their own: there, zeros must stay.
    """
    number = {step: i for i, step in enumerate(steps)}
    turns: list[list[Tensor]] = []
    free_after: list[int] = []
    for step in steps:
        if step.y.border or not step.fills_vectors:
            continue
        last_read = max((number[reader] for reader in step.y.readers), default=len(steps))
        free = [slot for slot, last in enumerate(free_after) if last < number[step]]
        if not free:
            free = [len(turns)]
            turns.append([])
            free_after.append(0)
        turns[free[0]].append(step.y)
        free_after[free[0]] = last_read
    for tensors in turns:
        memory = aligned_zeros(max(tensor.size for tensor in tensors), tensors[0].dtype)
        for tensor in tensors:
            tensor.data = memory[: tensor.size]
