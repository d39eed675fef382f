import functools
from typing import Any

import numpy as np
import pytest

from npsqueeze import functional
from npsqueeze.exercises import EXERCISES
from tests.exercise_checks import Function, message_about, verdict_on

# --- exceptions -----------------------------------------------------------------------------------


class Mute(Exception):  # noqa: N818
    def __str__(self) -> str:
        raise RuntimeError("not even this")


@pytest.mark.parametrize(
    "error",
    [
        ValueError("no"),
        KeyError("x"),
        IndexError(),
        ZeroDivisionError("division by zero"),
        NotImplementedError("todo"),
        AssertionError(),
        StopIteration(),
        GeneratorExit(),
        TimeoutError("mine"),
        MemoryError("too much"),
        SystemExit(3),
        KeyboardInterrupt(),
        BaseException("base"),
        ExceptionGroup("two", [ValueError("a"), TypeError("b")]),
        Mute(),
        UserWarning("a warning"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_exception_is_told_with_its_line(error: BaseException) -> None:
    def function(x: Any) -> Any:
        raise error

    message = message_about("relu_forward", function)
    assert f"it raised {type(error).__name__} in line " in message
    assert "`raise error`" in message
    if type(error) is ValueError:
        assert "`: no (for x (3, 2, 4, 5))" in message


def test_the_line_is_the_reader_s_own_not_the_library_s() -> None:
    def function(dy: Any, x: Any, w: Any, stride: int, padding: int, dilation: int) -> Any:
        return functional.im2col(x, (99, 99))

    message = message_about("conv2d_backward", function)
    assert "`return functional.im2col(x, (99, 99))`" in message


class Raises:
    def __call__(self, x: Any) -> Any:
        return x.no_such_thing


def passed_on(function: Function) -> Function:
    @functools.wraps(function)
    def inner(*arguments: Any) -> Any:
        return function(*arguments)

    return inner


@passed_on
def decorated(x: Any) -> Any:
    return x.no_such_thing


@pytest.mark.parametrize(
    "function", [Raises(), functools.partial(Raises()), functools.partial(decorated), decorated]
)
def test_the_line_is_found_behind_instances_and_decorators(function: Function) -> None:
    message = message_about("relu_forward", function)
    assert "it raised AttributeError in line " in message
    assert "`return x.no_such_thing`" in message


def test_recursion_without_end() -> None:
    def function(x: Any) -> Any:
        return function(x) + 0

    message = message_about("relu_forward", function)
    assert "it raised RecursionError" in message
    assert "return function(x) + 0" in message


def test_more_memory_than_there_is() -> None:
    message = message_about("relu_forward", lambda x: np.zeros((10**9, 10**9)))
    assert "Error" in message


def test_a_warning_is_none_of_our_business(recwarn: pytest.WarningsRecorder) -> None:
    def function(x: Any) -> Any:
        import warnings

        warnings.warn("old", DeprecationWarning, stacklevel=1)
        return np.maximum(x, 0) + 0 * np.sqrt(np.abs(x)) * np.isfinite(x)

    verdict_on("relu_forward", function)
    assert not recwarn.list


def test_trouble_in_some_cases_only_says_in_which() -> None:
    def function(x: Any, w: Any, b: Any, stride: int, padding: int, dilation: int) -> Any:
        if dilation > 1:
            raise NotImplementedError("dilation")
        return functional.conv2d_forward(x, w, b, stride, padding, dilation)

    message = message_about("conv2d_forward", function)
    assert "right for dilation 1, wrong for a dilation above 1: it raised NotImpl" in message


# --- what is returned -----------------------------------------------------------------------------


class Hostile:
    def __array__(self, *arguments: Any, **options: Any) -> Any:
        raise OSError("no array")

    def __bool__(self) -> bool:
        raise OSError("no bool")

    def __len__(self) -> int:
        raise OSError("no length")

    def __repr__(self) -> str:
        raise OSError("no words")


RETURNED = [
    None,
    (),
    [],
    {},
    set(),
    "text",
    b"bytes",
    object(),
    object,
    Hostile(),
    1,
    1.5,
    2j,
    10**400,
    True,
    np.nan,
    np.inf,
    (None,),
    (None, None, None),
    (1, 2, 3),
    (np.zeros(2), {}),
    (np.zeros(2), {"unknown": 1}),
    (np.zeros(2), {"unknown": 1}, None),
    (2, {1: 10**400}),
    (2, {1: 1.5, "3": None}),
    (2, {None: 1}),
    [[1, 2], [3]],
    [[1, 2], "text"],
    np.array(["a", "b"]),
    np.array([1, None], dtype=object),
    np.array([1j]),
    np.array([], dtype=float),
    np.zeros((0, 3)),
    np.zeros((2, 3, 4, 5, 6)),
    np.broadcast_to(0.0, (10**6, 10**6)),
    np.array("2026-01-01", dtype="datetime64[D]"),
    np.zeros(3, dtype=[("a", float)]),
    np.ma.masked_array([1.0, 2.0], mask=[True, False]),
    iter([1, 2]),
    (i for i in range(3)),
    range(3),
    lambda: 1,
    ...,
    NotImplemented,
]


@pytest.mark.parametrize("name", EXERCISES)
def test_nothing_that_is_returned_ends_the_check(name: str) -> None:
    for returned in RETURNED:
        verdict = verdict_on(name, lambda *_, value=returned: value)
        accepted = name == "gradcheck" and verdict.message == ""
        assert not verdict.passed or accepted
        assert len(verdict.message) > len(name) + 10


@pytest.mark.parametrize(
    ("name", "returned", "words"),
    [
        ("relu_forward", None, "it returned None: is the function finished?"),
        ("relu_forward", "text", "y is str; expected an array of numbers"),
        ("relu_forward", [[1, 2], [3]], "expected an array of numbers"),
        ("relu_forward", np.array([1j]), "array of complex128"),
        ("relu_forward", np.array([None]), "array of object"),
        ("relu_forward", np.zeros((3, 2)), "it has shape (3, 2), expected (3, 2, 4, 5)"),
        ("linear_backward", (1, 2), "it returned 2 values; expected dx, dw, db, in this order"),
        ("linear_backward", (1, 2, 3, 4), "it returned 4 values; expected dx, dw, db"),
        ("linear_backward", (), "it returned 0 values; expected dx, dw, db"),
        ("linear_backward", np.zeros((4, 5)), "one array of float64 with shape (4, 5); expected"),
        ("linear_backward", (None, None, None), "it returned None: is the function finished?"),
        ("linear_backward", (np.zeros((4, 5)), None, 0), "dw is None; expected an array"),
        ("fire_backward", (1, {}), "the gradients of squeeze.weight, squeeze.bias"),
        ("fire_backward", 1, "expected (dx, a dictionary of gradients"),
        ("fire_channels", (16, {1: 64.0, 3: 64.0}), "a number of filters is an int"),
        ("gradcheck", None, "Return True (or a report)"),
        ("gradcheck", 1e-9, "judge it yourself, and return True or False"),
        ("gradcheck", np.array([True, False]), "judge it yourself, and return True or False"),
        ("output_size", None, "size is None"),
        ("output_size", 3.0, "a number of windows is an int"),
        ("he_normal", np.zeros((2, 3)), "w has shape (2, 3); expected (64, 32, 3, 3)"),
    ],
)
def test_what_is_wrong_with_the_returned_value(name: str, returned: Any, words: str) -> None:
    def function(*arguments: Any) -> Any:
        for each in arguments:
            if isinstance(each, np.random.Generator):
                each.normal()
        return returned

    assert words in message_about(name, function)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e308])
def test_results_that_are_no_finite_numbers(value: float) -> None:
    message = message_about("softmax", lambda logits: np.full(logits.shape, value))
    assert ("it holds NaN" in message) == bool(np.isnan(value))
    assert f"is {value:.6g}, expected" in message


def test_a_single_nan_is_found() -> None:
    def function(dy: Any, x: Any) -> Any:
        dx = functional.global_avg_pool2d_backward(dy, functional.global_avg_pool2d_forward(x)[1])
        dx = dx.copy()
        dx[-1, -1, -1, -1] = np.nan
        return dx

    message = message_about("global_avg_pool2d_backward", function)
    assert "it holds NaN; dx[2, 1, 3, 3] is nan, expected" in message
