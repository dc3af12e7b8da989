"""The plan pass: the expert works headless, and every period leaves what is needed to draw it later.

Nothing privileged is drawn or recorded as an observation: the expert and the labels see the scene, the pictures
and the arm's reading are what a policy gets.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from datagen.correct import Begin, Start, fresh
from datagen.episode import ACTION, EFFORT, EXECUTED, IMAGE, STATE, Episode
from datagen.hand import Phase
from datagen.perturb import Disturbance, Mistakes
from robot.errors import SceneError
from sim.conditions import Never, core
from sim.goals import ARM, TIP, Lift, Place, first_open
from sim.picture import Instant, Renderer, between
from sim.world import PERIOD, THINGS, Tabletop

CAMERA = 30  # Hz, of the simulated cameras
SETTLE = 3  # periods recorded after success, so that a policy sees what done looks like


@dataclass
class Rollout:
    """One attempt, not yet drawn."""

    instruction: str
    things: tuple[str, ...] = ()  # names of what can be asked for
    columns: dict[str, list[np.ndarray]] = field(default_factory=dict)
    poses: list[Instant] = field(default_factory=list)
    success: bool = False
    reason: str = ""  # why it failed
    mistakes: tuple[str, ...] = ()
    knocks: list[tuple[int, list[float]]] = field(default_factory=list)  # period, shift (3,) m of the target
    start: Start = field(default_factory=partial(Start, ""))  # where it began


def plan(world: Tabletop, expert: Any, mistakes: Mistakes, seed: int, seconds: float,
         begin: Begin = fresh) -> Rollout:
    """One attempt at the scene of `seed` from where `begin` leaves it, at most `seconds` of simulated time long."""
    try:
        start = begin(world, seed, seconds)
    except SceneError as error:
        return Rollout("", reason=f"scene: {error}")
    if start is None:
        return Rollout("", reason="nothing to correct: the learner did it itself")
    rollout = Rollout(start.instruction, tuple(list(world.scene.words.values())[:THINGS]), start=start)
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(zlib.crc32(b"mistakes"),)))
    disturbance = mistakes.draw(rng, world.arm.spec)
    expert.reset(world)
    done = 0
    for _ in range(round(seconds / PERIOD)):
        try:
            _period(world, expert, disturbance, rollout)
        except SceneError as error:
            rollout.reason = f"expert: {error}"
            break
        done = done + 1 if world.success() else 0
        if done > SETTLE:
            break
    rollout.success = done > 0 and not rollout.reason
    rollout.mistakes = tuple(disturbance.happened)
    if not rollout.success and not rollout.reason:
        rollout.reason = why(world, rollout)
    return rollout


def _period(world: Tabletop, expert: Any, disturbance: Disturbance, rollout: Rollout) -> None:
    state, clean = world.arm.read(), expert.act()
    labels = world.labels()  # after the expert, who sets the phase
    seen = {**labels, "tip_xyz": world.scene.pose(ARM, TIP).position}
    # Rounded to what is stored, so that a replay of the column commands exactly the same.
    executed = disturbance.act(clean, state.q, seen).astype(np.float32)
    row = {STATE: state.q, EFFORT: state.effort, ACTION: clean, EXECUTED: executed,
           **_columns(labels, len(rollout.things))}
    for name, value in row.items():
        rollout.columns.setdefault(name, []).append(np.asarray(value, np.float32).reshape(-1))
    rollout.poses.append(world.poses())
    shift = disturbance.shift(seen)
    if shift is not None:
        rollout.knocks.append((len(rollout.poses) - 1, [float(v) for v in shift]))
        knock(world, shift)
    world.step(executed.astype(np.float64))


def _columns(labels: dict[str, Any], things: int) -> dict[str, Any]:
    """A world's labels as columns: without what an episode never changes, slots of things that are not there
    repeating the others, and the subgoal counting on when the last one is reached."""
    out = {name: value for name, value in labels.items() if name != "aux.things_words"}
    out["aux.subgoal"] = labels["aux.subgoal"] + labels["aux.success"]
    for name in (n for n in labels if n.startswith("aux.things_px.") and things):
        out[name] = labels[name].reshape(THINGS, -1)[np.arange(THINGS) % things]
    return out


def knock(world: Tabletop, shift: Sequence[float] | np.ndarray) -> None:
    """Push the thing the arm is to move next aside by `shift` (3,) m."""
    goal = first_open(world.goals, world.scene)
    item = getattr(goal, "item", "")
    if item:
        pose = world.scene.pose(item)
        world.scene.place(item, pose.position + np.asarray(shift), pose.quaternion)


def why(world: Tabletop, rollout: Rollout) -> str:
    """What went wrong in a failed attempt, in a few words that can be counted."""
    cores = [core(goal) for goal in world.goals]
    broken = next((goal.fact for goal in cores if isinstance(goal, Never) and not goal.success(world.scene)), "")
    if broken:
        return f"broke a rule: {broken}"
    held = np.array([row[0] > 0.5 for row in rollout.columns.get("aux.held", [])])
    if held.any():
        return "ran out of time holding it" if held[-1] else "lost it"
    if any(isinstance(goal, Lift | Place) for goal in cores):
        return "never held it"
    phases = rollout.columns.get("aux.phase", [])
    return f"ran out of time in phase {Phase(int(phases[-1][0])).name.lower()}" if phases else "ran out of time"


def draw(world: Tabletop, renderer: Renderer, rollout: Rollout) -> Episode:
    """The render pass: pictures of every recorded period, of the scene that `world` is still in."""
    renderer.load(world.scene.parts, world.look)
    pictures = []
    for number, instant in enumerate(seen_at(rollout.poses, world.delay)):
        noise = (world.seed * 1_000_003 + 16 * number) % 2**31
        pictures.append(renderer.draw(instant, world.size, noise))
    frames = {IMAGE + camera: np.stack([p[camera].rgb for p in pictures]) for camera in pictures[0]}
    columns = {name: np.stack(rows) for name, rows in rollout.columns.items()}
    return Episode(rollout.instruction, columns, frames, rollout.success, rollout.things)


def seen_at(poses: list[Instant], delay: float) -> list[Instant]:
    """What a camera of 30 Hz whose pictures are `delay` (s) late shows at each period.

    Between two periods bodies move evenly: a fraction of a millimetre off, at the speeds of an arm.
    """
    late = math.ceil(delay * CAMERA - 1e-6) / CAMERA / PERIOD
    out = []
    for number in range(len(poses)):
        at = max(0.0, number - late)
        first, share = int(at), at - int(at)
        out.append(poses[first] if share < 1e-6 else between(poses[first], poses[first + 1], share))
    return out
