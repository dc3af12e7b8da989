"""The expert's hand: a reference pose that moves evenly, corrected for sag, and the grasps it can reach."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from robot.interfaces import Array
from robot.reach import LEAD
from sim.grasps import Grasp
from sim.kinematics import Chain
from sim.world import PERIOD, Tabletop

DOWN = np.array([0.0, 0.0, -1.0])
WOUND = 0.02  # rad, so near to its limit the wrist turns no further
RELEASE = 0.25  # rad, how much wider than what it held the gripper lets go, at most a third of its range
ASTRAY, PATIENCE, RISE = 0.015, 10, 6  # m, periods: an arm so far from its reference, or that pushes, rises for some
NEAR = 0.010  # m, the arm is where its reference goes
STILL = 0.03  # rad a period, slower than this counts as standing
PUSH = 0.7  # of all a motor has, more than any load takes and less than servos put up with for long (0.8 for 2 s)


class Phase(IntEnum):
    """What the expert is doing: the label `aux.phase`."""

    APPROACH = 0
    DESCEND = 1
    CLOSE = 2
    LIFT = 3
    CARRY = 4
    LOWER = 5
    OPEN = 6
    RETREAT = 7


@dataclass(frozen=True)
class Pace:
    """How fast the tip moves: a share of the way that is left, between two limits."""

    share: float = 0.45  # of the remaining distance in one period
    least: float = 0.006  # m a period
    most: float = 0.030  # m a period


class Hand:
    """Joint reference of one arm in one episode."""

    def __init__(self, world: Tabletop, opening: float, clearance: float, speed: float, trail: int = 0) -> None:
        """`opening` of a jaw as a share of its range; `clearance` (m) beside the still jaw; `speed` m a period.

        `trail` periods after its reference the arm gets there, or half or twice as late, where what deploys it takes
        its time.
        """
        model, spec = world.model, world.model.spec
        self.world, self.scene, self.clearance = world, world.scene, clearance
        self.chain = Chain(model.urdf, spec.names[:-1], model.tcp, spec.lower[:-1], spec.upper[:-1])
        self.fast, self.slow = Pace(most=speed), Pace(share=0.5, least=0.004, most=0.6 * speed)
        whole = model.gripper_open - model.gripper_closed
        self.wide = model.gripper_closed + (opening if model.still_jaw else 1.0) * whole  # two jaws need room each
        self.slack = min(RELEASE, 0.3 * whole)
        self.shut, self.still = model.gripper_closed, model.still_jaw
        self.q = world.arm.read().q
        self.ref, self.bias = self.q.copy(), np.zeros(len(self.q) - 1)
        self._step = np.zeros(len(self.q) - 1)
        self._trail, latest = trail, 2 * trail + 1
        self._past: deque[Array] = deque([self.ref[:-1].copy()] * latest, maxlen=latest)  # (J - 1,) the arm may be at
        self._pushes = np.zeros(len(self.q) - 1, dtype=bool)  # joints that something keeps from their reference
        self._tip: tuple[bytes, Array] = b"", np.eye(4)  # joints of the reference, and what `tip` makes of them
        self.phase = Phase.APPROACH
        self.closing = 0  # periods since the gripper began to close
        self.released = 0  # periods since it began to let go
        self.rising = 0  # periods for which it still rises from what it ran against
        self._way: deque[Array] = deque(maxlen=latest)  # (3,) m, the tips of these
        self._astray = 0  # periods since the arm was last at one of them, and did not push
        self.taken = 0.0  # m, height of what it closed on

    # ------------------------------------------------------------ a period
    def look(self) -> None:
        """Read the arm, and learn how far loaded joints sag behind their targets when nearly still.

        A joint that something holds back lags too, but does not sag: a target that went on and on to make up for it
        would press with all that the motor has.
        """
        before, state = self.q, self.world.arm.read()
        self.q = state.q
        self._past.append(self.ref[:-1].copy())
        lag = self._past[-1 - self._trail] - self.q[:-1]
        self._pushes = (state.effort * np.sign(self.ref - self.q) > PUSH)[:-1] & (np.abs(self.q - before) < STILL)[:-1]
        stands = (np.abs(self._step) < STILL) & (np.ptp(np.array(self._past), axis=0) < STILL)
        sags = stands & ~self._pushes
        self.bias = np.clip(self.bias + np.where(sags, 0.25 * lag, 0.0), -0.08, 0.08)
        self._before = self.ref[:-1].copy()
        self._way.append(self.tip[:3, 3].copy())
        astray = float(np.linalg.norm(np.array(self._way) - self.chain.pose(self.q[:-1])[:3, 3], axis=1).min()) > ASTRAY
        self._astray = self._astray + 1 if astray or self._pushes.any() else 0
        if self._astray > PATIENCE:  # something is in the way
            self.ref[:-1], self.bias[:], self._astray, self.rising = self.q[:-1], 0.0, 0, RISE
            self._before = self.ref[:-1].copy()

    def target(self) -> Array:
        """(J,) rad, the joint target that the reference and the sag make, no further from a joint that pushes than
        a guard would send it."""
        self._step = self.ref[:-1] - self._before
        spec, lead = self.world.model.spec, np.where(self._pushes, LEAD, np.inf)
        wanted = np.clip(self.ref[:-1] + self.bias, self.q[:-1] - lead, self.q[:-1] + lead)
        return np.clip(np.append(wanted, self.ref[-1]), spec.lower, spec.upper)

    @property
    def tip(self) -> Array:
        """(4, 4) of the tcp at the reference; asked for several times a period."""
        now = self.ref[:-1].tobytes()
        if self._tip[0] != now:
            self._tip = now, self.chain.pose(self.ref[:-1])
        return self._tip[1]

    def close(self, give_up: int = 9) -> bool:
        """One more period of closing; False, and open again, when it took more than `give_up`."""
        self.phase = Phase.CLOSE
        self.closing += 1
        self.ref[-1] = self.shut
        if self.closing <= give_up:
            return True
        self.closing = 0
        self.ref[-1] = self.wide
        return False

    def release(self) -> None:
        """Open a little wider than what is held, so that neighbours stay where they are."""
        self.phase, self.closing = Phase.OPEN, 0
        self.released = 1
        self.ref[-1] = min(self.wide, self.q[-1] + self.slack)

    def leave(self) -> None:
        """Take the still jaw off what was let go, and rise."""
        self.closing = 0
        self.released += 1
        tip = self.tip
        if self.released < 4:
            self.phase = Phase.OPEN
            aside = 0.5 * self.clearance if self.still else 0.0
            self.go(tip[:3, 3] - aside * tip[:3, 0], None, self.slow, self.ref[-1])
        else:
            self.phase = Phase.RETREAT
            self.go(tip[:3, 3] + (0, 0, 0.03), None, self.fast, self.ref[-1])

    def rise(self) -> None:
        """Let go and rise, away from what is in the way."""
        self.rising -= 1
        self.phase, self.closing = Phase.RETREAT, 0
        self.go(self.tip[:3, 3] + (0, 0, 0.02), None, self.fast, self.wide)

    def rest(self) -> None:
        """Stay."""
        self.phase = Phase.RETREAT

    # ------------------------------------------------------------ grasps
    def best(self, options: list[Grasp], turn: float = 0.0) -> Grasp:
        """The grasp that keeps the wrist nearest to its middle, when it will be turned by `turn` (rad)."""
        def twist(grasp: Grasp) -> float:
            radial = grasp.position[:2] - self.chain.pivot
            heading = math.atan2(grasp.closing[1], grasp.closing[0]) - math.atan2(radial[1], radial[0])
            return max(abs(wrap(heading)), abs(wrap(heading) + turn))

        return min(options, key=twist)

    def beside(self, grasp: Grasp, clearance: float) -> Array:
        """(3,) m, where the tcp goes for a grasp: beside the object by what the still jaw needs."""
        side = grasp.width / 2 + clearance - self.still if self.still else 0.0
        return grasp.position - side * grasp.closing

    def bring(self, place: Array, offset: Array) -> Array:
        """(3,) m, where the tcp brings what is held at `offset` (tcp frame) to `place`, turning with the arm."""
        tip = self.tip
        a, b = tip[:2, 3] - self.chain.pivot, place[:2] - self.chain.pivot
        turn = math.atan2(b[1], b[0]) - math.atan2(a[1], a[0])
        held = turned(tip[:3, :3] @ offset, turn)
        return place - held

    def aligned(self, closing: Array) -> bool:
        return aligned(self.tip, closing)

    def arrived(self, point: Array) -> bool:
        """The arm itself, not only its reference, is at tcp `point`, or as near as what it pushes against lets it."""
        within = ASTRAY if self._pushes.any() else NEAR
        return float(np.linalg.norm(self.chain.pose(self.q[:-1])[:3, 3] - point)) < within

    def aside(self, point: Array) -> float:
        """m, sideways from the reference to `point`."""
        return float(np.hypot(*(self.tip[:2, 3] - point[:2])))

    # ------------------------------------------------------------ motion
    def go(self, point: Array, closing: Array | None, pace: Pace, gripper: float) -> None:
        """Move the reference towards tcp `point` (m), around the shoulder's axis rather than through it."""
        tip = self.tip
        here, pivot = tip[:3, 3], self.chain.pivot
        a, b = here[:2] - pivot, point[:2] - pivot
        reach_a, reach_b = float(np.hypot(*a)), float(np.hypot(*b))
        swing = wrap(math.atan2(b[1], b[0]) - math.atan2(a[1], a[0]))
        way = np.array([reach_b - reach_a, 0.5 * (reach_a + reach_b) * swing, point[2] - here[2]])
        length = float(np.linalg.norm(way))
        share = min(1.0, min(max(pace.share * length, pace.least), pace.most) / max(length, 1e-9))
        angle, reach = math.atan2(a[1], a[0]) + share * swing, reach_a + share * (reach_b - reach_a)
        aim = np.array([pivot[0] + reach * math.cos(angle), pivot[1] + reach * math.sin(angle),
                        here[2] + share * way[2]])
        if closing is None:
            closing = turned(np.array([tip[0, 0], tip[1, 0], 0.0]), share * swing)
            closing /= max(float(np.linalg.norm(closing)), 1e-6)
        self._follow(self._solve(aim, closing))
        self.ref[-1] = gripper

    def _solve(self, aim: Array, closing: Array) -> Array:
        """(J - 1,) rad for the tip at `aim`; a wrist that is wound up against its limit turns the other way round."""
        chain = self.chain
        q = chain.solve(aim, DOWN, closing, self.ref[:-1]).q
        if min(q[-1] - chain.lower[-1], chain.upper[-1] - q[-1]) < WOUND and not aligned(chain.pose(q), closing):
            middle = np.append(q[:-1], (chain.lower[-1] + chain.upper[-1]) / 2)
            q = chain.solve(aim, DOWN, closing, middle).q
        return q

    def _follow(self, q: Array) -> None:
        most = 0.8 * PERIOD * self.world.model.spec.speed[:-1]
        step = q - self.ref[:-1]
        self.ref[:-1] += step * min(1.0, float(np.min(most / np.maximum(np.abs(step), 1e-9))))


def aligned(tip: Array, closing: Array) -> bool:
    """The jaws of `tip` (4, 4), seen from above, close along `closing`, in either sense."""
    flat = tip[:2, 0] / max(float(np.linalg.norm(tip[:2, 0])), 1e-6)
    return abs(float(flat[0] * closing[1] - flat[1] * closing[0])) < 0.12


def wrap(angle: float) -> float:
    """`angle` (rad) in [-pi, pi)."""
    return (angle + math.pi) % (2 * math.pi) - math.pi


def turned(v: Array, angle: float) -> Array:
    """(3,) `v` after a turn about the vertical."""
    c, s = math.cos(angle), math.sin(angle)
    return np.array([c * v[0] - s * v[1], s * v[0] + c * v[1], v[2]])
