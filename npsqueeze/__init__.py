"""SqueezeNet from first principles: every layer, every gradient, every kernel written by hand.

import npsqueeze as nps
model = nps.squeezenet("cifar", num_classes=10, seed=0, batch_norm=True, bypass="simple")
logits = model.forward(x)
"""

from npsqueeze import (
    compression,
    data,
    explaining,
    functional,
    init,
    inspection,
    interop,
    layers,
    optim,
    reference,
    schedules,
)
from npsqueeze.design_space import family_sizes
from npsqueeze.doctor import doctor
from npsqueeze.engine import Plan, compile  # noqa: A004 (as PyTorch calls it)
from npsqueeze.errors import CheckpointError, DataError, GradientError, TrainingError
from npsqueeze.evaluation import evaluate
from npsqueeze.gradient_check import gradcheck, gradcheck_directional, gradcheck_model
from npsqueeze.kernels import get_num_threads, set_num_threads
from npsqueeze.models import SqueezeNet, squeezenet
from npsqueeze.pretrained import Pretrained, load_pretrained
from npsqueeze.recipes import RECIPES, Recipe
from npsqueeze.runs import load_model
from npsqueeze.summary import summary
from npsqueeze.training import train
from npsqueeze.version import __version__

__all__ = [
    "RECIPES",
    "CheckpointError",
    "DataError",
    "GradientError",
    "Plan",
    "Pretrained",
    "Recipe",
    "SqueezeNet",
    "TrainingError",
    "__version__",
    "compile",
    "compression",
    "data",
    "doctor",
    "evaluate",
    "explaining",
    "family_sizes",
    "functional",
    "get_num_threads",
    "gradcheck",
    "gradcheck_directional",
    "gradcheck_model",
    "init",
    "inspection",
    "interop",
    "layers",
    "load_model",
    "load_pretrained",
    "optim",
    "reference",
    "schedules",
    "set_num_threads",
    "squeezenet",
    "summary",
    "train",
]
