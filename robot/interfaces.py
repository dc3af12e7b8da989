"""Every seam of the system on one page: what flows (frozen dataclasses) and who speaks (Protocols).

SI units and radians throughout. J is the number of joints, gripper last. Arrays are float64 unless said.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, IntEnum, IntFlag
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Image = NDArray[np.uint8]  # (H, W, 3) RGB


# ---------------------------------------------------------------- what an arm is
@dataclass(frozen=True)
class ArmSpec:
    """An arm as everything above the servo driver sees it; known before `open()`."""

    name: str
    names: tuple[str, ...]  # (J,) joint names, gripper last
    lower: Array  # (J,) rad
    upper: Array  # (J,) rad
    speed: Array  # (J,) rad/s, the most that may be commanded
    acceleration: Array  # (J,) rad/s²
    home: Array  # (J,) rad, where work starts
    park: Array  # (J,) rad, where it may lose torque without falling


class Health(IntFlag):
    """What one joint's servo said of itself in this reading; 0 is well."""

    OK = 0
    SILENT = 1  # no reply in this cycle; the values are the last known ones or nan
    CORRUPT = 2  # a reply came damaged
    VOLTAGE = 4
    ENCODER = 8
    TEMPERATURE = 16
    CURRENT = 32
    OVERLOAD = 64
    LIMP = 128  # torque is off
    REBOOTED = 256  # lost its RAM since it was configured
    DRIFTED = 512  # its configuration is not what was written


@dataclass(frozen=True)
class ArmState:
    """One reading of an arm. `nan` means not measured; `age` says how old each joint's values are."""

    stamp: float  # s, of the reading
    q: Array  # (J,) rad
    dq: Array  # (J,) rad/s
    effort: Array  # (J,) fraction of rated torque, signed
    current: Array  # (J,) A
    temperature: Array  # (J,) °C
    voltage: Array  # (J,) V
    health: NDArray[np.int64]  # (J,) Health
    age: Array  # (J,) s since the joint's position was really read

    @cached_property
    def flags(self) -> int:
        """Everything that some joint's `health` says."""
        return int(np.bitwise_or.reduce(self.health))


@dataclass(frozen=True)
class Frame:
    """One picture and the time it was taken."""

    stamp: float  # s
    rgb: Image  # (H, W, 3)


@dataclass(frozen=True)
class Observation:
    """What a policy may see, and nothing else."""

    stamp: float  # s
    state: ArmState
    frames: Mapping[str, Frame]  # by camera name


@dataclass(frozen=True)
class Chunk:
    """Joint targets for the near future: row k is due at `t0 + k * dt`."""

    t0: float  # s, the time of the first row
    dt: float  # s
    q: Array  # (H, J) rad
    confidence: float = 1.0  # in [0, 1]
    info: Mapping[str, Any] = field(default_factory=dict)  # what a person may look at: heatmaps, phase, progress


# ---------------------------------------------------------------- seams
@runtime_checkable
class Arm(Protocol):
    """SimArm, ServoArm, Guard(arm) and Faulty(arm) are all Arms."""

    @property
    def spec(self) -> ArmSpec: ...
    def open(self) -> None:
        """Connected and readable, limp."""

    def engage(self) -> None:
        """Goals become the present position, then torque comes on: it never lunges."""

    def read(self) -> ArmState:
        """The present state; what could not be read shows in `health` and `age`, never silently stale."""
        ...

    def command(self, q: Array) -> Array:
        """Send joint targets (J,) rad; returns what was really sent."""
        ...

    def relax(self) -> None:
        """Torque off, from any state, even with a dead servo on the bus."""

    def close(self) -> None:
        """Relax and let go of the port; may be called twice."""


@runtime_checkable
class Camera(Protocol):
    def read(self, max_age: float) -> Frame:
        """The newest picture not older than `max_age` (s). Raises `TimeoutError` when there is none."""
        ...


class Clock(Protocol):
    def now(self) -> float: ...
    def wait(self, until: float) -> None:
        """Return at `until` (s). On a SimClock, waiting is what steps physics."""


@runtime_checkable
class Policy(Protocol):
    def reset(self, instruction: str) -> None: ...
    def act(self, obs: Observation) -> Chunk: ...


class Plant(Protocol):
    """The mechanics behind virtual servos: joints that follow goals within torque and speed limits."""

    def step(self, dt: float, goal: Array, torque: Array) -> PlantState:
        """Advance `dt` (s). `goal` (J,) rad; `torque` (J,) N·m is the most each joint may use, 0 is limp."""
        ...


