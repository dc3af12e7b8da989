from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robot.arms.so101 import so101
from robot.errors import ConfigError
from robot.fault_row import Budget, Fault
from robot.faults import CATALOGUE
from robot.interfaces import ArmState, Clears, Mode, Response, Snapshot
from robot.supervisor import Supervisor

SPEC = so101().spec
N = len(SPEC.names)
FULL = np.zeros(N)
STATE = ArmState(0.0, SPEC.home, FULL, FULL, FULL, FULL + 30.0, FULL + 12.0, np.zeros(N, np.int64), FULL)
CALM = Snapshot(0.0, Mode.ACTIVE, SPEC, STATE, SPEC.home, None, {}, {}, 0.0, 0.0)


def row(name, response=Response.HOLD, after=0.0, clears=Clears.WHEN_GONE, lasts=0.0):
    """A fault that is there when its name is among the snapshot's notes."""
    return Fault(name, lambda s: f"{name} is here" if name in s.notes else None, response, after, clears, lasts,
                 None, Budget(3, 300.0), "test")


def at(now, *notes):
    return replace(CALM, now=now, notes=notes)


def test_calm_is_no_verdict():
    verdict = Supervisor([row("a")]).update(at(0.0))
    assert verdict.response is Response.NONE and verdict.may_engage and verdict.active == ()


def test_a_fault_counts_once_seen_for_long_enough_without_a_break():
    s = Supervisor([row("a", after=0.1)])
    assert not s.update(at(0.00, "a")).active
    assert not s.update(at(0.09, "a")).active
    assert not s.update(at(0.10)).active
    assert not s.update(at(0.11, "a")).active
    assert not s.update(at(0.20, "a")).active
    assert s.update(at(0.22, "a")).active == ("a",)


def test_the_worst_one_wins_and_stands_first():
    s = Supervisor([row("note", Response.NOTE), row("park", Response.PARK), row("hold")])
    verdict = s.update(at(0.0, "note", "hold", "park"))
    assert verdict.response is Response.PARK and verdict.active == ("park", "hold", "note")
    assert verdict.reasons == {n: f"{n} is here" for n in verdict.active}


@pytest.mark.parametrize(("response", "may"), [(r, r < Response.HOLD) for r in Response])
def test_every_fault_at_hold_or_worse_forbids_torque(response, may):
    assert Supervisor([row("a", response)]).update(at(0.0, "a")).may_engage is may


def test_a_fault_that_clears_must_be_gone_for_a_while():
    s = Supervisor([row("a", lasts=0.5)])
    s.update(at(1.0, "a"))
    assert s.update(at(1.4)).active == ("a",)
    assert s.update(at(1.45, "a")).active == ("a",)
    assert s.update(at(1.94)).active == ("a",)
    assert s.update(at(1.96)).active == ()
    s.update(at(4.0, "a"))
    assert s.update(at(4.5)).active == ()  # just as long is enough


def test_a_latched_fault_stays_until_reset():
    s = Supervisor([row("a", clears=Clears.ON_RESET)])
    s.update(at(0.0, "a"))
    assert s.reset(["a"]) == () and s.seen("a")  # it is still there
    assert s.update(at(99.0)).active == ("a",)
    assert not s.seen("a")
    assert s.reset(["a"]) == ("a",)
    assert s.reset(["a"]) == ()
    assert s.update(at(100.0)).active == ()


def test_what_never_clears_never_clears():
    s = Supervisor([row("a", clears=Clears.NEVER)])
    s.update(at(0.0, "a"))
    s.update(at(1.0))
    assert s.reset(["a"]) == () and s.update(at(2.0)).active == ("a",)


def test_an_unknown_fault_is_refused_by_name():
    s = Supervisor([row("a")])
    with pytest.raises(ConfigError, match=r"'b'.*a"):
        s.reset(["b"])
    with pytest.raises(KeyError):
        s.seen("b")


def test_the_words_are_the_newest():
    loud = Fault("a", lambda s: f"{s.now:.0f}", Response.NOTE, 0.0, Clears.WHEN_GONE, 0.0, None, Budget(1, 1.0), "test")
    s = Supervisor([loud])
    s.update(at(1.0))
    assert s.update(at(2.0)).reasons == {"a": "2"}


