"""Which arm a configuration means, and which firmware its servos run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hardware.protocols.models import table
from hardware.virtual.ax12 import Ax12
from hardware.virtual.dynamixel import Dynamixel
from hardware.virtual.electrics import MotorSpec
from hardware.virtual.lx16a import Lx16a
from hardware.virtual.servo import Firmware
from hardware.virtual.sts3215 import Sts3215
from robot import registry
from robot.arms import ArmModel
from robot.errors import ConfigError


def firmware(model: str, id: int, factory: Mapping[str, int]) -> Firmware:
    """A fresh servo of `model`. `factory`: registers unlike the table's; unknown names are left out."""
    known = table(model)
    settings = {name: counts for name, counts in factory.items() if name in known}
    if known.protocol == "feetech":
        return Sts3215(id, settings, known)
    if known.protocol == "dynamixel2":
        return Dynamixel(id, settings, known)
    if known.protocol == "dynamixel1":
        return Ax12(id, settings, known)
    if known.protocol == "lx16a":
        return Lx16a(id, settings)
    raise ConfigError(f"there is no virtual {model}; virtual servos are: {', '.join(MOTORS)}")


# Rough figures from the makers' data sheets; V is what the servo is made for
MOTORS: dict[str, tuple[MotorSpec, float]] = {
    "sts3215": (MotorSpec(2.5, 0.03, 4.5, 45.0, 7.0), 12.0),
    "xl330-m288": (MotorSpec(1.5, 0.02, 3.3, 15.0, 14.0), 5.0),
    "xl430-w250": (MotorSpec(1.4, 0.05, 8.0, 45.0, 7.0), 12.0),
    "xm430-w350": (MotorSpec(2.3, 0.04, 5.2, 60.0, 6.0), 12.0),
    "ax-12a": (MotorSpec(1.5, 0.05, 8.0, 40.0, 8.0), 12.0),
    "lx-16a": (MotorSpec(1.6, 0.1, 4.6, 40.0, 8.0), 7.4),
}


def model_of(config: Mapping[str, Any]) -> ArmModel:
    """The arm that a command's configuration means: its `arm`'s model, else its `model`."""
    arm = config.get("arm")
    name = arm.get("model") if isinstance(arm, Mapping) else None
    model: ArmModel = registry.build("model", name) if name else registry.assemble(config, "model")
    if not model.bus:
        raise ConfigError(f"{model.name} has no servos: it exists in simulation only; choose another arm=")
    return model
