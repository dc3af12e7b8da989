"""Helpers do not answer to ctrl-C, the command that started them does."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time

import pytest

from robot.errors import SteadyhandError
from robot.workers import deaf, each

ASK = [sys.executable, "-c", "import signal; print(signal.getsignal(signal.SIGINT) is signal.SIG_IGN)"]


def ignores() -> bool:
    return subprocess.run(ASK, capture_output=True, text=True, check=True).stdout.strip() == "True"


def test_only_processes_started_inside_are_deaf():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with deaf():
            assert ignores()
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        assert not ignores()
    finally:
        signal.signal(signal.SIGINT, before)


_OFFSET = 0


def begin(offset):
    global _OFFSET
    _OFFSET = offset


def shifted(item):
    return item + _OFFSET


def fragile(item):
    if item == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return item


def sleepy(item):
    time.sleep(0 if item == 0 else 60)
    return item


@pytest.mark.parametrize("workers", [1, 2])
def test_every_item_is_done_once_after_its_process_was_prepared(workers):
    assert sorted(each(shifted, range(6), workers, begin, (10,))) == list(range(10, 16))


def test_a_killed_worker_is_an_error_that_says_how_to_go_on():
    done = []
    with pytest.raises(SteadyhandError, match=r"worker process ended .* resume=true goes on"):
        for item in each(fragile, range(8), 2, again="resume=true goes on"):
            done.append(item)
    assert 3 not in done


def test_processes_end_when_the_caller_stops():
    before = set(multiprocessing.active_children())
    for item in each(sleepy, range(4), 2):
        assert item == 0
        break
    deadline = time.monotonic() + 10
    while set(multiprocessing.active_children()) - before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert set(multiprocessing.active_children()) <= before
