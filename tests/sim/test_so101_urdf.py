"""The SO-101 description against the published chain, and the conventions that everything above relies on."""

from __future__ import annotations

import numpy as np
import pytest

from robot.arms.so101 import so101
from sim.kinematics import Chain
from sim.scene import Scene

# Joint origins (xyz m, rpy rad) of TheRobotStudio/SO-ARM100 Simulation/SO101/so101_new_calib.urdf; axes are local z.
PUBLISHED = (
    ((0.0388353, 0.0, 0.0624), (3.14159, 0.0, -3.14159)),
    ((-0.0303992, -0.0182778, -0.0542), (-1.5708, -1.5708, 0.0)),
    ((-0.11257, -0.028, 0.0), (0.0, 0.0, 1.5708)),
    ((-0.1349, 0.0052, 0.0), (0.0, 0.0, -1.5708)),
    ((0.0, -0.0611, 0.0181), (1.5708, 0.0486795, 3.14159)),
)
FRAME = ((-0.0079, -0.000218121, -0.0981274), (0.0, 3.14159, 0.0))
FOOT = 0.0024  # m, the published base origin over the table


def transform(xyz, rpy) -> np.ndarray:
    (a, b, c), out = rpy, np.eye(4)
    x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    out[:3, :3], out[:3, 3] = z @ y @ x, xyz
    return out


def published(q: np.ndarray) -> np.ndarray:
    out = transform((0, 0, FOOT), (0, 0, 0))
    for (xyz, rpy), angle in zip(PUBLISHED, q):
        out = out @ transform(xyz, rpy) @ transform((0, 0, 0), (0, 0, angle))
    return out @ transform(*FRAME)


@pytest.fixture(scope="module")
def model():
    return so101()


def chain(model, tip: str) -> Chain:
    return Chain(model.urdf, model.names[:-1], tip, model.spec.lower[:-1], model.spec.upper[:-1])


def test_gripper_frame_is_where_the_published_chain_puts_it(model):
    ours, rng = chain(model, "gripper_frame_link"), np.random.default_rng(1)
    for _ in range(50):
        q = rng.uniform(model.spec.lower[:-1], model.spec.upper[:-1])
        a, b = ours.pose(q), published(q)
        assert np.linalg.norm(a[:3, 3] - b[:3, 3]) < 2e-3
        assert np.arccos(np.clip((np.trace(a[:3, :3].T @ b[:3, :3]) - 1) / 2, -1, 1)) < 0.02


def test_zero_pose_is_a_gamma(model):
    """Upper arm up, forearm and gripper level and forward."""
    tip = chain(model, "tcp").pose(np.zeros(5))
    assert tip[:3, 2] == pytest.approx([1, 0, 0], abs=1e-3)
    assert tip[0, 3] > 0.35 and 0.2 < tip[2, 3] < 0.27


@pytest.mark.parametrize("joint", ["shoulder_lift", "elbow_flex", "wrist_flex"])
def test_positive_pitches_down(model, joint):
    q = np.zeros(5)
    q[model.names.index(joint)] = 0.3
    assert chain(model, "tcp").pose(q)[2, 2] < -0.25


def test_positive_pan_is_clockwise_from_above(model):
    assert chain(model, "tcp").pose(np.array([0.4, 0, 0, 0, 0]))[1, 3] < -0.1


def test_opening_the_gripper_moves_the_jaw_away(model):
    scene, gaps = Scene(), []
    scene.load("arm", model.urdf)
    tip = scene.pose("arm", "tcp")
    for angle in (model.gripper_closed, 0.3, 0.9):
        scene.set_joint("arm", "gripper", angle)
        jaw = scene.pose("arm", "moving_jaw_link")
        pad = jaw.position + jaw.matrix @ (0.07, -0.0189, -0.0103)
        gaps.append(float(tip.matrix[:, 0] @ (pad - tip.position)))
    assert gaps == sorted(gaps) and gaps[0] < 0 < gaps[1]
    scene.close()


def test_chain_agrees_with_bullet(model):
    scene, ours = Scene(), chain(model, "tcp")
    scene.load("arm", model.urdf)
    rng = np.random.default_rng(2)
    for _ in range(5):
        q = rng.uniform(-1.4, 1.4, 5)
        for name, angle in zip(model.names, q):
            scene.set_joint("arm", name, angle)
        assert np.allclose(scene.pose("arm", "tcp").position, ours.pose(q)[:3, 3], atol=1e-6)
    scene.close()


def test_mass_is_that_of_the_real_arm(model):
    """No frame without mass may fall back to the engine's default of a kilogram."""
    from sim.bullet import pybullet

    scene = Scene()
    body = scene.load("arm", model.urdf)
    mass = sum(pybullet.getDynamicsInfo(body.id, k, physicsClientId=scene.client)[0] for k in body.links.values())
    assert 0.45 < mass < 0.55  # without the fixed base
    scene.close()