def test_the_whole_catalogue_is_the_default_and_calm_by_default():
    assert len(Supervisor().faults) >= 25
    assert Supervisor().update(CALM).active == ()


# ---------------------------------------------------------------- invariants
NAMES = ("a", "b", "c")
rows = st.tuples(*[st.builds(row, st.just(n), st.sampled_from(list(Response)[1:]), st.sampled_from([0.0, 0.1, 0.3]),
                             st.sampled_from(Clears), st.sampled_from([0.0, 0.2])) for n in NAMES])
days = st.lists(st.tuples(st.floats(0.001, 0.4), st.sets(st.sampled_from(NAMES))), min_size=1, max_size=40)


@given(rows, days)
@settings(max_examples=80, deadline=None)
def test_worse_facts_never_give_a_milder_response(faults, day):
    """Seeing one fault more, from some cycle on, never softens a verdict."""
    less, more = Supervisor(faults), Supervisor(faults)
    now = 0.0
    for dt, seen in day:
        now += dt
        mild = less.update(at(now, *sorted(seen - {"c"})))
        hard = more.update(at(now, *sorted(seen)))
        assert hard.response >= mild.response and set(mild.active) <= set(hard.active)
        assert hard.may_engage <= mild.may_engage


@given(rows, days)
@settings(max_examples=40, deadline=None)
def test_the_same_day_gives_the_same_verdicts(faults, day):
    def live():
        s, now, out = Supervisor(faults), 0.0, []
        for dt, seen in day:
            now += dt
            out.append(s.update(at(now, *sorted(seen))))
        return out

    assert live() == live()


@given(rows, days)
@settings(max_examples=40, deadline=None)
def test_the_response_is_the_worst_of_the_active(faults, day):
    s, now = Supervisor(faults), 0.0
    for dt, seen in day:
        now += dt
        v = s.update(at(now, *sorted(seen)))
        assert v.response == max((s.by_name(n).response for n in v.active), default=Response.NONE)
        assert v.may_engage == (v.response < Response.HOLD) and set(v.reasons) == set(v.active)


@given(rows, days)
@settings(max_examples=40, deadline=None)
def test_a_latch_only_opens_by_reset(faults, day):
    s, now, latched = Supervisor(faults), 0.0, set()
    for dt, seen in day:
        now += dt
        v = s.update(at(now, *sorted(seen)))
        assert latched <= set(v.active)
        latched |= {n for n in v.active if s.by_name(n).clears is not Clears.WHEN_GONE}


def test_a_joint_that_pushes_for_a_moment_is_at_work_and_one_that_goes_on_is_stalled():
    s = Supervisor([CATALOGUE["stalled"]])
    goal = SPEC.home + np.eye(N)[3] * 0.14
    pressed = replace(CALM, goal=goal, travel=FULL, strain=FULL + 0.95)
    eased = replace(pressed, goal=SPEC.home + np.eye(N)[3] * 0.08)
    seen = {}
    for k in range(100):
        now = 0.01 * k
        seen[k] = s.update(replace(pressed if k < 30 or k > 35 else eased, now=now)).active
    assert not any(seen[k] for k in range(75))  # 0.3 s of pushing, then 0.4 s once more
    assert seen[77] == ("stalled",)
    assert 0.25 + s.by_name("stalled").after < 0.8  # a jam is noticed before its deadline in the campaign


@pytest.mark.parametrize(("left", "pace", "blocked"), [
    (0.35, 0.0, True), (-0.35, 0.0, True), (0.25, 0.0, False),
    (0.45, 2.0, False), (-0.45, -2.0, False),  # it trails a goal that moves at its own pace
    (0.35, -2.0, True),  # it is driven away
    (0.75, 2.0, True),
])
def test_a_joint_on_its_way_is_not_blocked(left, pace, blocked):
    s, one = Supervisor([CATALOGUE["blocked"]]), np.eye(N)[4]
    far = replace(CALM, goal=SPEC.home + one * left, state=replace(STATE, dq=one * pace))
    s.update(far)
    assert s.update(replace(far, now=0.31)).active == (("blocked",) if blocked else ())
