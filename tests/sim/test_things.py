"""Compounds and random objects: they lie still, are as wide as the gripper can take, and their splits never meet."""

from __future__ import annotations

import numpy as np
import pytest

from robot.arms.so101 import so101
from robot.errors import SceneError
from sim.grasps import WIDEST, corners, grasps
from sim.look import rotation
from sim.randomization import AXES, HELD_OUT_OBJECTS, TRAIN_OBJECTS, Randomization, some
from sim.tasks import things
from sim.tasks.pick_lift import PickLift
from sim.world import Tabletop

AXIS = "object_model"


def test_all_thousand_but_the_broken_one_are_split_without_overlap():
    assert len(TRAIN_OBJECTS) == 800 and len(HELD_OUT_OBJECTS) == 200
    assert len({*TRAIN_OBJECTS, *HELD_OUT_OBJECTS}) == 999


def test_every_random_object_has_a_shape():
    for name in sorted({*TRAIN_OBJECTS, *HELD_OUT_OBJECTS}):
        number = int(name.split()[1])
        assert np.isfinite(corners(str(things.folder() / f"{number:03d}/{number:03d}.obj"))).all(), name


@pytest.mark.parametrize("number", [0, 235, 417, 803, 999])
def test_an_object_rests_on_three_points_and_fits(number):
    (shape,), low, turn = things.random_object(number, 1.0)
    points = (corners(shape.mesh) * shape.size + shape.position) @ rotation(turn).T
    assert points[:, 2].min() == pytest.approx(-low, abs=1e-6)
    lowest = points[points[:, 2] < -low + 3e-4, :2]
    assert len(lowest) >= 3
    angles = np.arange(60) * np.pi / 60
    widths = np.ptp(points[:, :2] @ np.stack([np.cos(angles), np.sin(angles)]), axis=0)
    assert widths.max() < 1.02 * things.LONGEST and widths.min() < 1.02 * things.NARROWEST


@pytest.mark.parametrize("randomization", [some(axes=(AXIS,)), Randomization(held_out=frozenset({AXIS}))],
                         ids=["train", "held_out"])
def test_they_lie_still_and_can_be_grasped(randomization):
    world, kinds = Tabletop(so101(), PickLift(), randomization), set()
    for seed in range(6):
        world.reset(seed)
        draw = randomization.draw(seed)
        kinds |= {draw(AXIS).split(" ")[0] for _ in range(3)}
        names = ["cube 0", "cube 1", "cube 2"]
        before = [world.scene.pose(name) for name in names]
        for _ in range(5):
            world.step(world.arm.spec.home)
        for name, pose in zip(names, before):
            assert np.linalg.norm(world.scene.pose(name).position - pose.position) < 4e-3, (seed, name)
            assert all(0.01 < grasp.width <= WIDEST for grasp in grasps(world.scene, name))
    assert kinds >= {"compound", "random"} and ("" in kinds) == (AXIS in randomization.on)
    world.close()


def test_off_it_is_a_plain_block_as_before():
    world = Tabletop(so101(), PickLift(), some(axes=()))
    world.reset(2)
    assert AXES[AXIS].nominal == "" and all(text.endswith("cube") for text in world.scene.words.values())
    world.close()


def test_a_mesh_that_is_not_there_is_named(tmp_path):
    with pytest.raises(SceneError, match=r"none\.obj"):
        corners(str(tmp_path / "none.obj"))
