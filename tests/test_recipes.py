import pytest

from npsqueeze import RECIPES, squeezenet
from npsqueeze.settings import Settings


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
