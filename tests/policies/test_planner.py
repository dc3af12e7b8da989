import itertools
import json
import shutil

import numpy as np
import pytest
import torch

from policies import checkpoint, train
from policies.grounded import Grounded
from policies.planner import ACTIONS, LOSSES, Now, Planner
from policies.sampler import Sampler, describe
from policies.team import Team
from robot.arms.so101 import so101
from robot.errors import ConfigError
from tests.policies.test_train import complete, settings

SIZES = {"horizon": 8, "width": 8, "hidden": 16, "depth": 1, "heads": 2, "fine": 1, "coarse": 1}
VARIANTS = list(itertools.product(ACTIONS, LOSSES))


def make(toy, **options):
    torch.manual_seed(0)
    return Grounded(describe(toy, ("front", "wrist"), np.arange(12), so101()), **SIZES, **options)


def sampler(toy, policy, batch=4, rows=32):
    return Sampler(toy, policy.features, np.arange(12), policy.horizon, seed=0, batch=batch, rows=rows, swap=0.5)


def asked(toy, policy):
    """Inputs of three frames, as when running."""
    frames = sampler(toy, policy).gather(np.array([0, 30, 61]))
    return {k: v for k, v in frames.items() if k in ("state", "effort", "words") or k.startswith("images")}


def scene(batch=64, told=3, joints=2):
    return Now(torch.zeros(batch, told), torch.zeros(batch, joints), torch.zeros(batch, 3, 3), torch.eye(3).expand(
        batch, 3, 3))


@pytest.mark.parametrize(("action", "loss"), VARIANTS)
def test_every_variant_plans_the_same_for_the_same_picture(tmp_path, toy, action, loss):
    policy = make(toy, action=action, loss=loss).eval()
    inputs = asked(toy, policy)
    with torch.inference_mode():
        chunks, confidence, info = policy.predict(inputs)
        again = policy.predict(inputs)[0]
        alone = policy.predict({k: v[1:2] for k, v in inputs.items()})[0]
        saved = checkpoint.load(str(checkpoint.save(policy, "grounded", tmp_path / "policy"))).predict(inputs)[0]
    assert chunks.shape == (3, 8, 6) and confidence.shape == (3,) and info["spread_rad"] > 0.0
    assert torch.isfinite(chunks).all()
    assert torch.equal(chunks, again)
    assert torch.allclose(chunks, saved, atol=1e-5)  # where weights lie in memory moves the last bit
    assert torch.allclose(chunks[1:2], alone, atol=1e-4)


@pytest.mark.parametrize(("action", "loss"), VARIANTS)
def test_every_variant_learns(toy, action, loss):
    policy = make(toy, action=action, loss=loss)
    batches, optimizer = sampler(toy, policy), torch.optim.Adam(policy.parameters(), lr=3e-3)

    def losses(step, seed):
        return policy(*batches.step(step), torch.Generator().manual_seed(seed))

    def planned():
        with torch.no_grad():
            found = losses(0, 99)
        return {k: float(v) for k, v in found.items() if k in ("chunk", "tool", "chunk_seen", "tool_seen")}

    before = planned()
    for step in range(30):
        optimizer.zero_grad()
        torch.stack(list(losses(step, step).values())).sum().backward()
        optimizer.step()
    after = planned()
    assert len(after) == 4 and sum(after.values()) < 0.8 * sum(before.values())
    assert after["chunk"] < before["chunk"]


def test_a_run_with_flow_leaves_a_checkpoint_with_its_noise(tmp_path, toy):
    run = complete(settings(tmp_path / "run", "policy.loss=flow", "policy.action=absolute", "policy.flow_steps=3"), toy)
    again = checkpoint.load(str(tmp_path / "run"))
    assert {k: again.arguments[k] for k in ("action", "loss", "flow_steps")} == {
        "action": "absolute", "loss": "flow", "flow_steps": 3}
    assert torch.equal(again.heads.start, run.policy.heads.start) and again.heads.start.shape == (16, 9)


@pytest.mark.parametrize("loss", LOSSES)
def test_shares_of_a_batch_learn_side_by_side(toy, loss):
    policy = make(toy, loss=loss)
    frames, rows = sampler(toy, policy, batch=64).step(0)
    found = []
    for threads in (1, 2):
        losses = Team(threads, 64).learn(policy, frames, rows, 7)
        found.append((losses, [p.grad.clone() for p in policy.heads.parameters()]))
    assert found[0][0] == found[1][0]
    assert all(torch.equal(a, b) for a, b in zip(found[0][1], found[1][1]))


def test_the_default_is_what_shipped_checkpoints_were_trained_as():
    """The formulas from before there was a choice, to the last bit."""
    for name in checkpoint.shipped():
        given = checkpoint.describe(name)["arguments"]
        assert given.get("action", "delta") == "delta" and given.get("loss", "l1") == "l1"
        policy = checkpoint.load(name)
        assert not [k for k in policy.state_dict() if k.startswith("heads.") and not k.split(".")[1].isdigit()]
        q, words = torch.randn(5, 6) * 0.4, torch.randn(5, 64)
        now = policy.now(torch.randn(5, 6) * 0.2, torch.randn(5, 2), torch.rand(5, 1), q, policy.body(q, 0),
                         torch.randn(5, 6), words, 0)
        with torch.inference_mode():
            posture, place = policy.heads(now)
            raw = torch.stack([head(now.x) for head in policy.heads]).unflatten(-1, (policy.horizon, -1))
            arm = q[:, None, :-1] + 0.1 * raw[..., :5]
            grip = policy.q_mean[-1] + policy.q_std[-1] * raw[..., 5:6]
            offset = raw[..., 9:12] + raw[..., 12:] @ now.turn.transpose(-1, -2)
            mix = torch.softmax(raw[..., 6:9], -1) @ now.anchors
        assert torch.equal(posture, torch.cat([arm, grip], -1)) and torch.equal(place, mix + 0.05 * offset)


