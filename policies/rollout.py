"""One episode of a policy in a world, through the same agent, guard and supervisor as on the real arm."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from robot.agent import Agent
from robot.clock import WallClock
from robot.errors import ArmError
from robot.guard import Guard
from robot.interfaces import Camera, Chunk, Frame, Observation, Policy, World
from robot.planner import InlinePlanner
from robot.supervisor import Supervisor


@dataclass(frozen=True)
class Outcome:
    """What became of one episode."""

    episode: int
    seed: int
    instruction: str
    success: bool
    progress: float  # in [0, 1], the most it reached
    seconds: float  # simulated
    wrong_object: bool  # something not named was in the gripper at some time
    ended: str  # done, timeout, parked, limp
    latency_ms: float  # median wall time of a chunk on one core
    first_ms: float  # of the first chunk
    faults: tuple[str, ...] = ()
    cell: str = ""  # of the grid it belongs to
    checkpoint: str = ""  # whose episode it is, when several are measured together

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass
class Watched:
    """A policy that is timed, and remembers what it reported when `keep` is set."""

    policy: Policy
    keep: bool = False
    times: list[float] = field(default_factory=list)  # s
    chunks: list[tuple[float, Chunk]] = field(default_factory=list)  # (s, answer)

    def reset(self, instruction: str) -> None:
        self.policy.reset(instruction)

    def act(self, obs: Observation) -> Chunk:
        clock = WallClock()
        begin = clock.now()
        chunk = self.policy.act(obs)
        self.times.append(clock.now() - begin)
        if self.keep:
            self.chunks.append((obs.stamp, chunk))
        return chunk


@dataclass
class Filmed:
    """A camera whose pictures are kept for a video."""

    camera: Camera
    frames: list[Frame] = field(default_factory=list)

    def read(self, max_age: float) -> Frame:
        frame = self.camera.read(max_age)
        if not self.frames or frame.stamp > self.frames[-1].stamp:
            self.frames.append(frame)
        return frame


@dataclass(frozen=True)
class Film:
    """What a video of an episode is made of."""

    instruction: str
    success: bool
    frames: Mapping[str, list[Frame]]
    chunks: list[tuple[float, Chunk]]


def rollout(world: World, policy: Policy, episode: int, seed: int, seconds: float, rate: float = 30.0,
            replan: float = 0.5, film: bool = False, twin: int = 0) -> tuple[Outcome, Film | None]:
    """Run `policy` in the scene of `seed` until the job is done, at most `seconds` of simulated time.

    Another `twin` is the same scene with another thing asked for, in worlds that know of such.
    """
    instruction = world.reset(seed, twin=twin) if twin else world.reset(seed)  # type: ignore[call-arg]
    guard = Guard(world.arm, world.clock)
    guard.open()
    guard.engage()
    watched = Watched(policy, keep=film)
    cameras: dict[str, Any] = {n: Filmed(c) if film else c for n, c in world.cameras.items()}
    agent = Agent(guard, cameras, InlinePlanner(watched), Supervisor(), world.clock, rate=rate,  # type: ignore[arg-type]
                  replan=replan, watch=0.1 if film else np.inf)
    best, wrong = 0.0, False
    mistaken = getattr(world, "wrong_object", lambda: False)

    def done() -> bool:
        nonlocal best, wrong
        best, wrong = max(best, world.progress()), wrong or mistaken()
        return world.success()

    faults: tuple[str, ...] = ()
    try:
        result = agent.run(instruction, seconds, done)
        ended, spent = result.outcome, result.seconds
        faults = tuple(f.name for f in result.faults)
    except ArmError as error:
        ended, spent, faults = f"refused: {error}", 0.0, ()
    success = world.success()
    times = np.array(watched.times or [np.nan]) * 1000
    outcome = Outcome(episode, seed, instruction, success, round(max(best, world.progress()), 4), round(spent, 3),
                      wrong, ended,
                      round(float(np.median(times)), 2), round(float(times[0]), 2), faults)
    if not film:
        return outcome, None
    return outcome, Film(instruction, success, {n: c.frames for n, c in cameras.items()}, watched.chunks)
