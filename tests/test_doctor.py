"""The doctor: each planted fault is named in the first two lines, and health is silent."""

import dataclasses
import re

import numpy as np
import pytest

import npsqueeze as nps
from npsqueeze.data import Dataset, normalize
from npsqueeze.doctor import WRONG, Finding, Report
from npsqueeze.layers import Conv2d, Fire, GlobalAvgPool2d, MaxPool2d, Module, ReLU, Sequential
from npsqueeze.optim import SGD
from npsqueeze.settings import DEFAULT_LR
from tests import tiny
from tests.tiny import digest, embedded_pictures, tiny_network

one_thread = tiny.one_thread

TRAIN = embedded_pictures(1000)
TEST = nps.data.load_cifar10(tiny.EMBEDDED)[1].subset(200, seed=0)
TEST = Dataset(TEST.images[:, :, ::2, ::2].copy(), TEST.labels)


def network(**options):
    return tiny_network(
        **{"width": 0.125, "batch_norm": True, "bypass": "simple", "dropout": 0.0} | options
    )


def examine(model=None, train_set=TRAIN, test_set=TEST, **options):
    return nps.doctor(model or network(), train_set, test_set, **options)


def first_lines(report):
    """Return the first two lines; the very first must be of something wrong."""
    lines = str(report).splitlines()[:2]
    assert lines[0].startswith(WRONG)
    return "\n".join(lines)


@pytest.mark.parametrize("seed", range(5))
def test_health_is_silent(seed):
    report = examine(network(seed=seed), seed=seed)
    assert [str(each) for each in report.findings if each.severity != "ok"] == []
    assert len(report.findings) == 19


def test_adamw_is_healthy_too():
    report = examine(optimizer="adamw")
    assert report.wrong == ()


# The twelve faults.


def test_shuffled_labels():
    shuffled = np.random.default_rng(0).permutation(TRAIN.labels)
    text = first_lines(examine(train_set=Dataset(TRAIN.images, shuffled)))
    assert "labels shuffled: they do not fit the pictures" in text


def test_labels_out_of_step_with_the_pictures():
    def batch(step):
        x, _ = nps.data.training_batch(TRAIN, step, batch_size=50, seed=0)
        return x, nps.data.training_batch(TRAIN, step, batch_size=50, seed=1)[1]

    assert "labels shuffled" in first_lines(examine(batch=batch, batch_size=50))


def test_shuffled_test_labels():
    shuffled = np.random.default_rng(0).permutation(TEST.labels)
    text = first_lines(examine(test_set=Dataset(TEST.images, shuffled)))
    assert "labels of the test pictures: labels shuffled" in text


@pytest.mark.parametrize("std", [1.0, 1 / 255])
def test_pixels_not_normalised(std):
    text = first_lines(examine(mean=0.0, std=std))
    assert "pixels not normalised" in text
    assert "--mean 0.4914,0.4822,0.4465 --std 0.247,0.2435,0.2616" in text


def test_bytes_instead_of_numbers():
    text = first_lines(examine(batch=lambda step: (TRAIN.images[:50], TRAIN.labels[:50])))
    assert "pixels not normalised: x is uint8, the model float32" in text


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize(("factor", "cause"), [(100, "too high"), (0.01, "too low")])
def test_the_learning_rate(optimizer, factor, cause):
    healthy = DEFAULT_LR[optimizer]
    lr = healthy * factor
    text = first_lines(examine(optimizer=optimizer, lr=lr))
    assert re.search(f"learning rate: {cause}: (at )?lr {lr:g}", text)
    advised = float(text.splitlines()[0].rpartition("--lr ")[2])
    assert healthy / 20 < advised < 5 * healthy


def test_all_weights_zero():
    model = network()
    for parameter in model.parameters():
        parameter.data[...] = 0
    text = first_lines(examine(model))
    assert "initial weights: all weights are zero: features.0.weight" in text
    assert "--init he" in text


def test_dead_logits_behind_a_final_relu():
    model = network(final_relu=True)
    dict(model.named_parameters())["classifier.1.bias"].data[...] = -10
    text = first_lines(examine(model))
    assert "dead logits: zero for every picture, 10 of 10 classes" in text
    assert "a final ReLU" in text


def test_some_dead_logits():
    model = network(final_relu=True)
    bias = dict(model.named_parameters())["classifier.1.bias"].data
    bias[[3, 5]] = -10
    text = first_lines(examine(model))
    assert "dead logits: zero for every picture, 2 of 10 classes (cat, dog)" in text


