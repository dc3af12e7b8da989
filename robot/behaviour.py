"""What the arm does about a verdict: follow, hold, retreat, recover, park or let go. Knows effects, not causes."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from robot.errors import ArmError, BusError
from robot.faults import UNFIT
from robot.guard import Guard
from robot.interfaces import Array, Clears, Mode, Response, Snapshot, Verdict
from robot.motion import Mover
from robot.planner import Planner
from robot.reach import clipped
from robot.recovery import Attempt, Context, Ledger, escalated, repairable
from robot.supervisor import Supervisor

NEAR = 0.02  # rad, counts as arrived
MOVED = 0.3  # rad, by which a joint was moved while it had no torque; it goes back before work
AT_HOME = 0.5  # rad, no need to go home from here
SETTLE = 0.3  # s without a fault before work goes on
RAMP = 1.0  # s over which speed comes back after a stop
PATIENCE = 10.0  # s of holding with nothing left to try before the arm parks
STAND = 0.5  # s in which the arm comes to rest and stands before it parks
PARKING = 20.0  # s that the way to the parking pose may take
PARK_SCALE, SLOW_SCALE, FIRST_SCALE = 0.3, 0.4, 0.15
WOUND = 0.08  # rad between goal and joint, too much to hold against
HEARD = 0.1  # s, a reading that is older says nothing
SWAY = 0.15  # rad in a quarter second: a joint that something holds back does not get further
UNHEARD, ASK = 20.0, 0.5  # s for which an arm that nobody reaches is told to let go, and between two tries
TRAIL = 2.0  # s of its own path that a retreat can go back along


@dataclass(frozen=True)
class Happening:
    """A recovery's end, for the record."""

    stamp: float
    fault: str
    recovery: str
    succeeded: bool
    seconds: float
    note: str = ""


