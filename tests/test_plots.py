"""Figures show the right numbers, are written as PNG, and touch no global state."""

import subprocess
import sys

import matplotlib.colors
import numpy as np
import pytest
from PIL import Image

from npsqueeze import plots

CLASSES = ("cat", "dog", "ship")
ROWS = [
    {
        "epoch": epoch,
        "train_loss": 2.0 / epoch,
        "train_accuracy": 0.2 * epoch,
        "test_loss": 2.1 / epoch,
        "test_accuracy": accuracy,
    }
    for epoch, accuracy in ((1, 0.25), (2, 0.654), (3, 0.5))
]
LABELS = np.array([0, 0, 1, 2, 2, 2])


def draw_all(path):
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (6, 3, 8, 8), np.uint8)
    probabilities = generator.dirichlet(np.ones(3), 6)
    return {
        "curves": lambda: plots.training_curves(ROWS, path),
        "runs": lambda: plots.compare_runs({"a": ROWS, "b": ROWS[:2]}, path),
        "matrix": lambda: plots.confusion_matrix(LABELS, LABELS[::-1], CLASSES, path),
        "mistakes": lambda: plots.worst_mistakes(images, LABELS, probabilities, CLASSES, path),
        "filters": lambda: plots.first_layer_filters(generator.normal(size=(5, 3, 3, 3)), path),
        "explanations": lambda: plots.explanations(
            images[:2], {"a": generator.random((2, 3, 3))}, ["x", "y"], path
        ),
        "activations": lambda: plots.activation_maps(
            images[0], {"fire2": generator.random((4, 5, 5))}, path
        ),
        "weights": lambda: plots.weight_histograms({"conv1": generator.normal(size=99)}, path),
        "dead": lambda: plots.dead_units({"conv1": np.array([True, False])}, 1, path),
    }


@pytest.mark.parametrize("name", draw_all(None))
def test_writes_a_png(tmp_path, name):
    path = tmp_path / "figure.png"
    figure = draw_all(path)[name]()
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        assert np.ptp(np.asarray(picture.convert("L"))) > 100
        inches = np.array(picture.size) / figure.dpi
    np.testing.assert_allclose(inches, figure.get_size_inches(), atol=0.01)
    assert [p.name for p in tmp_path.iterdir()] == ["figure.png"]


def test_unwritable_path(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"figure\.png"):
        plots.training_curves(ROWS, tmp_path / "missing" / "figure.png")


