"""What is checked before any servo gets torque: every check has a name, and one that fails says what to do."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from robot.agent import Agent
from robot.errors import ArmError
from robot.interfaces import Observation, Response, Verdict

CYCLES = 30  # enough for the debounce of most rows
LOOKS = 5  # the most times that an arm which was moving is looked at
FALLING = 0.5  # rad/s, of a limp joint
PATIENCE = 20.0  # s, for the policy's first answer


@dataclass(frozen=True)
class Check:
    """One named check."""

    name: str
    ok: bool
    words: str = ""


def inspect(agent: Agent) -> list[Check]:
    """Look for half a second without touching: every row at HOLD or worse, and the pose the arm lies in.

    An arm that lost its torque only now may still be falling, and what its cameras and joints say is wild: it is looked
    at again.
    """
    verdict, moved = _look(agent)
    for _ in range(LOOKS - 1):
        if verdict.response < Response.HOLD or not moved:
            break
        verdict, moved = _look(agent)
        if agent.forgive():  # what was only of the fall
            verdict = agent.check()
    rows = [f for f in agent.supervisor.faults if f.response >= Response.HOLD]
    checks = [Check(f.name, f.name not in verdict.active, verdict.reasons.get(f.name, "")) for f in rows]
    return [*checks, _pose(agent), _policy(agent)]


def _look(agent: Agent) -> tuple[Verdict, bool]:
    """The verdict in the end, and whether a joint moved meanwhile."""
    verdict, moved = agent.check(), False
    for _ in range(CYCLES):
        agent.clock.wait(agent.clock.now() + 0.02)
        verdict = agent.check()
        moved |= agent.last_state is not None and bool((np.abs(agent.last_state.dq) > FALLING).any())
    return verdict, moved


def _policy(agent: Agent) -> Check:
    """The policy answers to what this arm and these cameras show, before anything depends on it."""
    spec, planner, clock = agent.arm.spec, agent.planner, agent.clock
    planner.reset("")
    began, asked, chunk, notes = clock.now(), False, None, tuple[str, ...]()
    while chunk is None and not notes and clock.now() - began < PATIENCE:
        if not asked:
            asked = planner.request(Observation(clock.now(), agent.arm.read(), dict(agent.eyes.frames)))
        clock.wait(clock.now() + 0.02)
        chunk = planner.poll()
        notes = tuple(n for n in agent.notes() if "policy" in n.split(":")[0])
    if chunk is None:
        return Check("policy", False, notes[0].split(": ", 1)[-1] if notes else f"no answer in {PATIENCE:.0f} s")
    width = len(spec.names)
    if chunk.q.ndim != 2 or chunk.q.shape[1] != width or not np.isfinite(chunk.q).all():
        return Check("policy", False, f"its chunk has the shape {chunk.q.shape}, or numbers that are none; "
                                      f"wanted: rows of {width} joint targets (rad)")
    return Check("policy", True)


def _pose(agent: Agent) -> Check:
    spec, q = agent.arm.spec, agent.arm.read().q
    outside = np.maximum(spec.lower - q, q - spec.upper)
    worst = int(np.argmax(np.nan_to_num(outside, nan=np.inf)))
    if outside[worst] <= 0.1:
        return Check("start_pose", True)
    return Check("start_pose", False, f"{spec.names[worst]} stands at {q[worst]:.2f} rad, outside its range: "
                                      f"move it by hand, or calibrate again")


def require(checks: list[Check]) -> None:
    """Raises `ArmError` that lists every check that failed."""
    failed = [f"{c.name} ({c.words})" for c in checks if not c.ok]
    if failed:
        raise ArmError(f"pre-flight refused: {'; '.join(failed)}")
