"""A table with an arm and a job on it: reset from a seed, step, look, judge, and return to any moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robot.arms import ArmModel
from robot.clock import SimClock
from robot.errors import SceneError
from robot.interfaces import Array, Image, Observation
from robot.registry import option
from sim import conditions
from sim import goals as goal_kinds
from sim.arm import SimArm
from sim.bullet import pybullet
from sim.camera import Rig, SimCamera
from sim.goals import Goal
from sim.look import Look, project, rotation
from sim.picture import Instant, Renderer, instant
from sim.randomization import Randomization, sample_look
from sim.scene import HZ, Material, Scene, SceneState, Shape
from sim.servos import Wear
from sim.tasks import Task

PERIOD = 0.1  # s, of one `step`: the policy's
STEPS = round(PERIOD * HZ)  # physics steps in it
SHARES = np.arange(1, STEPS + 1)[:, None] / STEPS  # of the way, that each of them ends at
TABLE = (0.9, 1.3, 0.04)  # m
EXPOSE = 8  # physics steps between two pictures of a camera: 30 Hz
THINGS, LETTERS = 6, 16  # named things in the labels, and characters of a name
SETTLE = 12  # physics steps that lay things down before an episode starts


@dataclass
class Moment:
    """A moment of a world that can be returned to, until its next reset."""

    physics: SceneState
    time: float
    arm: Any
    target: Array
    phase: float
    episode: int
    ticks: int
    began: int | None


@option("world", "tabletop")
class Tabletop:
    """A `robot.interfaces.World` over PyBullet; waiting on its clock is what moves it."""

    def __init__(self, model: ArmModel, task: Task, randomization: Randomization, renderer: Renderer | None = None,
                 size: int = 128, gui: bool = False) -> None:
        """`size` is the side of the pictures in pixels; without a renderer there are no pictures."""
        self.model, self.task, self.randomization, self.renderer, self.size = model, task, randomization, renderer, size
        self.scene = Scene(gui)
        self.clock = SimClock(self._advance)
        self.phase = 0.0  # what the expert says it is doing
        self.seed = -1
        self._episode = 0
        self.goals: list[Goal] = []
        self._watched: list[conditions.Once] = []
        self._ticks = 0  # physics steps since the episode began
        self._began: int | None = 0  # at which of them work began; None while it is awaited
        self._rig = Rig(renderer, self.clock, self.poses, size) if renderer is not None else None
        self.reset(0)

    # ------------------------------------------------------------ life
    def reset(self, seed: int, twin: int = 0) -> str:
        """Build the scene of `seed`, arm at its start pose; returns the instruction.

        Another `twin` is the same scene with another thing asked for, where the task has one.
        """
        self.seed, self._episode, self.phase = int(seed), self._episode + 1, 0.0
        self.values = draw = self.randomization.draw(self.seed)
        self.goals, self._watched = [], []
        scene = self.scene
        scene.clear()
        scene.vary, scene.height = draw, float(draw("table_height"))
        self.clock.restart()
        self._load_arm()
        self._lay_table()
        self._start = self._start_pose()
        wear = Wear(*(float(factor) for factor in draw("servo")))
        self._arm = SimArm(scene, self.model, self.clock.now, wear, float(draw("action_delay")))
        self._arm.place(self._start)
        self.task.twin = int(twin)
        self.task.build(scene, draw.rng("layout"))
        self.look: Look = sample_look(draw)
        self.delay = float(draw("observation_delay"))
        self.instruction = self.task.instruction(draw.rng("instruction"))
        self._arm.engage()
        for _ in range(SETTLE):
            self.tick()
        self.clock.restart()
        self._arm.place(self._start)
        self._target = self._arm.command(self._start)
        self.goals, self._ticks, self._began = self.task.goals(scene), 0, 0
        self._watched = conditions.watched(self.goals)
        if not self.goals:
            raise SceneError(f"{type(self.task).__name__} stated no goals")
        if self._rig is not None and self.renderer is not None:
            self.renderer.load(scene.parts, self.look)
            self._rig.reset(self.look, self.seed, self.delay)
            self._rig.expose()
        return self.instruction

    def close(self) -> None:
        """Give back the physics client and the renderer's memory."""
        self.scene.close()
        if self.renderer is not None:
            self.renderer.release()

    # ------------------------------------------------------------ time
    def tick(self, goal: Array | None = None, limit: Array | None = None) -> None:
        """One physics step; `goal` and `limit` (rad, N·m) bypass the arm's own, for virtual servos outside."""
        if goal is None or limit is None:
            self._arm.tick()
        else:
            self._arm.servos.drive(goal, limit)
            self.clock.restart(self.clock.now() + 1.0 / HZ)
        pybullet.stepSimulation(self.scene.client)
        self._ticks += 1
        if self._ticks % EXPOSE == 0:
            self._watch()

    def _watch(self) -> None:
        """Let goals and tasks that remember look on: 30 times a second."""
        for goal in self._watched:
            goal.watch(self.scene)
        tick = getattr(self.task, "tick", None)
        if tick is not None and self.goals and self._began is not None:
            tick(self.scene, (self._ticks - self._began) / HZ)

    def await_work(self) -> None:
        """What happens in this episode by itself waits for `begin_work`."""
        self._began = None

    @property
    def waiting(self) -> bool:
        """Whether this episode awaits the beginning of work."""
        return self._began is None

    def begin_work(self) -> None:
        """What was told to wait begins now; otherwise nothing."""
        if self._began is None:
            self._began = self._ticks

    def step(self, q: Array) -> Array:
        """One period of 0.1 s in which the joint target moves evenly from the last one to `q`; returns it as sent."""
        first, last = self._target, np.asarray(q, dtype=np.float64)
        self._arm.command(last)  # refuses what is no target
        clock, start = self.clock, self.clock.now()
        for k, goal in enumerate(self._arm.rounded(first + (last - first) * SHARES), 1):
            self._arm.aim(goal)
            self.tick()
            if self.delay > 0:
                self._expose(clock.now(), 1)
            clock.restart(start + k / HZ)  # what waiting on it comes to, without asking how many steps that takes
        self._target = goal.copy()
        return self._target

    def _advance(self, until: float) -> None:
        now = self.clock.now()
        for k in range(1, round(until * HZ) - round(now * HZ) + 1):
            self.tick()
            if self.delay > 0:
                self._expose(now, k)

    def _expose(self, since: float, steps: int) -> None:
        """Expose the cameras if it is their turn, `steps` physics steps after `since` (s): 30 times a second."""
        if self._rig is not None and round(since * HZ + steps) % EXPOSE == 0:
            self.clock.restart(since + steps / HZ)
            self._rig.expose()

    # ------------------------------------------------------------ what is
    @property
    def arm(self) -> SimArm:
        return self._arm

    @property
    def cameras(self) -> Mapping[str, SimCamera]:
        return {} if self._rig is None else self._rig.cameras

    def observe(self) -> Observation:
        """State of now and the newest pictures, all cameras drawn together."""
        state = self._arm.read()  # first: a draw empties the processor's caches
        frames = {name: camera.read(1.0) for name, camera in self.cameras.items()}
        return Observation(self.clock.now(), state, frames)

    def success(self) -> bool:
        return all(goal.success(self.scene) for goal in self.goals)

    def progress(self) -> float:
        """Mean of the goals', in [0, 1]."""
        return float(np.add.reduce([goal.progress(self.scene) for goal in self.goals]) / len(self.goals))

    def wrong_object(self) -> bool:
        """Something that no goal names is in the gripper now."""
        named = set().union(*(goal_kinds.named(conditions.core(goal)) for goal in self.goals))
        others = [name for name in self.scene.bodies if name not in named | {goal_kinds.ARM, "table"}]
        return bool(goal_kinds.grasped(self.scene, others))

    def labels(self) -> dict[str, NDArray[np.float32]]:
        """What only a simulator knows; keys and units are the dataset's further columns."""
        subgoal = goal_kinds.number_open(self.goals, self.scene)
        goal = conditions.core(self.goals[subgoal])
        target, place = goal.target(self.scene), goal.place(self.scene)
        out = {"aux.subgoal": [subgoal], "aux.target_xyz": target, "aux.goal_xyz": place}
        tool = self.scene.pose(goal_kinds.ARM, self.model.tcp).position
        for name in self.look.views:
            out[f"aux.target_px.{name}"] = self._pixel(name, target, getattr(goal, "item", ""))
            out[f"aux.goal_px.{name}"] = self._pixel(name, place, getattr(goal, "on", "").split("/")[0])
            out[f"aux.tool_px.{name}"] = self._inside(name, tool)[:3]  # also behind the arm's own fingers
        item = getattr(goal, "item", "")
        pose = self.scene.pose(item) if item else None
        turn = np.asarray(pose.quaternion if pose else (0.0, 0.0, 0.0, 1.0))
        out["aux.target_quat"] = turn if turn[3] >= 0 else -turn  # one of the two that are the same turn
        yaw = pose.yaw if pose else 0.0
        out["aux.yaw"] = [np.cos(4 * yaw), np.sin(4 * yaw)]
        out["aux.held"] = [float(bool(item) and goal_kinds.held(self.scene, item))]
        out["aux.phase"], out["aux.progress"] = [self.phase], [self.progress()]
        out["aux.success"] = [float(self.success())]
        out |= self._things()
        return {key: np.asarray(value, dtype=np.float32) for key, value in out.items()}

    def _things(self) -> dict[str, NDArray[np.float64]]:
        """Where else an instruction could have sent the arm: up to six named things, their pixels and their words
        (as character codes), so that a learner can be asked for another one in the same picture."""
        words = np.zeros((THINGS, LETTERS))
        pixels = {view: np.zeros((THINGS, 3)) for view in self.look.views}
        for k, (name, text) in enumerate(list(self.scene.words.items())[:THINGS]):
            codes = list(text.encode("ascii", "replace"))[:LETTERS]
            words[k, : len(codes)] = codes
            for view in pixels:
                pixels[view][k] = self._pixel(view, self.scene.pose(name).position, name)
        out = {f"aux.things_px.{view}": rows.reshape(-1) for view, rows in pixels.items()}
        return {**out, "aux.things_words": words.reshape(-1)}

    def _pixel(self, view: str, point: Array, body: str) -> tuple[float, float, float]:
        """Image fractions of `point` and whether it is seen: inside the picture, nothing but `body` in front."""
        u, v, inside, depth, eye = self._inside(view, point)
        if not inside:
            return u, v, 0.0
        hit = pybullet.rayTest(eye, np.asarray(point) + (0, 0, 0.002), physicsClientId=self.scene.client)[0]
        mine = self.scene.bodies[body].id if body else -2
        near = hit[2] > 1 - 0.03 / max(depth, 0.03)
        return u, v, float(hit[0] in (-1, mine) or near)

    def _inside(self, view: str, point: Array) -> tuple[float, float, float, float, Array]:
        """Image fractions of `point`, whether inside the picture, its depth (m), and the camera's place (3,) m."""
        camera = self.look.views[view]
        carrier = (np.zeros(3), np.array([0.0, 0.0, 0.0, 1.0]))
        if camera.body:
            pose = self.scene.pose(camera.body, camera.link)
            carrier = pose.position, pose.quaternion
        u, v, depth = project(camera, carrier, point)
        inside = depth > camera.near and 0 <= u <= 1 and 0 <= v <= 1
        if not inside:
            u, v = np.clip((u, v), -1, 2)
        eye = carrier[0] + rotation(carrier[1]) @ np.asarray(camera.position)
        return float(u), float(v), float(inside), float(depth), eye

    # ------------------------------------------------------------ pictures
    def poses(self) -> Instant:
        """Everything needed to draw this instant later."""
        return instant(self.scene, self.look)

    def draw(self, poses: Instant, size: int = 0, number: int = 0) -> dict[str, Image]:
        """Pictures by camera of an instant of this episode; `number` sets the sensor noise apart.

        Raises `SceneError` without a renderer.
        """
        if self.renderer is None:
            raise SceneError("this world has no renderer; choose one with renderer=auto")
        noise = (self.seed * 1_000_003 + number) % 2**31
        return {name: p.rgb for name, p in self.renderer.draw(poses, size or self.size, noise).items()}

    # ------------------------------------------------------------ memory
    def snapshot(self) -> Moment:
        """Remember this moment of the episode."""
        return Moment(self.scene.snapshot(), self.clock.now(), self._arm.save(), self._target.copy(), self.phase,
                      self._episode, self._ticks, self._began)

    def restore(self, moment: Moment) -> None:
        """Return to a moment of this episode. Raises `SceneError` when it belongs to another."""
        if moment.episode != self._episode:
            raise SceneError("that moment belongs to an episode before the last reset")
        self.scene.restore(moment.physics)
        self._arm.load(moment.arm)
        self._target, self.phase = moment.target.copy(), moment.phase
        self._ticks, self._began = moment.ticks, moment.began
        self.clock.restart(moment.time)

    # ------------------------------------------------------------ building
    def _load_arm(self) -> None:
        """The arm's links also answer to the names that goals use."""
        links, model = self.scene.load("arm", self.model.urdf).links, self.model
        for name, link in zip(("tcp", "left_finger", "right_finger"), (model.tcp, *model.jaws)):
            if link not in links:
                raise SceneError(f"{model.urdf.name} has no link {link!r}; it has: {', '.join(links)}")
            links.setdefault(name, links[link])

    def _lay_table(self) -> None:
        colour = tuple(float(c) for c in self.values("table_colour"))
        material = Material((*colour, 1.0), self.values("table_texture"), roughness=0.8)
        self.scene.add("table", Shape("box", TABLE), (0.33, 0.0, self.scene.height - TABLE[2] / 2), friction=0.8,
                       material=material)

    def _start_pose(self) -> Array:
        spec = self.model.spec
        start = spec.home.copy()
        change = np.asarray(self.values("start_pose"))
        count = min(len(change), len(start) - 1)
        start[:count] += change[:count]
        return np.clip(start, spec.lower, spec.upper)
