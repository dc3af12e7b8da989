import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from policies import checkpoint
from policies.grounded import Grounded
from policies.sampler import describe
from policies.search import MORE, PLACES, WAIT, Search
from robot.arms.so101 import so101
from robot.interfaces import ArmState, Frame, Observation


def test_who_gets_on_looks_where_it_sees():
    search = Search(0.005)
    for k in range(100):
        search.note(0.5 * k, k / 100, 0.0)
    assert search.aside == (0.0, 0.0)


def test_who_gets_no_further_tries_beside_it_and_further_off_each_time():
    search, tried = Search(0.005), []
    for k in range(600):
        search.note(0.1 * k, 0.4 + 0.5 * MORE * (k % 2), 0.0)  # to and fro is no progress
        if not tried or search.aside != tried[-1]:
            tried.append(search.aside)
    assert tried[0] == (0.0, 0.0) and tried.index((0.0, 0.0), 1) == PLACES
    assert [math.hypot(*a) for a in tried[:PLACES]] == pytest.approx([0.005 * math.sqrt(k) for k in range(PLACES)])
    gaps = [math.dist(a, b) for i, a in enumerate(tried[:PLACES]) for b in tried[:i]]
    assert min(gaps) > 0.004  # no place twice, nor nearly


def test_what_helped_is_kept():
    search = Search(0.005)
    search.note(0.0, 0.3, 0.0)
    search.note(WAIT + 0.1, 0.3, 0.0)
    aside = search.aside
    for k in range(20):
        search.note(WAIT + 0.2 + 0.5 * k, 0.3 + 0.03 * k, 0.0)
    assert search.aside == aside != (0.0, 0.0)


def test_who_thinks_it_is_done_holds_still():
    search = Search(0.005)
    for k in range(100):
        search.note(0.5 * k, 0.9, 0.8)
    assert search.aside == (0.0, 0.0)


@given(st.lists(st.tuples(st.floats(0, 5), st.floats(0, 1), st.floats(0, 1)), max_size=80), st.floats(0, 0.02))
def test_it_never_strays_far(notes, step):
    search, now = Search(step), 0.0
    for pause, progress, success in notes:
        now += pause
        search.note(now, progress, success)
        assert math.hypot(*search.aside) <= step * math.sqrt(PLACES - 1) + 1e-12


@pytest.mark.parametrize("kept", [False, True])
def test_a_policy_that_is_stuck_takes_both_things_to_lie_beside_where_it_sees_them(toy, tmp_path, kept):
    torch.manual_seed(0)
    policy = Grounded(describe(toy, ("front", "wrist"), np.arange(8), so101()), horizon=8, width=8, hidden=16,
                      heads=2, fine=1, coarse=1, search_mm=4.0)
    if kept:  # finished weights are run by what was traced
        checkpoint.save(policy, "grounded", tmp_path / "policy")
        policy = checkpoint.load(str(tmp_path / "policy"))
    state = ArmState(0.0, *(np.zeros(6),) * 6, np.zeros(6, np.int64), np.zeros(6))
    frames = {c: Frame(0.0, np.full((32, 32, 3), 90, np.uint8)) for c in ("front", "wrist")}
    policy.reset("put the red block on the pad")
    with torch.no_grad():
        policy.status.last.bias[4] = -20.0  # it never thinks that it is done
    chunks = [policy.act(Observation(t, state, frames)) for t in (0.0, 1.0, WAIT + 0.1, WAIT + 0.5)]
    moved = [1000 * (chunks[-1].info[k] - chunks[0].info[k]) for k in ("target_xyz", "goal_xyz")]
    assert np.array_equal(chunks[0].q, chunks[2].q) and not np.array_equal(chunks[0].q, chunks[3].q)
    assert moved[0] == pytest.approx(moved[1], abs=1e-3) and moved[0][2] == pytest.approx(0.0, abs=1e-4)
    assert np.linalg.norm(moved[0]) == pytest.approx(4.0, abs=1e-3)
    assert [c.info["aside_mm"] for c in chunks] == pytest.approx([0.0, 0.0, 0.0, 4.0])
    policy.reset("put the red block on the pad")
    assert np.array_equal(policy.act(Observation(9.0, state, frames)).q, chunks[0].q)