def test_pyplot_is_never_imported():
    code = (
        "import sys, numpy, npsqueeze.plots as plots\n"
        "assert 'matplotlib' not in sys.modules\n"
        "plots.first_layer_filters(numpy.ones((2, 3, 3, 3)))\n"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_training_curves():
    loss, accuracy = plots.training_curves(ROWS).axes
    assert (loss.get_xlabel(), loss.get_ylabel()) == ("epoch", "cross-entropy loss [nats]")
    assert (accuracy.get_xlabel(), accuracy.get_ylabel()) == ("epoch", "accuracy [%]")
    lines = {line.get_label(): line.get_ydata() for line in accuracy.lines}
    np.testing.assert_allclose(lines["test"], [25, 65.4, 50])
    np.testing.assert_allclose(lines["train"], [20, 40, 60])
    lines = {line.get_label(): line.get_ydata() for line in loss.lines}
    np.testing.assert_allclose(lines["test"], [2.1, 1.05, 0.7])
    assert accuracy.get_title() == "best test accuracy: 65.4 % in epoch 2"


@pytest.mark.parametrize("rows", [[], [{"epoch": 1, "train_loss": 2.0}]])
def test_training_curves_errors(rows):
    with pytest.raises(ValueError, match="rows: expected one row per epoch"):
        plots.training_curves(rows)


def test_compare_runs():
    figure = plots.compare_runs({"a": ROWS, "b": ROWS[:2], "c": ROWS[:1]})
    loss, accuracy = figure.axes
    assert (loss.get_ylabel(), accuracy.get_ylabel()) == (
        "cross-entropy loss [nats]",
        "test accuracy [%]",
    )
    curves = [list(line.get_ydata()) for line in accuracy.lines]
    assert curves == [[25, 65.4, 50], [25, 65.4], [25]]
    training, test = loss.lines[2:4]  # of b
    np.testing.assert_allclose(training.get_ydata(), [2.0, 1.0])
    np.testing.assert_allclose(test.get_ydata(), [2.1, 1.05])
    assert training.get_color() == test.get_color() == accuracy.lines[1].get_color()
    assert len({line.get_color() for line in accuracy.lines}) == 3
    (legend,) = figure.legends
    texts = [text.get_text() for text in legend.get_texts()]
    assert texts == ["a; at best 65.4 %", "b; at best 65.4 %", "c; at best 25.0 %"]
    assert loss.get_xlim() == (0.5, 3.5)


def test_many_runs_are_told_apart():
    figure = plots.compare_runs({str(number): ROWS for number in range(18)})
    lines = figure.axes[1].lines
    assert len({(line.get_color(), line.get_linestyle()) for line in lines}) == 18


@pytest.mark.parametrize(
    ("runs", "message"),
    [
        ({}, "runs: expected at least one run, got none"),
        ({"a": ROWS, "b": []}, r"runs\['b'\]: expected one row per epoch"),
    ],
)
def test_compare_runs_errors(runs, message):
    with pytest.raises(ValueError, match=message):
        plots.compare_runs(runs)


def test_confusion_matrix():
    predictions = np.array([0, 1, 1, 2, 0, 0])
    (ax,) = plots.confusion_matrix(LABELS, predictions, CLASSES).axes
    cells = [int(text.get_text()) for text in ax.texts]
    assert cells == [1, 1, 0, 0, 1, 0, 2, 0, 1]  # row by row: a true cat taken for a dog is one
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("predicted class", "true class")
    assert [label.get_text() for label in ax.get_yticklabels()] == list(CLASSES)
    assert ax.get_title() == "3 of 6 images right: 50.0 %"
    np.testing.assert_allclose(ax.images[0].get_array()[2], [2 / 3, 0, 1 / 3])


def test_worst_mistakes():
    images = np.arange(6, dtype=np.uint8)[:, None, None, None] * np.ones((3, 4, 4), np.uint8)
    probabilities = np.array(
        [
            [0.9, 0.1, 0.0],  # right
            [0.2, 0.7, 0.1],  # cat taken for a dog
            [0.0, 0.03, 0.97],  # dog taken for a ship
            [0.5, 0.1, 0.4],  # ship taken for a cat
            [0.0, 0.0, 1.0],  # right
            [0.0, 0.0, 1.0],  # right
        ]
    )
    figure = plots.worst_mistakes(images, LABELS, probabilities, CLASSES, count=2)
    assert [ax.get_title().strip() for ax in figure.axes] == ["dog", "cat"]
    assert [ax.texts[0].get_text() for ax in figure.axes] == ["ship 97.0 %", "dog 70.0 %"]
    assert [ax.images[0].get_array()[0, 0, 0] for ax in figure.axes] == [2, 1]
    assert figure.get_suptitle().startswith("3 mistakes in 6 images")


def test_no_mistakes(tmp_path):
    images = np.zeros((6, 3, 4, 4), np.uint8)
    figure = plots.worst_mistakes(images, LABELS, np.eye(3)[LABELS], CLASSES, tmp_path / "a.png")
    assert figure.get_suptitle().startswith("0 mistakes in 6 images")
    assert figure.axes == []


def test_first_layer_filters_show_zero_as_grey():
    weight = np.random.default_rng(0).normal(size=(5, 3, 3, 2)) * np.arange(5)[:, None, None, None]
    (ax,) = plots.first_layer_filters(weight).axes
    assert ax.get_title().startswith("5 filters of 3 × 3 × 2")
    assert len(ax.images) == 5
    for picture, w in zip(ax.images[1:], weight[1:], strict=True):
        expected = (0.5 + w / np.abs(w).max() / 2).transpose(1, 2, 0)
        np.testing.assert_allclose(picture.get_array(), expected)
    assert (ax.images[0].get_array() == 0.5).all()  # a filter of zeros has no scale


def test_grey_filters():
    (ax,) = plots.first_layer_filters(np.random.default_rng(0).normal(size=(2, 1, 3, 3))).axes
    assert [picture.get_array().squeeze().shape for picture in ax.images] == [(3, 3), (3, 3)]


def test_explanations():
    images = np.random.default_rng(0).integers(0, 256, (2, 3, 8, 10), np.uint8)
    map_a = np.array([[[-1.0, 2.0], [0.0, 4.0]], [[0.0, 0.0], [0.0, 0.0]]])
    map_b = np.zeros((2, 16, 20))
    map_b[0, 3, 4] = 7.0
    figure = plots.explanations(images, {"a": map_a, "b": map_b}, ["cat 50 %", "dog 9 %"])
    axes = np.reshape(figure.axes, (2, 3))
    titles = [[ax.get_title() for ax in row] for row in axes]
    assert titles == [["cat 50 %", "a", "b"], ["dog 9 %", "", ""]]
    for row, (left, first, second) in enumerate(axes):
        np.testing.assert_array_equal(left.images[0].get_array(), images[row].transpose(1, 2, 0))
        for ax in (first, second):
            grey, over = ax.images
            np.testing.assert_allclose(grey.get_array(), images[row].mean(axis=0))
            assert over.get_extent() == [-0.5, 9.5, 7.5, -0.5] == grey.get_extent()
            assert over.get_clim()[0] == 0 < over.get_clim()[1]
    shown = axes[0, 1].images[1].get_array()
    np.testing.assert_array_equal(shown, [[0, 2], [0, 4]])  # evidence against it is not drawn
    colours = axes[0, 1].images[1].get_cmap()
    assert colours(0.0)[3] == 0  # the picture is clear where nothing speaks for the class
    assert colours(0.3)[3] < colours(0.6)[3] < colours(1.0)[3]
    assert axes[0, 2].images[1].get_clim() == (0, 7)  # though 99 % of the map are zero


def test_activation_maps_are_those_with_the_largest_means():
    image = np.random.default_rng(0).integers(0, 256, (3, 8, 8), np.uint8)
    maps = {
        "fire2": np.array([1.0, 5.0, 0.0, 3.0])[:, None, None] * np.ones((4, 5, 6)),
        "fire3": np.ones((2, 2, 2)),
    }
    picture, legend, *axes = plots.activation_maps(image, maps, count=3).axes
    np.testing.assert_array_equal(picture.images[0].get_array(), image.transpose(1, 2, 0))
    assert "largest mean first" in legend.texts[0].get_text()
    assert [ax.texts[0].get_text() for ax in axes] == ["1", "3", "0", "0", "1"]
    assert [ax.get_ylabel() for ax in axes] == ["fire2\n5 × 6", "", "", "fire3\n2 × 2", ""]
    for ax, channel in zip(axes[:3], (1, 3, 0), strict=True):
        np.testing.assert_array_equal(ax.images[0].get_array(), maps["fire2"][channel])
        assert ax.images[0].get_clim() == (0, maps["fire2"][channel].max())


def test_a_channel_that_is_zero_is_white():
    image = np.zeros((3, 8, 8), np.uint8)
    *_, ax = plots.activation_maps(image, {"fire2": np.zeros((1, 2, 2))}).axes
    assert ax.images[0].get_clim() == (0, 1)


def test_weight_histograms():
    generator = np.random.default_rng(0)
    weights = {
        "conv1": generator.normal(size=(8, 3, 3, 3)),
        "fire2/squeeze": 0.5 * generator.normal(size=(4, 8, 1, 1)),
        "fire2/expand1x1": generator.normal(size=(9, 4, 1, 1)),
        "fire2/expand3x3": 3 * generator.normal(size=(9, 4, 3, 3)),
        "linear10": np.zeros((10, 18)),
    }
    figure = plots.weight_histograms(weights)
    assert [ax.get_title() for ax in figure.axes] == ["conv1", "fire2", "linear10"]
    assert [len(ax.patches) for ax in figure.axes] == [1, 3, 1]
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.texts] == ["squeeze", "expand1x1", "expand3x3"]
    branches = [weights[f"fire2/{name}"] for name in ("squeeze", "expand1x1", "expand3x3")]
    lines = legend.get_lines()
    for stairs, values, line in zip(figure.axes[1].patches, branches, lines, strict=True):
        shares, edges, _ = stairs.get_data()
        counts, _ = np.histogram(values, edges)
        np.testing.assert_allclose(shares, 100 * counts / values.size)
        assert shares.sum() > 98
        assert stairs.get_edgecolor() == matplotlib.colors.to_rgba(line.get_color())
    assert len({tuple(stairs.get_data().edges) for stairs in figure.axes[1].patches}) == 1
    assert figure.axes[0].get_ylabel() == "share of the weights [%]"


