"""Figures: of a training, of what is inside a network, and of where it looks.

Every function returns a `matplotlib.figure.Figure` and, given a path, also writes it as PNG. They
build on `Figure` instead of pyplot: no window, no backend, no global state.
"""

from npsqueeze.plots.explaining import explanations
from npsqueeze.plots.inspection import (
    activation_maps,
    dead_units,
    first_layer_filters,
    weight_histograms,
)
from npsqueeze.plots.training import (
    compare_runs,
    confusion_matrix,
    training_curves,
    worst_mistakes,
)

__all__ = [
    "activation_maps",
    "compare_runs",
    "confusion_matrix",
    "dead_units",
    "explanations",
    "first_layer_filters",
    "training_curves",
    "weight_histograms",
    "worst_mistakes",
]
