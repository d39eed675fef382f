"""Settings: checked, and kept as plain numbers."""

import json
from dataclasses import asdict

import numpy as np

from npsqueeze.optim import SGD, AdamW
from npsqueeze.settings import Settings
from tests.tiny import tiny_network


def test_settings_are_plain_numbers():
    settings = Settings(
        epochs=np.int64(3), lr=np.float32(0.5), mean=np.array([0.1, 0.2, 0.3]), std=np.float64(0.5)
    )
    assert json.loads(json.dumps(asdict(settings))) == asdict(settings)
    assert (settings.epochs, settings.lr) == (3, 0.5)
    assert settings.mean == [0.1, 0.2, 0.3]
    assert (Settings().lr, Settings(optimizer="adamw").lr) == (0.05, 0.002)


def test_optimizers_are_built_as_set():
    model = tiny_network()
    sgd = Settings(lr=0.3, momentum=0.8, weight_decay=0.1).build_optimizer(model)
    assert isinstance(sgd, SGD)
    assert (sgd.lr, sgd.momentum, sgd.nesterov, sgd.weight_decay) == (0.3, 0.8, True, 0.1)
    assert not Settings(momentum=0.0).build_optimizer(model).nesterov  # plain SGD needs no flag
    adamw = Settings(optimizer="adamw", lr=0.01, weight_decay=0.2).build_optimizer(model)
    assert isinstance(adamw, AdamW)
    assert (adamw.lr, adamw.weight_decay) == (0.01, 0.2)
