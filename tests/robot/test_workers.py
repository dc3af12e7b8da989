"""Helpers do not answer to ctrl-C, the command that started them does."""

from __future__ import annotations

import signal
import subprocess
import sys

from robot.workers import deaf

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
