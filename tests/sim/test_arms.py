"""Every arm in the simulator: described as published, at rest without trembling, and able to do the job."""

from __future__ import annotations

from inspect import signature

import numpy as np
import pytest

from datagen.expert import Expert
from robot import registry
from robot.errors import ArmError, ConfigError
from sim.bullet import pybullet
from sim.kinematics import Chain
from sim.randomization import none
from sim.servos import SERVOS
from sim.world import Tabletop

ARMS = sorted(name for name, make in registry.load("model").items() if not signature(make).parameters)
MASS = {"so101": 0.485, "koch": 0.226, "wx250s": 1.57}  # kg, of what moves, as published
SPAN = {"so101": 0.4, "koch": 0.3, "wx250s": 0.65, "panda": 0.85}  # m, reach, as published

ROBOT = """<robot name="mine"><link name="foot"/><link name="post"/><link name="hand"/>
<link name="left"/><link name="right"/>
<joint name="slide" type="prismatic"><parent link="foot"/><child link="post"/><origin xyz="0 0 0.2"/>
  <axis xyz="1 0 0"/><limit lower="-0.1" upper="0.3" effort="5" velocity="1"/></joint>
<joint name="turn" type="revolute"><parent link="post"/><child link="hand"/><axis xyz="0 0 1"/>
  <limit lower="-3" upper="3" effort="5" velocity="3"/></joint>
<joint name="grip" type="prismatic"><parent link="hand"/><child link="left"/><axis xyz="1 0 0"/>
  <limit lower="0" upper="0.03" effort="5" velocity="1"/></joint>
<joint name="other" type="prismatic"><parent link="hand"/><child link="right"/><axis xyz="-1 0 0"/>
  <limit lower="0" upper="0.03" effort="5" velocity="1"/></joint></robot>"""
TABLE = """
name: mine
urdf: mine.urdf
foot: [0.1, 0, 0]
gripper_open: 0.03
jaws: [left, right]
follow: [[other, grip, 1.0]]
frames:
  tcp: {parent: hand, xyz: [0, 0, -0.1], rpy: [3.14159, 0, 0]}
joints:
  - {name: slide, servo: 1, model: "", lower: -0.1, upper: 0.3, home: 0.05, park: 0, torque: 60}
  - {name: turn, servo: 2, model: "", lower: -3, upper: 3, home: 0, park: 0, torque: 60}
  - {name: grip, servo: 3, model: "", lower: 0, upper: 0.03, home: 0.02, park: 0, torque: 100}
"""


@pytest.fixture(params=ARMS)
def world(request):
    made = Tabletop(registry.build("model", request.param), registry.build("task", "pick_place"), none())
    yield made
    made.close()


def test_is_as_heavy_and_as_long_as_published(world):
    model, scene = world.model, world.scene
    body = scene.body("arm")
    moving = {i for i in body.links.values() if i >= 0}
    mass = sum(pybullet.getDynamicsInfo(body.id, k, physicsClientId=scene.client)[0] for k in moving)
    assert mass == pytest.approx(MASS.get(model.name, mass), abs=0.02)
    chain = Chain(model.urdf, model.names[:-1], model.tcp, model.spec.lower[:-1], model.spec.upper[:-1])
    rng = np.random.default_rng(0)
    tips = np.array([chain.pose(rng.uniform(model.spec.lower[:-1], model.spec.upper[:-1]))[:3, 3] for _ in range(800)])
    assert np.hypot(*(tips[:, :2] - chain.pivot).T).max() == pytest.approx(SPAN[model.name], rel=0.15)


def test_every_joint_has_a_servo_that_is_known(world):
    assert {joint.model for joint in world.model.joints} <= set(SERVOS)
    assert all(joint.model for joint in world.model.joints) != world.model.simulated_only


def test_holds_still_near_its_target(world):
    home = world.arm.spec.home
    for _ in range(10):
        world.step(home)
    first = world.arm.read().q
    for _ in range(5):
        world.step(home)
    last = world.arm.read()
    assert np.abs(last.q - first).max() < 0.01 and np.abs(last.dq).max() < 0.1
    assert np.abs(last.q - home)[:-1].max() < 0.09


def test_the_expert_fills_a_tray(world):
    expert = Expert()
    world.reset(5)
    expert.reset(world)
    for _ in range(150):
        world.step(expert.act())
        if world.success():
            break
    assert world.success()


def test_any_urdf_with_a_table(tmp_path):
    (tmp_path / "mine.urdf").write_text(ROBOT)
    (tmp_path / "mine.yaml").write_text(TABLE)
    model = registry.build("model", {"_option_": "file", "table": str(tmp_path / "mine.yaml")})
    assert model.simulated_only and model.names == ("slide", "turn", "grip")
    world = Tabletop(model, registry.build("task", "reach"), none())
    assert world.scene.pose("arm", "tcp").position == pytest.approx([0.15, 0.0, 0.1], abs=0.02)
    q = world.arm.spec.home + (0.1, 0.5, 0.01)
    for _ in range(10):
        world.step(q)
    assert world.arm.read().q == pytest.approx(q, abs=0.02)
    assert world.scene.joint("arm", "other") == pytest.approx(q[-1], abs=2e-3), "the other finger goes along"
    assert world.scene.pose("arm", "wrist_camera").position[2] > 0.1
    world.close()


@pytest.mark.parametrize(("change", "said"), [
    (("urdf: mine.urdf", "urdf: lost.urdf"), "lost.urdf cannot be read"),
    (("parent: hand", "parent: fist"), "no link 'fist'.*foot, post, hand"),
    (("servo: 1", "id: 1"), "no key 'id'.*servo"),
    (("jaws:", "paws:"), "unknown key 'paws'"),
    (("name: mine", "name: "), "gives no name"),
])
def test_mistakes_in_a_table_are_named(tmp_path, change, said):
    (tmp_path / "mine.urdf").write_text(ROBOT)
    (tmp_path / "mine.yaml").write_text(TABLE.replace(*change, 1))
    with pytest.raises(ConfigError, match=said):
        registry.build("model", {"_option_": "file", "table": str(tmp_path / "mine.yaml")})


def test_an_unknown_servo_is_refused(tmp_path):
    (tmp_path / "mine.urdf").write_text(ROBOT)
    (tmp_path / "mine.yaml").write_text(TABLE.replace('model: ""', "model: mg996r", 1))
    model = registry.build("model", {"_option_": "file", "table": str(tmp_path / "mine.yaml")})
    with pytest.raises(ArmError, match=r"'mg996r'.*sts3215"):
        Tabletop(model, registry.build("task", "reach"), none())
