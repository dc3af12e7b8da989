import numpy as np
import pytest
import torch

from policies.sampler import Sampler, balanced, describe
from robot.arms.so101 import so101
from robot.errors import DataError


def test_far_frames_are_drawn_as_often_as_near_ones():
    far = np.concatenate([np.full(900, 0.01), np.full(100, 0.2)])
    odds = balanced(far, share=1.0)
    assert odds.sum() == pytest.approx(1.0) and odds[900:].sum() == pytest.approx(0.5)
    assert np.allclose(balanced(far, share=0.0), 1 / 1000)
    assert balanced(far, share=0.6)[900:].sum() == pytest.approx(0.6 * 0.5 + 0.4 * 0.1)


@pytest.fixture
def sampler(toy):
    features = describe(toy, ("front", "wrist"), np.arange(10), so101())
    return Sampler(toy, features, np.arange(10), horizon=8, seed=4, batch=6, rows=20)


def test_a_step_is_a_function_of_seed_and_number(sampler):
    (one, rows), (two, again), (other, _) = sampler.step(5), sampler.step(5), sampler.step(6)
    assert all(torch.equal(one[k], two[k]) for k in one) and all(torch.equal(rows[k], again[k]) for k in rows)
    assert not torch.equal(one["index"], other["index"])
    assert "images.front" in one and not any(k.startswith("images") for k in rows)


def test_the_episodes_that_are_held_out_stay_out(sampler, toy):
    drawn = np.concatenate([np.concatenate([p["index"].numpy() for p in sampler.step(k)]) for k in range(40)])
    assert set(toy.episode[drawn]) == set(range(10))


def test_tool_places_are_those_of_the_actions(sampler, toy):
    from policies.kinematics import Chain

    frames, _ = sampler.step(0)
    assert torch.allclose(frames["tool"], Chain(sampler.features.chain)(frames["action"])[1], atol=1e-6)


def test_another_arm_than_the_data_has_is_refused(toy):
    import dataclasses

    other = dataclasses.replace(toy, joint_names=tuple(f"x{k}.pos" for k in range(6)))
    with pytest.raises(DataError, match="x0, x1"):
        describe(other, ("front", "wrist"), np.arange(3), so101())
