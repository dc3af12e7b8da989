"""Scenes: names, poses, saving and returning."""

from __future__ import annotations

import numpy as np
import pytest

from robot.arms.so101 import so101
from robot.errors import SceneError
from sim.scene import Link, Scene, Shape

BOX = Shape("box", (0.03, 0.03, 0.03))


@pytest.fixture
def scene():
    made = Scene()
    made.add("table", Shape("box", (1, 1, 0.04)), (0, 0, -0.02))
    yield made
    made.close()


def test_things_fall_and_lie(scene):
    scene.add("cube", BOX, (0.2, 0, 0.05), mass=0.02)
    scene.step(240)
    assert scene.pose("cube").position == pytest.approx([0.2, 0, 0.015], abs=1e-3)
    assert scene.touch("cube", "table") > 0
    assert np.linalg.norm(scene.velocity("cube")[0]) < 1e-3


def test_names_are_unique_and_known(scene):
    with pytest.raises(SceneError, match="already a body 'table'"):
        scene.add("table", BOX, (0, 0, 0))
    with pytest.raises(SceneError, match=r"no body 'cup'.*table"):
        scene.pose("cup")


def test_missing_urdf(scene, tmp_path):
    with pytest.raises(SceneError, match="there is no URDF"):
        scene.load("arm", tmp_path / "none.urdf")


def test_restore_is_exact(scene):
    scene.add("a", BOX, (0.2, 0, 0.03), mass=0.02)
    scene.add("b", BOX, (0.21, 0.005, 0.08), mass=0.02)
    scene.step(20)
    moment = scene.snapshot()

    def play() -> np.ndarray:
        scene.step(60)
        return scene.poses()

    first = play()
    scene.restore(moment)
    assert np.array_equal(first, play())


def test_drawer_slides_within_its_limits(scene):
    drawer = Link((Shape("box", (0.1, 0.1, 0.02)),), 0.1, "prismatic", "box", (0, 0, 0.03), (1, 0, 0), (0, 0.08), 0.3)
    scene.add("chest", [Link((Shape("box", (0.12, 0.12, 0.01)),)), drawer], (0.2, 0, 0.005))
    scene.set_joint("chest", "box", 0.05)
    scene.step(60)
    assert scene.joint("chest", "box") == pytest.approx(0.05, abs=2e-3)
    assert scene.pose("chest", "box").position[0] == pytest.approx(0.25, abs=2e-3)


def test_rows_of_poses_are_those_that_parts_name(scene):
    scene.add("a", BOX, (0.1, 0, 0.015), mass=0.02)
    version = scene.version
    scene.add("b", [BOX, Shape("sphere", (0.01,), (0, 0, 0.03))], (0.2, 0, 0.015), mass=0.02)
    rows = {part.body: scene.poses()[part.frame, :3] for part in scene.parts}
    assert set(rows) == {"table", "a", "b"} and scene.version > version
    assert rows["a"] == pytest.approx([0.1, 0, 0.015], abs=1e-4)
    assert rows["b"] == pytest.approx([0.2, 0, 0.015], abs=1e-4)


def test_every_moving_part_of_an_arm_has_a_frame(scene):
    scene.load("arm", so101().urdf)
    frames = {part.link: part.frame for part in scene.parts if part.body == "arm"}
    assert len(frames) == len(set(frames.values())) == 7
    assert max(frames.values()) < len(scene.poses())
