import numpy as np
import torch

from policies.by_arm import ByArm, neighbours
from policies.kinematics import Chain, read_chain
from policies.views import View
from robot import registry

ARMS = [registry.build("model", name) for name in ("so101", "koch", "wx250s")]  # the last one has a joint more
CHAINS = [Chain(read_chain(m.urdf, m.names, m.tcp)) for m in ARMS]
ARM = torch.tensor([1, 0, 2, 2, 0, 1, 1])
Q = torch.randn((7, 7), generator=torch.Generator().manual_seed(0))


def test_every_sample_is_reckoned_by_its_own_arm():
    turn, tip = ByArm(CHAINS)(ARM, Q)
    for k, number in enumerate(ARM.tolist()):
        own_turn, own_tip = CHAINS[number](Q[k : k + 1])
        assert torch.allclose(turn[k], own_turn[0], atol=1e-6) and torch.allclose(tip[k], own_tip[0], atol=1e-6)


def test_one_arm_for_all_is_that_arm_s_module_itself():
    for number, chain in enumerate(CHAINS):
        assert all(torch.equal(a, b) for a, b in zip(ByArm(CHAINS)(number, Q), chain(Q)))


def test_each_reaches_as_its_own_arm_does():
    posture = Q.expand(2, 7, 7)[:, :, None].repeat(1, 1, 3, 1)
    aim = torch.stack([CHAINS[number](posture[:, k])[1] for k, number in enumerate(ARM.tolist())], 1) + 0.01
    found = ByArm(CHAINS).reach(ARM, posture, aim)
    for k, number in enumerate(ARM.tolist()):
        assert torch.allclose(found[:, k], CHAINS[number].reach(posture[:, k], aim[:, k]), atol=1e-5)
        assert torch.equal(ByArm(CHAINS).reach(number, posture, aim), CHAINS[number].reach(posture, aim))


def test_a_camera_may_stand_still_on_one_arm_and_be_carried_by_another():
    down = (1.0, 0.0, 0.0, 0.2, 0.0, 1.0, 0.0, 0.3, 0.0, 0.0, -1.0, 0.5)
    views, arm = [View(down, False), View(down, True)], torch.tensor([0, 1, 1])
    given = torch.rand(3, 2), torch.zeros(3, 1), torch.eye(3).expand(3, 3, 3), torch.rand(3, 3)
    found = ByArm(views)(arm, *given)
    assert torch.equal(found[:1], views[0](*given)[:1]) and torch.equal(found[1:], views[1](*given)[1:])


def test_a_neighbour_is_another_row_of_the_same_arm():
    arm = torch.from_numpy(np.random.default_rng(0).integers(0, 3, 200))
    q = torch.stack([arm, torch.arange(200)], 1)
    found = neighbours(q, arm)
    assert sorted(found[:, 1].tolist()) == list(range(200)) and not (found[:, 1] == q[:, 1]).any()
    assert int((found[:, 0] != arm).sum()) <= 3
    assert torch.equal(neighbours(q, 0), q.flip(0))
