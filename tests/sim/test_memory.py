"""Tasks that need memory: what was shown cannot be seen later, guessing loses, and so does moving during the show."""

from __future__ import annotations

import numpy as np
import pytest

from datagen.expert import Expert
from robot import registry
from robot.arms.so101 import so101
from sim.randomization import none
from sim.tasks.memory import OVER, WRONG
from sim.world import Tabletop

SHOWN = ("cue_then_act", "order_replay", "shell_game")
MEMORY = {"put_back": 1 / 4, "shell_game": 1 / 3, "cue_then_act": 1 / 3, "count": 0.168, "order_replay": 1 / 24}


def made(task: str) -> Tabletop:
    return Tabletop(so101(), registry.build("task", task), none())


@pytest.mark.parametrize("task", MEMORY)
def test_the_chance_level_is_stated(task):
    built = registry.build("task", task)
    assert built.chance == pytest.approx(MEMORY[task]) and "chance" in (type(built).__doc__ or "")


@pytest.mark.parametrize("task", ["cue_then_act", "order_replay"])
def test_after_the_show_all_answers_look_alike(task):
    """Same poses, same words, other answer: whoever does not remember does the same in all of them."""
    world, seen, answers = made(task), set(), []
    for twin in range(3):
        said = world.reset(5, twin)
        for _ in range(round(world.task.show * 10) + 2):
            world.step(world.arm.spec.home)
        assert world.scene.facts.get(OVER) and not world.scene.facts.get(WRONG)
        seen.add((world.poses().tobytes(), len(said) > 0))
        answers.append(world.goals)
    assert len(seen) == 1 and all(a != b for k, a in enumerate(answers) for b in answers[:k])
    world.close()


@pytest.mark.parametrize("task", SHOWN)
def test_doing_what_another_show_asked_for_loses(task):
    world, expert = made(task), Expert()
    world.reset(5, twin=1)
    other = world.goals
    world.reset(5)
    asked, world.goals = world.goals, other
    world._watched = [goal for goal in other if hasattr(goal, "watch")]
    expert.reset(world)
    for _ in range(150):
        world.step(expert.act())
        if world.scene.facts.get(WRONG):
            break
    assert world.scene.facts.get(WRONG) and not all(goal.success(world.scene) for goal in asked)
    world.close()


@pytest.mark.parametrize("task", SHOWN)
def test_moving_during_the_show_loses(task):
    world = made(task)
    world.reset(3)
    q = world.arm.spec.home.copy()
    q[0] += 0.5
    for _ in range(5):
        world.step(q)
    assert world.scene.facts.get(WRONG) and not world.success()
    world.close()


@pytest.mark.parametrize("task", SHOWN)
def test_a_show_waits_for_work_to_begin(task):
    """As for an arm that is limp at first: until then it may move, and nothing is shown."""
    world = made(task)
    world.reset(3)
    world.await_work()
    q = world.arm.spec.home.copy()
    for turn in (0.5, 0.0):
        q[0] += turn
        for _ in range(round(world.task.show * 10) + 2):
            world.step(q)
    assert not world.scene.facts.get(WRONG) and not world.scene.facts.get(OVER)
    waiting = world.snapshot()
    world.begin_work()
    for _ in range(round(world.task.show * 10) + 2):
        world.step(q)
        world.begin_work()  # it began already
    assert world.scene.facts.get(OVER) and not world.scene.facts.get(WRONG)
    world.restore(waiting)
    for _ in range(round(world.task.show * 10) + 2):
        world.step(q)
    assert not world.scene.facts.get(OVER)
    world.reset(3)  # nobody waits in a new episode
    world.step(world.arm.spec.home + [0.5, 0.0, 0.0, 0.0, 0.0, 0.0])
    for _ in range(5):
        world.step(q)
    assert world.scene.facts.get(WRONG)
    world.close()


def test_counting_too_little_or_too_much_loses():
    world = made("count")
    for extra in (-1, 1):
        world.reset(4)
        scene, task = world.scene, world.task
        for _ in range(task._number + extra):
            scene.place("cube 0", task._inside.place(scene))
            for _ in range(4):
                world.step(world.arm.spec.home)
        assert scene.facts["count"] == task._number + extra
        if extra < 0:
            assert not scene.facts.get(WRONG)
            scene.set_joint("button", "button", -0.006)
            world.step(world.arm.spec.home)
        assert scene.facts.get(WRONG) and not world.success()
    world.close()


def test_cups_carry_what_they_hide():
    world = made("shell_game")
    world.reset(7)
    before = np.array([world.scene.pose(f"cup {k}").position for k in range(3)])
    for _ in range(round(world.task.show * 10) + 2):
        world.step(world.arm.spec.home)
    after = np.array([world.scene.pose(f"cup {k}").position for k in range(3)])
    under = np.array([world.scene.pose(f"cube {k}").position for k in range(3)])
    spots = {tuple(np.round(p[:2], 2)) for p in before}
    assert spots == {tuple(np.round(p[:2], 2)) for p in after}, "the same places, other cups"
    assert np.abs(after[:, :2] - under[:, :2]).max() < 0.009
    assert world.scene.pose("hint 0").position[2] < 0
    world.close()
