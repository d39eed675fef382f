import copy
import threading
import time
from typing import Any

import numpy as np
import pytest

from npsqueeze import functional
from npsqueeze.exercises import EXERCISES
from tests.exercise_checks import Function, message_about, verdict_on

# --- changed arguments ----------------------------------------------------------------------------


def changed(value: Any) -> bool:
    """Change the value in place, deep inside if need be, and tell whether that was possible."""
    if isinstance(value, np.ndarray) and value.size and value.flags.writeable:
        value += value.dtype.type(1)
        return True
    if isinstance(value, dict):
        if any(changed(each) for each in value.values()):
            return True
        value["new"] = 1
        return True
    if isinstance(value, list | tuple):
        return any(changed(each) for each in reversed(value))
    return False


CHANGEABLE = [
    (name, argument)
    for name, exercise in EXERCISES.items()
    for argument, value in exercise.cases[0].items()
    if changed(copy.deepcopy(value))
]


@pytest.mark.parametrize(("name", "argument"), CHANGEABLE)
def test_an_argument_that_is_changed_is_named(name: str, argument: str) -> None:
    exercise = EXERCISES[name]

    def function(*values: Any) -> Any:
        arguments = dict(zip(exercise.cases[0], values, strict=True))
        result = exercise.answer(*copy.deepcopy(values))
        assert changed(arguments[argument])
        return result

    assert f"it changes its argument {argument} in place" in message_about(name, function)


def test_all_sorts_of_arguments_are_watched() -> None:
    assert {
        ("conv2d_backward", "w"),
        ("softmax_cross_entropy_forward", "labels"),
        ("normalize", "images"),
        ("concat_backward", "arrays"),
        ("fire_backward", "parameters"),
        ("fire_channels", "config"),
        ("gradcheck", "inputs"),
    } <= set(CHANGEABLE)


@pytest.mark.parametrize(
    "change",
    [
        lambda arrays: arrays.pop(),
        lambda arrays: arrays.append(None),
        lambda arrays: arrays.__setitem__(0, "text"),
        lambda arrays: arrays.__setitem__(0, arrays[0].astype(object)),
        lambda arrays: arrays[0].__setattr__("shape", (-1,)),
    ],
)
def test_a_list_that_is_changed(change: Function) -> None:
    def function(dy: Any, arrays: Any) -> Any:
        change(arrays)
        return [dy]

    assert "it changes its argument arrays in place" in message_about("concat_backward", function)


def test_the_cases_outlive_whatever_is_done_to_the_arguments() -> None:
    before = copy.deepcopy(EXERCISES["linear_backward"].cases[0])

    def function(dy: Any, x: Any, w: Any) -> Any:
        dy[:], x[:], w[:] = 0, 0, 0
        return x, w, dy.sum(axis=0)

    message_about("linear_backward", function)
    for name, value in EXERCISES["linear_backward"].cases[0].items():
        assert np.array_equal(value, before[name])


# --- functions that do not come back --------------------------------------------------------------


def endless(x: Any) -> Any:
    while True:
        pass


def endless_and_deaf(x: Any) -> Any:
    i = 0
    while True:
        try:
            i += 1
        except Exception:
            i = 0


def endless_and_stone_deaf(x: Any) -> Any:
    i, end = 0, time.monotonic() + 3  # it would never end without this
    while time.monotonic() < end:
        try:
            i += 1
            time.sleep(0.01)
        except:  # noqa: E722
            i = 0
    return x


def asleep(x: Any) -> Any:
    time.sleep(3)
    return x


def waits_for_something_that_never_changes(x: Any) -> Any:
    n = 1
    while n < 10:
        x = x * n
    return x


@pytest.mark.parametrize(
    ("function", "line"),
    [
        (endless, ""),
        (endless_and_deaf, ""),
        (endless_and_stone_deaf, ""),
        (asleep, "`time.sleep(3)`"),
        (waits_for_something_that_never_changes, "n"),
    ],
)
def test_an_endless_loop_is_left(function: Function, line: str) -> None:
    start = time.monotonic()
    message = message_about("relu_forward", function, 0.2)
    assert time.monotonic() - start < 2
    assert "it was not back after 0.2 s in line " in message
    assert line in message
    first = function.__code__.co_firstlineno
    told = int(message.split(" in line ")[1].split(",")[0])
    assert first < told <= first + 8


