"""Named ways back to work: each bounded in time, each counted, none of them straight to motion.

A recovery is a generator that runs one step a cycle while the arm holds still, and yields where the arm should
go (or None: stay). When it returns, the agent checks again, takes the present pose as goal and ramps in. When it
raises or runs out of time it has failed, and the response gets one step worse.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np

from robot.errors import ArmError, BusError, ConfigError
from robot.faults import Budget, Fault
from robot.guard import Guard
from robot.interfaces import Array, Health, Response, Snapshot
from robot.planner import Planner
from robot.supervisor import Supervisor


@runtime_checkable
class Repairable(Protocol):
    """What an arm on a bus can do for itself; an arm without it is only waited for."""

    def reopen(self) -> None:
        """Let go of the port and open it again."""

    def reconfigure(self, joint: int) -> None:
        """Write a joint's configuration again, goal := present, torque as it was."""

    def relieve(self, joint: int) -> None:
        """Take the strain off a joint: goal := present, and clear the overload latch."""


def repairable(arm: Guard) -> Repairable | None:
    """The arm behind the guard, where it can do something for itself."""
    inner: Any = arm.arm
    return inner if isinstance(inner, Repairable) else None


@dataclass
class Context:
    """What a recovery may use; `snapshot` is renewed every cycle."""

    fault: Fault
    arm: Guard
    planner: Planner
    supervisor: Supervisor
    snapshot: Snapshot
    began: float
    trail: list[Array] = field(default_factory=list)  # (J,) rad, goals of the last seconds, oldest first

    @property
    def repair(self) -> Repairable | None:
        return repairable(self.arm)

    @property
    def seen(self) -> bool:
        """Whether the fault is still detected, latched or not."""
        return self.supervisor.seen(self.fault.name)

    @property
    def elapsed(self) -> float:
        return self.snapshot.now - self.began


AROUND = 0.15  # s, in which every servo's configuration has been looked at, one a cycle
Steps = Iterator[Array | None]
Recovery = Callable[[Context], Steps]


@dataclass(frozen=True)
class Row:
    """A recovery and the longest it may take (s)."""

    name: str
    run: Recovery
    limit: float

    @property
    def words(self) -> str:
        return " ".join((self.run.__doc__ or "").split())


RECOVERIES: dict[str, Row] = {}


def recovery(limit: float) -> Callable[[Recovery], Recovery]:
    """Enter the decorated generator into `RECOVERIES` under its own name."""

    def enter(run: Recovery) -> Recovery:
        if run.__name__ in RECOVERIES:
            raise ConfigError(f"the recovery {run.__name__!r} is defined twice")
        RECOVERIES[run.__name__] = Row(run.__name__, run, limit)
        return run

    return enter


def _until_gone(c: Context) -> Steps:
    while c.seen:
        yield None


@recovery(limit=3.0)
def retry(c: Context) -> Steps:
    """Hold still and keep asking until the answers come again."""
    yield from _until_gone(c)


@recovery(limit=0.5)
def resume(c: Context) -> Steps:
    """Nothing to mend: check that it is over, then carry on gently."""
    yield from _until_gone(c)


@recovery(limit=10.0)
def wait_for_camera(c: Context) -> Steps:
    """Hold still until the camera, which its own thread opens again, gives new pictures."""
    yield from _until_gone(c)


@recovery(limit=60.0)
def restart_policy(c: Context) -> Steps:
    """Drop what the policy said, start it anew, and wait until it is loaded."""
    c.planner.restart()
    while c.seen or not c.planner.ready:
        yield None


@recovery(limit=20.0)
def reopen(c: Context) -> Steps:
    """Open the port again, wherever the adapter came back, until somebody answers."""
    tried = c.began
    while c.seen:
        if c.repair is not None and c.snapshot.now - tried > 0.5:
            tried = c.snapshot.now
            with suppress(BusError, ArmError):
                c.repair.reopen()
        yield None


