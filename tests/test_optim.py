"""Optimisers step as PyTorch's do, in place and in their dtype, and resume exactly."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from npsqueeze.errors import CheckpointError
from npsqueeze.optim import SGD, AdamW

SHAPES = ((3, 2, 3, 3), (5,), (4, 7))
rates = st.floats(1e-4, 0.3)
decays = st.sampled_from([0.0, 5e-4, 0.1])
shares = st.floats(0.01, 0.99)


class Parameter:
    def __init__(self, data):
        self.data = data
        self.grad = np.zeros_like(data)


def make_parameters(seed, dtype=np.float64):
    generator = np.random.default_rng(seed)
    return [Parameter(generator.normal(size=shape).astype(dtype)) for shape in SHAPES]


def draw_gradients(parameters, generator):
    for p in parameters:
        p.grad[...] = generator.normal(size=p.data.shape)


def compare_with_torch(torch, name, dtype, seed, options):
    """Take 20 steps in both libraries, with a new learning rate from the tenth on."""
    parameters = make_parameters(seed, dtype)
    twins = [torch.nn.Parameter(torch.from_numpy(p.data.copy())) for p in parameters]
    ours = {"SGD": SGD, "AdamW": AdamW}[name](parameters, **options)
    theirs = getattr(torch.optim, name)(twins, **options)
    generator = np.random.default_rng(seed + 1)
    for step in range(20):
        if step == 10:
            ours.lr = theirs.param_groups[0]["lr"] = options["lr"] / 3
        draw_gradients(parameters, generator)
        for p, twin in zip(parameters, twins, strict=True):
            twin.grad = torch.from_numpy(p.grad.copy())
        ours.step()
        theirs.step()
    tolerance = 1e-12 if dtype == np.float64 else 1e-5
    for p, twin in zip(parameters, twins, strict=True):
        expected = twin.detach().numpy()
        assert p.data.dtype == dtype
        error = np.abs(p.data - expected).max() / np.abs(expected).max()
        assert error <= tolerance


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch")


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 999), lr=rates, momentum=shares, nesterov=st.booleans(), decay=decays)
def test_sgd_is_pytorchs(torch, dtype, seed, lr, momentum, nesterov, decay):
    options = {"lr": lr, "momentum": momentum, "nesterov": nesterov, "weight_decay": decay}
    compare_with_torch(torch, "SGD", dtype, seed, options)


@pytest.mark.parametrize("decay", [0.0, 0.01])
def test_sgd_without_momentum_is_pytorchs(torch, decay):
    compare_with_torch(torch, "SGD", np.float64, 0, {"lr": 0.1, "weight_decay": decay})


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 999), lr=rates, beta1=shares, beta2=st.floats(0.5, 0.9999), decay=decays)
def test_adamw_is_pytorchs(torch, dtype, seed, lr, beta1, beta2, decay):
    options = {"lr": lr, "betas": (beta1, beta2), "weight_decay": decay}
    compare_with_torch(torch, "AdamW", dtype, seed, options)


def test_two_steps_by_hand():
    p = Parameter(np.array([1.0]))
    optimizer = SGD([p], lr=0.1, momentum=0.5, weight_decay=0.2)
    p.grad[...] = 2.0
    optimizer.step()  # v = 2 + 0.2·1 = 2.2
    assert p.data[0] == pytest.approx(0.78)
    optimizer.step()  # v = 0.5·2.2 + 2 + 0.2·0.78 = 3.256
    assert p.data[0] == pytest.approx(0.4544)


def test_first_adamw_step_has_length_lr():
    p = Parameter(np.array([1.0, 1.0]))
    p.grad[...] = 1e-3, -50.0
    AdamW([p], lr=0.01, weight_decay=0.0).step()
    np.testing.assert_allclose(p.data, [0.99, 1.01], rtol=1e-6)


@pytest.mark.parametrize("make", [SGD, AdamW])
def test_works_in_place_and_keeps_float32(make):
    parameters = make_parameters(0, np.float32)
    arrays = [p.data for p in parameters]
    before = [p.data.copy() for p in parameters]
    optimizer = make(parameters, lr=np.float64(0.1), weight_decay=np.float64(0.1))
    draw_gradients(parameters, np.random.default_rng(1))
    gradients = [p.grad.copy() for p in parameters]
    optimizer.step()
    for p, array, old, gradient in zip(parameters, arrays, before, gradients, strict=True):
        assert p.data is array
        assert p.data.dtype == np.float32
        assert (p.data != old).all()
        np.testing.assert_array_equal(p.grad, gradient)
    assert all(a.dtype in (np.float32, np.int64) for a in optimizer.state_dict().values())


@pytest.mark.parametrize("make", [SGD, AdamW])
def test_numpy_scalars_step_like_python_floats(make):
    results = []
    for number in (float, np.float64):
        parameters = make_parameters(0, np.float32)
        draw_gradients(parameters, np.random.default_rng(1))
        make(parameters, lr=number(0.1), weight_decay=number(0.3)).step()
        results.append(parameters)
    for p, q in zip(*results, strict=True):
        np.testing.assert_array_equal(p.data, q.data)


def test_zero_grad_clears_in_place():
    parameters = make_parameters(0)
    gradients = [p.grad for p in parameters]
    draw_gradients(parameters, np.random.default_rng(1))
    SGD(parameters, lr=0.1).zero_grad()
    for p, gradient in zip(parameters, gradients, strict=True):
        assert p.grad is gradient
        assert not gradient.any()


@pytest.mark.parametrize(
    "make", [lambda p: SGD(p, lr=0.1, momentum=0.9, nesterov=True), lambda p: AdamW(p, lr=0.1)]
)
def test_resumes_bit_for_bit(make):
    straight, resumed = make_parameters(0, np.float32), make_parameters(0, np.float32)
    generators = np.random.default_rng(1), np.random.default_rng(1)
    optimizers = make(straight), make(resumed)
    for step in range(6):
        if step == 3:
            state = optimizers[1].state_dict()
            optimizers = optimizers[0], make(resumed)
            optimizers[1].load_state_dict(state)
        for parameters, generator, optimizer in zip(
            (straight, resumed), generators, optimizers, strict=True
        ):
            draw_gradients(parameters, generator)
            optimizer.step()
    for p, q in zip(straight, resumed, strict=True):
        np.testing.assert_array_equal(p.data, q.data)


def test_state_dict_is_a_copy():
    parameters = make_parameters(0)
    optimizer = SGD(parameters, lr=0.1, momentum=0.9)
    state = optimizer.state_dict()
    assert list(state) == ["velocity.0", "velocity.1", "velocity.2"]
    draw_gradients(parameters, np.random.default_rng(1))
    optimizer.step()
    assert not state["velocity.0"].any()
    assert optimizer.state_dict()["velocity.0"].any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mean.1": None}, "'mean.1' is missing"),
        ({"velocity.0": np.zeros(3)}, "'velocity.0' is unknown"),
        ({"mean.1": np.ones(6)}, r"'mean.1': expected float64 \(5,\), got float64 \(6,\)"),
        ({"step": np.zeros(())}, r"'step': expected int64 \(\), got float64 \(\)"),
    ],
)
def test_bad_state_changes_nothing(change, message):
    optimizer = AdamW(make_parameters(0))
    state = {name: array + 1 for name, array in optimizer.state_dict().items()} | change
    state = {name: array for name, array in state.items() if array is not None}
    with pytest.raises(CheckpointError, match=message):
        optimizer.load_state_dict(state)
    assert not any(array.any() for array in optimizer.state_dict().values())


@pytest.mark.parametrize(
    ("make", "options", "name"),
    [
        (SGD, {"lr": -0.1}, "lr"),
        (SGD, {"lr": float("nan")}, "lr"),
        (SGD, {"lr": "0.1"}, "lr"),
        (SGD, {"lr": 0.1, "momentum": 1.0}, "momentum"),
        (SGD, {"lr": 0.1, "nesterov": True}, "nesterov"),
        (SGD, {"lr": 0.1, "weight_decay": -1.0}, "weight_decay"),
        (AdamW, {"betas": (1.0, 0.9)}, r"betas\[0\]"),
        (AdamW, {"betas": (0.9, -0.1)}, r"betas\[1\]"),
        (AdamW, {"eps": -1e-8}, "eps"),
    ],
)
def test_bad_hyperparameters(make, options, name):
    with pytest.raises(ValueError, match=f"^{name}: expected"):
        make(make_parameters(0), **options)


def test_bad_learning_rate_later():
    optimizer = SGD(make_parameters(0), lr=0.1)
    with pytest.raises(ValueError, match="lr: expected"):
        optimizer.lr = float("inf")
    assert optimizer.lr == 0.1


def test_bad_parameters():
    with pytest.raises(ValueError, match="at least one parameter"):
        SGD([], lr=0.1)
    with pytest.raises(ValueError, match="twice"):
        SGD(2 * make_parameters(0), lr=0.1)