def test_a_loop_that_is_left_also_ends() -> None:
    before = threading.active_count()
    message_about("relu_forward", endless, 0.1)
    message_about("relu_forward", endless_and_deaf, 0.1)
    assert threading.active_count() <= before


def test_an_endless_loop_in_one_case_costs_the_limit_once() -> None:
    def function(x: Any, kernel_size: Any, stride: int, padding: int, dilation: int) -> Any:
        while padding:
            pass
        return functional.im2col(x, kernel_size, stride, padding, dilation)

    start = time.monotonic()
    message = message_about("im2col", function, 0.2)
    assert time.monotonic() - start < 2
    assert "right for no padding, wrong for padding: it was not back" in message


# --- what is not a function, or not this one ------------------------------------------------------


@pytest.mark.parametrize("function", [None, 3, "relu", np.zeros(3), [len], {}, ...])
def test_what_is_no_function(function: Any) -> None:
    message = message_about("relu_forward", function)
    assert f"expected a function, got {type(function).__name__}" in message


def test_functions_that_have_not_run_when_they_return() -> None:
    def generator(x: Any) -> Any:
        yield x

    async def coroutine(x: Any) -> Any:
        return x

    async def both(x: Any) -> Any:
        yield x

    for function in (generator, coroutine, both):
        assert "write a plain def that ends with return" in message_about("relu_forward", function)


@pytest.mark.parametrize("function", [len, print, abs, np.tanh, np.maximum, dict, Exception, int])
def test_functions_and_classes_that_are_not_the_reader_s(function: Any) -> None:
    assert not verdict_on("relu_forward", function).passed


def test_a_lambda_and_a_ufunc_are_functions_too() -> None:
    assert "that is the absolute value" in message_about("relu_forward", np.abs)
    assert "that is the absolute value" in message_about("relu_forward", lambda x: abs(x))


@pytest.mark.parametrize(
    ("function", "parameters"),
    [
        (lambda: None, "()"),
        (lambda x: None, "(x)"),
        (lambda a, b, c, d: None, "(a, b, c, d)"),
        (lambda dy, x, w, *, b: None, "(dy, x, w, b)"),
    ],
)
def test_another_signature(function: Function, parameters: str) -> None:
    message = message_about("linear_backward", function)
    assert f"it takes {parameters}; the check calls linear_backward(dy, x, w)" in message
    assert "or (dy, cache)" in message


def test_a_function_that_claims_to_wrap_itself() -> None:
    def function(x: Any) -> Any:
        raise ValueError("round and round")

    function.__wrapped__ = function  # type: ignore[attr-defined]
    assert "it raised ValueError" in message_about("relu_forward", function)


# --- functions with a life of their own -----------------------------------------------------------


def test_a_function_that_remembers() -> None:
    db = np.zeros(7)

    def function(dy: Any, x: Any, w: Any) -> Any:
        db[: len(w)] += dy.sum(axis=0)
        return dy @ w, dy.T @ x, db[: len(w)].copy()

    message = message_about("linear_backward", function)
    assert "right already: dx, dw" in message
    assert "called again with the same arguments it returns something else" in message


def test_a_function_of_chance() -> None:
    message = message_about("softmax", lambda logits: np.random.default_rng().random(logits.shape))
    assert "called again with the same arguments it returns something else" in message


def test_a_wrong_function_that_repeats_itself_is_not_accused_of_more() -> None:
    assert "called again" not in message_about("softmax", np.exp)
    assert "called again" not in message_about(
        "he_normal", lambda shape, generator: generator.normal(0.0, 1.0, shape)
    )


def test_a_function_that_prints(capsys: pytest.CaptureFixture[str]) -> None:
    def function(x: Any) -> Any:
        print("here")
        return np.maximum(x, 0)

    assert verdict_on("relu_forward", function).passed
    assert capsys.readouterr().out.startswith("here\n")


def test_a_function_that_uses_the_library_s_kernels() -> None:
    def function(dy: Any, x: Any, w: Any, *options: Any) -> Any:
        _, cache = functional.conv2d_forward(x, w, np.zeros(len(w)), *options)
        return functional.conv2d_backward(dy, cache)

    assert verdict_on("conv2d_backward", function).passed


def test_a_check_in_another_thread() -> None:
    verdicts = []

    def work() -> None:
        verdicts.append(verdict_on("relu_forward", lambda x: np.maximum(x, 0)).passed)
        verdicts.append(verdict_on("relu_forward", endless, 0.1).passed)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(5)
    assert verdicts == [True, False]
