"""One Bullet client that speaks names, not ids, and keeps shapes and materials as plain data for any renderer."""

from __future__ import annotations

import tempfile
import weakref
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from robot.errors import SceneError
from sim import window
from sim.bullet import pybullet, silenced
from sim.shapes import IDENTITY, Link, Material, Part, Pose, Shape, as_links, urdf_text, visual

__all__ = ["HZ", "IDENTITY", "Body", "Link", "Material", "Part", "Pose", "Scene", "SceneState", "Shape", "urdf_text"]

Array = NDArray[np.float64]
HZ = 240  # physics steps a second; grasps slip below this
ITERATIONS = 50  # solver iterations; grasps slip below this
GRAVITY = -9.81


@dataclass
class Body:
    """What the scene knows of one loaded body."""

    name: str
    id: int
    links: dict[str, int]  # link name -> Bullet index, -1 the root
    joints: dict[str, int]  # movable joints
    material: Material
    solids: tuple[Shape, ...] = ()  # colliding shapes of the root
    frames: tuple[int, ...] = ()  # Bullet link index of each row that this body adds to `poses()`
    root_offset: tuple[Array, Array] | None = None  # inertial frame of the root, when it is not its origin
    root_back: tuple[Sequence[float], Sequence[float]] | None = None  # its inverse


@dataclass
class SceneState:
    """A moment of the physics that can be returned to; freed with the object."""

    id: int
    facts: dict[str, float] = field(default_factory=dict)


