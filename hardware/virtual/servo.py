"""What every virtual servo is: a firmware that hears requests, senses its motor and asks for motion."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from hardware.protocols.messages import Damage, Op, Reply
from hardware.virtual.memory import Memory


@dataclass
class Sensed:
    """What a servo's own sensors deliver in one tick. Encoder counts are raw: before any homing offset."""

    position: float = 2048.0  # counts
    velocity: float = 0.0  # counts/s
    duty: float = 0.0  # motor torque as a fraction of stall, signed
    current: float = 0.0  # A, signed
    voltage: float = 12.0  # V
    temperature: float = 25.0  # °C
    encoder_ok: bool = True


class Drive(NamedTuple):
    """What a firmware asks of its motor: a set point (raw counts) and the torque it may use (fraction).

    `gain` is that of its position loop, as a multiple of the servo's default.
    """

    goal: float
    torque: float
    gain: float = 1.0


class Firmware(Protocol):
    """One servo: a pure state machine, with time passed in."""

    @property
    def memory(self) -> Memory | None:
        """Its control table; None where it has commands instead."""
        ...

    relays: bool  # in a common reading it answers after the one before; otherwise in its time slot

    @property
    def id(self) -> int: ...
    @property
    def baud(self) -> int: ...
    @property
    def return_delay(self) -> float:
        """Seconds between the end of a request and the first byte of the reply."""
        ...

    def boot(self) -> None:
        """Power came on."""

    def settle(self, sensed: Sensed) -> None:
        """The shaft was put elsewhere from outside: the goal becomes where it is."""

    def step(self, dt: float, sensed: Sensed) -> Drive:
        """Advance `dt` s."""
        ...

    def handle(self, op: Op | Damage) -> Reply | None:
        """Carry out a request that is meant for this servo or for all; None when it stays silent.

        `Damage` is a whole request with a wrong checksum, of which some families complain.
        """
        ...


class Profile:
    """A set point that approaches its goal with limited speed and acceleration, as firmwares do."""

    def __init__(self) -> None:
        self.position, self.velocity = 0.0, 0.0

    def hold(self, position: float) -> None:
        """Start from `position` at rest."""
        self.position, self.velocity = position, 0.0

    def toward(self, goal: float, speed: float, acceleration: float, dt: float) -> float:
        """One tick; `acceleration` inf means that speed changes at once. Returns the new set point."""
        gap = goal - self.position
        if math.isinf(acceleration):
            self.velocity = min(max(gap / dt, -speed), speed)
        else:
            # the speed from which it can still stop at the goal, one tick ahead
            brake = math.sqrt(2 * acceleration * abs(gap)) if abs(gap) > 1e-9 else 0.0
            wanted = math.copysign(min(speed, brake, abs(gap) / dt), gap)
            change = acceleration * dt
            self.velocity += min(max(wanted - self.velocity, -change), change)
        self.position += self.velocity * dt
        return self.position
