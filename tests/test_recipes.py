from dataclasses import asdict

import pytest

from npsqueeze import RECIPES, evaluate, load_model, squeezenet
from npsqueeze.data import load_cifar10
from npsqueeze.settings import Settings
from tests.tiny import EMBEDDED


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_gives_a_network_and_settings(name):
    recipe = RECIPES[name]
    network = squeezenet(**recipe.network, num_classes=10, seed=0)
    assert sum(parameter.data.size for parameter in network.parameters()) == 730_570
    settings = Settings(**recipe.settings)
    assert recipe.whole == (name == "full")
    for field, value in recipe.settings.items():
        assert getattr(settings, field) == value
        assert getattr(Settings(), field) != value  # or else it need not be said


def test_quick_is_what_train_does_by_default():
    assert Settings(**RECIPES["quick"].settings) == Settings()


def test_the_network_in_data_is_what_the_recipe_for_all_pictures_gives():
    path = EMBEDDED.parent / "cifar-10-squeezenet.npz"
    assert path.stat().st_size <= 3_000_000
    model, metadata = load_model(path)
    recipe = RECIPES["full"]
    assert {name: model.config[name] for name in recipe.network} == recipe.network
    assert metadata["settings"] == asdict(Settings(**recipe.settings))
    _, test_set = load_cifar10(EMBEDDED)
    accuracy = evaluate(model, test_set, flips=recipe.settings["flips"]).accuracy
    assert accuracy == pytest.approx(0.909, abs=0.002)  # rounding may tip a picture
