"""The tabletop: reproducible, steppable, judged by its goals, and able to return to any moment."""

from __future__ import annotations

import numpy as np
import pytest

from robot import registry
from robot.arms.so101 import so101
from robot.errors import ArmError, SceneError
from robot.interfaces import Arm
from sim import conditions, goals
from sim.plant import BulletPlant
from sim.randomization import none, train
from sim.tasks.pick_place import PickPlace
from sim.world import PERIOD, Tabletop


@pytest.fixture(scope="module")
def world():
    made = Tabletop(so101(), PickPlace(), train())
    yield made
    made.close()


def wiggle(world: Tabletop, steps: int = 8) -> np.ndarray:
    start = world.arm.read().q
    for k in range(steps):
        world.step(start + 0.15 * np.sin(0.7 * k + np.arange(len(start))))
    return world.poses()


def test_same_seed_same_instant(world):
    said = world.reset(11)
    first = wiggle(world)
    world.reset(12)
    assert world.reset(11) == said
    assert np.array_equal(first, wiggle(world))


def test_another_world_agrees(world):
    world.reset(5)
    other = Tabletop(so101(), PickPlace(), train())
    other.reset(5)
    assert np.array_equal(wiggle(world), wiggle(other))
    other.close()


def test_restore_is_exact(world):
    world.reset(3)
    wiggle(world, 3)
    moment = world.snapshot()
    first, progress = wiggle(world), world.progress()
    world.restore(moment)
    assert np.array_equal(first, wiggle(world)) and world.progress() == progress


def test_moments_of_another_episode_are_refused(world):
    moment = world.snapshot()
    world.reset(4)
    with pytest.raises(SceneError, match="before the last reset"):
        world.restore(moment)


def test_a_period_takes_a_tenth_of_a_second_and_reaches_its_target(world):
    world.reset(1)
    q = world.arm.read().q + np.array([0.1, -0.1, 0.05, -0.1, 0.2, 0.0])
    world.step(q)
    assert world.clock.now() == pytest.approx(PERIOD)
    for _ in range(5):
        world.step(q)
    assert np.abs(world.arm.read().q - q).max() < 0.04


def test_waiting_on_the_clock_moves_the_arm(world):
    world.reset(2)
    goal = world.arm.read().q + np.array([0.3, 0, 0, 0, 0, 0])
    world.arm.command(goal)
    world.clock.wait(0.5)
    assert world.arm.read().q[0] == pytest.approx(goal[0], abs=0.03)


def test_labels_have_the_datasets_shapes(world):
    world.reset(9)
    labels = world.labels()
    widths = {"aux.target_xyz": 3, "aux.goal_xyz": 3, "aux.target_px.front": 3, "aux.target_px.wrist": 3,
              "aux.goal_px.front": 3, "aux.goal_px.wrist": 3, "aux.things_px.front": 18, "aux.things_px.wrist": 18,
              "aux.tool_px.front": 3, "aux.tool_px.wrist": 3, "aux.things_words": 96,
              "aux.yaw": 2, "aux.held": 1, "aux.phase": 1, "aux.subgoal": 1,
              "aux.target_quat": 4, "aux.progress": 1, "aux.success": 1}
    assert {k: v.shape for k, v in labels.items()} == {k: (n,) for k, n in widths.items()}
    assert all(v.dtype == np.float32 for v in labels.values())
    pose = world.scene.pose("cube 0")
    assert labels["aux.target_xyz"] == pytest.approx(pose.position, abs=1e-6)
    assert np.abs(labels["aux.target_quat"]) == pytest.approx(np.abs(pose.quaternion), abs=1e-6)
    assert labels["aux.target_quat"][3] >= 0
    assert labels["aux.subgoal"] == 0


def test_a_cube_put_into_its_tray_is_success(world):
    world.reset(6)
    assert not world.success() and world.progress() < 0.6
    goal = world.goals[0]
    world.scene.place("cube 0", goal.place(world.scene))
    for _ in range(3):
        world.step(world.arm.read().q)
    assert world.success() and world.progress() == 1.0 and world.labels()["aux.success"][0] == 1.0


def test_the_wrong_cube_is_not(world):
    world.reset(6)
    world.scene.place("cube 1", world.goals[0].place(world.scene))
    for _ in range(3):
        world.step(world.arm.read().q)
    assert not world.success()


@pytest.mark.parametrize("task, about", [
    ("open_drawer", {"cabinet"}), ("turn_knob", {"dial"}), ("pick_place", None), ("put_in_drawer", None)])
def test_what_the_goals_are_about_is_no_wrong_object_and_all_else_is(task, about, monkeypatch):
    made = Tabletop(so101(), registry.build("task", task), train())
    made.reset(3)
    found = set().union(*(goals.named(conditions.core(g)) for g in made.goals))
    assert found and found <= made.scene.bodies.keys() and found == (about or found)
    for body in made.scene.bodies.keys() - {"arm", "table"}:
        monkeypatch.setattr(goals, "held", lambda _, item, body=body: item == body)
        assert made.wrong_object() == (body not in found)
    made.close()


def test_sim_arm_keeps_the_arm_contract(world):
    world.reset(0)
    arm = world.arm
    assert isinstance(arm, Arm)
    sent = arm.command(np.full(6, 9.0))
    assert (sent <= arm.spec.upper + 1e-3).all()
    with pytest.raises(ArmError, match="elbow_flex"):
        arm.command(np.array([0, 0, np.nan, 0, 0, 0]))
    with pytest.raises(ArmError, match="6 joints"):
        arm.command(np.zeros(4))
    arm.relax()
    before = arm.read().q
    world.clock.wait(world.clock.now() + 1.0)
    assert np.abs(arm.read().q - before).max() > 0.1, "a limp arm falls"
    arm.engage()
    held = arm.read().q
    world.clock.wait(world.clock.now() + 0.5)
    assert np.abs(arm.read().q - held).max() < 0.06


def test_a_held_cube_shows_in_effort_and_opening(world):
    world.reset(0)
    scene, arm = world.scene, world.arm
    q = arm.read().q
    q[-1] = world.model.gripper_closed
    for _ in range(6):
        tip = scene.pose("arm", "tcp")
        scene.place("cube 0", tip.position, tip.quaternion)
        world.step(q)
    state = arm.read()
    assert abs(state.effort[-1]) > 0.1 and state.q[-1] > 0.0
    assert world.labels()["aux.held"][0] == 1.0


def test_plant_moves_joints_and_sags_when_limp():
    world = Tabletop(so101(), PickPlace(), none())
    plant = BulletPlant(world)
    goal = world.arm.read().q + np.array([0.2, 0, 0, 0, 0, 0])
    full = np.array([j.torque for j in world.model.joints])
    for _ in range(100):
        state = plant.step(0.005, goal, full)
    assert state.q[0] == pytest.approx(goal[0], abs=0.03)
    assert world.clock.now() == pytest.approx(0.5, abs=0.01)
    for _ in range(200):
        state = plant.step(0.005, goal, np.zeros(6))
    assert np.abs(state.q - goal).max() > 0.1
    world.close()