def test_logits_that_are_zero_for_some_pictures():
    text = str(examine(network(final_relu=True, seed=2)))
    assert re.search(r"warning  logits: \d+% are exactly zero: a final ReLU", text)


def test_a_missing_class():
    there = TRAIN.labels != 3
    text = first_lines(examine(train_set=Dataset(TRAIN.images[there], TRAIN.labels[there])))
    assert "class missing: no training picture of cat" in text


def test_a_class_missing_in_the_batches_only():
    there = np.flatnonzero(TRAIN.labels != 3)

    def batch(step):
        chosen = there[(step * 50) % 900 :][:50]
        return normalize(TRAIN.images[chosen]), TRAIN.labels[chosen]

    text = first_lines(examine(batch=batch, batch_size=50, epochs=1))
    assert "class missing in the batches: cat" in text


def double(layer, what):
    """Make a layer's backward pass return, or add to its parameters, twice the gradient."""
    backward = layer.backward

    def doubled(dy):
        dx = backward(dy)
        for parameter in layer.parameters() if what == "dw" else ():
            parameter.grad *= 2
        return 2 * dx if what == "dx" else dx

    layer.backward = doubled


@pytest.mark.parametrize(
    ("name", "what"),
    [(name, "dx") for name in ("0", "0_norm", "1", "2", "7")]
    + [(name, "dw") for name in ("0", "0_norm", "7")],
)
def test_one_layers_gradient_scaled_by_two(name, what):
    model = network()
    layer = model.features.layers[name]
    double(layer, what)
    doubled = layer.backward
    text = first_lines(examine(model))
    assert f"features.{name} ({type(layer).__name__})" in text
    assert "is 2 times what the difference quotient says" in text
    assert "forward" not in vars(layer)
    assert layer.backward is doubled


def test_the_gradient_of_a_whole_network_of_ones_own():
    model = network()
    double(model, "dw")
    assert "is 2 times" in first_lines(examine(model))


class Frozen(Conv2d):
    """A convolution that forgets to add to its gradients."""

    def backward(self, dy):
        before = [parameter.grad.copy() for parameter in self.parameters()]
        dx = super().backward(dy)
        for parameter, gradient in zip(self.parameters(), before, strict=True):
            parameter.grad[...] = gradient
        return dx


def test_a_layer_that_never_updates():
    model = network()
    frozen = Frozen(3, 8, 3, padding=1, bias=False)
    frozen.weight.data[...] = model.features.layers["0"].weight.data
    model.features.layers["0"] = frozen
    text = first_lines(examine(model))
    assert "features.0 (Frozen) never updates: the gradient of weight is zero" in text


def test_an_optimizer_that_forgets_a_layer():
    model = network()
    kept = [p for name, p in model.named_parameters() if "features.7.squeeze." not in name]
    text = first_lines(examine(model, optimizer=SGD(kept, 0.1)))
    assert "never updates: the optimiser does not hold features.7.squeeze.weight" in text


def test_layers_that_a_model_hides_in_a_list():
    class Hiding(Module):
        def __init__(self):
            super().__init__()
            self.convolution = network().features.layers["0"]
            self.rest = [network().features.layers["0"]]
            self.head = Sequential({"1": Conv2d(8, 10, 1), "2": GlobalAvgPool2d()})
            self.head.layers["1"].weight.data += np.random.default_rng(0).normal(
                0, 0.01, (10, 8, 1, 1)
            )

        def forward(self, x):
            return self.head.forward(self.convolution.forward(x))

        def backward(self, dy):
            return self.convolution.backward(self.head.backward(dy))

        def output_shape(self, shape):
            return (shape[0], 10)

    text = first_lines(examine(Hiding(), engine="layers"))
    assert (
        "never updates: layers in a list or dict have no parameters: Hiding.rest (Conv2d)" in text
    )


def test_a_step_of_zero_length():
    assert "never updates: a step leaves" in first_lines(examine(lr=0.0))


def test_test_pictures_among_the_training_ones():
    images = np.concatenate([TRAIN.images, TEST.images[:20, :, :, ::-1]])
    labels = np.concatenate([TRAIN.labels, TEST.labels[:20]])
    text = first_lines(examine(train_set=Dataset(images, labels)))
    assert "20 of 200 test pictures are among the training ones" in text


def test_every_batch_of_one_class():
    order = np.argsort(TRAIN.labels, kind="stable")

    def batch(step):
        chosen = order[(step * 50) % 1000 :][:50]
        return normalize(TRAIN.images[chosen]), TRAIN.labels[chosen]

    text = first_lines(examine(batch=batch, batch_size=50))
    assert "every batch is of one class of 10" in text
    assert "shuffle" in text


