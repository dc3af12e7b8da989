"""`arm=sim`: one agent over several scenes, in a time that goes on, on an arm that really follows."""

from __future__ import annotations

import json

import numpy as np
import pytest

from hardware import deploy, replay
from hardware.workcell import FLIGHT, SimCell
from robot import config
from robot.arms.so101 import so101
from robot.errors import ConfigError
from robot.interfaces import Chunk
from robot.recorder import read
from robot.registry import option

SWING = np.array([0.5, 0.2, 0.2, 0.2, 0.5, 0.3])  # rad about home


@option("loader", "nodding")
class Nodding:
    """Chunks of 12 rows of 0.1 s that swing slowly about home."""

    def __init__(self, path: str) -> None:
        self.home = so101().spec.home

    def reset(self, instruction: str) -> None:
        return

    def act(self, obs) -> Chunk:
        times = obs.stamp + 0.1 * np.arange(1, 13)
        return Chunk(times[0], 0.1, self.home + SWING * np.sin(1.5 * times)[:, None])


def settings(out, *overrides):
    told = ["arm=sim", "view=none", "world.size=32", "renderer=tiny", f"out={out}", *overrides]
    return {**config.resolve("deploy", told), "loader": "nodding"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("sim") / "out"
    assert deploy.main(settings(out, "episodes=2", "seconds=2.5")) == 0
    return out


def test_the_arm_of_every_scene_follows(folder):
    result = json.loads((folder / deploy.RESULT).read_text())
    assert [e["outcome"] for e in result["episodes"]] == ["timeout", "timeout"]
    assert [e["faults"] for e in result["episodes"]] == [[], []]
    cycles = [r.snapshot for r in read(folder / FLIGHT) if r.snapshot is not None]
    for half in (cycles[: len(cycles) // 2], cycles[len(cycles) // 2 :]):
        q = np.array([s.state.q for s in half if s.mode.value == "active"])
        assert np.ptp(q[:, 0]) > 0.3


def test_time_goes_on_from_scene_to_scene(folder):
    cycles = [r.snapshot for r in read(folder / FLIGHT) if r.snapshot is not None]
    assert np.all(np.diff([s.now for s in cycles]) >= 0.0) and cycles[-1].now > 5.0
    assert max(abs(s.state.stamp - s.now) for s in cycles) < 1e-6
    assert max(age for s in cycles for age in s.frame_age.values()) < 0.5
    made = replay.replay(folder / FLIGHT)
    assert made.cycles == len(cycles) and not made.differ


def test_the_same_seed_gives_the_same_flight(folder, tmp_path):
    assert deploy.main(settings(tmp_path / "again", "episodes=2", "seconds=2.5")) == 0
    first, again = ([r.snapshot.state.q for r in read(f / FLIGHT) if r.snapshot is not None]
                    for f in (folder, tmp_path / "again"))
    np.testing.assert_array_equal(first, again)


@pytest.mark.parametrize(("overrides", "words"), [
    (["fault='servo 5 off'"], "arm=sim has no servos"),
    (["arm=so101", "fault=nonsense"], "has no kind"),
    (["arm=so101", "fault='servo 9 off'"], "there is no servo '9'"),
    (["arm=so101", "fault='servo 5 off at noon'"], "noon"),
    (["arm=so101", "port=/dev/nothing", "fault='servo 5 off'"], "on virtual servos only"),
    (["arm=so101", "port=/dev/nothing"], "say what the arm on /dev/nothing is to do"),
], ids=str)
def test_what_can_be_seen_to_be_wrong_is_said_before_anything_starts(tmp_path, overrides, words):
    with pytest.raises(ConfigError, match=words):
        deploy.main(settings(tmp_path / "out", *overrides))
    assert not (tmp_path / "out").exists()


def test_a_cell_refuses_servo_faults_too(tmp_path):
    cell = SimCell(settings(tmp_path), tmp_path)
    with pytest.raises(ConfigError, match="no servos"):
        cell.begin(0, "servo 5 off")
    cell.close()
