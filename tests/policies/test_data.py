"""Training's view of a dataset: what was recorded comes out, chunks end with their episode, damage is told."""

from __future__ import annotations

import json
import pickle
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from datagen import staging
from datagen.dataset import Writer
from datagen.episode import Episode, Schema
from policies.data import TrainingData, flat, unflat
from robot.errors import DataError

JOINTS = ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper")


def recorded(number: int) -> Episode:
    rng = np.random.default_rng(number)
    count = 3 + number % 4
    columns = {"observation.state": rng.normal(size=(count, 6)), "observation.effort": rng.normal(size=(count, 6)),
               "action": rng.normal(size=(count, 6)), "aux.target_xyz": rng.normal(size=(count, 3)),
               "aux.held": rng.integers(0, 2, (count, 1))}
    levels = rng.integers(60, 190, (2, count, 2, 2, 3)).repeat(16, 2).repeat(16, 3).astype(np.uint8)
    frames = {"observation.images.front": levels[0], "observation.images.wrist": levels[1]}
    return Episode(f"put cube {number % 2} away", {k: v.astype(np.float32) for k, v in columns.items()}, frames,
                   success=number != 4, things=("red cube", f"tray {number}"))


@pytest.fixture
def dataset(tmp_path) -> Callable[..., Path]:
    def make(*blocks: int, codec: str = "libx264") -> Path:
        root = tmp_path / "set"
        root.mkdir()
        writer = Writer(root)
        schema = Schema.of(recorded(0), "so101", JOINTS, 10, codec, "yuv444p")
        for size in blocks:
            packed = {n: staging.pack({"sha256": recorded(n).digest()}, recorded(n), schema)
                      for n in range(writer.attempted, writer.attempted + size)}
            writer.commit([staging.read(staging.put(root, n, files)) for n, files in packed.items()])
        return root

    return make


@pytest.mark.parametrize("codec", ["libx264", "png"])
def test_what_was_recorded_comes_out_in_order(dataset, codec):
    data = TrainingData.open(dataset(2, 3, codec=codec))
    raw = [recorded(n) for n in range(5)]
    assert data.joint_names == JOINTS
    assert data.fps == 10
    assert data.instructions == [e.task for e in raw]
    assert np.array_equal(data.length, [len(e) for e in raw])
    assert np.array_equal(data.action, np.concatenate([e.columns["action"] for e in raw]))
    assert np.array_equal(data.aux["target_xyz"], np.concatenate([e.columns["aux.target_xyz"] for e in raw]))
    assert data.aux["held"].shape == (len(data), 1)
    for number in range(5):
        row = data.aux["things_words"][data.start[number]].astype(np.uint8).reshape(6, -1)
        names = [bytes(slot).rstrip(b"\0").decode() for slot in row]
        assert names == ["red cube", f"tray {number}", "", "", "", ""]
    for camera in ("front", "wrist"):
        pictures = np.concatenate([e.frames[f"observation.images.{camera}"] for e in raw]).astype(int)
        error = np.abs(data.images[camera].astype(int) - pictures)
        assert error.mean() < (3 if codec != "png" else 1e-9)


def test_chunks_end_with_their_episode(dataset):
    data = TrainingData.open(dataset(3), cameras=())
    first, last = data.start[1], data.start[1] + data.length[1] - 1
    action, mask = data.chunks(np.array([first, last]), 6)
    assert action.shape == (2, 6, 6)
    assert mask.sum(1).tolist() == [data.length[1], 1]
    assert np.array_equal(action[0, : data.length[1]], data.action[first : last + 1])
    assert np.array_equal(action[1], np.repeat(data.action[[last]], 6, axis=0))


def test_a_batch_is_tensors_of_the_frames_asked_for(dataset):
    data = TrainingData.open(dataset(3))
    index = np.array([5, 0, 5])
    batch = data.batch(index, 4)
    assert batch["images.front"].dtype == torch.uint8
    assert torch.equal(batch["images.front"][0], torch.from_numpy(np.array(data.images["front"][5])))
    assert torch.equal(batch["state"][1], torch.from_numpy(data.state[0]))
    assert batch["action"].shape == (3, 4, 6)
    assert batch["mask"].dtype == torch.bool


def test_a_split_is_by_episode_without_labelled_failures(dataset):
    data = TrainingData.open(dataset(8), cameras=())
    train, held = data.split(0.25, seed=3)
    assert sorted([*train, *held]) == [0, 1, 2, 3, 5, 6, 7]
    assert len(held) == 2
    assert [a.tolist() for a in data.split(0.25, seed=3)] == [train.tolist(), held.tolist()]
    assert set(data.episode[data.frames(held)]) == set(held)


def test_splitting_what_is_too_small_says_so(dataset):
    data = TrainingData.open(dataset(1), cameras=())
    with pytest.raises(DataError, match="1 successful episodes, too few"):
        data.split(0.1, seed=0)


def test_the_cache_is_used_again_and_renewed_when_the_source_grows(dataset, monkeypatch):
    root = dataset(2)
    before = TrainingData.open(root)
    decoded = []
    monkeypatch.setattr("policies.cache.unroll", lambda *a: decoded.append(a))
    assert TrainingData.open(root).hash == before.hash
    assert decoded == []
    monkeypatch.undo()
    writer = Writer(root)
    schema = writer.schema
    writer.commit([staging.read(staging.put(root, 2, staging.pack({"sha256": "x"}, recorded(2), schema)))])
    after = TrainingData.open(root)
    assert after.episodes == 3
    assert after.hash != before.hash
    assert len(after.images["wrist"]) == len(after)


