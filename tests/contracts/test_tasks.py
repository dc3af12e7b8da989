"""Every registered task: builds, says what it wants in many ways, is not yet done, and is done by the expert."""

from __future__ import annotations

import re

import numpy as np
import pytest

from datagen.expert import Expert
from robot import registry
from robot.arms.so101 import so101
from sim.goals import Goal
from sim.randomization import none, some, train
from sim.tasks import Task, language
from sim.tasks.memory import Shown
from sim.world import Tabletop

TASKS = sorted(registry.load("task"))


@pytest.fixture(scope="module", params=TASKS)
def world(request):
    made = Tabletop(so101(), registry.build("task", request.param), train())
    yield made
    made.close()


def test_is_a_task(world):
    assert isinstance(world.task, Task) and world.task.seconds > 0
    assert all(isinstance(goal, Goal) for goal in world.goals)
    assert all(np.isfinite(values).all() for values in world.labels().values())


def test_begins_undone_with_progress_in_range(world):
    for seed in range(3):
        world.reset(seed)
        assert not world.success()
        assert 0.0 <= world.progress() < 1.0


def test_same_seed_same_scene_and_words(world):
    said, poses = world.reset(21), world.poses()
    world.reset(22)
    assert world.reset(21) == said and np.array_equal(poses, world.poses())


def test_nothing_overlaps_or_falls(world):
    for seed in range(3):
        world.reset(seed)
        movable = [n for n, b in world.scene.bodies.items() if n not in ("arm", "table") and b.solids]
        before = {n: world.scene.pose(n).position for n in movable}
        for _ in range(5):
            world.step(world.arm.spec.home)
        for name in movable:
            assert np.linalg.norm(world.scene.pose(name).position - before[name]) < 5e-3, name


def test_a_hundred_phrasings_and_others_held_out(world):
    plain, known, unseen = (language.phrasings(world.task.grammar, split) for split in language.SPLITS)
    assert len(set(plain)) >= 100 and set(plain) < set(known) and unseen and not set(known) & set(unseen)
    assert not any("  " in text or text != text.strip() or "{" in text for text in (*known, *unseen))
    assert {gaps(text) for text in known} == {gaps(text) for text in plain}


def gaps(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"<\w+>", text))


def test_words_come_from_their_split(world):
    plain = Tabletop(so101(), world.task, none())
    held_out = Tabletop(so101(), world.task, some(axes=(), held_out=("language",)))
    for made, split in zip((plain, world, held_out), language.SPLITS):
        said = [made.reset(seed) for seed in range(3)]
        assert not any("<" in text or "{" in text for text in said)
        assert all(any(matches(rule, text) for rule in language.phrasings(world.task.grammar, split)) for text in said)
    plain.close()
    held_out.close()


def matches(rule: str, text: str) -> bool:
    """`text` is `rule` with its gaps filled in."""
    return re.fullmatch(re.sub(r"<\w+>", ".+", re.escape(rule)), text) is not None


def test_a_twin_is_the_same_scene_with_something_else_asked(world):
    for seed in range(3):
        said, goals, before = world.reset(seed), world.goals, where(world)
        other = world.reset(seed, twin=1)
        assert where(world) == before
        assert world.goals != goals
        assert not world.success()
        if not isinstance(world.task, Shown) or world.task.grammar == "shell_game":
            assert other != said  # where something is shown instead of said, the show differs


def where(world: Tabletop) -> dict[str, bytes]:
    return {name: world.scene.pose(name).position.tobytes() + world.scene.pose(name).quaternion.tobytes()
            for name in world.scene.bodies if name != "marker"}


def test_the_expert_does_it(request, world):
    nominal = Tabletop(so101(), world.task, none())
    expert = Expert()
    for seed, twin in ((1, 0), (2, 1)):
        nominal.reset(seed, twin)
        expert.reset(nominal)
        best = 0.0
        for _ in range(round(nominal.task.seconds * 10)):
            nominal.step(expert.act())
            best = max(best, nominal.progress())
            assert 0.0 <= nominal.progress() <= 1.0
            if nominal.success():
                break
        assert nominal.success() and best == 1.0, f"seed {seed}"
    nominal.close()
