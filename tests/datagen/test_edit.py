"""Merging and splitting keep every episode as it was, and every row says where it came from."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from datagen import audit, generate
from datagen.files import read_info, read_manifest
from policies.data import TrainingData
from robot import config
from robot.errors import ConfigError, DataError

SMALL = ["workers=1", "world.size=32", "task=reach"]


def command(out: Path, *overrides: str) -> int:
    return generate.main(config.resolve("generate", [f"out={out}", *overrides]))


@pytest.fixture(scope="module")
def pair(tmp_path_factory) -> tuple[Path, Path]:
    """Two datasets that differ in their seeds."""
    root = tmp_path_factory.mktemp("pair")
    for name, seed in (("a", 1), ("b", 2)):
        command(root / name, *SMALL, "episodes=4", f"seed={seed}", "block=3")
    return root / "a", root / "b"


def same(whole: TrainingData, part: TrainingData, theirs: list[int], ours: list[int]) -> None:
    """Episodes `ours` of `part` are episodes `theirs` of `whole`, to the last pixel."""
    for theirs_k, ours_k in zip(theirs, ours):
        there, here = whole.frames([theirs_k]), part.frames([ours_k])
        assert np.array_equal(whole.action[there], part.action[here])
        for label in ("target_xyz", "things_words"):
            assert np.array_equal(whole.aux[label][there], part.aux[label][here])
        for camera in whole.images:
            assert np.array_equal(whole.images[camera][there], part.images[camera][here])
        assert whole.instructions[theirs_k] == part.instructions[ours_k]


def test_a_merged_dataset_is_both_and_passes_its_audit(pair, tmp_path):
    a, b = pair
    assert command(tmp_path / "both", f"merge=[{a},{b}]") == 0
    whole = TrainingData.open(tmp_path / "both")
    assert whole.episodes == 8
    same(TrainingData.open(a), whole, [0, 1, 2, 3], [0, 1, 2, 3])
    same(TrainingData.open(b), whole, [0, 1, 2, 3], [4, 5, 6, 7])
    hashes = [r["sha256"] for r in read_manifest(tmp_path / "both")]
    assert hashes == [r["sha256"] for folder in pair for r in read_manifest(folder)]
    # The audit replays both halves from their own seeds and configurations.
    settings = config.resolve("audit", [f"data={tmp_path / 'both'}", f"out={tmp_path / 'audit'}", "replay=8"])
    assert audit.main(settings) == 0


def test_a_split_is_by_episode_and_merges_back_to_the_same_episodes(pair, tmp_path):
    a, _ = pair
    assert command(tmp_path / "parts", f"split={a}", "share=0.25", "seed=3") == 0
    train, held = tmp_path / "parts" / "train", tmp_path / "parts" / "held_out"
    numbers = [r["number"] for folder in (train, held) for r in read_manifest(folder)]
    assert sorted(numbers) == [0, 1, 2, 3]
    assert (read_info(train)["total_episodes"], read_info(held)["total_episodes"]) == (3, 1)
    same(TrainingData.open(a), TrainingData.open(held), numbers[3:], [0])
    same(TrainingData.open(a), TrainingData.open(train), numbers[:3], [0, 1, 2])
    assert command(tmp_path / "again", f"merge=[{train},{held}]") == 0
    rows = read_manifest(tmp_path / "again")
    assert [r["number"] for r in rows] == numbers
    assert len({r["source"] for r in rows}) == 1
    assert (tmp_path / "again" / "sources" / rows[0]["source"] / "config.yaml").is_file()


def test_what_cannot_be_merged_or_split_is_refused_and_leaves_nothing(pair, tmp_path):
    a, b = pair
    command(tmp_path / "large", "workers=1", "world.size=48", "task=reach", "episodes=1")
    out = tmp_path / "out"
    with pytest.raises(DataError, match="another layout"):
        command(out, f"merge=[{a},{tmp_path / 'large'}]")
    with pytest.raises(DataError, match="is not a dataset"):
        command(out, f"merge=[{a},{tmp_path}]")
    with pytest.raises(ConfigError, match="two datasets or more"):
        command(out, f"merge=[{a}]")
    with pytest.raises(ConfigError, match="leaves one side empty"):
        command(out, f"split={a}", "share=0.01")
    with pytest.raises(ConfigError, match="give one of them"):
        command(out, f"split={a}", f"merge=[{a},{b}]")
    with pytest.raises(DataError, match="not empty"):
        command(a, f"merge=[{a},{b}]")
    assert not out.exists()
    assert [p.name for p in tmp_path.iterdir()] == ["large"]


def test_a_merged_dataset_is_not_gone_on_with(pair, tmp_path):
    a, b = pair
    command(tmp_path / "both", f"merge=[{a},{b}]")
    with pytest.raises(DataError, match="'merge', which cannot be gone on with"):
        command(tmp_path / "both", *SMALL)


@pytest.mark.parametrize("what", ["merge=[{a},{b}]", "split={a}"])
def test_on_a_full_disk_nothing_is_left(pair, tiny_disk, what):
    a, b = pair
    (tiny_disk / "ballast").write_bytes(bytes(550_000))
    out = tiny_disk / "set"
    with pytest.raises(DataError, match=f"cannot write to {out}: the disk is full; nothing is left there"):
        command(out, what.format(a=a, b=b), "share=0.5")
    assert [p.name for p in tiny_disk.iterdir()] == ["ballast"]


def test_a_damaged_episode_is_named_and_nothing_is_left(pair, tmp_path):
    a, b = pair
    shutil.copytree(a, tmp_path / "a")
    file = next((tmp_path / "a").glob("videos/*front/*/file-001.mp4"))
    file.write_bytes(file.read_bytes()[:200])
    with pytest.raises(DataError, match=f"{tmp_path / 'a'}: episode 1 is damaged .*look at it with: steadyhand audit"):
        command(tmp_path / "both", f"merge=[{b},{tmp_path / 'a'}]")
    assert [p.name for p in tmp_path.iterdir()] == ["a"]
