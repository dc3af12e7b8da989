"""ACT out of LeRobot's folder: the same numbers as LeRobot's own, its units, and one line for what does not fit."""

from __future__ import annotations

import json
import math
import os
import subprocess
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from policies import checkpoint, lerobot
from policies.act import Act, Shape
from robot.arms.koch import koch
from robot.arms.so101 import so101
from robot.errors import DataError
from robot.interfaces import ArmState, Frame, Observation

SIZES = {"dim_model": 32, "n_heads": 4, "dim_feedforward": 48, "n_encoder_layers": 2, "n_decoder_layers": 2}
SCRIPT = Path(__file__).parent / "peers" / "lerobot_act.py"
PEER = Path(os.environ.get("STEADYHAND_PEERS", "/nowhere")) / "lerobot-policy" / "bin" / "python"


def wave(name, shape, norm):
    """The formula by which `peers/lerobot_act.py golden` filled LeRobot's network."""
    count = int(np.prod(shape))
    dice = np.sin(12.9898 * np.arange(1, count + 1) + sum(name.encode())) * 43758.5453
    values = (2 * (dice - np.floor(dice)) - 1) * (0.3 if norm else np.sqrt(6 * shape[0] / count))
    return torch.from_numpy((values + norm).reshape(shape).astype(np.float32))


@pytest.mark.parametrize("kind", ["post", "pre"])
def test_the_network_answers_as_lerobots_does(kind):
    golden = json.loads((Path(__file__).parents[1] / "golden" / "act_chunks.json").read_text())
    network = Act(Shape(6, 6, chunk_size=4, pre_norm=kind == "pre", **SIZES)).eval()
    norms = {k for k, v in network.state_dict().items() if "var" in k or (k.endswith("weight") and v.dim() == 1)}
    weights = {k: wave(f"model.{k}", tuple(v.shape), k in norms) for k, v in network.state_dict().items()}
    network.load_state_dict(weights)
    pictures = [wave(f"observation.images.{c}", (1, 3, 64, 64), False) for c in ("top", "wrist")]
    with torch.inference_mode():
        chunk = network(wave("observation.state", (1, 6), False), pictures)[0]
    assert np.abs(chunk.numpy() - golden[kind]).max() < 1e-3


# ---------------------------------------------------------------- folders
def features(shapes):
    kinds = {"observation.state": "STATE", "action": "ACTION"}
    return {k: {"type": kinds.get(k, "VISUAL"), "shape": list(v)} for k, v in shapes.items()}


@lru_cache
def weights(joints=6):
    """Random ones, under LeRobot's names; the backbone, which is large, is all the same number."""
    with torch.device("meta"):
        network = Act(Shape(joints, joints, chunk_size=5, **SIZES))
    g = torch.Generator().manual_seed(0)
    out = {}
    for name, v in network.state_dict().items():
        value = torch.full(v.shape, 0.01) if name.startswith("backbone") else 0.2 * torch.randn(v.shape, generator=g)
        out[f"model.{name}"] = value
    return {**out, "model.vae_encoder_cls_embed.weight": torch.zeros(1, 32)}


def make(folder, low=-60.0, high=60.0, joints=6, note=None):
    """A checkpoint as LeRobot saves it, of a small network with random weights."""
    folder.mkdir(parents=True)
    cameras = {f"observation.images.{c}": (3, 64, 96) for c in ("top", "wrist")}
    modes = {"VISUAL": "MEAN_STD", "STATE": "MEAN_STD", "ACTION": "MIN_MAX"}
    config = {"type": "act", "chunk_size": 5, "use_vae": True, "normalization_mapping": modes, **SIZES,
              "input_features": features({"observation.state": (joints,), **cameras}),
              "output_features": features({"action": (joints,)})}
    (folder / "config.json").write_text(json.dumps(config))
    save_file(weights(joints), folder / "model.safetensors")
    stats = {}
    for key in ("observation.state", "action"):
        stats |= {f"{key}.min": torch.full((joints,), low), f"{key}.max": torch.full((joints,), high),
                  f"{key}.mean": torch.full((joints,), (low + high) / 2), f"{key}.std": torch.full((joints,), 20.0)}
        stats |= {f"{key}.{k}": v for k, v in (("count", torch.ones(1)),)}
    for key in cameras:
        stats |= {f"{key}.mean": torch.full((3, 1, 1), 0.4), f"{key}.std": torch.full((3, 1, 1), 0.2)}
    for name, step in (("pre", "normalizer_processor"), ("post", "unnormalizer_processor")):
        file = f"policy_{name}processor_step_0.safetensors"
        save_file(stats, folder / file)
        steps = [{"registry_name": "device_processor", "config": {"device": "cpu"}},
                 {"registry_name": step, "config": {"norm_map": modes}, "state_file": file}]
        (folder / f"policy_{name}processor.json").write_text(json.dumps({"steps": steps}))
    if note is not None:
        (folder / "steadyhand.json").write_text(json.dumps(note))
    return folder


