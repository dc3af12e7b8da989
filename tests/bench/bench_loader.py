"""Reading and writing datasets beside LeRobot's own loader and writer, on the same frames, as ratios.

`make bench`; with `STEADYHAND_PEERS` naming a folder that has `lerobot-data` in it (docs/peers.md) LeRobot runs too.
A frame is one sample: both cameras of 128 px and 16 actions ahead, in shuffled batches of 32.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from datagen import generate, staging
from datagen.dataset import Writer
from datagen.episode import ACTION, IMAGE, STATE, Episode, Schema
from policies.data import TrainingData, flat, unflat
from robot import config
from robot.clock import WallClock

pytestmark = pytest.mark.bench
SECONDS, BATCH, HORIZON = 5.0, 32, 16
PYTHON = Path(os.environ.get("STEADYHAND_PEERS", "")) / "lerobot-data" / "bin" / "python"
SCRIPT = Path(__file__).parent / "peers" / "lerobot_data.py"


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("loader") / "set"
    assert generate.main(config.resolve("generate", [f"out={out}", "episodes=40", "pixels=yuv420p"])) == 0
    return out


class Batches(torch.utils.data.Dataset):
    """Random batches, so that torch's worker processes can be used."""

    def __init__(self, data: TrainingData) -> None:
        self.data = data

    def __len__(self) -> int:
        return 1_000_000

    def __getitem__(self, number: int) -> object:
        return flat(self.data.batch(np.random.default_rng(number).integers(0, len(self.data), BATCH), HORIZON))


def pace(data: TrainingData, workers: int) -> float:
    """Frames a second."""
    clock, frames, start = WallClock(), 0, 0.0
    for number, batch in enumerate(torch.utils.data.DataLoader(Batches(data), batch_size=None, num_workers=workers)):
        if number == 0:
            start = clock.now()
            continue
        frames += len(unflat(*batch)["state"])
        if clock.now() - start > SECONDS:
            break
    return frames / (clock.now() - start)


def lerobot(*arguments: object) -> dict[str, float] | None:
    if not PYTHON.is_file():
        return None
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_DATASETS_CACHE": "/tmp/steadyhand-hf"}
    done = subprocess.run([str(PYTHON), str(SCRIPT), *map(str, arguments)], capture_output=True, text=True,
                          check=False, env=environment)
    assert done.returncode == 0, done.stderr[-1500:]
    return json.loads(done.stdout.splitlines()[-1])


def row(name: str, value: float, unit: str, theirs: float | None, better: float) -> None:
    print(f"{name:<44}{value:>12,.2f} {unit}" + (f"   {better:.1f} times LeRobot" if theirs else ""))


def test_reading(root):
    print()
    torch.set_num_threads(1)
    cached, streamed = TrainingData.open(root), TrainingData.open(root, cached=False)
    for workers in (0, 2):
        theirs = lerobot("read", root, SECONDS, workers)
        base = theirs["frames_per_s"] if theirs else None
        if base:
            row(f"LeRobot from videos ({theirs['backend']}), {workers} workers", base, "frames/s", None, 1)
        for name, data in (("cache", cached), ("videos", streamed)):
            ours = pace(data, workers)
            row(f"ours from the {name}, {workers} workers", ours, "frames/s", base, ours / base if base else 0)
    assert np.array_equal(streamed.images["front"][7], cached.images["front"][7])


def test_writing(root, tmp_path):
    print()
    data = TrainingData.open(root)
    frames = {c: np.array(data.images[c][:100]) for c in ("front", "wrist")}
    np.savez(tmp_path / "frames.npz", **frames)
    count, zeros = 10, np.zeros((100, 6), np.float32)
    episode = Episode("move", {STATE: zeros, ACTION: zeros}, {IMAGE + c: f for c, f in frames.items()})
    schema = Schema.of(episode, "so101", data.joint_names, 10, "libx264", "yuv420p")
    out = tmp_path / "ours"
    out.mkdir()
    clock, writer = WallClock(), Writer(out)
    start = clock.now()
    block = [staging.read(staging.put(out, k, staging.pack({}, episode, schema))) for k in range(count)]
    writer.commit(block)
    ours = 1000 * (clock.now() - start) / (100 * count)
    theirs = lerobot("write", tmp_path / "theirs", 4, tmp_path / "frames.npz")
    base = theirs["ms_per_frame"] if theirs else None
    if base:
        row("LeRobot's writer", base, "ms/frame", None, 1)
    row("ours", ours, "ms/frame", base, base / ours if base else 0)
    assert writer.frames == 100 * count
