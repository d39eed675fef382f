"""The contenders' processes: they take turns, fail one by one, and none outlives the benchmark."""

import os
import time

import pytest

from npsqueeze.benchmark.processes import THREAD_COUNTS, TUNING, Processes, _time
from npsqueeze.benchmark.works import Convolution
from tests.benchmark_fakes import WORK, contender


def test_good_and_bad_contenders_side_by_side():
    ways = ("works", "dies", "cannot", "naps")
    with Processes([contender(way) for way in ways], threads=1) as processes:
        outcomes = {each.contender: each for each in processes.measure(WORK, rounds=2)}
        again = {each.contender: each for each in processes.measure(WORK, rounds=1)}
        assert processes.measure(Convolution((1, 1, 1, 1), 1, 1), rounds=1) == ()
    assert list(outcomes) == ["works", "dies", "naps"]
    assert 0.001 <= outcomes["works"].seconds < outcomes["naps"].seconds
    assert outcomes["naps"].seconds >= 0.02
    assert outcomes["works"].memory > 2**20
    assert outcomes["dies"].seconds is None
    assert outcomes["dies"].error == "its process has ended, with exit code 3"
    assert again["dies"].error == outcomes["dies"].error
    assert not again["works"].error


def test_a_process_gets_its_threads_and_an_error_is_one_line(monkeypatch):
    for name in (*THREAD_COUNTS, *TUNING):
        monkeypatch.setenv(name, "7")
    with Processes([contender("tells its environment")], threads=2) as processes:
        (outcome,) = processes.measure(WORK, rounds=1)
    assert outcome.error == f"RuntimeError: 2 {['2'] * len(THREAD_COUNTS)} []"
    assert {os.environ[name] for name in (*THREAD_COUNTS, *TUNING)} == {"7"}


def test_what_a_library_prints_stays_out_of_stdout(capfd):
    with Processes([contender("prints")], threads=1) as processes:
        processes.measure(WORK, rounds=1)
    out, err = capfd.readouterr()
    assert out == ""
    assert "not for the report" in err


def test_ctrl_c_leaves_no_process_behind():
    workers = []

    def interrupted():
        with Processes([contender("hangs"), contender("works")], threads=1) as processes:
            workers.extend(processes.workers)
            workers[0].connection.send(("prepare", WORK))
            raise KeyboardInterrupt

    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert len(workers) == 2
    assert not any(worker.process.is_alive() for worker in workers)
    assert time.monotonic() - started < 20


def test_the_first_call_of_a_turn_does_not_count_if_there_are_more():
    durations = iter([0.03, 0.01, 0.012, 0.011])
    assert 0.01 <= _time(lambda: time.sleep(next(durations))) < 0.03
    assert _time(lambda: time.sleep(0.06)) >= 0.06
