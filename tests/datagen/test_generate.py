"""The generate command, really run: identity over workers, resuming, refusing, being killed."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from datagen import audit, generate, manifest, staging
from datagen.files import read_info, read_manifest
from policies.data import TrainingData
from robot import config
from robot.errors import ConfigError, DataError

SMALL = ["task=reach", "world.size=32", "workers=1", "mistakes=noise"]
STEADYHAND = [sys.executable, "-m", "robot.cli", "generate", *SMALL]


def make(out: Path, *overrides: str) -> list[str]:
    """Run the command here; returns the hashes of the episodes."""
    assert generate.main(config.resolve("generate", [f"out={out}", *SMALL, *overrides])) == 0
    return hashes(out)


def hashes(out: Path) -> list[str]:
    return [row["sha256"] for row in read_manifest(out)]


@pytest.fixture(scope="module")
def straight(tmp_path_factory) -> Path:
    """Four episodes made in one go by one worker: what every other way must equal."""
    out = tmp_path_factory.mktemp("straight") / "set"
    make(out, "episodes=4")
    return out


def test_a_dataset_trains_right_away(straight):
    data = TrainingData.open(straight)
    assert data.episodes == 4
    assert data.joint_names[0] == "shoulder_pan"
    assert data.images["wrist"].shape == (len(data), 32, 32, 3)
    assert data.aux["target_xyz"].shape == (len(data), 3)
    ends = data.start + data.length - 1
    assert data.aux["success"][ends].min() == 1
    assert data.images["front"].std() > 5


def test_rows_say_where_an_episode_comes_from(straight):
    row = read_manifest(straight)[2]
    assert row["outcome"] == "success"
    assert row["task"] == "reach"
    assert {"pybullet", "steadyhand"} <= set(row["versions"])
    assert row["renderer"]
    assert row["seed"] != read_manifest(straight)[1]["seed"]
    assert (straight / "config.yaml").is_file()
    assert (straight / "versions.json").is_file()


def test_workers_do_not_change_the_episodes(straight, tmp_path):
    assert make(tmp_path / "two", "episodes=4", "workers=2") == hashes(straight)


def test_going_on_with_more_episodes_is_the_same_as_at_once(straight, tmp_path):
    first = make(tmp_path / "set", "episodes=2")
    assert first == hashes(straight)[:2]
    assert make(tmp_path / "set", "episodes=4") == hashes(straight)
    assert read_info(tmp_path / "set")["total_episodes"] == 4
    TrainingData.open(tmp_path / "set")


def test_seeds_and_mistakes_change_the_episodes(straight, tmp_path):
    assert make(tmp_path / "seed", "episodes=1", "seed=1") != hashes(straight)[:1]
    assert make(tmp_path / "clean", "episodes=1", "mistakes=none") != hashes(straight)[:1]


@pytest.mark.parametrize(("change", "text"), [
    ("seed=3", "was made with seed=0, this run has seed=3"),
    ("randomization=none", "randomization"),
    ("world.size=48", "world.size=32, this run has world.size=48"),
    ("mistakes.amount=0.02", "mistakes.amount=0.015"),
])
def test_another_configuration_is_refused_with_its_key(straight, change, text):
    with pytest.raises(ConfigError, match=text):
        make(straight, "episodes=4", change)


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(DataError, match="is not empty"):
        make(tmp_path, "episodes=1")
    (tmp_path / "notes.txt").unlink()
    (tmp_path / "config.yaml").write_text("command: train\n")
    with pytest.raises(DataError, match="holds a run of 'train'"):
        make(tmp_path, "episodes=1")


@pytest.mark.parametrize(("change", "text"), [
    ("episodes=0", "give at least 1"), ("failures=maybe", "drop or keep"), ("codec=divx", "no video codec 'divx'"),
    ("pixels=rgb24", "libx264 cannot store"), ("tasks=[reach,juggle]", "juggle"), ("tasks=[reach,reach]", "twice"),
])
def test_values_no_run_can_use_are_refused_before_anything_is_written(tmp_path, change, text):
    with pytest.raises(ConfigError, match=text):
        make(tmp_path / "set", change)
    assert not (tmp_path / "set").exists()


def test_several_tasks_take_turns(tmp_path):
    make(tmp_path / "set", "episodes=4", "tasks=[reach,pick_place]", "mistakes=none")
    assert [row["task"] for row in read_manifest(tmp_path / "set")] == ["reach", "pick_place"] * 2


def test_failures_are_kept_and_labelled_when_asked_for(tmp_path):
    out = tmp_path / "set"
    with pytest.raises(DataError, match="not one of 2 attempts"):
        make(tmp_path / "none", "episodes=1", "attempts=2", "seconds=0.3")
    make(out, "episodes=2", "failures=keep", "seconds=0.3")
    assert all(row["outcome"].startswith("failure: ") for row in read_manifest(out))
    data = TrainingData.open(out)
    assert not data.succeeded.any()
    assert data.length.tolist() == [3, 3]


def start(out: Path, episodes: int, **options) -> subprocess.Popen:
    return subprocess.Popen([*STEADYHAND, f"out={out}", f"episodes={episodes}"], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True, **options)


def until_committed(out: Path, process: subprocess.Popen) -> None:
    for _ in range(1200):  # a minute: the machine may be busy
        if (out / "meta" / "info.json").exists() or process.poll() is not None:
            return
        time.sleep(0.05)


def test_killed_at_any_moment_it_loads_and_goes_on_to_the_same_dataset(straight, tmp_path):
    process = start(tmp_path / "set", 300)
    until_committed(tmp_path / "set", process)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    found = TrainingData.open(tmp_path / "set")
    assert found.episodes >= 1
    # The same command would go on to 300; what matters is that the episodes are those of an unbroken run.
    again = make(tmp_path / "set", f"episodes={max(4, found.episodes)}")
    assert again[:4] == hashes(straight)
    assert TrainingData.open(tmp_path / "set").episodes == len(again)


def test_ctrl_c_finishes_what_is_in_flight_and_says_how_to_go_on(straight, tmp_path):
    process = start(tmp_path / "set", 300)
    until_committed(tmp_path / "set", process)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Go on with the same command" in out
    made = hashes(tmp_path / "set")
    assert 1 <= len(made) < 300
    assert made[:4] == hashes(straight)[: len(made)]
    assert TrainingData.open(tmp_path / "set").episodes == len(made)


def test_a_folder_that_takes_no_more_is_told_and_nothing_is_lost(straight, tmp_path):
    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))

    out = tmp_path / "set"
    make(out, "episodes=1")
    process = start(out, 60, preexec_fn=small_files)
    _, error = process.communicate(timeout=120)
    assert process.returncode == 2
    assert f"cannot write to {out}" in error
    assert "Traceback" not in error
    assert make(out, "episodes=4")[:4] == hashes(straight)


def test_a_full_disk_is_told_and_nothing_is_lost(straight, tiny_disk):
    out = tiny_disk / "set"
    process = start(out, 300)
    _, error = process.communicate(timeout=120)
    assert process.returncode == 2
    assert f"cannot write to {out}: the disk is full; finished episodes are kept" in error
    assert "Traceback" not in error
    found = hashes(out) + [staged.row["sha256"] for staged in staging.found(out).values()]
    assert found[:4] == hashes(straight)[: len(found)]
    subprocess.run(["mount", "-o", "remount,size=40m", str(tiny_disk)], check=True)
    again = make(out, f"episodes={max(4, len(found))}")
    assert again[: len(found)] == found
    assert again[:4] == hashes(straight)
    assert TrainingData.open(out).episodes == len(again)


def test_a_disk_that_became_read_only_is_one_line(straight, tiny_disk, tmp_path):
    out = tiny_disk / "set"
    make(out, "episodes=1")
    subprocess.run(["mount", "-o", "remount,ro", str(tiny_disk)], check=True)
    with pytest.raises(DataError, match=f"cannot write to {out}: Read-only file system; finished episodes are kept"):
        make(out, "episodes=2")
    with pytest.raises(DataError, match=r"cannot write the report to .*Read-only file system; give a folder with out="):
        audit.main(config.resolve("audit", [f"data={out}", "replay=1"]))
    assert audit.main(config.resolve("audit", [f"data={out}", "replay=1", f"out={tmp_path / 'audit'}"])) == 0
    assert TrainingData.open(out, cache_dir=tmp_path / "cache").episodes == 1
    subprocess.run(["mount", "-o", "remount,rw", str(tiny_disk)], check=True)
    assert make(out, "episodes=2") == hashes(straight)[:2]


@pytest.mark.parametrize("place", ["/proc/set", "file/set"])
def test_a_folder_that_cannot_be_written_is_one_line(tmp_path, monkeypatch, place):
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("in the way")
    with pytest.raises(DataError, match=f"cannot write to {place}: "):
        make(Path(place), "episodes=1")


def test_a_worker_that_crashes_is_replaced_and_changes_nothing(straight, tmp_path):
    out = tmp_path / "set"
    process = start(out, 12)
    until_committed(out, process)
    worker = worker_of(process.pid)
    os.kill(worker, signal.SIGKILL)
    said, error = process.communicate(timeout=120)
    assert process.returncode == 0, error
    assert "trying that episode again" in error
    assert len(hashes(out)) == 12
    assert hashes(out)[:4] == hashes(straight)
    assert re.search(r"12/12 [\d,]+ episodes/h, success 100%", said)


def worker_of(parent: int) -> int:
    """A process that `parent` makes episodes in."""
    children = [int(c) for f in Path(f"/proc/{parent}/task").glob("*/children") for c in f.read_text().split()]
    return next(c for c in children if "spawn_main" in Path(f"/proc/{c}/cmdline").read_text())


def test_two_runs_never_write_to_one_folder(tmp_path):
    out = tmp_path / "set"
    process = start(out, 300)
    until_committed(out, process)
    try:
        with pytest.raises(DataError, match="another run is writing"):
            make(out, "episodes=4")
    finally:
        process.kill()
        process.communicate()


def test_where_another_renderer_draws_nothing_of_it_is_kept(straight, tmp_path):
    out = tmp_path / "set"
    make(out, "episodes=1")
    file, here = out / "manifest.jsonl", read_manifest(out)[0]["renderer"]
    there = file.read_text().replace(here, "crayon")
    file.write_text(there)
    for _ in range(2):
        with pytest.raises(DataError, match=f"was drawn by crayon, this machine draws by {re.escape(here)};"):
            make(out, "episodes=2")
    assert file.read_text() == there and not list((out / ".staging").iterdir())
    file.write_text(there.replace("crayon", here))
    assert make(out, "episodes=2") == hashes(straight)[:2]


def test_the_progress_counts_are_of_the_manifest(straight):
    tally = generate.Tally(straight, 4)
    for row in read_manifest(straight):
        tally.count(row)
    assert (tally.done, tally.kept, tally.successes) == (4, 4, 4)
    with pytest.raises(DataError, match="was drawn by"):
        tally.count({**json.loads((straight / "manifest.jsonl").read_text().splitlines()[0]), "renderer": "crayon"})


@pytest.mark.parametrize("seed", [0, 1, 7, 1_000_000_000, 2**60])
def test_demonstrations_share_no_seed_with_evaluation_or_deployment(seed):
    made = {manifest.seed_of(seed, number, attempt) for number in range(300) for attempt in range(4)}
    assert len(made) == 1200 and min(made) >= 2**61 and max(made) < 2**62
