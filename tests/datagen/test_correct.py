"""The expert goes on from where a policy failed; what comes of it is a dataset like any other."""

from __future__ import annotations

import json

import numpy as np
import pytest

from datagen import audit, generate
from datagen.correct import Learner, Retraced, digest
from datagen.files import read_manifest
from robot import config, registry
from robot.errors import DataError
from robot.interfaces import Chunk

SET = ("episodes=2", "workers=1", "world.size=32", "task=press_button", "seconds=8", "seed=3")


class Astray:
    """Turns the base away and closes the gripper, whatever it is asked."""

    def reset(self, instruction):
        self.asked = instruction

    def act(self, obs):
        rows = np.repeat(obs.state.q[None], 16, 0)
        rows[:, 0] += 0.03 * np.arange(1, 17)
        rows[:, -1] = 0.0
        return Chunk(obs.stamp + 0.1, 0.1, rows)


HERE = f"{__name__}:Astray"


def world():
    return registry.assemble(config.resolve("generate", ["out=x", "task=press_button", "world.size=32"]), "world")


def test_the_world_is_left_where_the_policy_went_wrong():
    here, learner = world(), Learner(HERE)
    start = learner(here, 7, 4.0)
    assert learner.policy.asked == start.instruction == here.instruction
    assert start.learner["period"] == len(start.actions) < 40
    stood = here.arm.read().q
    assert stood[0] > 0.2 and here.clock.now() == pytest.approx(0.1 * len(start.actions))
    again = Retraced({"before": start.actions, "learner": start.learner})
    other = world()
    assert again(other, 7, 0.0).instruction == start.instruction
    assert other.arm.read().q == pytest.approx(stood, abs=2e-3)


def test_a_scene_that_it_masters_gives_nothing(monkeypatch):
    here, learner = world(), Learner(HERE)
    monkeypatch.setattr(here, "success", lambda: True)
    assert learner(here, 7, 4.0) is None


def test_corrections_are_verified_demonstrations_that_pass_an_audit(tmp_path, capsys):
    out = tmp_path / "set"
    overrides = [f"out={out}", f"learner={HERE}", *SET]
    assert generate.main(config.resolve("generate", overrides)) == 0
    rows = read_manifest(out)
    assert [r["outcome"] for r in rows] == ["success"] * 2
    assert all(r["learner"]["checkpoint"] == HERE and len(r["before"]) == r["learner"]["period"] for r in rows)
    assert rows[0]["before"] != rows[1]["before"]
    assert audit.main(config.resolve("audit", [f"data={out}", "replay=2", f"out={tmp_path / 'audit'}"])) == 0
    assert json.loads((tmp_path / "audit" / "report.json").read_text())["problems"] == []
    plain = tmp_path / "plain"
    assert generate.main(config.resolve("generate", [f"out={plain}", *SET])) == 0
    assert "learner" not in read_manifest(plain)[0]
    both = tmp_path / "both"
    assert generate.main(config.resolve("generate", [f"out={both}", f"merge=[{plain},{out}]"])) == 0
    assert [bool(r.get("learner")) for r in read_manifest(both)] == [False, False, True, True]


def test_a_checkpoint_that_is_not_there_is_said_before_anything_is_made(tmp_path):
    with pytest.raises(DataError, match="no checkpoint"):
        generate.main(config.resolve("generate", [f"out={tmp_path / 'set'}", "learner=nowhere"]))
    assert not (tmp_path / "set").exists()


def test_a_checkpoint_of_another_arm_is_said_before_anything_is_made(tmp_path):
    with pytest.raises(DataError, match="another arm than model=koch"):
        generate.main(config.resolve("generate", [f"out={tmp_path / 'set'}", "learner=pick_place", "model=koch"]))
    assert not (tmp_path / "set").exists()


def test_a_checkpoint_is_known_by_its_content(tmp_path):
    (tmp_path / "policy.json").write_text("{}")
    first = digest(str(tmp_path))
    (tmp_path / "policy.json").write_text("[]")
    assert len(first) == 16 and digest(str(tmp_path)) != first
