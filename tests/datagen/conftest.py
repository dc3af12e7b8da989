"""Synthetic episodes (a coloured square that moves, joints that swing) and datasets made of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from datagen import staging
from datagen.dataset import Writer
from datagen.episode import Episode, Schema

JOINTS = ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper")


def synthetic(seed: int, task: str = "move the red square", size: int = 32) -> Episode:
    """An episode that depends on `seed` alone."""
    rng = np.random.default_rng(seed)
    count = int(rng.integers(4, 9))
    frames = {f"observation.images.{c}": np.full((count, size, size, 3), 90, np.uint8) for c in ("front", "wrist")}
    for t in range(count):
        for k, images in enumerate(frames.values()):
            at = (t + seed + 3 * k) % (size - 8)
            images[t, at : at + 8, 8:16] = (220, 40, 30)
    columns = {"observation.state": rng.normal(size=(count, 6)), "observation.effort": rng.normal(size=(count, 6)),
               "action": rng.normal(size=(count, 6)), "aux.target_xyz": rng.normal(size=(count, 3)),
               "aux.held": rng.integers(0, 2, (count, 1))}
    return Episode(task, {k: v.astype(np.float32) for k, v in columns.items()}, frames)


def schema(codec: str = "libx264") -> Schema:
    return Schema.of(synthetic(0), "so101", JOINTS, 10, codec, "yuv444p")


def stage(root: Path, numbers: range, codec: str = "libx264", task: str = "move the red square") -> list:
    """Stage synthetic episodes whose rows carry what real ones do."""
    out = []
    for number in numbers:
        episode = synthetic(number, task)
        row = {"seed": number, "outcome": "success", "sha256": episode.digest()}
        out.append(staging.read(staging.put(root, number, staging.pack(row, episode, schema(codec)))))
    return out


@pytest.fixture
def made() -> SimpleNamespace:
    """The helpers above."""
    return SimpleNamespace(synthetic=synthetic, schema=schema, stage=stage)


@pytest.fixture
def dataset(tmp_path: Path) -> Callable[..., Path]:
    """Make a dataset of synthetic episodes in blocks of these sizes; returns its folder."""

    def make(*blocks: int, name: str = "set", codec: str = "libx264", task: str = "move the red square") -> Path:
        root = tmp_path / name
        root.mkdir()
        writer = Writer(root)
        for size in blocks:
            writer.commit(stage(root, range(writer.attempted, writer.attempted + size), codec, task))
        return root

    return make