class Scene:
    """Bodies by name in one physics client. Positions are metres in the robot's base frame, angles radians."""

    def __init__(self, gui: bool = False) -> None:
        """`gui` opens PyBullet's window. Raises `SceneError` where that cannot be, or PyBullet does not start."""
        with silenced():
            self.client: int = window.opened() if gui else pybullet.connect(pybullet.DIRECT)
        if self.client < 0:
            raise SceneError("PyBullet could not start")
        self._finalizer = weakref.finalize(self, _disconnect, self.client)
        self.bodies: dict[str, Body] = {}
        self.parts: list[Part] = []
        self.words: dict[str, str] = {}  # body -> how an instruction would name it, for things that it could
        self.vary: object = None  # the episode's `sim.randomization.Draw`, for tasks that build here
        self.height = 0.0  # m, of the table's top
        self.facts: dict[str, float] = {}  # what a task keeps of what has happened; saved with the physics
        self.version = 0  # grows when parts change: a renderer's cue to upload again
        self.clear()

    # ------------------------------------------------------------ life
    def clear(self) -> None:
        """Empty the scene."""
        pybullet.resetSimulation(physicsClientId=self.client)
        pybullet.setGravity(0, 0, GRAVITY, physicsClientId=self.client)
        pybullet.setPhysicsEngineParameter(
            fixedTimeStep=1.0 / HZ, numSolverIterations=ITERATIONS, numSubSteps=0,
            deterministicOverlappingPairs=1, physicsClientId=self.client)
        self.bodies.clear()
        self.parts.clear()
        self.words.clear()
        self.facts.clear()
        self._rows = 0
        self.version += 1

    def close(self) -> None:
        self._finalizer()

    def step(self, count: int = 1) -> None:
        """Advance the physics by `count` steps of 1/240 s."""
        for _ in range(count):
            pybullet.stepSimulation(self.client)

    # ------------------------------------------------------------ building
    def add(self, name: str, links: Shape | Sequence[Shape] | Sequence[Link], position: Sequence[float],
            quaternion: Sequence[float] = IDENTITY, mass: float = 0.0, friction: float = 0.8,
            material: Material = Material()) -> Body:
        """Put a body made of primitives into the scene; `mass` 0 (kg) fixes it. Raises `SceneError` on a taken name."""
        pieces = as_links(links, mass)
        if len(pieces) == 1 and len(pieces[0].shapes) == 1 and not pieces[0].shapes[0].mesh:
            made = self._add_simple(pieces[0], position, quaternion, material)
        else:
            made = self._add_urdf(urdf_text(name, pieces, material), position, quaternion, pieces[0].mass == 0)
        body = self._register(name, made, material)
        body.solids = tuple(s for s in pieces[0].shapes if s.collides)
        for index in body.links.values():
            pybullet.changeDynamics(body.id, index, lateralFriction=friction, spinningFriction=0.002,
                                    rollingFriction=0.0001, linearDamping=0.02, angularDamping=0.02,
                                    physicsClientId=self.client)
        self._add_parts(body, [(i - 1, shape) for i, link in enumerate(pieces) for shape in link.shapes])
        for joint, link in zip(body.joints.values(), [k for k in pieces if k.joint != "fixed"]):
            pybullet.setJointMotorControl2(body.id, joint, pybullet.VELOCITY_CONTROL, targetVelocity=0.0,
                                           force=link.friction, physicsClientId=self.client)
        return body

    def load(self, name: str, urdf: Path, position: Sequence[float] = (0, 0, 0), fixed: bool = True) -> Body:
        """Load a URDF file; its visuals become parts. Raises `SceneError` when Bullet cannot read it."""
        if not urdf.is_file():
            raise SceneError(f"{name}: there is no URDF {urdf}")
        try:
            with silenced():
                made = pybullet.loadURDF(str(urdf), position, useFixedBase=fixed, physicsClientId=self.client,
                                         flags=pybullet.URDF_USE_INERTIA_FROM_FILE)
        except pybullet.error as error:
            raise SceneError(f"{name}: PyBullet cannot load {urdf}: {error}") from error
        body = self._register(name, made, Material())
        shapes = [(row[1], visual(row)) for row in pybullet.getVisualShapeData(made, physicsClientId=self.client)]
        self._add_parts(body, shapes)
        return body

    # ------------------------------------------------------------ looking
    def body(self, name: str) -> Body:
        """Raises `SceneError` that lists the names there are."""
        try:
            return self.bodies[name]
        except KeyError:
            raise SceneError(f"there is no body {name!r} in the scene; there are: {', '.join(self.bodies)}") from None

    def pose(self, name: str, link: str = "") -> Pose:
        """Where a body, or one of its links, is."""
        body = self.body(name)
        index = body.links[link] if link else -1
        if index >= 0:
            state = pybullet.getLinkState(body.id, index, 0, 1, physicsClientId=self.client)
            return Pose(np.array(state[4]), np.array(state[5]))
        position, quaternion = self._where(body)
        return Pose(np.array(position), np.array(quaternion))

    def solids(self, name: str) -> tuple[Shape, ...]:
        """Colliding shapes of a body made with `add`, in its root's frame."""
        return self.body(name).solids

    def axis(self, name: str, joint: str) -> tuple[Array, Array, bool]:
        """A point (3,) m on a joint's axis, its direction (3,), and whether it slides rather than turns."""
        body = self.body(name)
        info = pybullet.getJointInfo(body.id, body.joints[joint], physicsClientId=self.client)
        state = pybullet.getLinkState(body.id, body.joints[joint], 0, 1, physicsClientId=self.client)
        turn = np.array(pybullet.getMatrixFromQuaternion(state[5])).reshape(3, 3)
        return np.array(state[4]), turn @ np.array(info[13]), info[2] == pybullet.JOINT_PRISMATIC

    def bounds(self, name: str) -> tuple[Array, Array]:
        """(3,) m, lowest and highest corner of the box, along the axes, around a body's root."""
        low, high = pybullet.getAABB(self.body(name).id, -1, physicsClientId=self.client)
        return np.array(low), np.array(high)

    def top(self, without: Sequence[str] = ()) -> float:
        """m, the highest point of all bodies but `without`; the table's height when there are none."""
        boxes = [pybullet.getAABB(b.id, k, physicsClientId=self.client)[1][2] for n, b in self.bodies.items()
                 if n not in without and b.solids for k in b.links.values()]
        return float(max(boxes, default=self.height))

    def velocity(self, name: str) -> tuple[Array, Array]:
        """Linear (3,) m/s and angular (3,) rad/s of a body's root."""
        linear, angular = pybullet.getBaseVelocity(self.body(name).id, physicsClientId=self.client)
        return np.array(linear), np.array(angular)

    def place(self, name: str, position: Sequence[float], quaternion: Sequence[float] = IDENTITY) -> None:
        """Teleport a body and stop it."""
        body = self.body(name)
        if body.root_offset is not None:
            position, quaternion = pybullet.multiplyTransforms(position, quaternion, *body.root_offset)
        pybullet.resetBasePositionAndOrientation(body.id, position, quaternion, physicsClientId=self.client)
        pybullet.resetBaseVelocity(body.id, (0, 0, 0), (0, 0, 0), physicsClientId=self.client)

    def joint(self, name: str, joint: str) -> float:
        """Position (rad or m) of one joint of a body."""
        body = self.body(name)
        return float(pybullet.getJointState(body.id, body.joints[joint], physicsClientId=self.client)[0])

    def set_joint(self, name: str, joint: str, value: float) -> None:
        body = self.body(name)
        pybullet.resetJointState(body.id, body.joints[joint], value, physicsClientId=self.client)

    def touch(self, a: str, b: str, link: str = "") -> float:
        """Normal force (N) between two bodies, or between link `link` of `a` and body `b`; 0 when apart."""
        first, second = self.body(a), self.body(b)
        where = {"linkIndexA": first.links[link]} if link else {}
        points = pybullet.getContactPoints(first.id, second.id, physicsClientId=self.client, **where)
        return float(sum(p[9] for p in points))

    def distance(self, a: str, b: str, limit: float = 0.1) -> float:
        """Smallest gap (m) between two bodies, negative when they overlap; `limit` when further apart than that."""
        points = pybullet.getClosestPoints(self.body(a).id, self.body(b).id, limit, physicsClientId=self.client)
        return min((p[8] for p in points), default=limit)

    # ------------------------------------------------------------ saving
    def snapshot(self) -> SceneState:
        """Remember this moment; valid until a body is added."""
        state = SceneState(pybullet.saveState(physicsClientId=self.client), dict(self.facts))
        weakref.finalize(state, _forget, state.id, self.client)
        return state

    def restore(self, state: SceneState) -> None:
        """Return to a remembered moment. Motor targets are not part of it: whoever drives motors sends them again."""
        try:
            pybullet.restoreState(stateId=state.id, physicsClientId=self.client)
        except pybullet.error as error:
            raise SceneError(f"cannot return to that moment; bodies were added since: {error}") from error
        self.facts.clear()
        self.facts.update(state.facts)

    # ------------------------------------------------------------ for renderers
    def poses(self) -> NDArray[np.float32]:
        """(F, 7) position and quaternion of every frame that `Part.frame` counts: all a picture of now needs."""
        rows: list[float] = []  # flat: one conversion of all costs less than an assignment for each
        for body in self.bodies.values():
            links = body.frames
            if links[0] == -1:
                position, quaternion = self._where(body)
                rows += position
                rows += quaternion
                links = links[1:]
            if links:
                for state in pybullet.getLinkStates(body.id, links, 0, 1, physicsClientId=self.client):
                    rows += state[4]
                    rows += state[5]
        return np.array(rows, np.float32).reshape(-1, 7)

    # ------------------------------------------------------------ inside
    def _where(self, body: Body) -> tuple[Sequence[float], Sequence[float]]:
        """Position (m) and quaternion of a body's root."""
        position, quaternion = pybullet.getBasePositionAndOrientation(body.id, self.client)
        if body.root_back is not None:
            position, quaternion = pybullet.multiplyTransforms(position, quaternion, *body.root_back)
        return position, quaternion

    def _register(self, name: str, made: int, material: Material) -> Body:
        if name in self.bodies:
            pybullet.removeBody(made, physicsClientId=self.client)
            raise SceneError(f"there is already a body {name!r} in the scene")
        links, joints = {"root": -1}, {}
        for k in range(pybullet.getNumJoints(made, physicsClientId=self.client)):
            info = pybullet.getJointInfo(made, k, physicsClientId=self.client)
            links[info[12].decode()] = k
            if info[2] != pybullet.JOINT_FIXED:
                joints[info[1].decode()] = k
        dynamics = pybullet.getDynamicsInfo(made, -1, physicsClientId=self.client)
        moved = not np.allclose(dynamics[3], 0) or not np.allclose(dynamics[4], IDENTITY)
        offset = (np.array(dynamics[3]), np.array(dynamics[4])) if moved else None
        back = pybullet.invertTransform(*offset) if offset is not None else None
        body = Body(name, made, links, joints, material, root_offset=offset, root_back=back)
        self.bodies[name] = body
        return body

    def _add_parts(self, body: Body, shapes: Sequence[tuple[int, Shape]]) -> None:
        frames = sorted({index for index, _ in shapes})
        body.frames = tuple(frames) or (-1,)
        names = {index: name for name, index in body.links.items()}
        row = {index: self._rows + i for i, index in enumerate(body.frames)}
        self.parts += [Part(row[index], body.name, names[index], shape, shape.material or body.material)
                       for index, shape in shapes if shape.visible]
        self._rows += len(body.frames)
        self.version += 1

    def _add_simple(self, link: Link, position: Sequence[float], quaternion: Sequence[float],
                    material: Material) -> int:
        (shape,) = link.shapes
        kinds = {"box": pybullet.GEOM_BOX, "cylinder": pybullet.GEOM_CYLINDER, "sphere": pybullet.GEOM_SPHERE}
        kind = kinds[shape.kind]
        if shape.kind == "box":
            solid = {"halfExtents": [s / 2 for s in shape.size]}
            seen = solid
        elif shape.kind == "cylinder":
            solid = {"radius": shape.size[0], "height": shape.size[1]}
            seen = {"radius": shape.size[0], "length": shape.size[1]}
        else:
            solid = seen = {"radius": shape.size[0]}
        at = {"physicsClientId": self.client}
        frame = {"collisionFramePosition": shape.position, "collisionFrameOrientation": shape.quaternion}
        collision = pybullet.createCollisionShape(kind, **solid, **frame, **at) if shape.collides else -1
        look = {"visualFramePosition": shape.position, "visualFrameOrientation": shape.quaternion,
                "rgbaColor": (shape.material or material).rgba}
        visual = pybullet.createVisualShape(kind, **seen, **look, **at) if shape.visible else -1
        return int(pybullet.createMultiBody(link.mass, collision, visual, position, quaternion, **at))

    def _add_urdf(self, text: str, position: Sequence[float], quaternion: Sequence[float], fixed: bool) -> int:
        with tempfile.TemporaryDirectory(prefix="steadyhand-") as folder:
            path = Path(folder) / "body.urdf"
            path.write_text(text)
            with silenced():
                return int(pybullet.loadURDF(str(path), position, quaternion, useFixedBase=fixed,
                                             physicsClientId=self.client))


def _disconnect(client: int) -> None:
    if pybullet.isConnected(client):
        with silenced():  # a window says much when it closes
            pybullet.disconnect(client)


def _forget(state: int, client: int) -> None:
    if pybullet.isConnected(client):
        pybullet.removeState(state, physicsClientId=client)
