import pytest
import torch

from policies import votes
from policies.episode import Episode
from policies.search import WAIT


def test_looks_count_by_the_time_since_the_first_one_and_not_by_the_clock():
    early, late = Episode(0.005), Episode(0.005)
    said = [[float(e.inputs(begin + k)["votes"]) for k in range(3)] for e, begin in ((early, 0.0), (late, 1e4))]
    assert said[0] == pytest.approx([votes.weight(k) for k in range(3)]) and said[0] == pytest.approx(said[1])


def test_both_things_are_taken_aside_by_what_is_searched_and_level():
    episode = Episode(0.005)
    assert torch.equal(episode.inputs(0.0)["aside"], torch.zeros(1, 6))
    episode.search.note(0.0, 0.3, 0.0)
    episode.search.note(WAIT + 0.1, 0.3, 0.0)
    target, goal = episode.inputs(WAIT + 0.2)["aside"].split(3, -1)
    assert torch.equal(target, goal) and target[0, 2] == 0.0
    assert target.norm().item() == pytest.approx(0.005)


def test_a_memory_that_was_handed_on_is_told_at_the_next_look():
    episode = Episode(0.0)
    told = episode.inputs(0.0)
    _, episode.memory = votes.elect(told["memory"], torch.tensor([[0.2, 0.1, 0.0]]), told["votes"])
    assert torch.equal(episode.inputs(1.0)["memory"], episode.memory)
    assert torch.equal(Episode(0.0).inputs(0.0)["memory"], votes.blank())
