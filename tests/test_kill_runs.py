"""Runs that are killed end in the same bits; `python -m tests.kill_runs` kills by the hundred."""

import os

import pytest

from tests.kill_runs import kill_runs


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_nothing_is_lost_by_ten_kills(tmp_path):
    moments = list(kill_runs(10, tmp_path, seed=0))
    assert len(moments) == 10
    assert set(moments) - {"before the first save"}  # and so some of them were resumed