def observation(q, cameras=("top", "wrist"), height=64, width=96, seed=0):
    n = len(q)
    state = ArmState(2.0, np.asarray(q, float), *(np.zeros(n) for _ in range(5)), np.zeros(n, np.int64), np.zeros(n))
    rgb = np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8)
    return Observation(2.0, state, {c: Frame(2.0, rgb) for c in cameras})


def test_a_folder_becomes_a_policy_in_radians(tmp_path):
    folder = make(tmp_path / "act", note={"fps": 25, "units": "degrees"})
    policy = checkpoint.load(str(folder))
    policy.reset("anything")
    chunk = policy.act(observation(so101().spec.home))
    assert chunk.q.shape == (5, 6) and chunk.t0 == 2.0 and chunk.dt == pytest.approx(0.04)
    with torch.inference_mode():
        q = np.degrees(so101().spec.home)
        q[5] = 100 * (so101().spec.home[5] - so101().spec.lower[5]) / (so101().spec.upper[5] - so101().spec.lower[5])
        rgb = torch.from_numpy(observation(q).frames["top"].rgb).permute(2, 0, 1)[None] / 255.0
        out = policy.network(torch.tensor((q - 0.0) / 20.0, dtype=torch.float32)[None], [(rgb - 0.4) / 0.2] * 2)[0]
    assert np.degrees(chunk.q[:, :5]) == pytest.approx(60 * out[:, :5].numpy(), abs=1e-3)


def test_training_folders_hold_it_one_below(tmp_path):
    make(tmp_path / "last" / "pretrained_model", note={"fps": 25, "units": "degrees"})
    assert checkpoint.load(str(tmp_path / "last")).dt == pytest.approx(0.04)


def test_units_follow_lerobots_calibration():
    scale, zero = lerobot.units(so101(), "degrees", [None] * 6)
    assert scale[:5] == pytest.approx(math.pi / 180) and zero[:5] == pytest.approx(0.0)
    closed, opened = zero[5], zero[5] + 100 * scale[5]
    assert (closed, opened) == (so101().joints[5].lower, so101().joints[5].upper)
    scale, _ = lerobot.units(so101(), "percent", [2.0, *[None] * 4, 1.5])
    assert 100 * scale[0] == pytest.approx(1.0) and 100 * scale[5] == pytest.approx(1.5)
    assert np.array_equal(lerobot.units(koch(), "rad", [None] * 6)[0], np.ones(6))


def test_what_the_data_leave_no_doubt_about_need_not_be_said(tmp_path):
    data = tmp_path / "data" / "meta"
    data.mkdir(parents=True)
    (data / "info.json").write_text(json.dumps({"fps": 10}))
    for name, reach, kind, first in (("a", 1.5, "rad", 2.1), ("b", 105.0, "degrees", 2.0)):
        folder = make(tmp_path / name, -reach, reach)
        (folder / "train_config.json").write_text(json.dumps({"dataset": {"root": str(data.parent)}}))
        policy = checkpoint.load(str(folder))
        assert policy.note.units == kind and policy.note.fps == 10
        assert policy.act(observation(so101().spec.home)).t0 == pytest.approx(first)


def test_a_calibration_beside_it_gives_the_grippers_range(tmp_path):
    folder = make(tmp_path / "act", note={"fps": 25, "units": "percent", "calibration": "arm.json"})
    rows = {j.name: {"range_min": 1000, "range_max": 3048} for j in so101().joints}
    (folder / "arm.json").write_text(json.dumps(rows))
    policy = checkpoint.load(str(folder))
    assert policy.scale[5] == pytest.approx(math.pi / 100) and policy.scale[0] == pytest.approx(math.pi / 200)
    (folder / "arm.json").write_text("{}")
    with pytest.raises(DataError, match="no calibration of so101"):
        checkpoint.load(str(folder))


def edit(file, **changes):
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def drop(folder, key):
    document = json.loads((folder / "config.json").read_text())
    document["input_features"].pop(key)
    (folder / "config.json").write_text(json.dumps(document))