class Behaviour:
    """The mode machine. Only ACTIVE follows the policy; only `start` leads out of LIMP."""

    def __init__(self, arm: Guard, supervisor: Supervisor, planner: Planner, period: float) -> None:
        self.arm, self.supervisor, self.planner = arm, supervisor, planner
        self.mover = Mover(arm.spec, period)
        self.mode = Mode.LIMP
        self.ledger = Ledger()
        self.happenings: list[Happening] = []
        self.freed: tuple[str, ...] = ()  # faults that a recovery let go of in this cycle
        self.resumed = -np.inf  # s, when ACTIVE last began
        self.finishing = False  # park and relax, whatever else
        self._floor = Response.NONE  # a failed recovery keeps the response at least here
        self._attempt: Attempt | None = None
        self._quiet = 0.0  # s, since when no fault asks for a hold
        self._held = 0.0  # s, since when there is nothing left to try
        self._trail: deque[Array] = deque(maxlen=max(1, round(TRAIL / period)))
        self._left: Array | None = None  # (J,) rad, where work was interrupted
        self._way: list[Array] = []  # poses to go through, the last one first
        self._unheard: tuple[float, float] | None = None  # s, since when it was told to let go, and when the last time

    def start(self, now: float, home: bool = False) -> None:
        """Torque on, with `home` go there slowly first, then follow the policy.

        Raises `ArmError` when a joint cannot be read.
        """
        self.arm.engage()
        self.mover.seed(self.arm.goal)
        self._floor, self._attempt, self._unheard, self.finishing = Response.NONE, None, None, False
        self._begin_active(now)
        if home and np.abs(self.arm.goal - self.arm.spec.home)[:-1].max() > AT_HOME:
            self.mode, self._way = Mode.HOME, [self.arm.spec.home]

    def step(self, s: Snapshot, verdict: Verdict) -> Array | None:
        """The target (J,) rad for this cycle; None when the arm is limp, or is to be and cannot be reached.

        Raises `ArmError` when it could not be reached for `UNHEARD` s.
        """
        if self.mode is Mode.LIMP:
            return None
        if self._unheard is not None:
            self._let_go(s.now)
            return None
        response = max(verdict.response, self._floor, Response.PARK if self.finishing else Response.NONE)
        if response is Response.RELAX:
            self._let_go(s.now)
            return None
        if response >= Response.HOLD:
            self._quiet = s.now
            self._worsen(response, s)
        self._yield_limp(s)
        if self.mode in (Mode.HOLD, Mode.RECOVER, Mode.PARK):
            self._ease(s)
        if self.mode is Mode.ACTIVE:
            return self._follow(s, verdict.response)
        if self.mode is Mode.RECOVER:
            return self._recover(s)
        if self.mode is Mode.PARK:
            return self._park(s, verdict)
        if self.mode in (Mode.RETREAT, Mode.HOME):
            return self._travel(s)
        return self._hold(s, verdict)

    def _yield_limp(self, s: Snapshot) -> None:
        """The goals of joints without torque follow them, so that none lunges when its torque comes back."""
        if s.state.flags & UNFIT and self.mover.still:
            limp = (s.state.health & UNFIT) != 0
            self.arm.yield_to(s.state.q, limp)
            self.mover.seed(self.arm.goal)

    def _worsen(self, response: Response, s: Snapshot) -> None:
        goes = {Response.HOLD: Mode.HOLD, Response.RETREAT: Mode.RETREAT, Response.PARK: Mode.PARK}[response]
        if goes is Mode.RETREAT and not self._trail:
            goes = Mode.HOLD  # it went back already
        if self.mode is Mode.RECOVER and self._attempt is not None:
            if response <= max(self._attempt.context.fault.response, self._floor) and not self.finishing:
                return
            self._end_attempt(s, "something worse came up")
        order = (Mode.ACTIVE, Mode.HOME, Mode.HOLD, Mode.RETREAT, Mode.PARK)
        if self.mode not in order or order.index(goes) > order.index(self.mode):
            if self.mode is Mode.ACTIVE:
                self._left = self.mover.q
            if goes is Mode.RETREAT:
                self._left = None  # it goes elsewhere on purpose
                self._way = list(self._trail)
                self._trail.clear()
            self.mode, self._held = goes, s.now

    def _ease(self, s: Snapshot) -> None:
        """A joint that something holds back may not stay wound up: let go, it would leap. Its goal comes to it.

        Not where the reading jumps about: a goal that follows a bad encoder throws the arm around.
        """
        if s.travel is None:
            return
        gap = self.arm.goal - s.state.q
        wound = (np.abs(gap) > WOUND) & (np.abs(s.state.dq) < 0.5) & (s.state.age < HEARD) & (s.travel < SWAY)
        wound[-1] = False
        if wound.any():
            self.arm.yield_to(s.state.q, wound)
            self.mover.put(s.state.q, wound)

    def _begin_active(self, now: float) -> None:
        self.mode, self.resumed = Mode.ACTIVE, now
        self._trail.clear()

    def _follow(self, s: Snapshot, response: Response) -> Array:
        ramp = min(1.0, FIRST_SCALE + (1.0 - FIRST_SCALE) * (s.now - self.resumed) / RAMP)
        self.mover.scale = min(ramp, SLOW_SCALE) if response is Response.SLOW else ramp
        if s.action is None or False in np.isfinite(s.action).tolist():
            return self.mover.stop()
        self._trail.append(self.mover.q)
        return self.mover.follow(clipped(s.action, s.spec.lower, s.spec.upper))

    def _hold(self, s: Snapshot, verdict: Verdict) -> Array:
        target = self.mover.stop()
        if not self.mover.still:
            return target
        if self._try_recovery(s, verdict):
            return target
        if verdict.response < Response.HOLD and self._floor is Response.NONE:
            self._held = s.now
            if s.now - self._quiet >= SETTLE:
                self._resume(s)
        elif s.now - self._held > (STAND if self._past_help(verdict) else PATIENCE):
            self._floor = Response.PARK
        return target

    def _past_help(self, verdict: Verdict) -> bool:
        """Something is wrong that neither goes away nor can be tried to mend: to go on holding helps nobody."""
        faults = [self.supervisor.by_name(n) for n in verdict.active]
        return any(f.response >= Response.HOLD and f.clears is not Clears.WHEN_GONE and not f.budget.count
                   for f in faults)

    def _try_recovery(self, s: Snapshot, verdict: Verdict) -> bool:
        faults = [self.supervisor.by_name(n) for n in verdict.active]
        serious = [f for f in faults if f.response >= Response.HOLD]
        if not serious or self.finishing or not all(self.ledger.may_try(f, s.now) for f in serious):
            return False
        fault = serious[0]
        self.ledger.spend(fault, s.now)
        context = Context(fault, self.arm, self.planner, self.supervisor, s, s.now, list(self._trail))
        self._attempt, self.mode = Attempt.begin(context), Mode.RECOVER
        return True

    def _recover(self, s: Snapshot) -> Array:
        assert self._attempt is not None
        ended, target = self._attempt.step(s)
        self.mover.scale = PARK_SCALE
        if not ended:
            return self.mover.stop() if target is None else self.mover.toward(target)
        fault, failure = self._attempt.context.fault, self._attempt.failure
        self._end_attempt(s, failure)
        self.mode, self._held, self._quiet = Mode.HOLD, s.now, s.now
        if failure:
            if not self.ledger.may_try(fault, s.now):
                self._floor = max(self._floor, escalated(fault.response))
        else:
            self.freed = self.supervisor.reset([fault.name])
        return self.mover.stop()

    def _end_attempt(self, s: Snapshot, failure: str) -> None:
        assert self._attempt is not None
        c = self._attempt.context
        self.happenings.append(
            Happening(s.now, c.fault.name, self._attempt.row.name, not failure, s.now - c.began, failure))
        self._attempt = None

    def _resume(self, s: Snapshot) -> None:
        """Goals from where the arm is, back to where work stopped if it was moved since, then a slow start."""
        try:
            self.arm.reseed()
        except ArmError:
            self._quiet = s.now  # an answer went missing at this very moment: go on holding
            return
        self.mover.seed(self.arm.goal)
        left, self._left = self._left, None
        if left is not None and np.abs(left - self.mover.q)[:-1].max() > MOVED:
            self.mode, self._way = Mode.HOME, [left]
        else:
            self._begin_active(s.now)

    def _travel(self, s: Snapshot) -> Array:
        self.mover.scale = PARK_SCALE
        while self._way and np.abs(self._way[-1] - self.mover.q).max() < NEAR:
            self._way.pop()
        if not self._way:
            self.mode, self._held = Mode.HOLD, s.now
            return self.mover.stop()
        return self.mover.toward(self._way[-1])

    def _park(self, s: Snapshot, verdict: Verdict) -> Array | None:
        self.mover.scale = PARK_SCALE
        if s.now - self._held < STAND and not self.finishing:
            return self.mover.stop()
        target = self.mover.toward(s.spec.park)
        if not (self.mover.still and np.abs(self.mover.q - s.spec.park).max() < NEAR):
            if s.now - self._held < PARKING or self.mode is not Mode.PARK:
                return target
            self._let_go(s.now)  # something keeps it from getting there, and it may not push for ever
            return None
        if self._floor < Response.PARK and self._try_recovery(s, verdict):
            return target
        if verdict.response < Response.PARK and self._floor < Response.PARK and not self.finishing:
            self.mode, self._held = Mode.HOLD, s.now
            return target
        self._let_go(s.now)
        return None

    def _let_go(self, now: float) -> None:
        """Torque off. An arm whose port is gone holds the last it was told: the port is opened again and again."""
        since, last = self._unheard or (now, now)
        if self._unheard is not None and now - last < ASK:
            return
        self._unheard = since, now
        try:
            repair = repairable(self.arm)
            if now > since and repair is not None:
                repair.reopen()
            self.arm.relax()
        except (ArmError, BusError) as error:
            if now - since > UNHEARD:
                raise ArmError(f"the arm still has torque, nothing reached it for {UNHEARD:g} s: {error}; "
                               "cut its power") from error
            return
        self.mode, self._unheard = Mode.LIMP, None
