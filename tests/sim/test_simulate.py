"""`steadyhand simulate`: videos and a summary, without any window."""

from __future__ import annotations

import json

import av
import pytest

from robot import config
from robot.errors import ConfigError
from sim import simulate

SMALL = ["renderer=tiny", "pixels=48", "task=reach", "randomization=held_out"]


def test_every_episode_leaves_a_video_and_a_line(tmp_path):
    assert simulate.main(config.resolve("simulate", [*SMALL, "episodes=2", "seed=4", f"out={tmp_path}"])) == 0
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["renderer"] == "tiny" and summary["episodes"] == summary["successes"] == 2
    assert [r["seed"] for r in summary["results"]] == [4, 5]
    for result in summary["results"]:
        with av.open(str(tmp_path / result["video"])) as video:
            frames = list(video.decode(video=0))
        assert len(frames) / 30 == pytest.approx(result["seconds"] + 0.1, abs=0.15), "30 pictures a simulated second"
        assert (frames[0].width, frames[0].height) == (96, 74)
        assert result["instruction"] and result["success"] and result["progress"] == 1.0
    assert (tmp_path / "config.yaml").is_file() and (tmp_path / "versions.json").is_file()


def test_an_episode_that_runs_out_of_time_is_told(tmp_path, capsys):
    simulate.main(config.resolve("simulate", [*SMALL, "episodes=1", "seconds=0.2", f"out={tmp_path}"]))
    assert json.loads((tmp_path / "summary.json").read_text())["successes"] == 0
    said = capsys.readouterr().out
    assert "seed 0 did not succeed" in said and "0 of 1 episodes succeeded" in said


def test_no_episodes_are_refused():
    with pytest.raises(ConfigError, match="at least 1"):
        simulate.main(config.resolve("simulate", [*SMALL, "episodes=0"]))
