import copy
import functools
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from npsqueeze import cli, exercises, functional
from npsqueeze.exercises import EXERCISES, progress
from npsqueeze.exercises.checking import Verdict, judge

Function = Callable[..., Any]


@pytest.fixture(autouse=True)
def data_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep the reader's own progress out of this."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    return tmp_path


def verdict_on(name: str, function: Any, seconds: float = 5.0) -> Verdict:
    return judge(EXERCISES[name], function, seconds)


def message_about(name: str, function: Any, seconds: float = 5.0) -> str:
    verdict = verdict_on(name, function, seconds)
    assert not verdict.passed
    assert verdict.message.startswith(f"{name}: ")
    return verdict.message


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


# --- changed arguments ----------------------------------------------------------------------------


def changed(value: Any) -> bool:
    """Change the value in place, deep inside if need be, and tell whether that was possible."""
    if isinstance(value, np.ndarray) and value.size and value.flags.writeable:
        value += 1
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


@pytest.mark.parametrize("function", [len, print, abs, np.tanh, np.maximum, dict, Raises, int, max])
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


# --- check, hint, and the list of exercises -------------------------------------------------------


def test_check_prints_the_verdict_and_offers_a_hint(capsys: pytest.CaptureFixture[str]) -> None:
    assert exercises.check("relu_forward", np.abs) is False
    first, *_, last = capsys.readouterr().out.splitlines()
    assert first == "relu_forward: not yet right."
    assert last == '  for a hint: exercises.hint("relu_forward")'


def test_check_remembers_what_is_solved(capsys: pytest.CaptureFixture[str]) -> None:
    assert progress.solved() == {}
    assert exercises.check("relu_forward", lambda x: np.maximum(x, 0)) is True
    out = capsys.readouterr().out
    assert out.startswith("relu_forward: right, in all 7 cases")
    assert "npsqueeze/functional/relu.py:" in out
    assert "hint" not in out
    exercises.check("softmax", np.exp)
    assert progress.solved().keys() == {"relu_forward"}


def test_the_first_day_counts(data_home: Path) -> None:
    file = data_home / "npsqueeze" / "exercises.json"
    file.parent.mkdir()
    file.write_text('{"relu_forward": "2001-02-03"}')
    assert exercises.check("relu_forward", lambda x: np.maximum(x, 0))
    assert progress.solved() == {"relu_forward": "2001-02-03"}


@pytest.mark.parametrize("content", [b"", b"{", b"[1, 2]", b"null", b"\xff\x00", b'{"a": {}}'])
def test_a_broken_progress_file_does_no_harm(data_home: Path, content: bytes) -> None:
    file = data_home / "npsqueeze" / "exercises.json"
    file.parent.mkdir()
    file.write_bytes(content)
    assert exercises.check("relu_forward", lambda x: np.maximum(x, 0))
    assert "relu_forward" in progress.solved()


def test_a_place_that_cannot_be_written_to_does_no_harm(data_home: Path) -> None:
    (data_home / "npsqueeze").write_text("a file where the folder should be")
    assert exercises.check("relu_forward", lambda x: np.maximum(x, 0))
    assert progress.solved() == {}


def test_an_unknown_name() -> None:
    with pytest.raises(
        ValueError, match=r"expected one of normalize, output_size, .* got 'conv3d'"
    ):
        exercises.check("conv3d", len)
    with pytest.raises(ValueError, match=r"expected one of .*fire_channels, got 'conv3d'"):
        exercises.hint("conv3d")


@pytest.mark.parametrize("name", EXERCISES)
def test_hints_come_step_by_step_and_start_again(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exercises, "_hints_given", {})
    hints = EXERCISES[name].hints
    rounds = []
    for _ in range(2):
        for _ in range(len(hints) + 1):
            exercises.hint(name)
        rounds.append(capsys.readouterr().out.splitlines())
    assert rounds[0] == rounds[1]
    *steps, place = rounds[0]
    assert steps == [f"hint {i} of {len(hints)}: {hint}" for i, hint in enumerate(hints, 1)]
    assert place.startswith("no more hints; the solution is the library's own: npsqueeze/")


def test_the_command_lists_all_exercises(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["exercises"]) == 0
    out = capsys.readouterr().out
    assert all(f"· {name}\n" in out for name in EXERCISES)
    assert "✓" not in out
    assert out.endswith(f"0 of {len(EXERCISES)} solved\n")
    assert exercises.check("relu_forward", lambda x: np.maximum(x, 0))
    capsys.readouterr()
    assert cli.main(["exercises"]) == 0
    out = capsys.readouterr().out
    (solved,) = [line for line in out.splitlines() if "✓" in line]
    assert "relu_forward" in solved
    assert out.endswith(f"1 of {len(EXERCISES)} solved\n")
