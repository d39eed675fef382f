"""Every operation passes its gradient check, and a broken one is reported."""

import pytest

from npsqueeze import functional
from npsqueeze.difference_quotients import Report
from npsqueeze.errors import GradientError
from npsqueeze.gradient_suite import check_all_operations

OPERATIONS = {name.removesuffix("_backward") for name in functional.__all__ if "backward" in name}


def operation(name):
    return name.split(",")[0]


@pytest.fixture(scope="module")
def verdicts():
    return dict(check_all_operations())


def test_every_operation_is_checked(verdicts):
    assert {operation(name) for name in verdicts} == OPERATIONS


def test_every_operation_passes(verdicts):
    failures = [str(verdict) for verdict in verdicts.values() if not isinstance(verdict, Report)]
    assert failures == []
    assert all(report.worst_error <= 1e-7 for report in verdicts.values())


def test_only_the_planted_kinks_are_excluded(verdicts):
    kinks = {name: report.kinks for name, report in verdicts.items() if report.kinks}
    assert kinks == {"max_pool2d, ties": 4, "relu, zeros": 4}


def test_all_parameters_of_a_fire_module_are_checked(verdicts):
    names = {each.name for each in verdicts["fire, complex bypass, 5x5"].inputs}
    steps = ("squeeze", "expand1x1", "expand3x3", "expand5x5", "bypass")
    assert names == {"x"} | {f"{step}.{part}" for step in steps for part in ("weight", "bias")}


def test_a_broken_operation_is_reported_and_the_others_pass_with_any_seed(monkeypatch, verdicts):
    right = functional.linear_backward

    def wrong(dy, cache):
        dx, dw, db = right(dy, cache)
        return dx, 3 * dw, db

    monkeypatch.setattr(functional, "linear_backward", wrong)
    others = dict(check_all_operations(seed=1))
    failed = {name for name, verdict in others.items() if isinstance(verdict, GradientError)}
    assert failed == {"linear"}
    assert "w: wrong at 35 of 35 points" in str(others["linear"])
    assert others["relu"] != verdicts["relu"]
