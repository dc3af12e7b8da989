"""Every registered policy: a chunk from an observation, finite losses, a checkpoint that comes back the same."""

import numpy as np
import pytest
import torch

from policies import checkpoint
from policies.features import Features, vocabulary
from policies.kinematics import read_chain
from robot import config, registry
from robot.arms.so101 import so101
from robot.errors import DataError
from robot.interfaces import ArmState, Chunk, Frame, Observation, Policy

MODEL = so101()
J, SIZE = len(MODEL.names), 64
FEATURES = Features(MODEL.names, ("front", "wrist"), SIZE, 10.0, vocabulary(["put the red cube in the blue tray"]),
                    tuple(MODEL.spec.home), (0.4,) * J, phases=8, chain=read_chain(MODEL.urdf, MODEL.names, MODEL.tcp),
                    views=((1.0, 0.0, 0.0, 0.2, 0.0, 1.0, 0.0, 0.3, 0.0, 0.0, -1.0, 0.5),) * 2, carried=(False, True))
POLICIES = sorted(registry.load("policy"))


@pytest.fixture(params=POLICIES)
def named(request):
    torch.manual_seed(0)
    return request.param, registry.build("policy", request.param, features=FEATURES)


def observation(joints=J, cameras=("front", "wrist"), size=SIZE, stamp=2.0):
    zero = np.zeros(joints)
    state = ArmState(stamp, np.resize(MODEL.spec.home, joints), zero, zero + np.nan, zero, zero, zero,
                     np.zeros(joints, np.int64), zero)
    rgb = np.random.default_rng(0).integers(0, 255, (size, size, 3), dtype=np.uint8)
    return Observation(stamp, state, {c: Frame(stamp, rgb) for c in cameras})


def batch(n, pictures, seed=0):
    g = torch.Generator().manual_seed(seed)
    horizon = 16
    out = {"state": torch.randn(n, J, generator=g), "effort": torch.zeros(n, J),
           "action": torch.randn(n, horizon, J, generator=g), "tool": torch.zeros(n, horizon, 3),
           "mask": torch.ones(n, horizon, dtype=torch.bool), "words": torch.ones(n, FEATURES.limit, dtype=torch.int64),
           "aux.yaw": torch.zeros(n, 2)}
    for thing in ("target", "goal"):
        out[f"aux.{thing}_xyz"] = 0.2 * torch.rand(n, 3, generator=g)
        out |= {f"aux.{thing}_px.{c}": torch.rand(n, 3, generator=g) for c in FEATURES.cameras}
    out |= {f"aux.{k}": torch.zeros(n, 1) for k in ("held", "phase", "progress", "success")}
    if pictures:
        out |= {f"images.{c}": torch.randint(0, 255, (n, SIZE, SIZE, 3), dtype=torch.uint8, generator=g)
                for c in FEATURES.cameras}
    return out


def test_a_chunk_starts_one_period_after_the_observation(named):
    _, policy = named
    assert isinstance(policy, Policy)
    policy.reset("put the red cube in the blue tray")
    chunk = policy.act(observation())
    assert isinstance(chunk, Chunk)
    assert chunk.t0 == pytest.approx(2.1) and chunk.dt == pytest.approx(0.1)
    assert chunk.q.shape == (policy.horizon, J) and chunk.q.dtype == np.float64 and np.isfinite(chunk.q).all()
    assert 0.0 <= chunk.confidence <= 1.0


def test_the_same_observation_gives_the_same_chunk(named):
    _, policy = named
    policy.reset("put the red cube in the blue tray")
    first = policy.act(observation()).q
    policy.reset("put the red cube in the blue tray")
    assert np.array_equal(first, policy.act(observation()).q)


def test_unknown_words_and_larger_pictures_are_fine(named):
    _, policy = named
    policy.reset("kindly relocate zorgs")
    assert np.isfinite(policy.act(observation(size=96)).q).all()


def test_an_arm_or_camera_it_was_not_made_for_is_named(named):
    _, policy = named
    policy.reset("put the red cube in the blue tray")
    with pytest.raises(DataError, match="camera 'wrist'"):
        policy.act(observation(cameras=("front",)))
    with pytest.raises(DataError, match="this arm has 4"):
        policy.act(observation(joints=4))


def test_every_weight_learns_and_every_loss_is_finite(named):
    _, policy = named
    losses = policy.train()(batch(4, True), batch(6, False), torch.Generator().manual_seed(0))
    assert losses and all(bool(torch.isfinite(v)) and v.dim() == 0 for v in losses.values())
    torch.stack(list(losses.values())).sum().backward()
    idle = [n for n, p in policy.named_parameters() if p.requires_grad and p.grad is None]
    assert idle == []


def test_what_validation_reads_is_one_number_a_sample(named):
    _, policy = named
    with torch.no_grad():
        found = policy.eval().measure(batch(4, True))
    assert {"chunk_mrad"} <= set(found)
    assert all(v.shape == (4,) for v in found.values())


def test_a_checkpoint_gives_the_same_chunks(named, tmp_path):
    name, policy = named
    again = checkpoint.load(str(checkpoint.save(policy, name, tmp_path / "policy")))
    for p in (policy, again):
        p.reset("put the red cube in the blue tray")
    assert np.array_equal(policy.act(observation()).q, again.act(observation()).q)


@pytest.mark.parametrize(("preset", "least", "most"), [("small", 1e6, 1.8e6), ("base", 5e6, 15e6)])
def test_a_preset_has_the_size_it_promises(preset, least, most):
    chosen = config.resolve("train", ["data=x", "out=y", f"policy={preset}"])["policy"]
    policy = registry.build("policy", chosen, features=FEATURES)
    assert least <= sum(p.numel() for p in policy.parameters()) <= most
