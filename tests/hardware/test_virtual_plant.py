"""Joint dynamics: gravity against PyBullet's inverse dynamics, friction that holds, stops that stop."""

import numpy as np
import pytest

from hardware.virtual.gravity import Gravity
from hardware.virtual.plant import JointPlant
from robot.arms.so101 import so101
from robot.errors import ConfigError
from sim.bullet import pybullet

TICK = 0.002


@pytest.fixture(scope="module")
def inverse_dynamics():
    """q (J,) -> the torques (J,) that hold the arm against gravity, by PyBullet."""
    model, client = so101(), pybullet.connect(pybullet.DIRECT)
    pybullet.setGravity(0, 0, -9.81, physicsClientId=client)
    body = pybullet.loadURDF(str(model.urdf), useFixedBase=True, physicsClientId=client)
    movable = [j for j in range(pybullet.getNumJoints(body, client))
               if pybullet.getJointInfo(body, j, client)[2] != pybullet.JOINT_FIXED]
    names = [pybullet.getJointInfo(body, j, client)[1].decode() for j in movable]
    order = [names.index(n) for n in model.names]

    def torques(q):
        given = np.zeros(len(movable))
        given[order] = q
        zero = [0.0] * len(movable)
        # By name: its fifth argument is not the client but flags.
        held = pybullet.calculateInverseDynamics(body, list(given), zero, zero, physicsClientId=client)
        return np.array(held)[order]

    yield torques
    pybullet.disconnect(client)


@pytest.mark.parametrize("seed", range(8))
def test_gravity_is_what_pybullet_says(inverse_dynamics, seed):
    spec = so101().spec
    q = np.random.default_rng(seed).uniform(spec.lower, spec.upper)
    assert Gravity(so101()).torque(q) == pytest.approx(-inverse_dynamics(q), abs=2e-3)


def settle(plant: JointPlant, goal, torque, seconds: float = 2.0):
    state = None
    for _ in range(round(seconds / TICK)):
        state = plant.step(TICK, np.asarray(goal, float), np.asarray(torque, float))
    return state


def test_a_loaded_joint_stands_below_its_goal():
    plant = JointPlant(so101())
    goal = np.zeros(6)
    state = settle(plant, goal, plant.stall)
    assert 0.003 < state.q[2] < 0.03  # the forearm hangs out; its servo sags
    assert abs(state.q[0]) < 0.004
    assert np.abs(state.dq).max() < 1e-9  # friction holds it dead still


def test_torque_is_limited_and_a_weak_joint_gives_way():
    plant = JointPlant(so101())
    settle(plant, np.zeros(6), plant.stall)
    weak = plant.stall.copy()
    weak[2] = 0.2
    state = settle(plant, np.zeros(6), weak, 1.0)
    assert state.q[2] > 0.3 and state.torque[2] == pytest.approx(-0.2)


def test_speed_is_bounded_by_back_emf():
    plant = JointPlant(so101(), speed=5.0)
    plant.place(np.array([-1.9, 0, 0, 0, 0, 0]))
    fastest = 0.0
    for _ in range(500):
        fastest = max(fastest, abs(plant.step(TICK, np.array([1.9, 0, 0, 0, 0, 0]), plant.stall).dq[0]))
    assert 3.0 < fastest < 5.0


def test_stops_hold():
    model = so101()
    plant = JointPlant(model)
    state = settle(plant, model.spec.upper + 1.0, plant.stall)
    assert (state.q <= model.spec.upper).all() and np.abs(state.dq).max() < 1e-9


def test_an_urdf_that_does_not_fit_is_refused(tmp_path):
    from dataclasses import replace

    (tmp_path / "arm.urdf").write_text("<robot name='x'><link name='base'/></robot>")
    with pytest.raises(ConfigError, match="no joint 'shoulder_pan'"):
        Gravity(replace(so101(), urdf=tmp_path / "arm.urdf"))
    with pytest.raises(ConfigError, match="cannot be read"):
        Gravity(replace(so101(), urdf=tmp_path / "none.urdf"))