@dataclass(frozen=True)
class PlantState:
    """What the joints of a `Plant` did."""

    q: Array  # (J,) rad
    dq: Array  # (J,) rad/s
    torque: Array  # (J,) N·m, applied by the motors


class World(Protocol):
    """A scene with a job in it: what evaluation and the virtual bench need of a simulation."""

    clock: Clock

    @property
    def arm(self) -> Arm: ...
    @property
    def cameras(self) -> Mapping[str, Camera]: ...
    def reset(self, seed: int) -> str:
        """Build the scene of `seed`, arm at its start pose; returns the instruction."""
        ...

    def success(self) -> bool: ...
    def progress(self) -> float:
        """In [0, 1]."""
        ...


# ---------------------------------------------------------------- faults
class Response(IntEnum):
    """What a fault asks for; the worst one wins."""

    NONE = 0
    NOTE = 1
    SLOW = 2
    HOLD = 3
    RETREAT = 4
    PARK = 5
    RELAX = 6


class Clears(Enum):
    WHEN_GONE = "when gone"
    ON_RESET = "on reset"
    NEVER = "never"


class Mode(Enum):
    """What the agent is doing; only ACTIVE follows the policy."""

    LIMP = "limp"
    HOME = "home"
    ACTIVE = "active"
    HOLD = "hold"
    RETREAT = "retreat"
    PARK = "park"
    RECOVER = "recover"


@dataclass(frozen=True)
class BusStats:
    """Counters of a servo bus since it was opened; zero where there is no bus."""

    sent: int = 0
    answered: int = 0
    timed_out: int = 0
    corrupt: int = 0
    reopened: int = 0

    def since(self, old: BusStats) -> BusStats:
        """What was counted since it was `old`."""
        return BusStats(self.sent - old.sent, self.answered - old.answered, self.timed_out - old.timed_out,
                        self.corrupt - old.corrupt, self.reopened - old.reopened)


@dataclass(frozen=True)
class Snapshot:
    """All that a fault may look at: one cycle of the loop, as plain data."""

    now: float  # s
    mode: Mode
    spec: ArmSpec
    state: ArmState
    goal: Array  # (J,) rad, last allowed; nan when limp
    action: Array | None  # (J,) rad, what the policy asks for now; None when it asks for nothing
    frame_age: Mapping[str, float]  # s by camera; inf when there was never a picture
    frame_repeats: Mapping[str, int]  # identical pictures in a row, by camera
    chunk_age: float  # s since the newest chunk arrived; inf when there is none
    loop_late: float  # s, how late this cycle began
    bus: BusStats = BusStats()
    previous: ArmState | None = None  # the reading before this one
    frame_level: Mapping[str, float] = field(default_factory=dict)  # mean brightness in [0, 1], by camera
    frame_change: Mapping[str, float] = field(default_factory=dict)  # mean change since the picture before, in [0, 1]
    demand: Array | None = None  # (J,) rad/s, the speed that being in time for the newest plan takes; None without one
    spare: tuple[str, ...] = ()  # cameras that the policy was trained to do without, while another one gives pictures
    travel: Array | None = None  # (J,) rad, how far apart each joint was in its last quarter second; None before that
    strain: Array | None = None  # (J,) the most effort that each joint showed where it stands now; None: ask `state`
    lately: BusStats = BusStats()  # what of `bus` belongs to the last seconds
    beat_age: float = 0.0  # s since the watchdog last said that it is there; 0 where there is none
    rest_voltage: float = float("nan")  # V, the supply's before there was any load
    notes: tuple[str, ...] = ()  # what else is known to be wrong, as "fault_name: reason"


@dataclass(frozen=True)
class Verdict:
    """The supervisor's decision for one cycle."""

    response: Response
    active: tuple[str, ...]  # names of the faults now in force, worst first
    reasons: Mapping[str, str]  # fault name -> words for a person
    may_engage: bool


# ---------------------------------------------------------------- bytes
class Port(Protocol):
    """A serial line. Raises `robot.errors.BusError` when it is gone."""

    name: str
    baud: int

    def write(self, data: bytes) -> None: ...
    def read(self, size: int, deadline: float) -> bytes:
        """Up to `size` bytes, waiting no longer than `deadline` (s, the port's clock); may return fewer."""
        ...

    def drain(self) -> bytes:
        """Drop and return whatever is waiting to be read."""
        ...

    def close(self) -> None: ...
