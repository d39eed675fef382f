"""Figures: of a training, of what is inside a network, and of where it looks.

Every function returns a `matplotlib.figure.Figure` and, given a path, also writes it as PNG. They
build on `Figure` instead of pyplot: no window, no backend, no global state.
"""

from npsqueeze.plots.inspection import first_layer_filters
from npsqueeze.plots.training import confusion_matrix, training_curves, worst_mistakes

__all__ = ["confusion_matrix", "first_layer_filters", "training_curves", "worst_mistakes"]
