"""The WidowX 250 S: Dynamixel XM430-W350, two of them in shoulder and elbow, XL430-W250 at wrist and gripper.

Joint names, limits and masses: Interbotix/interbotix_ros_manipulators (BSD-3-Clause), read as figures; torques:
ROBOTIS e-Manual. Its foot stands 16 cm behind the base frame's origin, so that the same table lies in its reach.
"""

from __future__ import annotations

import math
from pathlib import Path

from robot.arms import ArmModel, Joint
from robot.registry import option

DEGREES = math.radians


@option("model", "wx250s")
def wx250s() -> ArmModel:
    """Seven joints, gripper last; reach about 0.65 m."""
    strong, light = "xm430-w350", "xl430-w250"
    return ArmModel(
        name="wx250s",
        joints=(
            Joint("waist", 1, strong, -3.1, 3.1, home=0.0, park=0.0, torque=4.1),
            Joint("shoulder", 2, strong, DEGREES(-108), DEGREES(114), home=-0.15, park=-1.80, torque=8.2, shadow=(3,)),
            Joint("elbow", 4, strong, DEGREES(-123), DEGREES(92), home=0.25, park=1.55, torque=8.2, shadow=(5,)),
            Joint("forearm_roll", 6, strong, -3.1, 3.1, home=0.0, park=0.0, torque=4.1),
            Joint("wrist_angle", 7, strong, DEGREES(-100), DEGREES(123), home=1.47, park=0.80, torque=4.1),
            Joint("wrist_rotate", 8, light, -3.1, 3.1, home=0.0, park=0.0, torque=1.4),
            Joint("gripper", 9, light, 0.0, 1.5, home=0.75, park=0.2, torque=1.4),
        ),
        urdf=Path(__file__).with_name("wx250s.urdf"),
        bus="dynamixel2",
        gripper_open=1.5,
        gripper_closed=0.0,
        follow=(("left_finger", "gripper", 0.022 / 1.5), ("right_finger", "gripper", 0.022 / 1.5)),
    )
