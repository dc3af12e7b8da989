import numpy as np
import pytest
import torch

from policies.grounded import Grounded
from policies.sampler import Sampler, describe
from policies.team import SHARE, Team
from robot.arms.so101 import so101
from tests.policies.conftest import make_toy

BATCH = 2 * SHARE


@pytest.fixture(scope="module")
def learner():
    toy = make_toy()
    torch.manual_seed(0)
    features = describe(toy, ("front", "wrist"), np.arange(12), so101())
    policy = Grounded(features, horizon=8, width=8, fine=1, coarse=1, hidden=16, depth=1, heads=2, match=6)
    frames, rows = Sampler(toy, features, np.arange(12), 8, seed=0, batch=BATCH, rows=16, swap=0.5).step(0)
    return policy, frames, rows


def learnt(policy, frames, rows, threads, seed=7):
    losses = Team(threads, BATCH).learn(policy, frames, rows, seed)
    return losses, [None if p.grad is None else p.grad.clone() for p in policy.parameters()]


def test_results_do_not_depend_on_the_threads(learner):
    (one, first), (two, second) = (learnt(*learner, threads) for threads in (1, 2))
    assert one == two and len(first) == len(second)
    assert all(torch.equal(a, b) for a, b in zip(first, second) if a is not None)


def test_the_gradient_is_the_mean_of_the_shares(learner):
    policy, frames, rows = learner
    _, together = learnt(*learner, threads=2)
    policy.zero_grad(set_to_none=True)
    for k in range(2):
        parts = ({name: v[k::2] for name, v in part.items()} for part in (frames, rows))
        losses = policy(*parts, torch.Generator().manual_seed(7 + k))
        (torch.stack(list(losses.values())).sum() / 2).backward()
    for name, expected in policy.named_parameters():
        got = together[[n for n, _ in policy.named_parameters()].index(name)]
        assert (got is None) == (expected.grad is None), name
        if got is not None:
            assert torch.allclose(got, expected.grad, rtol=1e-4, atol=1e-6), name


def test_every_share_has_its_part_of_those_asked_for_other_things(learner):
    policy, frames, _ = learner
    for k in range(2):
        others = policy._warped({"state": frames["state"][k::2]})
        assert torch.equal(frames["index"][k::2][:others], frames["index"][: BATCH // 2][k::2])


def test_what_goes_wrong_in_a_thread_is_raised(learner):
    policy, frames, rows = learner
    with pytest.raises(KeyError, match="effort"):
        Team(2, BATCH).learn(policy, {k: v for k, v in frames.items() if k != "effort"}, rows, 0)


def test_fewer_rows_than_shares_are_enough(learner):
    policy, frames, rows = learner
    losses = Team(2, BATCH).learn(policy, frames, {k: v[:1] for k, v in rows.items()}, 0)
    assert all(bool(torch.isfinite(v)) for v in losses.values())
