import json

import numpy as np
import pytest
import torch

from policies import checkpoint
from policies.grounded import Grounded
from policies.sampler import Sampler, describe
from robot import registry
from robot.arms.so101 import so101
from robot.errors import DataError
from robot.interfaces import ArmState, Frame, Observation


@pytest.fixture
def folder(tmp_path, toy):
    torch.manual_seed(0)
    features = describe(toy, ("front", "wrist"), np.arange(8), so101())
    policy = Grounded(features, horizon=8, width=8, hidden=16, heads=2, fine=1, coarse=1)
    return checkpoint.save(policy, "grounded", tmp_path / "policy"), policy


def test_a_checkpoint_comes_back_the_same(folder):
    path, policy = folder
    again = registry.build("loader", "checkpoint", path=str(path))
    assert again.features == policy.features and again.arguments == policy.arguments
    assert all(torch.equal(v, again.state_dict()[k]) for k, v in policy.state_dict().items())
    assert sorted(p.name for p in path.iterdir()) == ["model.safetensors", "policy.json"]


@pytest.mark.parametrize("loss", ["l1", "flow"])
def test_what_was_loaded_runs_quicker_and_to_the_same_bit(tmp_path, toy, loss):
    torch.manual_seed(0)
    features = describe(toy, ("front", "wrist"), np.arange(8), so101())
    made = Grounded(features, horizon=8, width=8, hidden=16, heads=2, fine=1, coarse=1, loss=loss)
    checkpoint.save(made, "grounded", tmp_path / "policy")
    plain, settled = made.eval(), checkpoint.load(str(tmp_path / "policy"))
    rng = np.random.default_rng(0)
    for words in ("put the red block on the pad", "put the blue block on the pad", "what"):
        frames = {c: Frame(0.0, rng.integers(0, 255, (32, 32, 3)).astype(np.uint8)) for c in ("front", "wrist")}
        q = rng.normal(size=6)
        obs = Observation(0.0, ArmState(0.0, q, *(np.zeros(6),) * 5, np.zeros(6, np.int64), q), frames)
        plain.reset(words)
        settled.reset(words)
        one, two = plain.act(obs), settled.act(obs)
        assert np.array_equal(one.q, two.q) and one.confidence == two.confidence
    assert plain._traced is None and settled._traced is not None


def test_a_policy_trained_with_one_camera_black_now_and_then_can_do_without_it(toy):
    torch.manual_seed(0)
    features = describe(toy, ("front", "wrist"), np.arange(8), so101())
    sizes = {"horizon": 8, "width": 8, "hidden": 16, "heads": 2, "fine": 1, "coarse": 1}
    policy, strict = Grounded(features, **sizes, blind=0.5), Grounded(features, **sizes)
    frames, _ = Sampler(toy, features, np.arange(8), horizon=8, seed=1, batch=40, rows=4).step(0)
    shown = policy._prepare(frames, torch.Generator().manual_seed(0))
    black = {c: (shown[f"images.{c}"].flatten(1) == 0).all(1) for c in ("front", "wrist")}
    assert not (black["front"] & black["wrist"]).any() and 8 <= sum(int(b.sum()) for b in black.values()) <= 32
    for camera, dark in black.items():
        assert not shown[f"aux.target_px.{camera}"][dark, 2].any()  # nothing is to be seen there
        assert shown[f"aux.target_px.{camera}"][~dark, 2].any()
    zero = np.zeros(6)
    picture = Frame(0.0, np.full((32, 32, 3), 99, np.uint8))
    obs = Observation(0.0, ArmState(0.0, *(zero,) * 6, np.zeros(6, np.int64), zero), {"front": picture})
    policy.reset("put the red block on the pad")
    strict.reset("put the red block on the pad")
    assert policy.spare == ("front", "wrist") and np.isfinite(policy.act(obs).q).all()
    assert strict.spare == ()
    with pytest.raises(DataError, match="needs camera 'wrist'"):
        strict.act(obs)


def edit(path, **changes):
    document = json.loads((path / "policy.json").read_text())
    (path / "policy.json").write_text(json.dumps({**document, **changes}))


