"""Short trainings: twenty pictures by heart, the size of a step, and the learning-rate range test.

Each starts from the network as it was brought. Sources: CS231n, "Neural Networks Part 3" (overfit a
tiny subset; ratio of updates to weights); L. N. Smith, "Cyclical learning rates for training neural
networks", 2017, section 3.3 (range test).
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from npsqueeze.arrays import Array
from npsqueeze.doctor.patient import Batch, Patient
from npsqueeze.doctor.report import OK, WARNING, WRONG, Finding
from npsqueeze.layers import Dropout
from npsqueeze.optim import AdamW
from npsqueeze.settings import DEFAULT_LR

FEW, BY_HEART_STEPS, BY_HEART_LR = 20, 120, 2e-3
RAMP, TRIAL_STEPS = 10, 30
RANGE_STEPS, RANGE = 100, (1e-3, 100.0)
"""The rates of the range test, in units of the optimiser's default rate."""

LARGEST_CHANGE, BRISK_CHANGE, SMALLEST_CHANGE = 0.07, 0.02, 1.5e-4
"""A step of a healthy training changes a weight by about a thousandth of its size, and by a
hundredth when it has just begun. Measured over networks with and without batch normalisation, SGD
and AdamW, six seeds each: 0.002 to 0.033 at the default rate, from 0.13 on at a hundred times that
rate, 0.00006 at most at a hundredth of it."""

EXPLOSION = 100
"""A loss of so many times ln(classes) is no longer the noise of a fast start, which gets to 7."""


def check_overfit(patient: Patient, sample: Batch) -> list[Finding]:
    """See that twenty pictures are learned by heart, by AdamW at a rate that suits most networks.

    Without augmentation, weight decay and dropout nothing stands in the way. Whether labels make
    sense does not matter here.
    """
    check = f"{FEW} pictures by heart"
    chosen = np.random.default_rng(0).permutation(len(sample[0]))[:FEW]
    batch = sample[0][chosen], sample[1][chosen]
    for module in patient.model.modules():
        if isinstance(module, Dropout):
            module.training = False
    optimizer = AdamW(patient.optimizer.parameters, BY_HEART_LR, weight_decay=0.0)
    first = lowest = math.inf
    target = 0.1 * math.log(len(patient.classes))
    rates = [BY_HEART_LR] * BY_HEART_STEPS
    for number, step in enumerate(patient.steps([batch], optimizer, rates), start=1):
        first = step.loss if number == 1 else first
        lowest = min(lowest, step.loss)
        if step.loss < target:
            return [Finding(OK, check, f"loss {first:.2f} to {step.loss:.2f} in {number} steps")]
    text = f"the loss falls from {first:.2f} only to {lowest:.2f} in {BY_HEART_STEPS} steps"
    cure = "--batch-norm --bypass simple, or a larger --width"
    learns = lowest < 0.7 * math.log(len(patient.classes))
    severity = WARNING if learns else WRONG
    return [Finding(severity, check, text if learns else f"cannot learn: {text}", cure)]


class RangeTest(NamedTuple):
    """Rates that rise by one factor from step to step, their losses, and the rate to be advised."""

    rates: Array
    losses: Array
    smooth: Array
    suggestion: float | None


def range_test(patient: Patient) -> RangeTest:
    """Train with a rate that rises geometrically, until the loss explodes (Smith, 2017).

    The suggestion is the rate at which the smoothed loss is lowest, of those before the loss rises
    above its start and before the weights change too much for so few steps to show the harm. There
    is none where the loss never falls by 1 %.
    """
    unit = DEFAULT_LR[patient.settings.optimizer]
    rates = np.geomspace(RANGE[0] * unit, RANGE[1] * unit, RANGE_STEPS)
    limit = EXPLOSION * math.log(len(patient.classes))
    losses: list[float] = []
    bearable = RANGE_STEPS
    for number, step in enumerate(
        patient.steps(patient.batches, patient.optimizer, rates.tolist())
    ):
        losses.append(min(step.loss, limit))
        smooth = _smoothed(losses)
        first = min(RAMP, number)  # from there on, enough losses have been averaged
        if smooth[-1] > 1.1 * smooth[first] or step.median > BRISK_CHANGE:
            bearable = min(bearable, number)
        if smooth[-1] > 3 * smooth.min():
            break
    lowest = first + int(smooth[first : max(bearable, first + 1)].argmin())
    suggestion = float(rates[lowest]) if smooth[lowest] < 0.99 * smooth[first] else None
    return RangeTest(rates[: len(losses)], np.array(losses), smooth, suggestion)


def check_rate(patient: Patient, test: RangeTest) -> list[Finding]:
    """Train at the configured rate for some steps, and look at the size of the steps.

    The rate rises over ten steps to the configured one. Measured is the median over the weights
    of ‖change‖ / ‖weight‖ that nine of ten steps stay below.
    """
    rate, check = patient.optimizer.lr, "learning rate"
    rates = [rate * min(1.0, (step + 1) / RAMP) for step in range(TRIAL_STEPS)]
    steps = list(patient.steps(patient.batches, patient.optimizer, rates))
    advice = DEFAULT_LR[patient.settings.optimizer] if test.suggestion is None else test.suggestion
    cure = f"--lr {advice:.1g}"
    highest = max(step.loss for step in steps)
    if math.isinf(highest):
        return [Finding(WRONG, check, f"too high: at lr {rate:g} the loss explodes", cure)]
    change = float(np.quantile([step.median for step in steps], 0.9, method="lower"))
    seen = f"lr {rate:g} changes a weight by up to {change:.2g} of its size in a step"
    limit = EXPLOSION * math.log(len(patient.classes))
    if not (highest < limit and change < LARGEST_CHANGE):
        text = f"too high: {seen}, and the loss reaches {highest:.3g}"
        return [Finding(WRONG, check, text, cure)]
    if change < SMALLEST_CHANGE:
        text = f"too low: {seen}; about 0.001 to 0.01 is usual"
        return [Finding(WRONG, check, text, cure)]
    return [Finding(OK, check, seen)]


def check_range(patient: Patient, test: RangeTest) -> list[Finding]:
    """Tell what the range test suggests."""
    check = "range test"
    if test.suggestion is None:
        text = f"no rate lowers the loss by 1 % within {len(test.losses)} steps: too few for it"
        return [Finding(OK, check, text)]
    text = (
        f"the loss is lowest at lr {test.suggestion:.1g}; a warm-up (--schedule one-cycle) bears "
    )
    return [Finding(OK, check, f"{text}up to ten times as much")]


def _smoothed(losses: Sequence[float], memory: float = 0.85) -> Array:
    """Return the running mean in which each step weighs `memory` times the next one."""
    weight = total = 0.0
    smooth = np.empty(len(losses))
    for step, loss in enumerate(losses):
        weight, total = memory * weight + 1, memory * total + loss
        smooth[step] = total / weight
    return smooth
