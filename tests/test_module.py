"""Names, modes, states and gradients of modules, on a module small enough to see through."""

import numpy as np
import pytest

from npsqueeze.layers import BatchNorm2d, Conv2d, Dropout, Fire, Linear, ReLU
from npsqueeze.module import Buffer, Module, Parameter, Sequential
from tests.strategies import random_array


class Scale(Module):
    """x times a number, which is the parameter."""

    def __init__(self, factor):
        super().__init__()
        self.factor = Parameter(np.full(1, factor))
        self.calls = Buffer(np.zeros(1))

    def forward(self, x):
        self.cache = x
        self.calls.data += 1
        return x * self.factor.data

    def backward(self, dy):
        self.factor.grad += (dy * self.cache).sum()
        return dy * self.factor.data

    def output_shape(self, shape):
        return shape


class Shift(Scale):
    """x plus a number."""

    def forward(self, x):
        return x + self.factor.data

    def backward(self, dy):
        self.factor.grad += dy.sum()
        return dy


@pytest.fixture
def module():
    inner = Sequential({"b": Scale(3.0), "drop": Dropout(seed=0)})
    return Sequential({"a": Shift(2.0), "inner": inner, "c": Shift(5.0)})


def test_names_in_order(module):
    names = ["a.factor", "a.calls", "inner.b.factor", "inner.b.calls", "c.factor", "c.calls"]
    assert [name for name, _ in module.named_state()] == names
    assert list(module.state_dict()) == names
    assert [name for name, _ in module.named_parameters()] == names[::2]
    assert [p.data.item() for p in module.parameters()] == [2.0, 3.0, 5.0]


def test_a_sequence_runs_forward_and_back(module):
    module.eval()
    x, dy = random_array(0, (4,)), random_array(1, (4,))
    np.testing.assert_array_equal(module(x), (x + 2) * 3 + 5)
    np.testing.assert_array_equal(module.backward(dy), 3 * dy)
    gradients = [p.grad.item() for p in module.parameters()]
    np.testing.assert_allclose(gradients, [3 * dy.sum(), dy @ (x + 2), dy.sum()])


def test_a_sequence_passes_shapes_on():
    module = Sequential({"0": Conv2d(3, 4, 3), "1": ReLU(), "2": Conv2d(4, 2, 2, stride=2)})
    assert module.output_shape((5, 3, 9, 8)) == (5, 2, 3, 3)


def test_gradients_add_up_until_they_are_cleared(module):
    module.eval()
    x, dy = random_array(0, (4,)), random_array(1, (4,))
    for count in (1, 2):
        module.forward(x)
        module.backward(dy)
        assert module.parameters()[2].grad.item() == pytest.approx(count * dy.sum())
    module.zero_grad()
    assert [p.grad.item() for p in module.parameters()] == [0.0, 0.0, 0.0]


def test_modes_reach_inner_modules(module):
    assert len(list(module.modules())) == 6
    assert module.eval() is module
    assert not any(m.training for m in module.modules())
    assert module.train() is module
    assert all(m.training for m in module.modules())


def test_a_state_is_a_copy_and_comes_back(module):
    state = module.state_dict()
    module.forward(random_array(0, (4,)))
    module.parameters()[1].data[...] = 7.0
    assert (state["inner.b.factor"], state["inner.b.calls"]) == (3.0, 0.0)
    module.load_state_dict(state)
    assert module.state_dict() == state


def test_loading_keeps_the_type_and_the_arrays():
    layer = Linear(2, 3)
    weight = layer.weight.data
    layer.load_state_dict({"weight": np.full((3, 2), 0.1), "bias": np.ones(3)})
    assert layer.weight.data is weight  # an optimiser may hold it
    np.testing.assert_array_equal(weight, np.full((3, 2), 0.1, np.float32), strict=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"c.factor": None}, "missing: c.factor; unknown: none"),
        ({"d": np.ones(1)}, "missing: none; unknown: d"),
        ({"c.calls": None, "d": np.ones(1)}, "missing: c.calls; unknown: d"),
        ({"c.factor": np.ones(2)}, r"state\['c.factor'\]: expected shape \(1,\), got \(2,\)"),
        ({"c.factor": np.ones(())}, r"state\['c.factor'\]: expected shape \(1,\), got \(\)"),
    ],
)
def test_a_state_that_does_not_fit_changes_nothing(module, change, message):
    before = module.state_dict()
    changed = {name: array + 1 for name, array in before.items()} | change
    with pytest.raises(ValueError, match=message):
        module.load_state_dict({k: v for k, v in changed.items() if v is not None})
    assert module.state_dict() == before


@pytest.mark.parametrize(
    ("entry", "found"),
    [
        ([5.0], "list"),
        (None, "NoneType"),
        (np.float64(5.0), "float64"),
        (np.array(["5"]), "<U1"),
        (np.array([5.0], object), "object"),
        (np.array([5j]), "complex128"),
        (np.array([True]), "bool"),
    ],
)
def test_a_state_of_no_numbers_changes_nothing(module, entry, found):
    before = module.state_dict()
    changed = {name: array + 1 for name, array in before.items()} | {"c.calls": entry}  # the last
    message = rf"^state\['c.calls'\]: expected an array of real numbers, got {found}$"
    with pytest.raises(TypeError, match=message):
        module.load_state_dict(changed)
    assert module.state_dict() == before


@pytest.mark.parametrize("dtype", [np.float16, np.int32, np.uint8, ">f4"])
def test_a_state_of_other_numbers_is_converted(dtype):
    layer = Linear(2, 1)
    layer.load_state_dict({"weight": np.array([[3, 4]], dtype), "bias": np.array([5], dtype)})
    np.testing.assert_array_equal(layer.weight.data, np.float32([[3, 4]]), strict=True)
    np.testing.assert_array_equal(layer.bias.data, np.float32([5]), strict=True)


def test_astype_converts_everything():
    module = Sequential({"fire": Fire(4, 2, {1: 2, 3: 2}, batch_norm=True), "n": BatchNorm2d(4)})
    before = module.state_dict()
    assert module.astype(np.float64) is module
    for name, member in module.named_state():
        np.testing.assert_array_equal(member.data, before[name].astype(np.float64), strict=True)
    assert {p.grad.dtype for p in module.parameters()} == {np.dtype(np.float64)}
    x = random_array(0, (2, 4, 3, 3))
    assert module.forward(x).dtype == np.float64
    assert module.backward(x).dtype == np.float64


def test_a_parameter_is_no_buffer():
    layer = BatchNorm2d(2)
    kinds = {name: type(member) for name, member in layer.named_state()}
    assert kinds == {
        "weight": Parameter, "bias": Parameter, "running_mean": Buffer, "running_var": Buffer
    }  # fmt: skip
    assert not isinstance(layer.weight, Buffer)


def test_a_layer_stands_in_one_place():
    relu, conv = ReLU(), Conv2d(3, 3, 1)
    message = "^layers: expected each layer once, for a layer keeps the cache of one forward pass$"
    for layers in (
        {"0": relu, "1": conv, "2": relu},
        {"0": relu, "1": Sequential({"0": conv, "1": relu})},
        {"0": Sequential({"0": relu}), "1": Sequential({"0": relu})},
    ):
        with pytest.raises(ValueError, match=message):
            Sequential(layers)


def test_no_backward_before_a_forward(module):
    with pytest.raises(RuntimeError, match=r"^Dropout: backward needs a forward pass before it$"):
        module.backward(random_array(0, (4,)))


def test_a_module_without_a_forward_cannot_be_made():
    with pytest.raises(TypeError, match="abstract"):
        Module()
