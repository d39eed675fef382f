"""Difference quotients: accurate where a function is smooth, and aware of it where it is not."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npsqueeze.difference_quotients import InputReport, Point, Report, compare, judge
from npsqueeze.errors import GradientError

STEPS = (1e-3, 1e-4, 1e-5, 1e-6)
places = st.one_of(st.floats(-3e-3, 3e-3), st.floats(-3e-6, 3e-6), st.just(0.0))


def check(function, analytic, steps=STEPS, unit=1.0):
    point = Point((0,), lambda t: np.asarray(function(t)), analytic, unit)
    return compare("t", [point], np.asarray(function(0.0)), np.ones(()), steps, 1e-7)


def make_report(points=10, kinks=0, wrong=0, analytic=1.0, numeric=1.0):
    return Report((InputReport("w", points, kinks, wrong, 0.5, (1, 2), analytic, numeric),), 1e-7)


@pytest.mark.parametrize(
    ("function", "derivative"),
    [
        (np.exp, 1.0),
        (lambda t: np.sin(3 * t + 1), 3 * np.cos(1)),
        (lambda t: 1 / (1 + t) ** 2, -2.0),
        (lambda t: (t - 2) ** 5, 80.0),
    ],
)
def test_smooth_functions_agree_far_below_the_tolerance(function, derivative):
    report = check(function, derivative, steps=STEPS[:1])
    assert report.worst_error < 1e-10
    assert (report.kinks, report.wrong) == (0, 0)


def test_a_strongly_curved_function_agrees_at_a_smaller_step():
    assert check(lambda t: np.sin(200 * t), 200.0, steps=STEPS[:1]).kinks == 1
    report = check(lambda t: np.sin(200 * t), 200.0)
    assert (report.kinks, report.wrong) == (0, 0)


def test_steps_grow_with_the_unit_of_the_point():
    used = []
    check(lambda t: used.append(t) or 3.0 * t, 3.0, unit=50.0)
    assert used[1:] == [0.05, -0.05, 0.1, -0.1]


@given(kink=places, left=st.floats(-2, 2), right=st.floats(-2, 2))
def test_a_right_slope_beside_a_kink_never_fails(kink, left, right):
    """The slope of the branch that t = 0 lies on; at the kink itself either one."""
    slope = left if kink > 0 else right

    def function(t):
        return (left if t < kink else right) * (t - kink) + math.sin(t)

    assert check(function, slope + 1).wrong == 0


@given(kink=st.one_of(st.floats(3e-6, 3e-3), st.floats(-3e-3, -3e-6)), error=st.floats(1e-5, 2))
def test_a_kink_out_of_reach_of_the_smallest_step_excuses_nothing(kink, error):
    report = check(lambda t: max(t - kink, 0.0), float(kink < 0) + error)
    assert (report.kinks, report.wrong) == (0, 1)


@given(error=st.floats(1.5, 100))
def test_a_kink_excuses_no_more_than_it_can_explain(error):
    assert check(lambda t: max(t, 0.0), 0.5 + error).wrong == 1


def test_a_kink_is_excluded_and_counted():
    report = check(lambda t: max(t, 0.0), 0.0)
    assert (report.points, report.kinks, report.wrong, report.worst_error) == (1, 1, 0, 0.0)


def test_rounding_at_the_smallest_step_excuses_nothing():
    """At h = 1e-6 it is as large as this mistake, but at larger steps it is not."""
    report = check(lambda t: 100 + 1e-7 * t, 2e-7)
    assert (report.kinks, report.wrong) == (0, 1)


@pytest.mark.parametrize("analytic", [math.nan, math.inf])
def test_a_gradient_that_is_not_finite_is_wrong(analytic):
    assert check(np.exp, analytic).wrong == 1


def test_a_function_that_is_not_finite_nearby_is_wrong():
    assert check(lambda t: math.nan if t else 1.0, 0.0).wrong == 1


def test_outputs_that_do_not_change_cancel_exactly():
    """Summed before they are subtracted, the large ones would drown the small one."""
    point = Point((0,), lambda t: np.array([1e6, 1e6, t]), 0.5)
    y, dy = np.array([1e6, 1e6, 0.0]), np.array([1.0, 1.1, 0.5])
    report = compare("t", [point], y, dy, STEPS[:1], 1e-7)
    assert report.numeric == pytest.approx(0.5, rel=1e-14)


def test_rounding_does_not_fail_a_gradient_of_zero():
    """Its quotient is noise, next to which the analytic 0 would be wrong by 100 %."""
    assert check(lambda t: (1 / 3 + t) - t, 0.0).wrong == 0


def test_the_worst_point_is_the_one_reported():
    claims = {(0, 0): 2.0, (0, 1): 2.2, (1, 0): 2.1}
    points = [Point(at, lambda t: np.asarray(2 * t), claim) for at, claim in claims.items()]
    report = compare("w", points, np.zeros(()), np.ones(()), STEPS, 1e-7)
    assert (report.worst_index, report.analytic, report.wrong) == ((0, 1), 2.2, 2)
    assert report.numeric == pytest.approx(2)
    assert report.ratio == pytest.approx(1.1)
    assert report.worst_error == pytest.approx(0.2 / 2.2)


def test_twenty_percent_at_kinks_pass_and_more_fail():
    report = make_report(points=10, kinks=2)
    assert judge(report, 4) is report
    with pytest.raises(GradientError, match="w: 3 of 10 points lie at kinks, more than 20%"):
        judge(make_report(points=10, kinks=3), 4)


@pytest.mark.parametrize(
    ("ratio", "batch_size", "hints"),
    [
        (0, 8, ["a term is missing"]),
        (-1, 8, ["the sign is wrong"]),
        (2, 8, ["counted twice"]),
        (0.5, 8, ["one of two equal terms"]),
        (8, 8, ["N = 8, a sum"]),
        (0.125, 8, ["1/N, N = 8, a mean"]),
        (2, 2, ["counted twice", "N = 2, a sum"]),
        (1.37, 8, []),
        (1.0001, 1, []),
    ],
)
def test_a_telling_ratio_is_explained(ratio, batch_size, hints):
    with pytest.raises(GradientError) as error:
        judge(make_report(wrong=3, analytic=1.5 * ratio, numeric=1.5), batch_size)
    message = str(error.value)
    assert "w: wrong at 3 of 10 points, worst at (1, 2)" in message
    assert f"analytic {1.5 * ratio:.8g}, numeric 1.5, error 5.0e-01 > 1e-07" in message
    assert all(hint in message for hint in hints)
    assert ("?)" in message) == bool(hints)


def test_a_report_adds_up_its_inputs_and_prints_them():
    first = InputReport("x", 200, 3, 0, 2e-10, (0, 1), 1.5, 1.5)
    second = InputReport("w", 54, 0, 0, 4e-12, (1,), -0.25, -0.25)
    report = Report((first, second), 1e-7)
    assert (report.points, report.kinks, report.worst_error) == (254, 3, 2e-10)
    header, *rows = str(report).splitlines()
    assert " ".join(header.split()) == "input points kinks worst error analytic numeric at"
    assert " ".join(rows[0].split()) == "x 200 3 2.0e-10 1.5000e+00 1.5000e+00 (0, 1)"
    assert " ".join(rows[1].split()) == "w 54 0 4.0e-12 -2.5000e-01 -2.5000e-01 (1,)"


def test_the_ratio_to_zero_is_not_a_number():
    assert math.isnan(make_report(analytic=1.0, numeric=0.0).inputs[0].ratio)
