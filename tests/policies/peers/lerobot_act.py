"""LeRobot's own ACT, in an environment of its own: a checkpoint that it trained and saved, and what it answers.

`train FOLDER [pre_norm]`: a small ACT learns a few steps; checkpoint in FOLDER, inputs and answers in FOLDER/said.npz.
`golden FILE`: the answer of a network whose weights follow a formula, for tests that run without LeRobot.
`speed STEPS BATCH THREADS`: samples a second in training and ms a chunk of the default ACT, two cameras of 128 px.
"""

import json
import os
import sys
import time
from pathlib import Path

import numpy as np
import torch

os.environ["HF_HUB_OFFLINE"] = "1"
try:
    import torchvision  # noqa: F401
except RuntimeError:  # its wheel was built against another torch: ACT uses none of the operators it then misses
    for name in [n for n in sys.modules if n.startswith("torchvision")]:
        del sys.modules[name]
    library = torch.library.Library("torchvision", "DEF")
    for operator in ("nms", "qnms"):
        library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

from lerobot.configs.types import FeatureType, PolicyFeature
from lerobot.policies.act.configuration_act import ACTConfig
from lerobot.policies.act.modeling_act import ACTPolicy
from lerobot.policies.act.processor_act import make_act_pre_post_processors

STATE, ACTION = "observation.state", "action"


def config(size: int, **more) -> ACTConfig:
    cameras = {f"observation.images.{c}": PolicyFeature(FeatureType.VISUAL, (3, size, size)) for c in ("top", "wrist")}
    return ACTConfig(
        input_features={STATE: PolicyFeature(FeatureType.STATE, (6,)), **cameras},
        output_features={ACTION: PolicyFeature(FeatureType.ACTION, (6,))},
        pretrained_backbone_weights=None, device="cpu", push_to_hub=False, **more)


def batch(settings: ACTConfig, n: int, rng: np.random.Generator) -> dict:
    out = {key: torch.from_numpy(rng.random((n, *f.shape), dtype=np.float32))
           for key, f in settings.image_features.items()}
    return out | {STATE: torch.from_numpy(rng.normal(0, 30, (n, 6)).astype(np.float32))}


def train(folder: Path, pre_norm: bool) -> None:
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    settings = config(64, chunk_size=10, n_action_steps=10, dim_model=64, n_heads=4, dim_feedforward=128,
                      n_encoder_layers=2, n_decoder_layers=2, pre_norm=pre_norm)
    policy = ACTPolicy(settings)
    for name, buffer in policy.named_buffers():  # as a backbone that was trained before has them
        if "running_mean" in name:
            buffer.copy_(0.1 * torch.randn_like(buffer))
        elif "running_var" in name:
            buffer.copy_(0.5 + torch.rand_like(buffer))
    seen = batch(settings, 32, rng)
    told = seen[STATE][:, None] + torch.arange(10)[None, :, None]
    stats = {key: {"mean": np.full((3, 1, 1), 0.45), "std": np.full((3, 1, 1), 0.25)}
             for key in settings.image_features}
    for key, values in ((STATE, seen[STATE]), (ACTION, told.flatten(0, 1))):
        values = values.numpy()
        stats[key] = {"mean": values.mean(0), "std": values.std(0), "min": values.min(0), "max": values.max(0)}
    before, after = make_act_pre_post_processors(settings, stats)
    optimizer = torch.optim.AdamW(policy.get_optim_params(), lr=1e-4)
    for _ in range(3):
        inputs = before({**seen, ACTION: told}) | {"action_is_pad": torch.zeros(32, 10, dtype=torch.bool)}
        loss, _ = policy(inputs)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    policy.eval()
    policy.save_pretrained(folder)
    before.save_pretrained(folder)
    after.save_pretrained(folder)
    one = {key: (torch.rand(v.shape[1:]) * 255).round() / 255 if v.dim() == 4 else v[0] for key, v in seen.items()}
    chunk = after(policy.predict_action_chunk(before(dict(one))))
    np.savez(folder / "said.npz", chunk=chunk[0].numpy(), **{key: v.numpy() for key, v in one.items()})
    print(json.dumps({"loss": float(loss), "parameters": sum(p.numel() for p in policy.parameters())}))


def wave(name: str, shape: tuple[int, ...], norm: bool) -> torch.Tensor:
    """Weights by formula: as good as random, of a size that keeps signals alive, positive where a variance must be."""
    count = int(np.prod(shape))
    dice = np.sin(12.9898 * np.arange(1, count + 1) + sum(name.encode())) * 43758.5453
    values = (2 * (dice - np.floor(dice)) - 1) * (0.3 if norm else np.sqrt(6 * shape[0] / count))
    return torch.from_numpy((values + norm).reshape(shape).astype(np.float32))


def golden(file: Path) -> None:
    out = {}
    for pre_norm in (False, True):
        settings = config(64, chunk_size=4, n_action_steps=4, dim_model=32, n_heads=4, dim_feedforward=48,
                          n_encoder_layers=2, n_decoder_layers=2, pre_norm=pre_norm)
        policy = ACTPolicy(settings).eval()
        weights = {k: wave(k, tuple(v.shape), "var" in k or (k.endswith("weight") and v.dim() == 1))
                   for k, v in policy.state_dict().items() if "vae" not in k}
        policy.load_state_dict(weights, strict=False)
        pictures = {key: wave(key, (1, *f.shape), False) for key, f in settings.image_features.items()}
        chunk = policy.predict_action_chunk({**pictures, STATE: wave(STATE, (1, 6), False)})
        out["pre" if pre_norm else "post"] = [[round(float(v), 6) for v in row] for row in chunk[0]]
    file.write_text(json.dumps(out, indent=1) + "\n")


def speed(steps: int, size: int, threads: int) -> None:
    torch.manual_seed(0)
    torch.set_num_threads(threads)
    settings = config(128, chunk_size=16, n_action_steps=16)
    policy = ACTPolicy(settings)
    optimizer = torch.optim.AdamW(policy.get_optim_params(), lr=1e-5)
    inputs = batch(settings, size, np.random.default_rng(0)) | {
        ACTION: torch.randn(size, 16, 6), "action_is_pad": torch.zeros(size, 16, dtype=torch.bool)}
    times = []
    for _ in range(steps + 1):
        begin = time.perf_counter()
        loss, _ = policy.train()(inputs)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(policy.parameters(), 10.0)
        optimizer.step()
        times.append(time.perf_counter() - begin)
    torch.set_num_threads(1)
    one = {key: v[:1] for key, v in inputs.items() if key.startswith("observation")}
    chunks = []
    for _ in range(11):
        begin = time.perf_counter()
        policy.predict_action_chunk(one)
        chunks.append(time.perf_counter() - begin)
    print(json.dumps({"parameters": sum(p.numel() for p in policy.parameters()),
                      "samples_per_s": size / float(np.median(times[1:])), "first_ms": 1000 * chunks[0],
                      "chunk_ms": 1000 * float(np.median(chunks[1:]))}))


if __name__ == "__main__":
    what, *rest = sys.argv[1:]
    if what == "train":
        train(Path(rest[0]), "pre_norm" in rest)
    elif what == "golden":
        golden(Path(rest[0]))
    else:
        speed(*map(int, rest))
