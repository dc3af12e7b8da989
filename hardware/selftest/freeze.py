"""Proof of the watchdog: a real control loop is really frozen, and the arm is seen to stop."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hardware.heartbeat import Stage, Word, Words
from hardware.port import SerialPort
from hardware.selftest.frozen_loop import LAST
from hardware.selftest.sheet import Sheet
from hardware.servo_arm import ServoArm
from robot.arms import ArmModel
from robot.clock import WallClock
from robot.errors import DataError, SteadyhandError

SPEED = 0.3  # rad/s of the joint when the loop freezes
WAY = 0.7  # rad to the goal that it would drive on to
HOLD = 0.8  # s that the watchdog holds before the result is read
START = 20.0  # s that the loop may take to begin


def prove(model: ArmModel, port: str, folder: Path, sheet: Sheet, who: Mapping[str, Any] | None = None,
          timeout: float = 0.2) -> None:
    """Freeze a loop in full motion; how soon the watchdog took over and how far the arm went on.

    `who` tells which arm of that model it is; `timeout` s without a beat is what the watchdog is set to.
    """
    clock = WallClock()
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("last", "heartbeat"):
        (folder / name).unlink(missing_ok=True)
    (folder / "loop.json").write_text(json.dumps({
        "model": model.name, "port": port, "baud": model.baud, "joint": 0, "speed": SPEED, "way": WAY, "hold": HOLD,
        "timeout": timeout, "who": dict(who or {})}))
    with (folder / "loop.log").open("wb") as log:
        loop = subprocess.Popen([sys.executable, "-m", "hardware.selftest.frozen_loop", str(folder)],
                                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    fenced, frozen = None, 0.0
    try:
        moving = _until(_Moving(folder), clock, START, loop) is not None
        if moving:
            os.kill(loop.pid, signal.SIGSTOP)
            frozen = clock.now()
            words = Words(folder / "heartbeat")
            fenced = _until(lambda: words[Word.FENCE] == 1, clock, 2.5)
    finally:
        loop.send_signal(signal.SIGKILL)
        loop.wait()
    if not moving:
        said = (folder / "loop.log").read_text(errors="replace").strip().splitlines()
        sheet.state("watchdog/takes over", False, said[-1] if said else "the control loop did not begin to move")
    elif fenced is None:
        sheet.state("watchdog/takes over", False, "nobody took the arm over")
    else:
        sheet.number("watchdog/takes over", {"after the freeze": fenced - frozen})
    if moving:  # by now the watchdog has seen the loop die, if not before; two may not talk on one line
        _until(lambda: words[Word.STAGE] in (Stage.LIMP, Stage.STUCK), clock, 6.0)
    _measure(model, port, folder, sheet, who or {})


class _Moving:
    """Whether the joint has gone far enough that a freeze would show."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._first = folder, float("nan")

    def __call__(self) -> bool:
        now = _last(self._folder)
        if now is None:
            return False
        if np.isnan(self._first):
            self._first = now[1]
        return abs(now[1] - self._first) > 0.1


def _last(folder: Path) -> tuple[float, float] | None:
    try:
        data = (folder / "last").read_bytes()
    except OSError:
        return None
    return LAST.unpack(data) if len(data) == LAST.size else None


def _measure(model: ArmModel, port: str, folder: Path, sheet: Sheet, who: Mapping[str, Any]) -> None:
    """Where the joint came to rest against where the loop last saw it; then let go."""
    last = _last(folder)
    arm = ServoArm(model.name, lambda: SerialPort(port, model.baud), WallClock(), **who)
    try:
        arm.open()
        moved = abs(float(arm.read().q[0]) - last[1]) if last else float("nan")
        sheet.number("watchdog/stops the arm", {"drove on by": moved},
                     f"{np.degrees(SPEED):.0f}°/s when frozen, {np.degrees(WAY):.0f}° away from its goal")
    except (SteadyhandError, DataError) as error:
        sheet.state("watchdog/stops the arm", False, str(error))
    finally:
        arm.close()


def _until(check: Callable[[], bool], clock: WallClock, seconds: float,
           process: subprocess.Popen[bytes] | None = None) -> float | None:
    """When `check` came true (s), None when it did not in time or the process ended."""
    end = clock.now() + seconds
    while clock.now() < end:
        if check():
            return clock.now()
        if process is not None and process.poll() is not None:
            return None
        clock.wait(clock.now() + 0.002)
    return None
