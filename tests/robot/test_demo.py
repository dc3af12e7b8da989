"""The whole loop: its steps are commands that exist, its page says what there is and what is missing."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from pathlib import Path

import pytest

from robot import config, demo, demo_report
from robot.errors import ConfigError

STEPS = ["simulate", "generate", "train", "evaluate", "deploy", "selftest"]


@pytest.fixture
def settings():
    return config.resolve("demo", [])


def test_every_step_is_a_command_with_keys_it_knows(settings, tmp_path):
    steps = demo.steps(settings, tmp_path)
    assert [s.name for s in steps] == STEPS
    for step in steps:
        resolved = config.resolve(step.name, step.arguments)
        assert str(tmp_path) in resolved["out"]
    assert config.resolve("deploy", steps[4].arguments)["fault"] == settings["fault"]


def test_the_training_is_told_what_the_demo_is_told(tmp_path):
    given = config.resolve("demo", ["train.policy.fine=1", "+train.batch=32", "train_steps=7"])
    train = config.resolve("train", demo.steps(given, tmp_path)[2].arguments)
    assert (train["policy"]["fine"], train["batch"], train["steps"]) == (1, 32, 7)


@pytest.mark.parametrize("wrong", ["+train.bacth=3", "+train.policy.fien=3", "train.policy.fine=many", "train=5"])
def test_a_mistake_in_it_is_said_before_anything_begins(wrong, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError):
        demo.main(config.resolve("demo", [wrong]))
    assert not (tmp_path / "runs").exists()


def test_the_page_of_a_demo_that_left_nothing_says_so(settings, tmp_path):
    page = demo_report.write_report(tmp_path, [], settings).read_text()
    assert page.count("left no result") == len(STEPS)


def test_the_timeline_ends_after_the_arm_let_go():
    episode = {"seconds": 4.0, "faults": [{"name": "lost_servo", "reason": "", "start": 3.0, "end": 3.6}],
               "modes": [{"at": 0.0, "mode": "active"}, {"at": 3.0, "mode": "hold"}, {"at": 4.1, "mode": "park"},
                         {"at": 5.6, "mode": "limp"}]}
    axes = demo_report._timeline(episode).axes[0]
    bars = sorted((b.get_x(), b.get_x() + b.get_width()) for b in axes.patches if b.get_y() < 0)
    assert bars[0][0] == 0.0 and axes.get_xlim()[1] > 5.6
    assert all(end == pytest.approx(begin) for (_, end), (begin, _) in itertools.pairwise(bars))


def test_the_summary_tells_the_story_of_the_fault():
    episode = {"fault": "servo 5 off at 3 for 0.6", "success": True, "outcome": "done",
               "faults": [{"name": "lost_servo", "reason": "no answer from wrist_roll", "start": 3.13, "end": 3.6}],
               "recoveries": [{"recovery": "retry", "fault": "lost_servo", "succeeded": True, "seconds": 0.58}]}
    found = {"data": {"total_episodes": 700}, "train": {"parameters": 1.7e6},
             "evaluate": {"episodes": 60, "successes": 52},
             "deploy": {"episodes": [{"fault": ""}, episode]},
             "selftest": {"lines": [{"verdict": v} for v in ("pass", "pass", "skip")]}}
    learnt, survived, checked = demo_report._summary(found)
    assert "700 scripted demonstrations" in learnt and "On 60 scenes that it never saw it did 52 as told" in learnt
    assert "3.13 s into the job the arm noticed: no answer from wrist_roll" in survived
    assert "retry (0.58 s)" in survived and survived.endswith("ended in success.")
    assert checked == "The self-test: 2 of 3 lines passed, 1 skipped."


@pytest.mark.slow
def test_a_small_demo_runs_to_its_report(tmp_path):
    out = tmp_path / "demo"
    small = ["simulate_episodes=1", "demonstrations=20", "train_steps=10", "evaluate_episodes=2", "deploy_episodes=1"]
    done = subprocess.run([sys.executable, "-m", "robot.cli", "demo", f"out={out}", *small], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0, done.stdout
    page = (out / "report.html").read_text()
    assert "left no result" not in page and page.count("<video") >= 3
    results = json.loads((out / "evaluate" / "results.json").read_text())
    assert results["episodes"] == 2
    assert Path(out / "deploy" / "flight.mcap").stat().st_size > 10_000
