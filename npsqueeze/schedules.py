"""Learning-rate schedules: the share of the base learning rate left at each point of training.

A schedule is a function of `progress`, which runs from 0 (first step) to 1 (end of training). It
may be preceded by a linear warm-up; what follows the warm-up is then its progress from 0 to 1.
"""

import math
from collections.abc import Callable

WARMUP_START = 1 / 25


def constant(progress: float) -> float:
    """Return 1."""
    return 1.0


def linear(progress: float) -> float:
    """Return 1 - progress: a straight line to 0.

    The SqueezeNet paper (section 3.3.1) starts from 0.04 and goes on as Mishkin, Sergievskiy and
    Matas advise, who found this line the best of many ("Systematic evaluation of CNN advances on
    the ImageNet", 2016).

    Derived in tutorials/10_optimisation.ipynb.
    """
    return 1 - progress


def cosine(progress: float) -> float:
    """Return (1 + cos(π · progress)) / 2 (Loshchilov and Hutter, SGDR, 2017, equation 5).

    Derived in tutorials/10_optimisation.ipynb.
    """
    return (1 + math.cos(math.pi * progress)) / 2


def step_decay(progress: float) -> float:
    """Return 1, from half of the way 1/10, from three quarters 1/100 (He et al., 2016)."""
    if progress < 0.5:
        return 1.0
    return 0.1 if progress < 0.75 else 0.01


SCHEDULES: dict[str, Callable[[float], float]] = {
    "constant": constant,
    "linear": linear,
    "cosine": cosine,
    "step": step_decay,
    "one-cycle": cosine,
}


def learning_rate(
    schedule: str, base_lr: float, step: int, total_steps: int, warmup: float | None = None
) -> float:
    """Return the learning rate of one step.

    A warm-up of W = round(warmup · total_steps) steps rises in a straight line, then the schedule
    takes over::

        step < W:     base_lr · (1/25 + (1 - 1/25) · step / W)
        otherwise:    base_lr · schedule((step - W) / (total_steps - W))

    Derived in tutorials/10_optimisation.ipynb.

    Parameters
    ----------
    schedule : str
        A name in `SCHEDULES`. "one-cycle" is a cosine that has a warm-up by default.
    base_lr : float
        The highest learning rate.
    step : int
        Steps already taken: 0 for the first, below `total_steps`.
    total_steps : int
        Steps of the whole training, at least 1.
    warmup : float, optional
        Share of the steps for the warm-up, in [0, 1). By default 0.3 for "one-cycle", else 0.

    Raises
    ------
    ValueError
        If the schedule is unknown, or a number is out of its range.

    References
    ----------
    Smith and Topin, "Super-convergence: very fast training of neural networks using large learning
    rates", 2018 (the one-cycle policy, there with straight lines both ways).
    """
    if schedule not in SCHEDULES:
        raise ValueError(f"schedule: expected one of {', '.join(SCHEDULES)}, got {schedule!r}")
    if not 0 <= step < total_steps:
        raise ValueError(f"step: expected 0 to total_steps - 1, got {step} of {total_steps}")
    if warmup is None:
        warmup = 0.3 if schedule == "one-cycle" else 0.0
    if not 0 <= warmup < 1:
        raise ValueError(f"warmup: expected a share in [0, 1), got {warmup!r}")
    warmup_steps = round(warmup * total_steps)
    if step < warmup_steps:
        return base_lr * (WARMUP_START + (1 - WARMUP_START) * step / warmup_steps)
    progress = (step - warmup_steps) / (total_steps - warmup_steps)
    return base_lr * SCHEDULES[schedule](progress)