@recovery(limit=5.0)
def reconfigure(c: Context) -> Steps:
    """Write the configuration again; the joint takes its torque back where it stands. First it looks round the arm:
    when every servo has restarted the power was cut, and nothing may wake up by itself."""
    while c.elapsed < AROUND:
        yield None
    wrong = int(Health.REBOOTED | Health.DRIFTED | Health.LIMP)
    while c.seen:
        if c.repair is not None:
            for joint in np.flatnonzero(c.snapshot.state.health & wrong):
                c.repair.reconfigure(int(joint))
        yield None
        yield None


@recovery(limit=15.0)
def retreat_and_retry(c: Context) -> Steps:
    """Go back along the way it came, away from what it pushed against, then try again."""
    for pose in reversed(c.trail[:: max(1, len(c.trail) // 8)]):
        until = c.snapshot.now + 1.0
        while c.snapshot.now < until and np.abs(c.snapshot.goal - pose).max() > 0.03:
            yield pose
    yield from _until_gone(c)


@recovery(limit=3.0)
def relieve(c: Context) -> Steps:
    """Take the strain off the overloaded joints: their goal becomes where they are, then back off a little."""
    bad = np.flatnonzero(c.snapshot.state.health)
    goal = c.snapshot.goal.copy()
    ease = np.where(np.isfinite(c.snapshot.state.q), c.snapshot.state.q, goal)
    goal[bad] = ease[bad]
    if c.repair is not None:
        for joint in bad:
            c.repair.relieve(int(joint))
    while c.seen or c.elapsed < 0.3:
        yield goal


@recovery(limit=600.0)
def cool_down(c: Context) -> Steps:
    """Stand at the parking pose, where nothing is lifted, until it is cool enough."""
    while c.seen or float(np.nanmax(c.snapshot.state.temperature)) > 55.0:
        yield c.arm.spec.park


@recovery(limit=120.0)
def wait_for_power(c: Context) -> Steps:
    """Stand at the parking pose until the supply has come back."""
    while c.seen:
        yield c.arm.spec.park


class Ledger:
    """Which recoveries were tried when, so that none is tried for ever."""

    def __init__(self) -> None:
        self._tried: dict[str, list[float]] = {}

    def may_try(self, fault: Fault, now: float) -> bool:
        """Whether the budget of `fault` has one left at `now` (s)."""
        return fault.recover is not None and self.count(fault.name, fault.budget, now) < fault.budget.count

    def count(self, name: str, budget: Budget, now: float) -> int:
        return sum(now - t < budget.within for t in self._tried.get(name, ()))

    def spend(self, fault: Fault, now: float) -> None:
        self._tried.setdefault(fault.name, []).append(now)


def escalated(response: Response) -> Response:
    """One step worse than `response`, from a failed recovery: what held parks, what parked loses torque."""
    if response < Response.PARK:
        return Response.PARK
    return Response.RELAX


@dataclass
class Attempt:
    """One recovery under way."""

    row: Row
    context: Context
    steps: Steps
    failure: str = ""

    @classmethod
    def begin(cls, context: Context) -> Attempt:
        """Raises `ConfigError` when the fault names no recovery there is."""
        name = context.fault.recover
        if name is None or name not in RECOVERIES:
            raise ConfigError(f"{context.fault.name} asks for recovery {name!r}; there are: {', '.join(RECOVERIES)}")
        row = RECOVERIES[name]
        return cls(row, context, row.run(context))

    def step(self, snapshot: Snapshot) -> tuple[bool, Array | None]:
        """One cycle; returns whether it ended, and where the arm should go. `failure` says why it failed."""
        self.context.snapshot = snapshot
        if self.context.elapsed > self.row.limit:
            self.failure = f"{self.row.name} did not succeed within {self.row.limit:g} s"
            return True, None
        try:
            return False, next(self.steps)
        except StopIteration:
            return True, None
        except (ArmError, BusError, OSError) as error:
            self.failure = f"{self.row.name}: {error}"
            return True, None
