"""The Franka Panda that PyBullet ships, in simulation only. Limits and efforts are those of its URDF.

Its foot stands 32 cm behind the base frame's origin, so that the same table lies in its reach.
"""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path

from robot.arms import ArmModel, Joint
from robot.arms.mount import Frame, mounted
from robot.errors import ConfigError
from robot.registry import option

FOOT = (-0.32, 0.0, 0.0)  # m
FRAMES = {"tcp": Frame("panda_hand", (0.0, 0.0, 0.1034), (0.0, 0.0, math.pi / 2)),
          "wrist_camera": Frame("panda_hand", (0.08, 0.0, 0.0), (-0.519146, 0.0, math.pi / 2))}


@option("model", "panda")
def panda() -> ArmModel:
    """Seven joints and a gripper in metres; reach about 0.85 m. Raises `ConfigError` without PyBullet."""
    found = importlib.util.find_spec("pybullet_data")
    if found is None or found.origin is None:
        raise ConfigError("the panda comes with PyBullet, which is not installed: pip install pybullet")
    joints = (
        Joint("panda_joint1", 1, "", -2.89, 2.89, home=0.0, park=0.0, speed=2.1, torque=87.0),
        Joint("panda_joint2", 2, "", -1.76, 1.76, home=-0.45, park=-0.8, speed=2.1, torque=87.0),
        Joint("panda_joint3", 3, "", -2.89, 2.89, home=0.0, park=0.0, speed=2.1, torque=87.0),
        Joint("panda_joint4", 4, "", -3.07, -0.07, home=-2.55, park=-2.6, speed=2.1, torque=87.0),
        Joint("panda_joint5", 5, "", -2.89, 2.89, home=0.0, park=0.0, speed=2.5, torque=12.0),
        Joint("panda_joint6", 6, "", 0.0, 3.75, home=2.10, park=1.8, speed=2.5, torque=12.0),
        Joint("panda_joint7", 7, "", -2.89, 2.89, home=0.785, park=0.785, speed=2.5, torque=12.0),
        Joint("panda_finger_joint1", 8, "", 0.0, 0.04, home=0.03, park=0.0, speed=0.12, torque=70.0),
    )
    urdf = Path(found.origin).parent / "franka_panda" / "panda.urdf"
    return ArmModel(name="panda", joints=joints, urdf=mounted(urdf, FOOT, FRAMES), bus="", gripper_open=0.04,
                    gripper_closed=0.0, simulated_only=True,
                    follow=(("panda_finger_joint2", "panda_finger_joint1", 1.0),))
