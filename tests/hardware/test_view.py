"""Views only listen: what they show comes from the cycle, and what they need is asked for in one line."""

import importlib.util
import io
import subprocess
import sys

import numpy as np
import pytest
from rich.console import Console

from hardware import view
from robot.arms.so101 import so101
from robot.errors import ConfigError
from robot.interfaces import ArmState, BusStats, Frame, Mode, Response, Snapshot, Verdict
from robot.recorder import NullRecorder

SPEC = so101().spec
N = len(SPEC.names)
STATE = ArmState(3.0, SPEC.home, np.zeros(N), np.full(N, 0.25), np.full(N, 0.5), np.full(N, 41.0), np.full(N, 11.8),
                 np.zeros(N, np.int64), np.full(N, 0.004))


def cycle(now):
    return Snapshot(now, Mode.ACTIVE, SPEC, STATE, SPEC.home, None, {}, {}, 0.5, 0.002,
                    lately=BusStats(sent=600, answered=598, corrupt=2))


TROUBLE = Verdict(Response.HOLD, ("lost_servo",), {"lost_servo": "no answer from gripper"}, False)


def test_the_terminal_says_what_the_arm_does_and_why():
    out = Console(file=io.StringIO(), width=120, force_terminal=False)
    made = view.beside(NullRecorder(), "terminal", dict, out)
    made.cycle(cycle(3.00), TROUBLE, SPEC.home)
    made.cycle(cycle(3.01), TROUBLE, SPEC.home)
    made.event(3.01, "fault", name="lost_servo", reason="no answer from gripper")
    page = Console(file=io.StringIO(), width=120)
    page.print(made.view.draw())
    text = page.file.getvalue()
    made.close()
    made.close()
    for words in ("active", "100 Hz", "598 of 600", "lost_servo: no answer from gripper", "gripper", "41", "11.8"):
        assert words in text
    assert text.count("no answer from gripper") == 2  # as a state and as an event


def test_before_the_first_cycle_there_is_nothing_to_see():
    made = view.TerminalView(Console(file=io.StringIO()))
    page = Console(file=io.StringIO())
    page.print(made.draw())
    made.close()
    assert "no cycle yet" in page.file.getvalue()


def test_no_view_costs_nothing():
    recorder = NullRecorder()
    assert view.beside(recorder, "none", dict) is recorder
    with pytest.raises(ConfigError, match=r"no view 'window'; there are: auto, none, terminal, rerun"):
        view.beside(recorder, "window", dict)


@pytest.mark.skipif(importlib.util.find_spec("rerun") is not None, reason="Rerun is installed")
def test_rerun_that_is_not_there_is_asked_for():
    with pytest.raises(ConfigError, match=r"pip install 'steadyhand\[rerun\]'"):
        view.beside(NullRecorder(), "rerun", dict)


@pytest.mark.skipif(importlib.util.find_spec("rerun") is None, reason="needs the optional extra rerun")
def test_rerun_gets_cameras_joints_and_events(tmp_path):
    frame = Frame(3.0, np.full((8, 8, 3), 100, np.uint8))
    made = view.RerunView(lambda: {"front": frame}, save=str(tmp_path / "day.rrd"))
    for k in range(3):
        made.cycle(cycle(3.0 + k / 100), TROUBLE, SPEC.home)
    made.event(3.0, "fault", name="lost_servo")
    made.close()
    made.close()
    done = subprocess.run([sys.executable, "-m", "rerun", "rrd", "print", "-vv", str(tmp_path / "day.rrd")],
                          capture_output=True, text=True, check=True)
    for path in ("/camera/front", "/position/shoulder_pan", "/sent/gripper", "/temperature/elbow_flex",
                 "/effort/gripper", "/response", "/events"):
        assert path in done.stdout
