"""The files that show what is inside a network and where it looks; and that they make sense."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

import npsqueeze as nps
from npsqueeze import plots
from npsqueeze.data.preprocessing import TORCHVISION
from npsqueeze.explaining import class_activation_map, grad_cam, saliency
from npsqueeze.inspection import activations, dead_units
from npsqueeze.looking import FIGURES, draw_explanations, draw_inspection
from tests.tiny import embedded_pictures, tiny_network

SHARED = Path(os.environ.get("NPSQUEEZE_SHARED", Path(__file__).parents[2] / "shared"))
WEIGHTS = SHARED / "pretrained" / "squeezenet_v1_1.npz"
FIRES = dict(zip(range(2, 10), (3, 4, 6, 7, 9, 10, 11, 12), strict=True))  # places in `features`
EGYPTIAN_CAT, ESPRESSO = 285, 967


@pytest.fixture
def case():
    """Return a network, pictures as it takes them, and as one sees them."""
    images = embedded_pictures(20).images[:3]
    return tiny_network(squeeze_ratio=0.5), nps.data.normalize(images), images


def test_explanations_are_the_three_maps(case, tmp_path, monkeypatch):
    model, x, images = case
    drawn = []
    monkeypatch.setattr(plots, "explanations", lambda *arguments: drawn.append(arguments))
    labels = np.array([1, 2, 1])
    draw_explanations(model, x, images, labels, ["a", "b", "c"], tmp_path / "maps.png")
    ((pictures, maps, titles, path),) = drawn
    assert pictures is images
    assert (titles, path) == (["a", "b", "c"], tmp_path / "maps.png")
    assert list(maps) == ["class activation map", "Grad-CAM", "saliency"]
    for found, explain in zip(
        maps.values(), (class_activation_map, grad_cam, saliency), strict=True
    ):
        np.testing.assert_allclose(found, explain(model, x, labels), rtol=1e-3, atol=1e-6)


def test_explanations_are_written(case, tmp_path):
    draw_explanations(*case, np.array([1, 2, 1]), ["a", "b", "c"], tmp_path / "maps.png")
    with Image.open(tmp_path / "maps.png") as picture:
        assert picture.format == "PNG"


def test_the_figures_of_an_inspection(case, tmp_path, monkeypatch):
    model, x, images = case
    drawn = []
    original = plots.activation_maps
    monkeypatch.setattr(
        plots, "activation_maps", lambda *arguments: drawn.append(arguments) or original(*arguments)
    )
    dead = draw_inspection(model, x, images, tmp_path / "new" / "folder")
    files = sorted(path.name for path in (tmp_path / "new" / "folder").iterdir())
    assert files == sorted(FIGURES)
    for name in files:
        with Image.open(tmp_path / "new" / "folder" / name) as picture:
            assert picture.format == "PNG"
    expected = dead_units(model, x)
    assert dead.keys() == expected.keys()
    assert all((dead[name] == expected[name]).all() for name in dead)
    ((image, maps, _),) = drawn
    np.testing.assert_array_equal(image, images[0])
    assert list(maps) == [f"fire{number}" for number in range(2, 10)]
    outputs = activations(model, x[:1])
    joined = [outputs["fire5/expand1x1"][0], outputs["fire5/expand3x3"][0]]
    np.testing.assert_array_equal(maps["fire5"], np.concatenate(joined))


def published_network():
    """Return version 1.1 with the published weights, which have Caffe's names."""
    model = nps.squeezenet("1.1", seed=0)
    state = {}
    with np.load(WEIGHTS) as archive:
        for caffe, array in archive.items():
            layer, kind = caffe.rsplit(".", 1)
            unit, _, branch = layer.partition("/")
            place = {"conv1": "features.0", "conv10": "classifier.1"}.get(unit)
            if place is None:
                branch = "squeeze" if branch == "squeeze1x1" else branch
                place = f"features.{FIRES[int(unit.removeprefix('fire'))]}.{branch}"
            state[f"{place}.{kind}"] = array
    model.load_state_dict(state)
    return model.eval()


@pytest.mark.skipif(not WEIGHTS.exists(), reason="needs the published weights in ../shared")
@pytest.mark.parametrize("explain", [class_activation_map, grad_cam])
@pytest.mark.parametrize("cat_row", [0, 1])
def test_the_cat_lights_up_for_cat_and_the_coffee_for_espresso(explain, cat_row):
    """Of a collage with a cat in one quarter and an espresso in another, each has its own light."""
    collage = np.full((2, 112, 2, 112, 3), 124, np.uint8)  # rows and columns of quarters
    quarters = {EGYPTIAN_CAT: (cat_row, 0), ESPRESSO: (1 - cat_row, 1)}
    for name, (row, column) in zip(("chelsea.png", "coffee.png"), quarters.values(), strict=True):
        with Image.open(SHARED / "photos" / name) as photo:
            collage[row, :, column] = ImageOps.fit(photo.convert("RGB"), (112, 112))
    x = TORCHVISION.apply(collage.reshape(224, 224, 3).transpose(2, 0, 1)[None])
    for label, quarter in quarters.items():
        evidence = explain(published_network(), x, np.array([label]))[0]
        assert evidence.shape == (13, 13)
        halves = (slice(0, 6), slice(7, 13))
        sums = {
            (row, column): evidence[halves[row], halves[column]].sum()
            for row in (0, 1)
            for column in (0, 1)
        }
        assert sums.pop(quarter) > 1.5 * max(sums.values())
