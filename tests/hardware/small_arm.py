"""Small arms with a URDF, for tests that need more than the registered arms offer."""

from pathlib import Path

from hardware.protocols.models import table
from robot.arms import ArmModel, Joint

URDF = """<robot name="small"><link name="base"/>{links}</robot>"""
LINK = """<joint name="{name}" type="revolute"><parent link="{parent}"/><child link="{name}_link"/>
<origin xyz="0 0 0.05"/><axis xyz="{axis}"/></joint><link name="{name}_link"><inertial><origin xyz="0.05 0 0.02"/>
<mass value="0.1"/></inertial></link>"""


BAUDS = {"lx16a": 115_200}


def urdf(folder: Path) -> Path:
    """Waist, shoulder, gripper."""
    rows = [("waist", "base", "0 0 1"), ("shoulder", "waist_link", "0 1 0"), ("gripper", "shoulder_link", "0 0 1")]
    links = "".join(LINK.format(name=n, parent=p, axis=a) for n, p, a in rows)
    path = folder / "small.urdf"
    path.write_text(URDF.format(links=links))
    return path


def plain_arm(folder: Path, servo: str, pairs: bool = False) -> ArmModel:
    """Three joints, each moved by one servo of the model `servo`, or with `pairs` by two."""
    bus = table(servo).protocol
    return ArmModel(
        name="small", urdf=urdf(folder), bus=bus, baud=BAUDS.get(bus, 1_000_000),
        joints=(
            Joint("waist", 1, servo, -1.5, 1.5, 0.0, 0.0, torque=1.4, shadow=(4,) * pairs),
            Joint("shoulder", 2, servo, -1.5, 1.5, 0.0, 0.3, torque=1.4, sign=-1, shadow=(5,) * pairs),
            Joint("gripper", 3, servo, -1.0, 1.5, 0.0, 0.0, torque=0.5, shadow=(6,) * pairs),
        ),
    )


def small_arm(folder: Path, gripper: str = "xl330-m288") -> ArmModel:
    """Dynamixels: waist, a shoulder of two servos that face each other, and a gripper."""
    return ArmModel(
        name="small", urdf=urdf(folder), bus="dynamixel2", baud=1_000_000,
        joints=(
            Joint("waist", 1, "xl430-w250", -1.5, 1.5, 0.0, 0.0, torque=1.4),
            Joint("shoulder", 2, "xm430-w350", -1.5, 1.5, 0.0, 0.3, torque=2.0, shadow=(3,), sign=-1),
            Joint("gripper", 4, gripper, -1.0, 1.5, 0.0, 0.0, torque=0.5),
        ),
    )
