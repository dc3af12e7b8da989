import math

import numpy as np
import pytest
import torch

from policies.kinematics import Chain, read_chain
from robot.arms.so101 import so101
from robot.errors import ConfigError
from sim.bullet import pybullet as bullet

TWO = """<robot name="two"><link name="base"/><link name="a"/><link name="b"/><link name="tip"/>
<joint name="one" type="revolute"><parent link="base"/><child link="a"/><origin xyz="0 0 0.1"/><axis xyz="0 0 1"/>
<limit lower="-3" upper="3" effort="1" velocity="1"/></joint>
<joint name="two" type="revolute"><parent link="a"/><child link="b"/><origin xyz="0.2 0 0"/><axis xyz="0 1 0"/>
<limit lower="-3" upper="3" effort="1" velocity="1"/></joint>
<joint name="end" type="fixed"><parent link="b"/><child link="tip"/><origin xyz="0.3 0 0" rpy="0 0 1.57079632679"/>
</joint></robot>"""


@pytest.fixture
def two(tmp_path):
    path = tmp_path / "two.urdf"
    path.write_text(TWO)
    return path


def test_a_two_link_arm_is_where_geometry_says(two):
    chain = Chain(read_chain(two, ("one", "two", "gripper"), "tip"))
    turn, place = chain(torch.tensor([[0.0, 0.0, 0.5], [math.pi / 2, 0.0, 0.5], [0.0, -math.pi / 2, 0.5]]))
    expected = torch.tensor([[0.5, 0.0, 0.1], [0.0, 0.5, 0.1], [0.2, 0.0, 0.4]])
    assert torch.allclose(place, expected, atol=1e-6)
    assert torch.allclose(turn[0, :, 0], torch.tensor([0.0, 1.0, 0.0]), atol=1e-6)


def test_the_so101_agrees_with_bullet():
    model = so101()
    client = bullet.connect(bullet.DIRECT)
    body = bullet.loadURDF(str(model.urdf), useFixedBase=True, physicsClientId=client)
    info = [bullet.getJointInfo(body, k, physicsClientId=client)
            for k in range(bullet.getNumJoints(body, physicsClientId=client))]
    joints, links = ({row[column].decode(): k for k, row in enumerate(info)} for column in (1, 12))
    chain = Chain(read_chain(model.urdf, model.names, model.tcp))
    rng = np.random.default_rng(0)
    for q in rng.uniform(model.spec.lower, model.spec.upper, (5, 6)):
        for name, angle in zip(model.names, q):
            bullet.resetJointState(body, joints[name], angle, physicsClientId=client)
        state = bullet.getLinkState(body, links[model.tcp], computeForwardKinematics=1, physicsClientId=client)
        turn, place = chain(torch.tensor(q, dtype=torch.float32)[None])
        assert np.allclose(place[0], state[4], atol=1e-5)
        assert np.allclose(turn[0], np.reshape(bullet.getMatrixFromQuaternion(state[5]), (3, 3)), atol=1e-5)
    bullet.disconnect(client)


def test_reaching_a_nearby_place_leaves_the_gripper_alone():
    model = so101()
    chain = Chain(read_chain(model.urdf, model.names, model.tcp))
    q = torch.tensor(model.spec.home, dtype=torch.float32).expand(8, 6)
    aim = chain(q)[1] + 0.02 * torch.randn(8, 3, generator=torch.Generator().manual_seed(1))
    moved = chain.reach(q, aim, steps=5)
    assert float((chain(moved)[1] - aim).norm(dim=-1).max()) < 1e-3
    assert torch.equal(moved[:, -1], q[:, -1])


def test_an_unknown_tool_or_joint_is_named(two):
    with pytest.raises(ConfigError, match="no link 'claw'"):
        read_chain(two, ("one", "two"), "claw")
    with pytest.raises(ConfigError, match="'two'"):
        read_chain(two, ("one",), "tip")
