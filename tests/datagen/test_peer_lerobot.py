"""LeRobot's own loader and visualiser and a public checker, in environments of their own, accept what we write.

docs/peers.md says how to make those environments; without them these tests are skipped.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from datagen import generate
from policies.data import TrainingData
from robot import config

PEERS = Path(os.environ.get("STEADYHAND_PEERS", "/nowhere"))
PYTHON, DOCTOR = PEERS / "lerobot-data" / "bin" / "python", PEERS / "checkers" / "bin" / "lerobot-doctor"
pytestmark = [pytest.mark.peer, pytest.mark.timeout(300)]
with_lerobot = pytest.mark.skipif(not PYTHON.is_file(), reason="STEADYHAND_PEERS has no lerobot-data (docs/peers.md)")
with_doctor = pytest.mark.skipif(not DOCTOR.is_file(), reason="STEADYHAND_PEERS has no checkers (docs/peers.md)")

READER = """
import json, sys, warnings
warnings.simplefilter("always")
with warnings.catch_warnings(record=True) as caught:
    from lerobot.datasets.lerobot_dataset import LeRobotDataset
    root, picks = sys.argv[1], json.loads(sys.argv[2])
    ahead = {"action": [k / 10 for k in range(8)]}
    data = LeRobotDataset("local/set", root=root, delta_timestamps=ahead)
    rows = [data[i] for i in picks]
    part = LeRobotDataset("local/set", root=root, episodes=[1])
said = sorted({str(w.message) for w in caught if "torchvision" not in str(w.message)})
print(json.dumps({
    "episodes": data.num_episodes, "frames": len(data), "robot": data.meta.robot_type, "warnings": said,
    "part": part.num_frames, "tasks": [r["task"] for r in rows], "action": [r["action"].tolist() for r in rows],
    "pad": [r["action_is_pad"].tolist() for r in rows], "state": [r["observation.state"].tolist() for r in rows],
    "front": [(r["observation.images.front"] * 255).round().int().permute(1, 2, 0).tolist() for r in rows],
}))
"""


def loaded(root: Path, picks: list[int]) -> dict:
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_DATASETS_CACHE": str(root.parent / "hf")}
    done = subprocess.run([str(PYTHON), "-c", READER, str(root), json.dumps(picks)], capture_output=True, text=True,
                          env=environment, check=False, cwd=root.parent)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


@with_lerobot
@pytest.mark.parametrize("codec", ["libx264", "libsvtav1", "png"])
def test_lerobot_reads_the_same_values_without_a_warning(tmp_path, codec):
    pixels = "yuv420p" if codec == "libsvtav1" else "yuv444p"
    overrides = [f"out={tmp_path / 'set'}", "episodes=5", "block=2", "world.size=48", "tasks=[reach,pick_place]",
                 f"codec={codec}", f"pixels={pixels}"]
    assert generate.main(config.resolve("generate", overrides)) == 0
    ours = TrainingData.open(tmp_path / "set")
    picks = [0, int(ours.start[2]) - 2, len(ours) - 1]
    theirs = loaded(tmp_path / "set", picks)
    assert theirs["warnings"] == []
    assert (theirs["episodes"], theirs["frames"], theirs["robot"]) == (5, len(ours), "so101")
    assert theirs["part"] == ours.length[1]
    assert theirs["tasks"] == [ours.instructions[ours.episode[i]] for i in picks]
    action, mask = ours.chunks(np.array(picks), 8)
    assert np.allclose(theirs["action"], action)
    assert np.array_equal(~np.array(theirs["pad"]), mask)
    assert np.allclose(theirs["state"], ours.state[picks])
    assert np.abs(np.array(theirs["front"]) - ours.images["front"][picks].astype(int)).max() <= 2


@with_lerobot
def test_lerobot_reads_a_folder_left_by_a_kill_between_block_and_info(tmp_path, dataset, made, monkeypatch):
    from datagen.dataset import Writer

    root = dataset(2)
    block = made.stage(root, range(2, 4))

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("datagen.dataset.write_text", stop)
    with pytest.raises(KeyboardInterrupt):
        Writer(root).commit(block)
    theirs = loaded(root, [0, 3])
    assert theirs["episodes"] == 2


@with_lerobot
@pytest.mark.parametrize("codec", ["libx264", "png"])
def test_lerobots_visualiser_shows_an_episode_without_a_warning(tmp_path, codec):
    assert generate.main(config.resolve("generate", [f"out={tmp_path / 'set'}", "episodes=2", f"codec={codec}"])) == 0
    command = [str(PYTHON), "-W", "always", "-m", "lerobot.scripts.lerobot_dataset_viz", "--repo-id", "local/set",
               "--root", str(tmp_path / "set"), "--episode-index", "1", "--mode", "local", "--save", "1",
               "--output-dir", str(tmp_path / "seen"), "--num-workers", "0"]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_DATASETS_CACHE": str(tmp_path / "hf")}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "Warning" not in done.stderr
    frames = TrainingData.open(tmp_path / "set").length[1]
    assert (tmp_path / "seen" / "local_set_episode_1.rrd").stat().st_size > 10_000 * frames


@with_doctor
def test_a_public_checker_finds_nothing_wrong_with_format_time_or_videos(tmp_path):
    assert generate.main(config.resolve("generate", [f"out={tmp_path / 'set'}", "episodes=40", "world.size=48"])) == 0
    done = subprocess.run([str(DOCTOR), "check", str(tmp_path / "set")], capture_output=True, text=True, check=False)
    said = dict(line.strip("[]").split("] ", 1)[::-1] for line in done.stdout.splitlines() if line.startswith("["))
    assert "FAIL" not in said.values(), done.stdout
    for section in ("Metadata & Format Compliance", "Temporal Consistency", "Video Integrity", "Feature Consistency",
                    "Training Readiness", "Portability"):
        assert said[section] == "PASS", done.stdout
    assert "zero variance" not in done.stdout and "constant dimension" not in done.stdout