def test_a_dataset_on_a_folder_that_cannot_be_written_needs_a_cache_elsewhere(dataset, tmp_path):
    root = dataset(1)
    (root / ".cache").write_text("in the way")
    with pytest.raises(DataError, match="cannot write the cache"):
        TrainingData.open(root)
    assert len(TrainingData.open(root, cache_dir=tmp_path / "elsewhere")) == len(recorded(0))


def test_a_disk_that_fills_up_is_told_and_leaves_no_half_cache(dataset, tiny_disk):
    root, cache = dataset(*[50] * 5), tiny_disk / "cache"
    with pytest.raises(DataError, match=f"cannot write the cache {cache}: No space left on device; make room"):
        TrainingData.open(root, cache_dir=cache)
    assert not list(cache.glob("*.u8")) and not list(cache.glob(".*"))
    subprocess.run(["mount", "-o", "remount,size=40m", str(tiny_disk)], check=True)
    made, beside = TrainingData.open(root, cache_dir=cache), TrainingData.open(root)
    assert np.array_equal(made.images["front"], beside.images["front"])


def test_frames_straight_from_the_videos_are_those_of_the_cache(dataset):
    root = dataset(2, 3)
    cached, streamed = TrainingData.open(root), TrainingData.open(root, cached=False)
    index = np.random.default_rng(0).permutation(len(cached))
    for camera in ("front", "wrist"):
        assert np.array_equal(streamed.images[camera][index], cached.images[camera][index])
        assert np.array_equal(streamed.images[camera][3], cached.images[camera][3])
    pickled = pickle.loads(pickle.dumps(streamed))
    assert torch.equal(pickled.batch(index[:4], 3)["images.front"], cached.batch(index[:4], 3)["images.front"])
    with pytest.raises(IndexError, match=f"of {len(cached)}"):
        streamed.images["front"][np.array([len(cached)])]


def test_a_batch_crosses_to_another_process_as_one_tensor(dataset):
    batch = TrainingData.open(dataset(2)).batch(np.array([0, 4, 2]), 5)
    loader = torch.utils.data.DataLoader([flat(batch)], batch_size=None)  # makes lists of tuples
    again = unflat(*next(iter(loader)))
    assert set(again) == set(batch)
    for name, tensor in batch.items():
        assert again[name].dtype == tensor.dtype
        assert torch.equal(again[name], tensor)


class Frames(torch.utils.data.Dataset):
    def __init__(self, data: TrainingData, index: np.ndarray) -> None:
        self.data, self.index = data, index

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, number: int) -> torch.Tensor:
        return torch.from_numpy(self.data.images["front"][self.index[[number]]])


def test_worker_processes_read_videos_that_their_parent_has_open(dataset):
    root = dataset(3, 3)
    cached, streamed = TrainingData.open(root), TrainingData.open(root, cached=False)
    index = np.random.default_rng(1).permutation(len(cached)).repeat(3)
    assert len(streamed.images["front"][index[:9]]) == 9  # opened here, before the fork
    loader = torch.utils.data.DataLoader(Frames(streamed, index), batch_size=None, num_workers=2, timeout=60,
                                         multiprocessing_context="fork")
    assert np.array_equal(np.concatenate([np.asarray(f) for f in loader]), cached.images["front"][index])


def test_a_damaged_video_is_told_when_its_frame_is_asked_for(dataset):
    root = dataset(2)
    truncate(only(root, "videos/*/*/*.mp4"))
    streamed = TrainingData.open(root, cached=False)
    with pytest.raises(DataError, match=r"cannot be decoded|has no frame"):
        [streamed.images[c][np.arange(len(streamed))] for c in ("front", "wrist")]


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def edit(file: Path, **changes) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def only(root: Path, pattern: str) -> Path:
    return next(root.glob(pattern))


DAMAGE = [
    (lambda r: (r / "meta/info.json").unlink(), "is not a dataset"),
    (lambda r: truncate(r / "meta/info.json"), "info.json is damaged"),
    (lambda r: truncate(only(r, "data/*/*.parquet")), "is damaged"),
    (lambda r: only(r, "data/*/*.parquet").unlink(), "data is empty"),
    (lambda r: only(r, "meta/episodes/*/*.parquet").unlink(), "meta/episodes is empty"),
    (lambda r: truncate(only(r, "videos/*/*/*.mp4")), "cannot be decoded|of its"),
    (lambda r: only(r, "videos/*/*/*.mp4").unlink(), "cannot be decoded"),
    (lambda r: edit(r / "meta/info.json", total_episodes=9), "counts 9 episodes"),
    (lambda r: edit(r / "meta/info.json", total_episodes=0), "holds no episodes yet"),
    (lambda r: edit(r / "meta/info.json", total_frames=3), "3 frames where the metadata say"),
    (lambda r: edit(r / "meta/info.json", codebase_version="v2.1"), "only v3.0"),
    (lambda r: edit(r / "meta/info.json", units={"action": "deg"}), "is in deg"),
]


@pytest.mark.parametrize(("harm", "text"), DAMAGE)
def test_damage_is_one_clear_line(dataset, harm, text):
    root = dataset(3)
    harm(root)
    with pytest.raises(DataError, match=text) as caught:
        TrainingData.open(root)
    assert "\n" not in str(caught.value)


def test_a_missing_dataset_or_camera_is_named(dataset, tmp_path):
    with pytest.raises(DataError, match="there is no dataset"):
        TrainingData.open(tmp_path / "nothing")
    with pytest.raises(DataError, match="no camera 'top'; it has: front, wrist"):
        TrainingData.open(dataset(1), cameras=["top"])
