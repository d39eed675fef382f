"""Checks of the network as it is before any training.

Source: CS231n, "Neural Networks Part 2" (initialisation) and "Part 3" (sanity checks).
"""

import math
from collections.abc import Sequence

import numpy as np

from npsqueeze.arrays import Array
from npsqueeze.doctor.report import OK, WARNING, WRONG, Finding
from npsqueeze.doctor.watching import Passage, rectified, scale
from npsqueeze.functional import softmax_cross_entropy_forward
from npsqueeze.module import Module, first_names

APART = 1e4
"""How far the scales of layers may lie apart. In float32, and with one learning rate for all, a
factor of ten thousand leaves the smallest without effect; He's scheme keeps within a hundred."""

DEAD_WARNING, DEAD_WRONG = 0.25, 0.75
"""Shares of a network's ReLU channels. Without batch normalisation, up to a sixth of SqueezeNet's
are zero for a whole batch at the start, and some come back."""

NO_RELU = "--model cifar, or final_relu=False, or --head linear: no ReLU may follow the last layer"


def check_weights(model: Module) -> list[Finding]:
    """See that no weight is constant: equal filters compute the same and learn the same, for ever.

    Weights of zero also pass no gradient on. Only the last layer may start at zero.
    """
    check = "initial weights"
    weights = [(name, p.data) for name, p in model.named_parameters() if p.data.ndim > 1]
    broken = [name for name, weight in weights if not np.isfinite(weight).all()]
    if broken:
        text = f"NaN or infinity in {first_names(broken)}"
        return [Finding(WRONG, check, text, "build the network anew: nps.squeezenet(..., seed=0)")]
    constant = [name for name, w in weights if w.size > 1 and w.min() == w.max()]
    zero = [name for name, weight in weights if not weight.any()]
    if not constant or constant == [name for name, _ in weights[-1:]]:
        return [Finding(OK, check, f"drawn at random in {len(weights) - len(constant)} layers")]
    kind = "zero" if set(constant) <= set(zero) else "constant"
    which = "all weights are" if len(constant) == len(weights) else "weights are"
    text = f"{which} {kind}: {first_names(constant)}; no filter can become unlike its neighbour"
    cure = "draw them: --init he, or p.data[...] = nps.init.he_normal(p.data.shape, generator)"
    return [Finding(WRONG, check, text, cure)]


def check_logits(logits: Array, labels: Array, classes: Sequence[str]) -> list[Finding]:
    """See that every class has a living logit, and that the first loss is ln(classes).

    A network that knows nothing should give each class the same probability. A logit that is
    exactly zero for every picture comes from a ReLU after the last layer, which lets no gradient
    through: that class cannot be learned.
    """
    dead = [classes[int(k)] for k in np.flatnonzero(~logits.any(axis=0))]
    if dead:
        text = f"dead logits: zero for every picture, {len(dead)} of {len(classes)} classes "
        text += f"({first_names(dead)}): a final ReLU after the last layer lets no gradient through"
        return [Finding(WRONG, "logits", text, NO_RELU)]
    findings = [Finding(OK, "logits", f"alive for all {len(classes)} classes")]
    silent = float(np.mean(logits == 0))
    if silent > 0.1:
        text = (
            f"{silent:.0%} are exactly zero: a final ReLU after the last layer cuts gradients off"
        )
        findings = [Finding(WARNING, "logits", text, NO_RELU)]
    loss, _ = softmax_cross_entropy_forward(logits, labels)
    expected = math.log(len(classes))
    seen = f"{loss:.3f}, ln({len(classes)}) is {expected:.3f}"
    cure = "draw the last layer's weights small: nps.init.normal(shape, generator, std=0.01)"
    if not loss < 3 * expected:
        text = f"{seen}: the logits start far too large"
        return [*findings, Finding(WRONG, "initial loss", text, cure)]
    if loss > 1.5 * expected:
        text = f"{seen}: the logits start too large"
        return [*findings, Finding(WARNING, "initial loss", text, cure)]
    return [*findings, Finding(OK, "initial loss", seen)]


def check_activations(passages: Sequence[Passage]) -> list[Finding]:
    """See that the outputs of the layers neither vanish nor explode on the way (He et al., 2015).

    The last layer is left out: its small scale is wanted.
    """
    scales = {p.name: scale(p.y) for p in passages if p.layer.parameters()}
    cure = "--batch-norm, and --init he for layers that are followed by a ReLU"
    return _compare("activations", dict(list(scales.items())[:-1]), cure)


def check_gradients(passages: Sequence[Passage]) -> list[Finding]:
    """See that the gradients of the layers' outputs neither vanish nor explode on the way back."""
    scales = {p.name: scale(p.dy) for p in reversed(passages) if p.layer.parameters()}
    cure = "--batch-norm --bypass simple: a bypass hands the gradient on unchanged"
    return _compare("gradients", dict(list(scales.items())[1:]), cure)


def check_dead_units(passages: Sequence[Passage]) -> list[Finding]:
    """Count the ReLU channels that are zero everywhere: they get no gradient, and stay dead."""
    check = "dead ReLUs"
    alive = {
        name: y.any(axis=(0, 2, 3) if y.ndim == 4 else 0)
        for p in passages
        for name, y in rectified(p)
    }
    if not alive:
        return [Finding(OK, check, "there is no ReLU")]
    dead = 1 - float(np.mean(np.concatenate(list(alive.values()))))
    whole = [name for name, channels in alive.items() if not channels.any()]
    seen = f"{dead:.1%} of the channels are zero for every picture of a batch"
    cure = "--batch-norm, or a lower --lr; biases must not start below zero"
    if whole or dead > DEAD_WRONG:
        text = f"{seen}; dead as a whole: {first_names(whole) or 'none'}"
        return [Finding(WRONG, check, text, cure)]
    return [
        Finding(WARNING if dead > DEAD_WARNING else OK, check, seen, cure * (dead > DEAD_WARNING))
    ]


def _compare(check: str, scales: dict[str, float], cure: str) -> list[Finding]:
    """Compare each scale with the first one: of the input's side, or of the loss's."""
    if len(scales) < 2:
        return [Finding(OK, check, "too few layers to compare")]
    first, *_ = scales
    if not np.isfinite(list(scales.values())).all():
        bad = next(name for name, value in scales.items() if not np.isfinite(value))
        return [Finding(WRONG, check, f"NaN or infinite at {bad}", cure)]
    smallest, largest = min(scales, key=scales.__getitem__), max(scales, key=scales.__getitem__)
    seen = f"root mean square from {scales[smallest]:.1e} ({smallest}) "
    seen += f"to {scales[largest]:.1e} ({largest})"
    if scales[smallest] * APART < scales[first]:
        return [Finding(WRONG, check, f"vanishing: {seen}", cure)]
    if scales[largest] > APART * scales[first]:
        return [Finding(WRONG, check, f"exploding: {seen}", cure)]
    return [Finding(OK, check, seen)]
