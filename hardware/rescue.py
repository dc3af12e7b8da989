"""What a watchdog does to an arm whose control loop is gone: stop it where it is, park it slowly, let go.

In counts throughout, so that nothing but the bus has to work. Never a lunge: every goal starts from a position that
was just read, and a servo that does not answer gets no goal.
"""

from __future__ import annotations

from dataclasses import dataclass

from hardware.bus import Bus
from hardware.protocols.messages import BROADCAST
from hardware.protocols.models import codec, table
from robot.errors import ArmError
from robot.interfaces import Clock, Port

CREEP = 200.0  # counts/s while parking, 0.3 rad/s
WOUND = 65  # counts, 0.1 rad, that a goal may be ahead of its joint: what is held back must not leap when let go
BLOCKED = 1.5  # s without getting on, before a joint counts as held back: sooner than servos that overload give up
NEARER = 10  # counts that are getting on
TURN = 4096


@dataclass(frozen=True)
class Servos:
    """What the watchdog has to know of the arm; made by the control process while all is well."""

    protocol: str
    models: tuple[str, ...]
    ids: tuple[int, ...]
    park: tuple[int, ...]  # counts


class Rescue:
    """Commands servos without any arm above them."""

    def __init__(self, port: Port, servos: Servos, clock: Clock) -> None:
        self.servos, self.clock = servos, clock
        self.bus = Bus(port, codec(servos.protocol), clock)
        registers = table(servos.models[0])
        self._present, self._goal = registers["present_position"], registers["goal_position"]
        self._torque = registers["torque_enable"]
        self.goals: dict[int, float] = {}  # counts, by servo id
        self._then = clock.now()
        self._stood: dict[int, tuple[float, int]] = {}  # s and counts, by servo id: since when it is held back where

    def present(self) -> dict[int, int]:
        """Counts by servo id, of those that answer."""
        p = self._present
        results = self.bus.sync_read(list(self.servos.ids), p.address, p.size, retries=1)
        return {i: p.decode(r.data) for i, r in results.items() if r.data is not None}

    def stop(self) -> int:
        """Every servo that answers holds where it is; returns how many do. Raises `BusError` for a dead line."""
        self.goals.update({i: float(c) for i, c in self.present().items() if 0 <= c < TURN})
        self._send()
        return len(self.goals)

    def hold(self) -> None:
        """Send the held goals again, against a stray write from before the fence."""
        self._send()

    def park_step(self) -> bool:
        """Creep towards the parking pose; True when there. Raises `ArmError` when a joint is held back.

        The gripper, which comes last, may hold on to something.
        """
        now = self.clock.now()
        step = CREEP * min(now - self._then, 0.1)
        self._then = now
        for servo, where in self.present().items():
            self._unwind(servo, where, now)
        arrived = True
        for servo, target in zip(self.servos.ids, self.servos.park):
            if servo in self.goals:
                gap = target - self.goals[servo]
                self.goals[servo] += max(-step, min(step, gap))
                arrived &= abs(gap) <= step or servo == self.servos.ids[-1]
        self._send()
        return arrived

    def _unwind(self, servo: int, where: int, now: float) -> None:
        """A goal never gets far ahead of its joint; one that gets nowhere ends the parking, at rest."""
        goal = self.goals.get(servo, where)
        self.goals[servo] = max(where - WOUND, min(where + WOUND, goal))
        since, there = self._stood.get(servo, (now, where))
        if abs(goal - where) < WOUND or abs(where - there) > NEARER or servo == self.servos.ids[-1]:
            self._stood[servo] = (now, where)
            return
        self._stood[servo] = (since, there)
        if now - since > BLOCKED:
            self.goals[servo] = float(where)
            self._send()
            raise ArmError(f"servo {servo} does not follow on the way to the parking pose; holding here")

    def release(self) -> bool:
        """Torque off everywhere; whether every servo that answers confirms it."""
        for _ in range(2):
            self.bus.write(BROADCAST, self._torque.address, bytes(1))
        return not any(self.bus.get(servo, self._torque) for servo in self.goals)

    def _send(self) -> None:
        g = self._goal
        self.bus.sync_write(g.address, [(i, round(c).to_bytes(g.size, "little")) for i, c in self.goals.items()])
