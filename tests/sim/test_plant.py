"""The simulated arm behind virtual servos: what happens in a scene by itself waits for an arm that can work."""

from __future__ import annotations

import numpy as np
import pytest

from robot import registry
from robot.arms.so101 import so101
from sim.plant import BulletPlant
from sim.randomization import none
from sim.scene import HZ
from sim.tasks.memory import OVER, WRONG
from sim.world import Tabletop


@pytest.fixture
def plant():
    made = BulletPlant(Tabletop(so101(), registry.build("task", "cue_then_act"), none()))
    assert made.reset(3) and made.world.seed == 3
    yield made
    made.world.close()


def run(plant, seconds, goal, torque):
    for k in range(round(seconds * HZ)):
        plant.step(1.0 / HZ, goal(k / HZ), torque)


def test_what_is_shown_first_waits_for_an_arm_that_stands_at_home_with_torque(plant):
    world, spec = plant.world, plant.world.model.spec
    strong, limp = world.arm.servos.stall, np.zeros(6)
    run(plant, 1.0, lambda t: spec.home, limp)
    sagged = world.arm.servos.read()[0]
    assert np.abs(sagged - spec.home).max() > 0.3 and world.waiting
    world.arm.place(spec.park)
    run(plant, 0.5, lambda t: spec.park, strong)  # it stands, elsewhere
    assert world.waiting
    run(plant, 2.0, lambda t: spec.park + min(t / 2.0, 1.0) * (spec.home - spec.park), strong)
    assert world.waiting and not world.scene.facts.get(WRONG)  # it comes along
    run(plant, world.task.show + 1.0, lambda t: spec.home, strong)
    assert not world.waiting and world.scene.facts.get(OVER) and not world.scene.facts.get(WRONG)


def test_a_world_that_was_not_reset_by_the_plant_awaits_nothing(plant):
    plant.world.reset(3)
    assert not plant.world.waiting
