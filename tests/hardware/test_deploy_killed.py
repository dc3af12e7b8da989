"""What happens to a real (virtual) arm when processes die or freeze in the middle of a motion."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from hardware.virtual.client import Bench
from robot.arms.so101 import so101

pytestmark = pytest.mark.realtime
HERE = Path(__file__).parent
STILL = 0.05  # rad/s
LIMIT = 0.5  # s
LOOK = 0.02  # s, the longest that one look at the arm takes on a computer that is not busy
EXCUSED = 0.2  # s, the most of this computer's own standing still that is taken off


def settings():
    return {"model": {"_option_": "so101"}, "plant": {"_option_": "joints"}}


@pytest.fixture
def bench():
    with Bench.start(settings()) as running:
        yield running


class Deployed:
    """`steadyhand deploy` in a process of its own, on a bench that outlives it."""

    def __init__(self, bench, out, *overrides):
        self.bench, self.out = bench, out
        environment = {**os.environ, "STEADYHAND_HOME": str(out.parent / "home"), "PYTHONPATH": str(HERE.parents[1])}
        self.log = (out.parent / "deploy.log").open("w")
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "run_deploy.py"), str(out), f"port={bench.port}", "seconds=60", *overrides],
            stdout=self.log, stderr=self.log, env=environment, start_new_session=True)

    def wait_until_moving(self):
        home = so101().spec.home
        end = time.monotonic() + 40.0
        fast = 0
        while fast < 3:
            assert self.process.poll() is None, self.said()
            assert time.monotonic() < end, self.said()
            status = self.bench.status()
            near = np.abs(np.array(status["q"]) - home)[:5].max() < 0.7
            fast += all(status["energised"]) and near and np.abs(status["dq"]).max() > 0.6
            time.sleep(0.01)

    def said(self):
        self.log.flush()
        return Path(self.log.name).read_text()

    def children(self, module):
        """Process ids of this deployment's helpers."""
        found = []
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit():
                try:
                    line = (folder / "cmdline").read_bytes().decode(errors="replace")
                except OSError:
                    continue
                if module in line and str(self.out) in line:
                    found.append(int(folder.name))
        return found

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.log.close()


@pytest.fixture
def deployed(bench, tmp_path):
    running = Deployed(bench, tmp_path / "out", "watchdog.hold=1.0")
    try:
        running.wait_until_moving()
        yield running
    finally:
        running.end()


def time_to_rest(bench):
    """Seconds until the arm stands still, and it stays so for a tenth of a second.

    Less those in which this computer did not let us look: it let the arm's processes act as little.
    """
    start = last = time.monotonic()
    still_since, stalled = None, 0.0
    while last - start < 3.0:
        now = time.monotonic()
        stalled = min(EXCUSED, stalled + max(0.0, now - last - LOOK))
        last, awake = now, now - start - stalled
        if np.abs(bench.status()["dq"]).max() < STILL:
            still_since = awake if still_since is None else still_since
            if awake - still_since > 0.1:
                return still_since
        else:
            still_since = None
        time.sleep(0.005)
    return np.inf


def wait_for_report(out, timeout=30.0):
    path = out / "process" / "watchdog-report.json"
    end = time.monotonic() + timeout
    while not path.exists() and time.monotonic() < end:
        time.sleep(0.05)
    return json.loads(path.read_text())


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGSTOP])
def test_the_watchdog_stops_then_parks_the_arm(bench, deployed, blow):
    os.kill(deployed.process.pid, blow)
    assert time_to_rest(bench) < LIMIT
    assert all(bench.status()["energised"])  # stopped, not dropped
    report = wait_for_report(deployed.out)
    assert report["held"] == 6
    assert [stage for _, stage in report["stages"]] == ["holding", "parking", "limp"]
    assert not any(bench.status()["energised"])
    assert np.allclose(bench.status()["q"], so101().spec.park, atol=0.15)
    if blow == signal.SIGSTOP:
        os.kill(deployed.process.pid, signal.SIGCONT)
        assert deployed.process.wait(20.0) != 0
        assert not any(bench.status()["energised"])  # it came back to life and left the arm alone


def test_the_watchdog_still_reaches_an_arm_that_was_unplugged_for_a_while(bench, deployed):
    bench.fault("adapter off for 0.5")
    time.sleep(1.0)
    deployed.wait_until_moving()  # the control loop found it again
    os.kill(deployed.process.pid, signal.SIGKILL)
    assert time_to_rest(bench) < LIMIT
    assert wait_for_report(deployed.out)["held"] == 6


def test_killing_everything_but_the_watchdog_stops_the_arm(bench, deployed):
    for pid in deployed.children("waver_policy"):
        os.kill(pid, signal.SIGKILL)
    os.kill(deployed.process.pid, signal.SIGKILL)
    assert time_to_rest(bench) < LIMIT


def test_ctrl_c_parks_and_lets_go(bench, deployed):
    os.kill(deployed.process.pid, signal.SIGINT)
    assert deployed.process.wait(30.0) == 1
    status = bench.status()
    assert not any(status["energised"]) and np.allclose(status["q"], so101().spec.park, atol=0.15)
    result = json.loads((deployed.out / "deploy.json").read_text())
    assert result["episodes"][0]["outcome"] == "stopped"
    assert not list((deployed.out.parent / "home" / "unclean").glob("*"))


def test_a_frozen_policy_is_started_anew(bench, deployed):
    """Its last plan is followed to its end, which is at rest; nothing else can be told from a slow one."""
    first = deployed.children("waver_policy")
    os.kill(first[0], signal.SIGSTOP)
    assert time_to_rest(bench) < 2.0
    deployed.wait_until_moving()
    assert set(deployed.children("waver_policy")) != set(first)


def test_a_dead_policy_holds_the_arm_and_is_started_again(bench, deployed):
    first = deployed.children("waver_policy")
    os.kill(first[0], signal.SIGKILL)
    assert time_to_rest(bench) < LIMIT
    deployed.wait_until_moving()
    assert set(deployed.children("waver_policy")) != set(first)


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGSTOP])
def test_without_a_watchdog_the_arm_stops_then_parks(bench, deployed, blow):
    os.kill(deployed.children("hardware.watchdog")[0], blow)
    assert time_to_rest(bench) < LIMIT
    assert all(bench.status()["energised"])
    assert deployed.process.wait(30.0) != 0
    status = bench.status()
    assert not any(status["energised"]) and np.allclose(status["q"], so101().spec.park, atol=0.15)


def test_after_a_kill_the_next_run_asks_for_a_look(bench, deployed, tmp_path):
    os.kill(deployed.process.pid, signal.SIGKILL)
    wait_for_report(deployed.out)
    again = Deployed(bench, tmp_path / "again")
    try:
        assert again.process.wait(30.0) != 0
        assert "acknowledge=true" in again.said()
    finally:
        again.end()