def as_if_pixels(images):
    """Return what a reader gets that takes planes for pixels."""
    n, channels, height, width = images.shape
    return images.reshape(n, height, width, channels).transpose(0, 3, 1, 2)


def as_if_planes(images):
    """Return what a reader gets that takes pixels for planes."""
    return np.ascontiguousarray(images.transpose(0, 2, 3, 1)).reshape(images.shape)


@pytest.mark.parametrize("where", ["both sets", "test set", "batches"])
@pytest.mark.parametrize(
    ("misread", "cause"),
    [
        (as_if_pixels, "height-width-channel was read from channel-height-width bytes"),
        (as_if_planes, "channel-height-width was read from height-width-channel bytes"),
    ],
)
def test_pixels_in_the_wrong_order(misread, cause, where):
    sets = [Dataset(misread(each.images), each.labels) for each in (TRAIN, TEST)]

    def batch(step):
        chosen = np.random.default_rng(step).permutation(1000)[:64]
        return normalize(sets[0].images[chosen]), TRAIN.labels[chosen]

    options = {
        "both sets": {"train_set": sets[0], "test_set": sets[1]},
        "test set": {"test_set": sets[1]},
        "batches": {"batch": batch},
    }[where]
    assert cause in first_lines(examine(**options))


def test_channels_that_come_last():
    def batch(step):
        return normalize(TRAIN.images[:64]).transpose(0, 2, 3, 1), TRAIN.labels[:64]

    text = first_lines(examine(batch=batch))
    assert "x has shape (64, 16, 16, 3): height-width-channel where" in text


# Further faults, and what surrounds the checks.


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda x, labels: (x[:, :2], labels), "expected x (N, 3, 16, 16) and labels (N,)"),
        (lambda x, labels: (x, labels[:-1]), "got (64, 3, 16, 16) and (63,)"),
        (lambda x, labels: (x.astype(np.float64), labels), "x is float64, the model float32"),
        (lambda x, labels: (np.where(x > 1, np.nan, x), labels), "numbers of x are NaN"),
        (lambda x, labels: (x, labels + 1), "expected integer labels from 0 to 9"),
        (lambda x, labels: (x, labels / 1), "expected integer labels from 0 to 9, got float64"),
    ],
)
def test_batches_that_no_network_can_take(change, text):
    usual = normalize(TRAIN.images[:64]), TRAIN.labels[:64]
    report = examine(batch=lambda step: change(*usual))
    assert text in first_lines(report)
    assert "not examined" in str(report)


def test_an_initial_loss_far_too_large():
    model = network()
    dict(model.named_parameters())["classifier.1.weight"].data *= 500
    assert "initial loss" in first_lines(examine(model))


def test_equal_weights():
    model = network()
    dict(model.named_parameters())["features.7.squeeze.weight"].data[...] = 0.1
    text = first_lines(examine(model))
    assert "weights are constant: features.7.squeeze.weight" in text


def test_weights_that_are_no_numbers():
    model = network()
    dict(model.named_parameters())["features.7.squeeze.weight"].data[0] = np.nan
    assert "NaN or infinity in features.7.squeeze.weight" in first_lines(examine(model))


@pytest.mark.parametrize(("factor", "what"), [(1e-3, "vanishing"), (1e3, "exploding")])
def test_activations_out_of_scale(factor, what):
    model = network(batch_norm=False, bypass="none")
    for name, parameter in model.named_parameters():
        if "squeeze.weight" in name:
            parameter.data *= factor
    assert f"activations: {what}" in str(examine(model))


def test_dead_units():
    model = network(batch_norm=False, bypass="none")
    dict(model.named_parameters())["features.7.squeeze.bias"].data[...] = -100
    text = str(examine(model))
    assert "dead as a whole: features.7.squeeze_relu" in text


def test_a_layer_that_the_plan_takes_for_another():
    model = network()
    halving = model.features.layers["0"]
    forward, backward = halving.forward, halving.backward
    halving.forward = lambda x: forward(x) / 2
    halving.backward = lambda dy: backward(dy / 2)
    model.features.layers["0_norm"].eps = 0.1  # or the normalisation would hide it
    text = first_lines(examine(model))
    assert "the compiled plan and the layers have different gradients" in text
    assert "--engine layers" in text
    assert examine(model, engine="layers").wrong == ()


class Tanh(Module):
    """A layer of one's own, right, that the engine does not know."""

    def forward(self, x):
        self.cache = np.tanh(x)
        return self.cache

    def backward(self, dy):
        return dy * (1 - self.cache**2)

    def output_shape(self, shape):
        return shape