@pytest.mark.parametrize(("spoil", "words"), [
    (lambda p: (p / "policy.json").unlink(), "no checkpoint"),
    (lambda p: (p / "policy.json").write_text("{"), "cannot be read"),
    (lambda p: (p / "policy.json").write_text("[]"), "not a checkpoint"),
    (lambda p: edit(p, format=99), "not a checkpoint of format"),
    (lambda p: edit(p, policy="oracle"), "no policy 'oracle'"),
    (lambda p: edit(p, arguments={"legs": 2}), "no key 'legs'"),
    (lambda p: edit(p, arguments={"width": 16}), "does not fit"),
    (lambda p: (p / "model.safetensors").write_bytes(b"\x00" * 40), "cannot be read"),
    (lambda p: (p / "model.safetensors").unlink(), "cannot be read"),
])
def test_a_damaged_checkpoint_is_one_clear_line(folder, spoil, words):
    path, _ = folder
    spoil(path)
    with pytest.raises(DataError, match=words) as error:
        checkpoint.load(str(path))
    assert "\n" not in str(error.value)


def test_what_ships_is_small():
    assert checkpoint.shipped() == ["general", "pick_place"]
    files = [f for f in checkpoint.SHIPPED.rglob("*") if f.is_file()]
    assert sum(f.stat().st_size for f in files) <= 20e6


@pytest.mark.parametrize("name", checkpoint.shipped())
def test_what_ships_answers_and_says_how_it_was_made(name):
    card = json.loads((checkpoint.SHIPPED / name / "run.json").read_text())
    assert card["seed"] == card["config"]["seed"] and card["config"]["steps"] == card["steps"]
    policy = registry.build("loader", "checkpoint", path=name)
    policy.reset("put the red cube in the blue tray")
    n = len(policy.features.joints)
    state = ArmState(0.0, so101().spec.home, *(np.zeros(n) for _ in range(5)), np.zeros(n, np.int64), np.zeros(n))
    frames = {c: Frame(0.0, np.zeros((128, 128, 3), np.uint8)) for c in policy.features.cameras}
    chunk = policy.act(Observation(0.0, state, frames))
    assert chunk.q.shape == (policy.horizon, n) and np.isfinite(chunk.q).all()


ANSWERS = {"general": [-0.0015, -0.6037, 0.4219, 1.6377, -0.1329, 0.5221],
           "pick_place": [-0.0128, -0.5217, 0.4027, 1.6046, 0.2214, 0.5094]}  # when each came to the package


@pytest.mark.parametrize("name", checkpoint.shipped())
def test_what_ships_answers_as_it_always_did(name):
    policy, rng, zero = checkpoint.load(name, "so101"), np.random.default_rng(0), np.zeros(6)
    policy.reset("put the red cube in the blue tray")
    state = ArmState(0.0, so101().spec.home + 0.1 * rng.standard_normal(6), *(zero,) * 5, np.zeros(6, np.int64), zero)
    frames = {c: Frame(0.0, rng.integers(0, 255, (128, 128, 3), dtype=np.uint8)) for c in policy.features.cameras}
    chunk = policy.act(Observation(0.0, state, frames))
    assert chunk.q[0] == pytest.approx(ANSWERS[name], abs=2e-3)


def test_a_folder_of_the_same_name_comes_first(folder, monkeypatch):
    path, policy = folder
    path.rename(path.with_name("pick_place"))
    monkeypatch.chdir(path.parent)
    assert registry.build("loader", "checkpoint", path="pick_place").arguments == policy.arguments


def test_a_checkpoint_that_is_not_there_names_what_ships(tmp_path):
    with pytest.raises(DataError, match="general, which came with the package"):
        checkpoint.describe(tmp_path / "nothing")


def test_a_checkpoint_of_another_arm_is_refused():
    checkpoint.load("pick_place", model="so101")
    with pytest.raises(DataError, match="another arm than model=koch"):
        checkpoint.load("pick_place", model={registry.OPTION_KEY: "koch"})
