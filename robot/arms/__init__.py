"""One file an arm: its joint table and the URDF beside it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from robot.interfaces import ArmSpec


@dataclass(frozen=True)
class Joint:
    """One row of an arm's joint table."""

    name: str
    servo: int  # bus id
    model: str  # servo model: sts3215, xl330-m288, xl430-w250, xm430-w350; "" in simulation only
    lower: float  # rad
    upper: float  # rad
    home: float  # rad
    park: float  # rad
    speed: float = 3.0  # rad/s, the most that may be commanded
    acceleration: float = 20.0  # rad/s²
    torque: float = 2.0  # N·m, stall
    sign: int = 1  # +1 when counts grow with the angle
    shadow: tuple[int, ...] = ()  # ids of further servos that move the same joint


@dataclass(frozen=True)
class ArmModel:
    """An arm: joints (gripper last), URDF, bus, and how its gripper works."""

    name: str
    joints: tuple[Joint, ...]
    urdf: Path
    bus: str  # protocol: feetech, dynamixel2, or "" where there is no real arm
    baud: int = 1_000_000
    tcp: str = "tcp"  # URDF link at the point between the fingertips, z along the approach direction
    gripper_open: float = 1.2  # rad, or m where the gripper slides
    gripper_closed: float = 0.0  # rad
    still_jaw: float = 0.0  # m, from the tcp to the face of the jaw that does not move; 0 where both move
    simulated_only: bool = False
    jaws: tuple[str, ...] = ()  # the two links that press on what is held, where their names do not tell
    follow: tuple[tuple[str, str, float], ...] = ()  # (URDF joint, arm joint, m or rad a rad): goes along

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(j.name for j in self.joints)

    @cached_property
    def spec(self) -> ArmSpec:
        def column(key: str) -> np.ndarray:
            return np.array([getattr(j, key) for j in self.joints], dtype=np.float64)

        return ArmSpec(
            name=self.name, names=self.names, lower=column("lower"), upper=column("upper"),
            speed=column("speed"), acceleration=column("acceleration"), home=column("home"), park=column("park"),
        )
