"""The SO-101 follower: six Feetech STS3215 at 1 Mbps.

Joint names, limits and zero follow LeRobot's "new calibration": zero is the middle of each joint's range.
Lengths, masses and limits: TheRobotStudio/SO-ARM100, Simulation/SO101 (Apache-2.0), read as figures.
"""

from __future__ import annotations

from pathlib import Path

from robot.arms import ArmModel, Joint
from robot.registry import option


@option("model", "so101")
def so101() -> ArmModel:
    """Six joints, gripper last; reach about 0.4 m."""
    model = "sts3215"
    return ArmModel(
        name="so101",
        joints=(
            Joint("shoulder_pan", 1, model, -1.91986, 1.91986, home=0.0, park=0.0),
            Joint("shoulder_lift", 2, model, -1.74533, 1.74533, home=-0.70, park=-1.70),
            Joint("elbow_flex", 3, model, -1.69, 1.69, home=0.47, park=1.60),
            Joint("wrist_flex", 4, model, -1.65806, 1.65806, home=1.55, park=1.20),
            Joint("wrist_roll", 5, model, -2.74385, 2.84121, home=0.0, park=0.0),
            Joint("gripper", 6, model, -0.174533, 1.74533, home=0.4, park=0.0),
        ),
        urdf=Path(__file__).with_name("so101.urdf"),
        bus="feetech",
        gripper_open=1.2,
        gripper_closed=-0.17,
        still_jaw=0.014,
    )