def own_network(activation):
    """Return a network of layers in a row, as a notebook may build it."""
    layers = {
        "0": Conv2d(3, 8, 3, padding=1), "1": activation, "2": MaxPool2d(2),
        "3": Fire(8, 4, {1: 8, 3: 8}), "4": Conv2d(16, 10, 1), "5": GlobalAvgPool2d(),
    }  # fmt: skip
    model = Sequential(layers)
    generator = np.random.default_rng(0)
    for parameter in model.parameters():
        if parameter.data.ndim > 1:
            parameter.data[...] = nps.init.he_normal(parameter.data.shape, generator)
    layers["4"].weight.data *= 0.05
    return model


@pytest.mark.parametrize("activation", [Tanh, ReLU])
def test_a_network_of_ones_own(activation):
    report = examine(own_network(activation()), optimizer="adamw")
    assert [each for each in report.wrong if "by heart" not in each.check] == []


def test_a_layer_of_ones_own_that_computes_in_float32():
    class Coarse(Tanh):
        def forward(self, x):
            return super().forward(x.astype(np.float32))

    report = examine(own_network(Coarse()), optimizer="adamw")
    assert "1 cannot be checked in float64: expected float64 for float64, got float32" in str(
        report
    )


def test_dropout_is_no_obstacle():
    report = examine(network(dropout=0.5))
    assert "agree with difference quotients" in str(report)
    assert "updates: a step moves all" in str(report)


def test_an_uneven_training_set():
    chosen = np.flatnonzero((TRAIN.labels != 3) | (np.arange(1000) < 60))
    report = examine(train_set=Dataset(TRAIN.images[chosen], TRAIN.labels[chosen]))
    assert "warning  class balance: uneven: 100 pictures of airplane" in str(report)


def test_repeated_training_pictures():
    images = np.concatenate([TRAIN.images, TRAIN.images[:50]])
    labels = np.concatenate([TRAIN.labels, TRAIN.labels[:50]])
    report = examine(train_set=Dataset(images, labels))
    assert "50 of 1050 training pictures are there more than once" in str(report)


def test_few_pictures_prove_nothing():
    report = examine(train_set=embedded_pictures(50), test_set=TEST.subset(50, 0), batch_size=10)
    assert str(report).count("50 pictures are too few to judge") == 2
    assert [each for each in report.wrong if "labels" in each.check] == []


def test_everything_is_left_as_it_was():
    model = network(dropout=0.5).eval()
    model.parameters()[0].grad[...] = 7
    arrays = [parameter.data for parameter in model.parameters()]
    optimizer = SGD(model.parameters(), 0.1, momentum=0.9)
    before = digest(model), optimizer.state_dict(), optimizer.lr
    masks = model.classifier.layers["0"].step
    examine(model, optimizer=optimizer)
    assert digest(model) == before[0]
    for name, array in optimizer.state_dict().items():
        np.testing.assert_array_equal(array, before[1][name])
    assert optimizer.lr == before[2]
    assert not model.training
    assert (model.parameters()[0].grad == 7).all()
    assert model.classifier.layers["0"].step == masks
    for parameter, array in zip(model.parameters(), arrays, strict=True):
        assert parameter.data is array
    assert not {"forward", "backward"} & vars(model.features.layers["0"]).keys()


def test_the_same_report_twice():
    assert str(examine()) == str(examine())


def test_pictures_are_drawn(tmp_path):
    report = examine(out=tmp_path / "new" / "folder")
    assert [path.name for path in report.pictures] == [
        "pictures.png",
        "scales.png",
        "learning_rate.png",
    ]
    for path in report.pictures:
        assert path.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lr": -1}, "lr: expected"),
        ({"model": tiny_network(num_classes=7)}, "train_set: expected a model with 10 logits"),
        ({"test_set": Dataset(TEST.images[:, :, :1, :1], TEST.labels)}, "too few for this network"),
    ],
)
def test_what_does_not_suit(options, message):
    with pytest.raises(ValueError, match=message):
        examine(**options)


def test_a_report_puts_what_is_wrong_first():
    findings = (
        Finding("ok", "a", "fine"),
        Finding("warning", "b", "odd", "x"),
        Finding(WRONG, "c", "bad", "y"),
    )
    report = Report(findings)
    assert str(report).splitlines() == [
        "WRONG    c: bad -> y",
        "warning  b: odd -> x",
        "ok       a: fine",
    ]
    assert report.wrong == findings[2:]
    with pytest.raises(dataclasses.FrozenInstanceError):
        report.findings = ()