def test_weights_of_single_layers_need_no_legend():
    assert plots.weight_histograms({"conv1": np.ones(3), "conv10": np.ones(3)}).legends == []


def test_dead_units():
    dead = {"conv1": np.array([True, False, False, True]), "fire2/squeeze": np.zeros(5, bool)}
    (ax,) = plots.dead_units(dead, 1000).axes
    assert [bar.get_width() for bar in ax.patches] == [50, 0]
    assert [text.get_text() for text in ax.texts] == ["2 of 4", "0 of 5"]
    assert [label.get_text() for label in ax.get_yticklabels()] == list(dead)
    assert ax.get_ylim()[0] > ax.get_ylim()[1]  # the first layer is on top
    assert ax.get_title() == "zero at every pixel of 1,000 pictures"
    assert plots.dead_units(dead, 1).axes[0].get_title() == "zero at every pixel of 1 picture"


IMAGES, SHARES = np.zeros((6, 3, 4, 4), np.uint8), np.eye(3)[LABELS]


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: plots.confusion_matrix(LABELS, LABELS[1:], CLASSES), "predictions: expected 6"),
        (lambda: plots.confusion_matrix(LABELS + 1, LABELS, CLASSES), "labels: .*from 0 to 2"),
        (lambda: plots.confusion_matrix(LABELS * 1.0, LABELS, CLASSES), "labels: .*got float64"),
        (lambda: plots.confusion_matrix(LABELS[:0], LABELS[:0], CLASSES), "labels: expected"),
        (lambda: plots.worst_mistakes(IMAGES / 1, LABELS, SHARES, CLASSES), "images: .*float64"),
        (lambda: plots.worst_mistakes(IMAGES, LABELS[1:], SHARES, CLASSES), "labels: expected 6"),
        (lambda: plots.worst_mistakes(IMAGES, LABELS, SHARES.T, CLASSES), "probabilities: "),
        (lambda: plots.worst_mistakes(IMAGES, LABELS, SHARES, CLASSES, count=0), "count: "),
        (lambda: plots.first_layer_filters(np.ones((2, 4, 3, 3))), "weight: expected"),
        (lambda: plots.explanations(IMAGES / 1, {}, "abcdef"), "images: .*float64"),
        (lambda: plots.explanations(IMAGES, {}, "abc"), "titles: expected 6, got 3"),
        (lambda: plots.explanations(IMAGES, {"a": SHARES}, "abcdef"), r"a: expected shape \(6, h"),
        (lambda: plots.activation_maps(IMAGES, {}), "image: expected uint8"),
        (lambda: plots.activation_maps(IMAGES[0], {"a": SHARES}), "a: expected an array of shape"),
        (lambda: plots.activation_maps(IMAGES[0], {}, count=0), "count: expected at least 1"),
        (lambda: plots.weight_histograms({}), "weights: expected at least one"),
        (lambda: plots.dead_units({}, 1), "dead: expected at least one"),
    ],
)
def test_errors(draw, message):
    with pytest.raises(ValueError, match=message):
        draw()
