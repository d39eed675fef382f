"""Learning-rate schedules: values at the points that define them, and errors."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from npsqueeze.schedules import SCHEDULES, learning_rate


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("constant", [0.4, 0.4, 0.4, 0.4]),
        ("linear", [0.4, 0.3, 0.2, 0.1]),
        ("cosine", [0.4, 0.2 + 0.1 * 2**0.5, 0.2, 0.2 - 0.1 * 2**0.5]),
        ("step", [0.4, 0.4, 0.04, 0.004]),
    ],
)
def test_values_at_each_quarter(schedule, expected):
    values = [learning_rate(schedule, 0.4, step, 100) for step in (0, 25, 50, 75)]
    assert values == pytest.approx(expected)


def test_step_falls_exactly_at_its_step():
    values = [learning_rate("step", 1.0, step, 1000) for step in (499, 500, 749, 750)]
    assert values == [1.0, 0.1, 0.1, 0.01]
    values = [learning_rate("step", 1.0, step, 100, warmup=0.2) for step in (59, 60, 79, 80)]
    assert values == [1.0, 0.1, 0.1, 0.01]


@pytest.mark.parametrize(("schedule", "last"), [("linear", 1e-3), ("cosine", 2.5e-6)])
def test_ends_near_zero(schedule, last):
    assert learning_rate(schedule, 1.0, 999, 1000) == pytest.approx(last, rel=0.02)


def test_one_cycle_rises_then_falls():
    values = [learning_rate("one-cycle", 0.5, step, 100) for step in range(100)]
    assert values[0] == pytest.approx(0.02)
    assert values[15] == pytest.approx(0.26)
    assert values[30] == max(values) == 0.5
    assert values[65] == pytest.approx(0.25)
    assert values[99] < 0.001
    assert values[:31] == sorted(values[:31])
    assert values[30:] == sorted(values[30:], reverse=True)


@given(
    schedule=st.sampled_from(list(SCHEDULES)),
    total=st.integers(1, 10_000),
    warmup=st.none() | st.floats(0, 0.9),
    part=st.floats(0, 1, exclude_max=True),
)
def test_stays_between_zero_and_the_base(schedule, total, warmup, part):
    step = min(int(part * total), total - 1)
    assert 0 < learning_rate(schedule, 0.1, step, total, warmup) <= 0.1


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_warmup_serves_every_schedule(schedule):
    assert learning_rate(schedule, 1.0, 0, 100, warmup=0.2) == pytest.approx(0.04)
    assert learning_rate(schedule, 1.0, 10, 100, warmup=0.2) == pytest.approx(0.52)
    expected = SCHEDULES[schedule](0.5)
    assert learning_rate(schedule, 1.0, 60, 100, warmup=0.2) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("sine", 0.1, 0, 10), "schedule: expected one of constant, linear, .*got 'sine'"),
        (("linear", 0.1, -1, 10), "step: .*got -1 of 10"),
        (("linear", 0.1, 10, 10), "step: .*got 10 of 10"),
        (("linear", 0.1, 0, 0), "step: .*got 0 of 0"),
        (("linear", 0.1, 0, 10, 1.0), "warmup: .*got 1.0"),
        (("linear", 0.1, 0, 10, -0.1), "warmup: .*got -0.1"),
    ],
)
def test_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        learning_rate(*arguments)
