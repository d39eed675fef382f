"""Optimisers: a gradient becomes a step of its parameter, in place."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from numbers import Real
from typing import Protocol

import numpy as np

from npsqueeze import kernels
from npsqueeze.arrays import Array
from npsqueeze.errors import CheckpointError


class Trainable(Protocol):
    """What an optimiser needs of a parameter: `data` and its gradient `grad`, of one shape."""

    data: Array
    grad: Array


class Optimizer(ABC):
    """What every optimiser shares: its parameters, the learning rate and a state to save.

    The state is a flat mapping of arrays that `step` changes in place.
    """

    def __init__(self, parameters: Iterable[Trainable], lr: float, weight_decay: float) -> None:
        self.parameters = list(parameters)
        if not self.parameters:
            raise ValueError("parameters: expected at least one parameter, got none")
        if len({id(p) for p in self.parameters}) < len(self.parameters):
            raise ValueError("parameters: expected each parameter once, got one of them twice")
        self.lr = lr
        self.weight_decay = _in_range("weight_decay", weight_decay)
        self._state: dict[str, Array] = {}

    @property
    def lr(self) -> float:
        """The learning rate; a schedule writes it before every step."""
        return self._lr

    @lr.setter
    def lr(self, value: float) -> None:
        self._lr = _in_range("lr", value)

    @abstractmethod
    def step(self) -> None:
        """Move every parameter once, along its present gradient."""

    def zero_grad(self) -> None:
        """Clear every gradient (a backward pass adds to it)."""
        for p in self.parameters:
            p.grad[...] = 0

    def state_dict(self) -> dict[str, Array]:
        """Return a copy of the state, to be saved and to resume from exactly."""
        return {name: array.copy() for name, array in self._state.items()}

    def load_state_dict(self, state: Mapping[str, Array]) -> None:
        """Take over a state that `state_dict` returned.

        Raises
        ------
        CheckpointError
            If a name is missing or unknown, or a shape or dtype is another one. The optimiser
            is then as it was.
        """
        differing = sorted(self._state.keys() ^ state.keys())
        if differing:
            found = "missing" if differing[0] in self._state else "unknown"
            raise CheckpointError(f"state of {type(self).__name__}: {differing[0]!r} is {found}")
        for name, array in self._state.items():
            expected, found = (f"{a.dtype} {a.shape}" for a in (array, state[name]))
            if found != expected:
                raise CheckpointError(f"state {name!r}: expected {expected}, got {found}")
        for name, array in self._state.items():
            array[...] = state[name]

    def _buffers(self, name: str) -> list[Array]:
        """Return one array of zeros for each parameter, part of the state from now on."""
        buffers = [np.zeros_like(p.data) for p in self.parameters]
        self._state |= {f"{name}.{i}": buffer for i, buffer in enumerate(buffers)}
        return buffers


class SGD(Optimizer):
    """Stochastic gradient descent with momentum.

    For a parameter w with gradient dw, and v = 0 before the first step::

        g = dw + weight_decay · w
        v = momentum · v + g
        w = w - lr · v                      plain momentum
        w = w - lr · (g + momentum · v)     Nesterov's: the gradient seen from one step ahead

    As in PyTorch, the learning rate is outside the velocity v, so a new `lr` acts at once.

    Derived in tutorials/10_optimisation.ipynb.

    Parameters
    ----------
    parameters : iterable of Parameter
        Each with `data` and `grad`; `data` is changed in place.
    lr : float
        Learning rate, at least 0.
    momentum : float
        Share of the velocity that survives a step, in [0, 1).
    nesterov : bool
        Whether to use Nesterov's momentum; needs a momentum above 0.
    weight_decay : float
        Factor of the L2 penalty's gradient, at least 0.

    Raises
    ------
    ValueError
        If an argument is out of its range, or a parameter is there twice.

    References
    ----------
    Sutskever, Martens, Dahl and Hinton, "On the importance of initialization and momentum in deep
    learning", ICML 2013, equations 1 to 4 (there with the learning rate inside the velocity).
    """

    def __init__(
        self,
        parameters: Iterable[Trainable],
        lr: float,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(parameters, lr, weight_decay)
        self.momentum = _in_range("momentum", momentum, below=1)
        self.nesterov = nesterov
        if nesterov and not momentum:
            raise ValueError("nesterov: expected a momentum above 0 beside it, got 0")
        self._velocity = self._buffers("velocity")

    def step(self) -> None:
        """Move every parameter once, along its velocity."""
        factors = self.lr, self.momentum, self.weight_decay, bool(self.nesterov)
        for p, v in zip(self.parameters, self._velocity, strict=True):
            _step(kernels.sgd_step, p, [v], factors)


class AdamW(Optimizer):
    """Adam with decoupled weight decay.

    For a parameter w with gradient dw, at step t = 1, 2, ..., and m = v = 0 before the first::

        w = w - lr · weight_decay · w               the decay does not pass through m and v
        m = β1 · m + (1 - β1) · dw                  mean of the gradient
        v = β2 · v + (1 - β2) · dw²                 mean of its square
        m̂ = m / (1 - β1ᵗ),  v̂ = v / (1 - β2ᵗ)       m and v began at 0: undo that bias
        w = w - lr · m̂ / (√v̂ + eps)

    Derived in tutorials/10_optimisation.ipynb.

    Parameters
    ----------
    parameters : iterable of Parameter
        Each with `data` and `grad`; `data` is changed in place.
    lr : float
        Learning rate, at least 0.
    betas : tuple of two floats
        (β1, β2), each in [0, 1).
    eps : float
        Keeps the quotient finite where the gradient has been 0; at least 0.
    weight_decay : float
        Share of the parameter that a step with lr = 1 would remove, at least 0.

    Raises
    ------
    ValueError
        If an argument is out of its range, or a parameter is there twice.

    References
    ----------
    Loshchilov and Hutter, "Decoupled weight decay regularization", ICLR 2019, algorithm 2 (its
    decay is not multiplied by lr; here, as in PyTorch, it is).
    """

    def __init__(
        self,
        parameters: Iterable[Trainable],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
    ) -> None:
        super().__init__(parameters, lr, weight_decay)
        beta1, beta2 = betas
        self.betas = _in_range("betas[0]", beta1, below=1), _in_range("betas[1]", beta2, below=1)
        self.eps = _in_range("eps", eps)
        self._step = self._state["step"] = np.zeros((), np.int64)
        self._mean = self._buffers("mean")
        self._mean_square = self._buffers("mean_square")

    def step(self) -> None:
        """Move every parameter once, along its mean gradient over the root of its mean square."""
        beta1, beta2 = self.betas
        self._step += 1
        mean_bias = 1 - beta1 ** int(self._step)
        mean_square_bias = 1 - beta2 ** int(self._step)
        factors = (
            1 - self.lr * self.weight_decay, self.lr / mean_bias,
            beta1, 1 - beta1, beta2, 1 - beta2, mean_square_bias, self.eps,
        )  # fmt: skip
        for p, m, v in zip(self.parameters, self._mean, self._mean_square, strict=True):
            _step(kernels.adamw_step, p, [m, v], factors)


def _step(
    kernel: Callable[..., None], p: Trainable, buffers: list[Array], factors: tuple[float, ...]
) -> None:
    """Let a kernel change a parameter and its buffers, whatever their layout in memory."""
    dtype = p.data.dtype.newbyteorder("=")
    if dtype not in (np.float32, np.float64):
        dtype = np.dtype(np.float64)
    changed = [p.data, *buffers]
    data, *state = flat = [_flat(array, dtype) for array in changed]
    kernel(
        data, _flat(p.grad, dtype), *state,
        *(factor if isinstance(factor, bool) else dtype.type(factor) for factor in factors),
    )  # fmt: skip
    for array, result in zip(changed, flat, strict=True):
        if not np.may_share_memory(array, result):  # the kernel worked on a copy
            array[...] = result.reshape(array.shape)


def _flat(array: Array, dtype: np.dtype[np.floating]) -> Array:
    return np.require(array, dtype, ["C", "W", "A", "E"]).reshape(-1)


def _in_range(name: str, value: float, below: float = np.inf) -> float:
    """Return `value` as a Python float, which, unlike NumPy's, leaves float32 arrays float32."""
    if not (isinstance(value, Real) and 0 <= value < below):
        raise ValueError(f"{name}: expected a number in [0, {below}), got {value!r}")
    return float(value)
