"""Where each joint's zero lies in its servo's counts: one JSON file a robot id, in LeRobot's format."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardware.bus import Bus
from hardware.protocols.models import table
from robot.arms import ArmModel, Joint
from robot.errors import ArmError, DataError
from robot.interfaces import Array
from robot.output import write_text

LOG = logging.getLogger(__name__)
KEYS = ("id", "drive_mode", "homing_offset", "range_min", "range_max")
REGISTERS = ("homing_offset", "min_position", "max_position", "position_limits")  # where a servo keeps them


@dataclass(frozen=True)
class Motor:
    """One joint's calibration, in counts; the fields are LeRobot's."""

    id: int
    drive_mode: int  # 1 when the servo is mounted the other way round
    homing_offset: int  # what the servo itself takes off its encoder
    range_min: int  # the ends of the joint's range, after the offset
    range_max: int


@dataclass(frozen=True)
class Calibration:
    """Counts <-> radians for every joint of one arm; `source` says in words where it came from."""

    motors: tuple[Motor, ...]  # (J,)
    zero: Array  # (J,) counts at 0 rad
    scale: Array  # (J,) rad a count, signed
    highest: NDArray[np.int64]  # (J,) counts, the end of each servo's scale
    source: str

    def to_rad(self, counts: Array) -> Array:
        """(J,) counts to (J,) rad."""
        return (counts - self.zero) * self.scale

    def to_counts(self, q: Array) -> NDArray[np.int64]:
        """(J,) rad to the nearest (J,) counts, kept inside the servos' scales."""
        counts = np.rint(np.asarray(q) / self.scale + self.zero).astype(np.int64)
        return np.minimum(np.maximum(counts, 0), self.highest)

    def save(self, path: Path, names: tuple[str, ...]) -> None:
        """Write the file at once or not at all."""
        document = {name: asdict(motor) for name, motor in zip(names, self.motors)}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_text(path, json.dumps(document, indent=4) + "\n")
        except OSError as error:
            raise DataError(f"cannot write {path}: {error.strerror or error}") from error


def from_motors(model: ArmModel, motors: Mapping[str, Motor], source: str) -> Calibration:
    """The calibration of `model` whose joints have these ranges.

    0 rad is the middle of a joint's range, as in LeRobot's calibration; the gripper's closed end is its
    lower limit. Raises `DataError` for a joint that is missing or whose range is empty.
    """
    rows, zero, scale = [], [], []
    for joint in model.joints:
        if joint.name not in motors:
            raise DataError(f"{source} has no joint {joint.name}; it has: {', '.join(motors)}")
        motor = motors[joint.name]
        if motor.id != joint.servo:
            raise DataError(f"{source}: {joint.name} is servo {motor.id}, but servo {joint.servo} of a {model.name}; "
                            f"is it another arm's? calibrate again")
        if motor.range_max - motor.range_min < 10:
            raise DataError(f"{source}: {joint.name} has the empty range {motor.range_min}..{motor.range_max}")
        sign = joint.sign * (-1 if motor.drive_mode else 1)
        rows.append(motor)
        scale.append(sign * table(joint.model).resolution)
        if joint is model.joints[-1]:
            closed = motor.range_min if sign > 0 else motor.range_max
            zero.append(closed - joint.lower / scale[-1])
        else:
            zero.append((motor.range_min + motor.range_max) / 2)
    return Calibration(tuple(rows), np.array(zero), np.array(scale), _tops(model), source)


def _tops(model: ArmModel) -> NDArray[np.int64]:
    return np.array([table(joint.model).counts - 1 for joint in model.joints], dtype=np.int64)


def nominal(model: ArmModel) -> Calibration:
    """What a perfectly assembled arm has, a virtual one for instance: the scale's middle, mostly 2048, is 0 rad."""
    motors = {joint.name: _nominal(joint, joint is model.joints[-1]) for joint in model.joints}
    made = from_motors(model, motors, "nominal values")
    middles = np.array([float(centre(joint)) for joint in model.joints])
    return Calibration(made.motors, middles, made.scale, made.highest, made.source)


def centre(joint: Joint) -> int:
    """The count in the middle of the joint's servo's scale."""
    return table(joint.model).counts // 2


def _nominal(joint: Joint, gripper: bool) -> Motor:
    ends = [joint.sign * joint.lower, joint.sign * joint.upper]
    if not gripper:
        widest = max(map(abs, ends))
        ends = [-widest, widest]
    known = table(joint.model)
    low, high = sorted(centre(joint) + round(end / known.resolution) for end in ends)
    return Motor(joint.servo, 0, 0, max(low, 0), min(high, known.counts - 1))


