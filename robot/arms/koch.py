"""The Koch follower: two Dynamixel XL430 in the shoulder, four XL330 after it, at 1 Mbps.

Joint names follow LeRobot. Joint origins, limits and masses: MuJoCo Menagerie, low_cost_robot_arm (Apache-2.0), read
as figures; torques: ROBOTIS e-Manual. It stands on a block of 6 cm, 10 cm before the origin.
"""

from __future__ import annotations

from pathlib import Path

from robot.arms import ArmModel, Joint
from robot.registry import option


@option("model", "koch")
def koch() -> ArmModel:
    """Six joints, gripper last; reach about 0.3 m."""
    strong, weak = "xl430-w250", "xl330-m288"
    return ArmModel(
        name="koch",
        joints=(
            Joint("shoulder_pan", 1, strong, -2.2, 2.2, home=0.0, park=0.0, torque=1.4),
            Joint("shoulder_lift", 2, strong, -0.6, 1.57, home=-0.45, park=-0.55, torque=1.4),
            Joint("elbow_flex", 3, weak, -1.57, 1.45, home=0.55, park=1.30, torque=0.52),
            Joint("wrist_flex", 4, weak, -2.0, 2.0, home=1.47, park=0.80, torque=0.52),
            Joint("wrist_roll", 5, weak, -3.0, 3.0, home=0.0, park=0.0, torque=0.52),
            Joint("gripper", 6, weak, -0.032, 1.6, home=0.5, park=0.0, torque=0.52),
        ),
        urdf=Path(__file__).with_name("koch.urdf"),
        bus="dynamixel2",
        gripper_open=1.5,
        gripper_closed=-0.03,
        still_jaw=0.012,
    )
