"""What must hold on any day, whatever fails: stated in hypothesis, lived through by the whole agent in virtual time."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from robot.agent import Agent
from robot.clock import SimClock
from robot.fault_row import Budget, Fault
from robot.guard import Guard
from robot.interfaces import Clears, Mode, Response
from robot.planner import InlinePlanner
from robot.supervisor import Supervisor
from tests.robot.conftest import JointArm, Waver

NAMES = ("a", "b")
RECOVERIES = (None, "retry", "resume", "restart_policy", "retreat_and_retry")
RATE = 25.0


def row(name, response, clears, recover, count):
    return Fault(name, lambda s: "it is here" if name in s.notes else None, response, 0.05, clears, 0.1, recover,
                 Budget(count, 300.0), "test")


rows = st.tuples(*[st.builds(row, st.just(n), st.sampled_from(list(Response)[1:]), st.sampled_from(Clears),
                             st.sampled_from(RECOVERIES), st.integers(0, 2)) for n in NAMES])
days = st.lists(st.tuples(st.floats(0.2, 3.0), st.sets(st.sampled_from(NAMES))), min_size=1, max_size=5)


class Day:
    """An agent at work while faults come and go; `on` is whether the arm has torque, cycle by cycle."""

    def __init__(self, faults, day, seconds, stays=()):
        self.clock = SimClock()
        self.arm = JointArm(self.clock)
        self.seen: set[str] = set()
        self.modes: list[Mode] = []
        self.on: list[bool] = []
        self.stays = set(stays)
        self._plan, self._end = day, 0.0
        self.agent = Agent(Guard(self.arm, self.clock), {}, InlinePlanner(Waver()), Supervisor(faults), self.clock,
                           rate=RATE, notes=lambda: tuple(sorted(self.seen)))
        self.result = self.agent.run("wave", seconds, self._each)

    def _each(self):
        now = self.clock.now()
        due, total = self.stays, 0.0
        for length, names in self._plan:
            total += length
            if now < total:
                due = set(names)
                break
        self.seen = set(due)
        self.modes.append(self.agent.behaviour.mode)
        self.on.append(self.arm.torque)
        return False


@given(rows, days)
@settings(max_examples=15, deadline=None)
def test_a_limp_arm_never_wakes_up_by_itself(faults, day):
    lived = Day(faults, day, 15.0)
    assert lived.arm.calls.count("engage") == 1
    if False in lived.on:
        assert not any(lived.on[lived.on.index(False) :])
    assert lived.arm.torque == (lived.agent.behaviour.mode is not Mode.LIMP)


@given(rows, days)
@settings(max_examples=10, deadline=None)
def test_budgets_are_finite(faults, day):
    lived = Day(faults, day, 25.0, stays=NAMES)
    for fault in faults:
        tries = sum(r.fault == fault.name for r in lived.result.recoveries)
        assert tries <= (fault.budget.count if fault.recover else 0)


@given(rows, days, st.sampled_from(NAMES))
@settings(max_examples=5, deadline=None)
def test_whatever_stays_wrong_ends_at_rest_or_limp(faults, day, stays):
    """Every state reaches a safe one: a fault at HOLD or worse that never goes stops the arm and then lets it go."""
    lived = Day(faults, day, 260.0, stays=(stays,))
    fault = next(f for f in faults if f.name == stays)
    if fault.response >= Response.HOLD:
        assert lived.agent.behaviour.mode is Mode.LIMP
        assert lived.result.outcome in ("limp", "parked")


@given(rows, days)
@settings(max_examples=10, deadline=None)
def test_only_a_clear_sky_lets_work_go_on(faults, day):
    """In ACTIVE no fault at HOLD or worse has been in force for longer than it takes to brake."""
    lived = Day(faults, day, 12.0)
    sent = np.array([q for _, q in lived.arm.sent])
    assert np.isfinite(sent).all()
    serious = [f for f in lived.result.faults if next(r for r in faults if r.name == f.name).response >= Response.HOLD]
    starts = [t for t, mode in lived.result.modes if mode == "active"]
    for span in serious:
        assert not any(span.start + 1.0 / RATE < t < span.end - 1.0 / RATE for t in starts)