def load(path: Path, model: ArmModel) -> Calibration:
    """Read a file of ours or of LeRobot's. Raises `DataError` that names the joint and the key at fault."""
    try:
        document = json.loads(path.read_text())
    except OSError as error:
        raise DataError(f"cannot read calibration {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise DataError(f"calibration {path} is no JSON ({error}); calibrate again") from error
    if not isinstance(document, dict):
        raise DataError(f"calibration {path} holds no table of joints; calibrate again")
    motors = {}
    for name, row in document.items():
        missing = [key for key in KEYS if not isinstance(row, dict) or not isinstance(row.get(key), int)]
        if missing:
            raise DataError(f"calibration {path}: {name} has no whole number {missing[0]}; calibrate again")
        motors[name] = Motor(**{key: row[key] for key in KEYS})
    return from_motors(model, motors, str(path))


def folder() -> Path:
    """Where calibrations are kept: `$STEADYHAND_HOME`, or the user's data folder."""
    home = os.environ.get("STEADYHAND_HOME")
    data = os.environ.get("XDG_DATA_HOME")
    base = Path(home) if home else (Path(data) if data else Path.home() / ".local" / "share") / "steadyhand"
    return base / "calibration"


def virtual(node: Mapping[str, Any]) -> dict[str, Any]:
    """The arm's settings on `port=virtual`: a real arm's calibration is not its virtual twin's."""
    return {**node, "id": f"virtual-{node.get('id', 'default')}", "calibration": ""}


def path_of(arm: str, robot: str) -> Path:
    """The file of robot id `robot` of that arm model."""
    return folder() / arm / f"{robot}.json"


def stored(bus: Bus, joint: Joint) -> Motor:
    """What the joint's servo itself holds. Raises `ArmError` when it cannot be read."""
    registers = table(joint.model)
    held = {name: bus.get(joint.servo, registers[name]) for name in REGISTERS if name in registers}
    if None in held.values():
        raise ArmError(f"the calibration in joint {joint.name} (servo {joint.servo}) cannot be read; check its cable")
    return motor_of(joint, {name: counts for name, counts in held.items() if counts is not None})


def motor_of(joint: Joint, held: Mapping[str, int]) -> Motor:
    """Out of a servo's registers; one that keeps no offset of its own has none."""
    both = held.get("position_limits", 0)
    return Motor(joint.servo, 0, held.get("homing_offset", 0), held.get("min_position", both & 0xFFFF),
                 held.get("max_position", both >> 16))


def whole(joint: Joint, motor: Motor) -> bool:
    """Whether the range is all of the servo's scale: it was never calibrated, or turns all the way round."""
    return motor.range_min == 0 and motor.range_max >= table(joint.model).counts - 1


def from_servos(bus: Bus, model: ArmModel) -> Calibration:
    """The calibration for an arm without a file: what its servos hold, or nominal where they are as made."""
    plain = nominal(model)
    rows = [stored(bus, joint) for joint in model.joints]
    if all(whole(joint, row) for joint, row in zip(model.joints, rows)):
        LOG.warning("%s was never calibrated; the middle of each scale is taken for 0 rad", model.name)
        return plain
    motors = {}
    for joint, row, default in zip(model.joints, rows, plain.motors):
        motors[joint.name] = default if whole(joint, row) else row
    return from_motors(model, motors, "the servos' own memory")


def check(bus: Bus, model: ArmModel, wanted: Calibration, restore: bool) -> None:
    """The servos hold the same offset and range as the file.

    With `restore` they are made to. Raises `ArmError` naming the joint where they do not.
    """
    for joint, motor in zip(model.joints, wanted.motors):
        held = stored(bus, joint)
        ours = (motor.homing_offset, motor.range_min, motor.range_max)
        theirs = (held.homing_offset, held.range_min, held.range_max)
        if ours == theirs:
            continue
        where = f"joint {joint.name} (servo {joint.servo})"
        if not restore:
            raise ArmError(
                f"{where} holds offset and range {theirs}, but {wanted.source} says {ours}: was it replaced? "
                f"calibrate again, or give arm.restore=true to write the file's values into it"
            )
        if not store(bus, joint, motor):
            raise ArmError(f"{where} does not take its calibration; power-cycle it and try again")


def store(bus: Bus, joint: Joint, motor: Motor) -> bool:
    """Write a joint's offset and range into its servo for good; whether it then holds them. Torque must be off."""
    registers = table(joint.model)
    locked = "lock" in registers
    if locked and not bus.put(joint.servo, registers["lock"], 0):
        return False
    values = {"homing_offset": motor.homing_offset, "min_position": motor.range_min, "max_position": motor.range_max,
              "position_limits": motor.range_min | motor.range_max << 16}
    if "homing_offset" not in registers and motor.homing_offset:
        return False
    done = all(bus.put(joint.servo, registers[name], counts) for name, counts in values.items() if name in registers)
    return (not locked or bus.put(joint.servo, registers["lock"], 1)) and done
