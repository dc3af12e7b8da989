import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from policies import votes
from policies.grounded import Grounded
from policies.sampler import describe
from robot.arms.so101 import so101
from robot.interfaces import ArmState, Frame, Observation

HERE, THERE = (0.2, 0.1, 0.02), (0.3, -0.1, 0.02)


def told(looks, every=0.8):
    """The elected place after each of `looks`, `every` s apart."""
    memory, out = votes.blank(), []
    for k, place in enumerate(looks):
        weight = torch.tensor([[votes.weight(k * every)]])
        chosen, memory = votes.elect(memory, torch.tensor([place]), weight)
        out.append(tuple(round(float(x), 6) for x in chosen[0]))
    return out


def test_one_look_is_believed_and_the_newest_one_tells_where():
    close = (0.21, 0.11, 0.02)
    assert told([HERE]) == [HERE] and told([HERE, close, HERE]) == [HERE, close, HERE]


def test_what_was_seen_at_first_is_not_forgotten_at_once():
    assert told([HERE, HERE] + [THERE] * 3) == [HERE] * 5
    assert told([THERE] + [HERE] * 3)[-1] == HERE  # nor is one look believed for ever


def test_what_really_went_elsewhere_is_believed_after_a_while():
    out = told([HERE] * 30 + [THERE] * 10)
    assert out[:30] == [HERE] * 30 and out[30:33] == [HERE] * 3 and out[-1] == THERE


def test_places_beyond_those_that_are_remembered_take_the_least_one():
    elsewhere = [(0.1 * k, 0.3, 0.02) for k in range(votes.SLOTS + 3)]
    assert told([HERE, HERE, *elsewhere])[-1] == HERE


@given(st.lists(st.tuples(*[st.floats(-0.5, 0.5, width=32)] * 3), min_size=1, max_size=30), st.floats(0.1, 3.0))
def test_what_is_elected_was_seen_and_counts_never_overflow(looks, every):
    memory = votes.blank()
    for k, place in enumerate(looks):
        chosen, memory = votes.elect(memory, torch.tensor([place]), torch.tensor([[votes.weight(k * every)]]))
        assert any(torch.equal(chosen[0], torch.tensor(p)) for p in looks[: k + 1])
        assert memory[..., 3].min() >= 0 and memory[..., 3].max() <= votes.MOST and memory[..., 3].sum() > 0


def test_samples_of_a_batch_vote_each_for_itself():
    places = torch.tensor([[HERE, THERE], [HERE, HERE], [THERE, THERE]])
    memory, each = votes.blank(2), [votes.blank(), votes.blank()]
    for k, look in enumerate(places):
        weight = torch.full((2, 1), votes.weight(float(k)))
        together, memory = votes.elect(memory, look, weight)
        for i in range(2):
            alone, each[i] = votes.elect(each[i], look[i : i + 1], weight[:1])
            assert torch.equal(alone[0], together[i])


@pytest.mark.parametrize("still", [True, False])
def test_a_policy_goes_on_to_where_it_saw_the_goal_at_first(toy, still):
    torch.manual_seed(0)
    policy = Grounded(describe(toy, ("front", "wrist"), np.arange(8), so101()), horizon=8, width=8, hidden=16,
                      heads=2, fine=1, coarse=1, still=still)
    goals = iter([HERE, HERE, THERE, THERE])
    policy._settled = lambda found, held: torch.tensor([[0.1, 0.1, 0.1, *next(goals)]])
    state = ArmState(0.0, *(np.zeros(6),) * 6, np.zeros(6, np.int64), np.zeros(6))
    frames = {c: Frame(0.0, np.full((32, 32, 3), 90, np.uint8)) for c in ("front", "wrist")}
    policy.reset("put the red block on the pad")
    told = [policy.act(Observation(5.0 + k, state, frames)) for k in range(3)]
    assert told[2].info["goal_xyz"] == pytest.approx(HERE if still else THERE)
    assert np.array_equal(told[2].q, told[0].q) == still
    policy.reset("put the red block on the pad")
    assert policy.act(Observation(9.0, state, frames)).info["goal_xyz"] == pytest.approx(THERE)
