"""What every `plant` option owes virtual servos, for every arm with servos: it moves, it sags, it never exceeds."""

from inspect import signature

import numpy as np
import pytest

from hardware.protocols.messages import SyncWrite
from hardware.protocols.tables import RAD_PER_COUNT
from hardware.virtual.rig import Rig
from robot import registry
from robot.interfaces import PlantState

TICK = 1 / 240
MODELS = sorted(name for name, make in registry.load("model").items() if not signature(make).parameters and make().bus)


@pytest.fixture(params=[(plant, model) for plant in sorted(registry.load("plant")) for model in MODELS],
                ids=lambda p: "-".join(p))
def made(request):
    """(model, plant, its start pose)"""
    plant, name = request.param
    model = registry.build("model", name)
    config = {"plant": plant, "world": "tabletop", "task": "reach", "randomization": "none"}
    world = registry.assemble(config, "world", model=model) if plant == "bullet" else None
    built = registry.assemble(config, "plant", model=model, world=world)
    yield model, built, world.arm.read().q if world else built.q.copy()
    if world is not None:
        world.close()


def hold(plant, goal, torque, seconds: float) -> PlantState:
    state = None
    for _ in range(round(seconds / TICK)):
        state = plant.step(TICK, goal, torque)
    return state


def test_it_reaches_goals_and_stays_within_torque(made):
    model, plant, start = made
    stall = np.array([j.torque for j in model.joints])
    goal = start.copy()
    goal[0] += 0.2
    goal[-1] = np.clip(goal[-1] + 0.2, model.spec.lower[-1], model.spec.upper[-1])
    first = plant.step(TICK, start, stall)
    assert first.q.shape == first.dq.shape == first.torque.shape == start.shape
    state = hold(plant, goal, stall, 1.5)
    assert state.q == pytest.approx(goal, abs=0.06)
    assert np.abs(state.dq).max() < 0.1
    assert (np.abs(state.torque) <= stall + 1e-6).all()


def test_limp_joints_push_nothing_and_fall(made):
    model, plant, start = made
    assert not hold(plant, start, np.zeros(len(start)), 0.05).torque.any()
    state = hold(plant, start, np.zeros(len(start)), 1.0)
    assert np.abs(state.q - start).max() > 0.05
    assert np.isfinite(state.q).all()
    margin = 0.05
    assert (state.q >= model.spec.lower - margin).all() and (state.q <= model.spec.upper + margin).all()


def test_ticks_may_be_any_multiple(made):
    _, plant, start = made
    stall = np.full(len(start), 2.0)
    goal = start.copy()
    goal[0] += 0.2
    for _ in range(36):
        state = plant.step(10 * TICK, goal, stall)
    assert state.q[0] == pytest.approx(goal[0], abs=0.06)


def test_virtual_servos_move_it(made):
    model, plant, start = made
    if model.bus != "feetech":
        pytest.skip(f"{model.name} has no Feetech servos")
    rig = Rig(model, plant, start, TICK)
    goal = start.copy()
    goal[0] += 0.3
    counts = {joint.servo: round(2048 + joint.sign * angle / RAD_PER_COUNT)
              for joint, angle in zip(model.joints, goal, strict=True)}
    op = SyncWrite(42, tuple((servo, value.to_bytes(2, "little")) for servo, value in counts.items()))
    for unit in rig.units:
        unit.firmware.handle(op)
    rig.advance(1.5)
    assert rig.state.q == pytest.approx(goal, abs=0.08)
    assert all(rig.energised)
