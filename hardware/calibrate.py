"""The `calibrate` command: a person moves the limp arm, and each joint's zero and range are kept for good.

The only place in the project that asks a person something.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.live import Live
from rich.table import Table as Sheet

from hardware import calibration as calibrations
from hardware.bus import Bus
from hardware.calibration import Calibration, Motor
from hardware.protocols.models import table
from hardware.servo_arm import ServoArm
from robot import registry
from robot.arms import ArmModel, Joint
from robot.clock import WallClock
from robot.errors import ArmError, DataError
from robot.interfaces import Clock

LEAST = 0.3  # rad: a joint that moved less was not moved through its range
SEAM = 20  # counts less than a whole turn: a joint that moved more turns all the way round


def main(config: Mapping[str, Any]) -> int:
    """Calibrate the arm on `port`, by hand or from `file`."""
    console = Console()
    node = config["arm"]
    if not isinstance(node, Mapping) or node.get("_option_") != "servo":
        raise ArmError("only an arm on a servo bus can be calibrated; choose arm=so101 or another with a bus")
    model: ArmModel = registry.build("model", node["model"])
    path = Path(node["calibration"]) if node["calibration"] else calibrations.path_of(model.name, node["id"])
    if path.is_file() and not config["force"]:
        raise DataError(f"{path} is calibrated already; give force=true to replace it, or another arm.id=")
    taken = calibrations.load(Path(config["file"]), model) if config["file"] else None
    # the arm is opened as if it had no file yet: its servos may hold anything
    blank = {**node, "id": f"{node['id']}.new", "calibration": ""}
    arm: ServoArm = registry.build("arm", blank, port=config["port"])
    arm.open()
    try:
        made = taken or by_hand(arm.bus, model, WallClock(), console, _wait_for_enter, _enter_pressed)
        write(arm.bus, model, made)
    finally:
        arm.close()
    made.save(path, model.names)
    console.print(f"{model.name} {node['id']!r} is calibrated: {path}")
    return 0


def by_hand(bus: Bus, model: ArmModel, clock: Clock, console: Console, ask: Callable[[str], None],
            finished: Callable[[], bool]) -> Calibration:
    """Zero in the middle, then the range of each joint, from a limp arm that a person moves.

    `ask` shows words and returns when the person is done; `finished` says whether they are done meanwhile.
    Raises `ArmError` for a joint that was hardly moved.
    """
    ask("Move every joint to the middle of its range, the gripper half open, and press Enter.")
    offsets = [centre(bus, joint) for joint in model.joints]
    console.print("Now move every joint slowly from end to end, one after the other; press Enter when done.")
    top = [table(joint.model).counts - 1 for joint in model.joints]
    low = np.array(top) + 1
    high = np.full(len(model.joints), -1)
    with Live(console=console, transient=True, refresh_per_second=10) as live:
        while not finished():
            for k, joint in enumerate(model.joints):
                counts = bus.get(joint.servo, table(joint.model)["present_position"])
                if counts is not None and 0 <= counts <= top[k]:
                    low[k], high[k] = min(low[k], counts), max(high[k], counts)
            live.update(_sheet(model, low, high))
            clock.wait(clock.now() + 0.01)
    motors = {}
    for k, joint in enumerate(model.joints):
        span = high[k] - low[k]
        if span * table(joint.model).resolution < LEAST:
            raise ArmError(f"joint {joint.name} moved only {max(span, 0)} counts: begin again, moving it end to end")
        ends = (0, top[k]) if span > top[k] - SEAM else (int(low[k]), int(high[k]))
        motors[joint.name] = Motor(joint.servo, 0, offsets[k], *ends)
    return calibrations.from_motors(model, motors, "this calibration")


def centre(bus: Bus, joint: Joint) -> int:
    """Make the joint's present position the middle of the scale by its servo's own offset; returns the offset."""
    registers = table(joint.model)
    if "homing_offset" not in registers:
        return 0  # an AX or LX servo has none: its range alone says where zero is
    turn = registers.counts
    offset = bus.get(joint.servo, registers["homing_offset"])
    present = bus.get(joint.servo, registers["present_position"])
    if offset is None or present is None:
        raise ArmError(f"joint {joint.name} (servo {joint.servo}) cannot be read; check its cable")
    # a Feetech servo takes its offset off, a Dynamixel adds it
    sign = 1 if registers.protocol == "feetech" else -1
    raw = present + sign * offset
    wanted = sign * (raw % turn - turn // 2)
    limit = registers["homing_offset"].highest
    wanted = max(-limit, min(limit, wanted))
    if not calibrations.store(bus, joint, Motor(joint.servo, 0, wanted, 0, turn - 1)):
        raise ArmError(f"joint {joint.name} (servo {joint.servo}) does not take its offset; power-cycle it")
    return wanted


def write(bus: Bus, model: ArmModel, made: Calibration) -> None:
    """Put offsets and ranges into the servos. Raises `ArmError` for one that does not take them."""
    for joint, motor in zip(model.joints, made.motors):
        if not calibrations.store(bus, joint, motor):
            raise ArmError(f"joint {joint.name} (servo {joint.servo}) does not take its calibration; power-cycle it")


def _sheet(model: ArmModel, low: Any, high: Any) -> Sheet:
    sheet = Sheet("joint", "lowest", "highest", "range")
    for joint, a, b in zip(model.joints, low, high):
        sheet.add_row(joint.name, str(a), str(b), f"{np.degrees(max(0, b - a) * table(joint.model).resolution):.0f}°")
    return sheet


def _wait_for_enter(words: str) -> None:
    if not sys.stdin.isatty():
        raise ArmError("calibrating by hand needs a terminal; give file= to take over a calibration")
    input(words + " ")


def _enter_pressed() -> bool:
    """Whether a line waits on the terminal; takes it away."""
    if sys.platform == "win32":
        import msvcrt

        return bool(msvcrt.kbhit() and msvcrt.getch() in (b"\r", b"\n"))
    import select

    if select.select([sys.stdin], [], [], 0)[0]:
        sys.stdin.readline()
        return True
    return False
