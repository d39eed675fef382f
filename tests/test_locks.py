"""A lock excludes threads and processes, and dies with its holder, however that one dies."""

import subprocess
import sys
import threading

import pytest

from npsqueeze.locks import folder_lock

HOLDER = """
import pathlib, sys, time
from npsqueeze.locks import folder_lock
with folder_lock(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_one_holder_at_a_time(tmp_path):
    with folder_lock(tmp_path):
        with pytest.raises(BlockingIOError), folder_lock(tmp_path):
            pytest.fail("held twice")
        with pytest.raises(BlockingIOError), folder_lock(tmp_path):  # a refusal frees nothing
            pytest.fail("held twice")
    with folder_lock(tmp_path):
        pass


def test_another_thread_is_refused(tmp_path):
    outcomes = []

    def attempt():
        try:
            with folder_lock(tmp_path):
                outcomes.append("held")
        except BlockingIOError:
            outcomes.append("refused")

    def run_thread():
        thread = threading.Thread(target=attempt)
        thread.start()
        thread.join()

    with folder_lock(tmp_path):
        run_thread()
    run_thread()
    assert outcomes == ["refused", "held"]


def test_an_exception_frees_it(tmp_path):
    with pytest.raises(RuntimeError), folder_lock(tmp_path):
        raise RuntimeError
    with folder_lock(tmp_path):
        pass


def test_a_killed_process_frees_it(tmp_path):
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(BlockingIOError), folder_lock(tmp_path):
            pytest.fail("held twice")
        holder.kill()
        holder.wait()
        with folder_lock(tmp_path):
            pass


def test_no_folder(tmp_path):
    with pytest.raises(FileNotFoundError), folder_lock(tmp_path / "none"):
        pytest.fail("held")