TOKENS = [{"registry_name": "tokenizer_processor", "config": {}}]


@pytest.mark.parametrize(("spoil", "words"), [
    (lambda f: (f / "steadyhand.json").unlink(), "does not say fps and units"),
    (lambda f: edit(f / "steadyhand.json", units="turns"), "units='turns'; choose"),
    (lambda f: edit(f / "steadyhand.json", fps=0.2), "fps=0.2 is outside"),
    (lambda f: edit(f / "steadyhand.json", speed=3), "has a key 'speed'"),
    (lambda f: edit(f / "steadyhand.json", arm="robby"), "no model 'robby'"),
    (lambda f: edit(f / "steadyhand.json", arm="wx250s"), "has 6 values, the arm 7 joints"),
    (lambda f: edit(f / "steadyhand.json", cameras={"side": "front"}), "names camera 'side'; the checkpoint has: top"),
    (lambda f: edit(f / "steadyhand.json", units="rad"), "shoulder_pan is 40.0 on average, which as rad is 2292°"),
    (lambda f: edit(f / "config.json", type="diffusion"), "of type 'diffusion'"),
    (lambda f: edit(f / "config.json", vision_backbone="resnet50"), "vision_backbone=resnet50 cannot be read"),
    (lambda f: edit(f / "config.json", dim_model=64), "does not fit config.json"),
    (lambda f: edit(f / "config.json", input_features={}), "takes no pictures"),
    (lambda f: edit(f / "policy_preprocessor.json", steps=TOKENS), "step 'tokenizer_processor'"),
    (lambda f: edit(f / "policy_postprocessor.json", steps=[]), "no statistics of action"),
    (lambda f: (f / "policy_preprocessor.json").unlink(), "before 0.4"),
    (lambda f: (f / "config.json").write_text("["), "cannot be read"),
    (lambda f: (f / "model.safetensors").unlink(), "cannot be read"),
])
def test_what_does_not_fit_is_one_line(tmp_path, spoil, words):
    folder = make(tmp_path / "act", 20.0, 60.0, note={"fps": 25, "units": "degrees"})
    spoil(folder)
    with pytest.raises(DataError, match=words) as error:
        checkpoint.load(str(folder))
    assert "\n" not in str(error.value)


def test_cameras_and_joints_are_checked_when_they_are_seen(tmp_path):
    folder = make(tmp_path / "act", note={"fps": 25, "units": "degrees", "cameras": {"top": "front"}})
    policy, home = checkpoint.load(str(folder)), so101().spec.home
    assert np.isfinite(policy.act(observation(home, ("front", "wrist"), 128, 192)).q).all()
    with pytest.raises(DataError, match="needs camera 'front'; there are: top, wrist"):
        policy.act(observation(home))
    with pytest.raises(DataError, match="gives pictures of 128x128; the checkpoint was trained on 96x64"):
        policy.act(observation(home, ("front", "wrist"), 128, 128))
    with pytest.raises(DataError, match=r"for 6 joints .* has 5"):
        policy.act(observation(home[:5], ("front", "wrist")))


# ---------------------------------------------------------------- LeRobot itself
@pytest.mark.peer
@pytest.mark.skipif(not PEER.is_file(), reason="STEADYHAND_PEERS has no lerobot-policy (docs/peers.md)")
@pytest.mark.parametrize("kind", ["post_norm", "pre_norm"])
def test_a_checkpoint_that_lerobot_trained_gives_lerobots_actions(tmp_path, kind):
    done = subprocess.run([str(PEER), str(SCRIPT), "train", str(tmp_path), kind], capture_output=True, text=True,
                          timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    (tmp_path / "steadyhand.json").write_text(json.dumps({"fps": 30, "units": "degrees"}))
    said = np.load(tmp_path / "said.npz")
    policy = checkpoint.load(str(tmp_path))
    q = said["observation.state"] * policy.scale + policy.zero
    frames = {c: Frame(0.0, np.rint(255 * said[f"observation.images.{c}"]).astype(np.uint8).transpose(1, 2, 0))
              for c in ("top", "wrist")}
    state = ArmState(0.0, q, *(np.zeros(6) for _ in range(5)), np.zeros(6, np.int64), np.zeros(6))
    chunk = policy.act(Observation(0.0, state, frames))
    assert np.ptp(said["chunk"]) > 1.0
    assert (chunk.q - policy.zero) / policy.scale == pytest.approx(said["chunk"], abs=1e-3)