def test_a_checkpoint_without_the_options_is_of_the_default(tmp_path, toy):
    policy = make(toy)
    folder = checkpoint.save(policy, "grounded", tmp_path / "policy")
    document = json.loads((folder / "policy.json").read_text())
    for key in ("action", "loss", "flow_steps"):
        del document["arguments"][key]
    shutil.copytree(folder, tmp_path / "old")
    (tmp_path / "old/policy.json").write_text(json.dumps(document))
    old = checkpoint.load(str(tmp_path / "old"))
    assert old.arguments == policy.arguments
    with torch.inference_mode():
        one, two = (p.eval().predict(asked(toy, p))[0] for p in (old, policy))
    assert torch.allclose(one, two, atol=1e-5)


def test_zeros_mean_where_the_arm_is_or_the_middle_of_the_data():
    q = torch.tensor([[0.7, -0.4, 0.9]])
    now = Now(torch.zeros(1, 3), q, torch.zeros(1, 3, 3), torch.eye(3)[None])
    for action, arm, step in (("delta", q[0, :2], [0.1, 0.1, 4.0]),
                              ("absolute", torch.tensor([1.0, 2.0]), [2.0, 3.0, 4.0])):
        planner = Planner(3, 8, 1, 2, 4, (1.0, 2.0, 3.0), (2.0, 3.0, 4.0), action)
        zero = planner._decode(torch.zeros(2, 1, 4 * 12), now)[0]
        one = planner._decode(torch.ones(2, 1, 4 * 12), now)[0]
        assert zero.shape == (2, 1, 4, 3) and torch.equal(zero[0, 0, 0], torch.tensor([*arm, 3.0]))
        assert torch.allclose(one - zero, torch.tensor(step).expand(2, 1, 4, 3))
        raw = torch.randn(2, 1, 4, 3)
        plan = (planner._zero(now) + planner.unit * raw, torch.zeros(2, 1, 4, 3))
        assert torch.allclose(planner._encode(plan, now)[..., :3], raw, atol=1e-5)


def test_errors_are_in_the_same_units_whatever_the_action():
    now, mask = scene(2), torch.tensor([[True, True, False], [True, False, False]])
    batch = {"action": torch.zeros(2, 3, 2), "tool": torch.zeros(2, 3, 3), "mask": mask}
    posture = torch.tensor([0.2, 0.5]).expand(1, 2, 3, 2) * mask[..., None]  # two deltas, and a tenth of the spread
    place = torch.full((1, 2, 3, 3), 0.06) * mask[..., None]  # three units
    for action in ACTIONS:
        for loss, chunk, tool in (("l1", (2 + 0.1) / 2, 3), ("l2", (4 + 0.01) / 2, 9)):
            planner = Planner(3, 8, 1, 1, 3, (0.0, 0.0), (7.0, 5.0), action, loss)
            planner.forward = lambda now: (posture, place)
            found = planner.losses(now, batch, torch.Generator())
            assert float(found["chunk"]) == pytest.approx(chunk) and float(found["tool"]) == pytest.approx(tool)


def test_flow_takes_one_of_two_ways_where_the_mean_takes_neither():
    side = torch.where(torch.arange(64) % 2 == 0, 0.2, -0.2)
    batch = {"action": torch.stack([side, torch.zeros(64)], -1)[:, None], "tool": torch.zeros(64, 1, 3),
             "mask": torch.ones(64, 1, dtype=torch.bool)}
    taken = {}
    for loss in ("l2", "flow"):
        torch.manual_seed(1)
        planner = Planner(3, 32, 1, 2, 1, (0.0, 0.0), (1.0, 1.0), "delta", loss)
        optimizer, generator = torch.optim.Adam(planner.parameters(), lr=1e-2), torch.Generator().manual_seed(0)
        for _ in range(250):
            optimizer.zero_grad()
            torch.stack(list(planner.losses(scene(), batch, generator).values())).sum().backward()
            optimizer.step()
        taken[loss] = planner
    assert (taken["l2"](scene(1))[0][..., 0].abs() < 0.02).all()
    for start in (1.0, -1.0):
        taken["flow"].start[:, 0] = start
        assert ((taken["flow"](scene(1))[0][..., 0] - 0.2 * start).abs() < 0.05).all()


@pytest.mark.parametrize(("key", "value", "words"), [
    ("action", "velocity", "policy.action=velocity must be one of: delta, absolute"),
    ("loss", "huber", "policy.loss=huber must be one of: l1, l2, flow"),
    ("flow_steps", 0, "policy.flow_steps=0 must be between 1 and 10"),
    ("flow_steps", 11, "policy.flow_steps=11 must be between 1 and 10"),
])
def test_a_bad_value_is_one_line(tmp_path, toy, key, value, words):
    with pytest.raises(ConfigError) as error:
        train.prepare(settings(tmp_path / "run", f"policy.{key}={value}"), toy)
    assert str(error.value) == words
    assert not (tmp_path / "run").exists()


def test_pictures_are_the_same_to_every_variant(toy):
    """All that differs is what heads say: what they are given begins with the same weights."""
    one, two = make(toy), make(toy, action="absolute", loss="flow")
    assert all(torch.equal(v, two.state_dict()[k]) for k, v in one.state_dict().items() if not k.startswith("heads."))
