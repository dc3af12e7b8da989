"""A control loop that is made to be frozen: it moves one joint slowly towards a far goal until it is stopped.

`python -m hardware.selftest.frozen_loop FOLDER` reads FOLDER/loop.json; `hardware.selftest.freeze` runs it.
"""

from __future__ import annotations

import json
import os
import struct
import sys
from pathlib import Path
from typing import Any

from hardware.heartbeat import FencedPort, Heartbeat, Words
from hardware.port import SerialPort
from hardware.protocols.models import table
from hardware.rescue import Servos
from hardware.servo_arm import ServoArm
from hardware.watchdog import Kennel, Terms
from robot.clock import WallClock, ticks
from robot.errors import SteadyhandError

RATE = 100.0  # Hz
LAST = struct.Struct("dd")  # time (s) and angle (rad) of the last cycle


def terms(arm: ServoArm, settings: dict[str, Any]) -> Terms:
    """What the watchdog has to know of `arm`. It holds and does not park, so that the stop can be measured."""
    model = arm.model
    park = tuple(int(c) for c in arm.calibration.to_counts(model.spec.park))
    servos = Servos(model.bus, tuple(j.model for j in model.joints), tuple(j.servo for j in model.joints), park)
    return Terms(settings["port"], model.baud, servos, settings["timeout"], RATE, settings["hold"], park=False)


def main(arguments: list[str]) -> int:
    """Move until frozen or ended; 2 when the arm cannot be used."""
    folder = Path(arguments[0])
    settings: dict[str, Any] = json.loads((folder / "loop.json").read_text())
    words, clock = Words(folder / "heartbeat", create=True), WallClock()
    arm = ServoArm(settings["model"], lambda: FencedPort(SerialPort(settings["port"], settings["baud"]), words), clock,
                   **settings["who"])
    try:
        arm.open()
        arm.engage()
        Kennel(folder, terms(arm, settings)).start(words, clock)
        _drive(arm, settings, folder, Heartbeat(words, clock), clock)
    except SteadyhandError as error:
        sys.stderr.write(f"{error}\n")
        arm.close()
        return 2
    return 0


def _drive(arm: ServoArm, settings: dict[str, Any], folder: Path, heart: Heartbeat, clock: WallClock) -> None:
    """The servo itself moves slowly to a goal far ahead: left alone it would go all the way."""
    joint, speed = int(settings["joint"]), float(settings["speed"])
    registers = table(arm.model.joints[joint].model)
    slow = registers["goal_velocity" if "acceleration" in registers else "profile_velocity"]
    goal = arm.read().q
    way = float(settings["way"])
    goal[joint] += way if goal[joint] + way < arm.spec.upper[joint] - 0.1 else -way
    heart.arm()
    with (folder / "last").open("wb", buffering=0) as last:
        for tick in ticks(clock, RATE):
            if tick.index == 1:
                arm.bus.put(arm.model.joints[joint].servo, slow, max(1, round(speed / slow.scale)))
            state = arm.read()
            arm.command(goal)
            heart.beat()
            os.pwrite(last.fileno(), LAST.pack(clock.now(), state.q[joint]), 0)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
