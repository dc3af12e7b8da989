"""Self-test of what moves: each joint gently inside its limits, the gripper, a stop; at once still when it resists."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hardware.protocols.models import table
from hardware.selftest.sensors import words
from hardware.selftest.sheet import Sheet
from hardware.servo_arm import ServoArm
from robot.arms import ArmModel
from robot.errors import SteadyhandError
from robot.guard import Guard
from robot.interfaces import ArmState, Array, Clock, Health, Port
from robot.motion import Mover

PERIOD = 0.02  # s
SWING = 0.15  # rad to either side
HOLD = 0.3  # s of standing after each leg
SLOWLY, SOFTLY = 0.2, 0.15  # of the joints' speed and acceleration
PUSH, PUSH_FOR = 0.85, 0.3  # of stall torque, and s, from which a joint is taken to be blocked
FAR = 0.30  # rad from its goal
LEAP = 0.08  # rad between two readings beyond what its speed explains
OLD = 0.3  # s without an answer
SURE = 3  # readings in a row that make a report certain
UNWELL = Health.ENCODER | Health.TEMPERATURE | Health.CURRENT | Health.OVERLOAD
EDGE = 0.1  # rad kept from a joint's limits


class Resists(Exception):
    """A joint does not do what it is told: motion ends here."""

    def __init__(self, joint: int, why: str, leap: float = 0.0) -> None:
        super().__init__(why)
        self.joint, self.why, self.leap = joint, why, leap


@dataclass
class Track:
    """What was recorded of one stretch of motion; rows in time."""

    t: list[float]
    goal: list[Array]
    q: list[Array]
    effort: list[Array]
    voltage: list[float]

    @classmethod
    def empty(cls) -> Track:
        return cls([], [], [], [], [])

    def column(self, what: str, joint: int) -> Array:
        """One joint's samples of `goal`, `q` or `effort`."""
        return np.array([row[joint] for row in getattr(self, what)])


class Session:
    """An engaged arm that is moved gently and watched closely."""

    def __init__(self, model: ArmModel, connect: Callable[[], Port], clock: Clock, who: Mapping[str, Any]) -> None:
        """`who` tells which arm of that model it is: `ServoArm`'s id and calibration."""
        self.model, self.clock = model, clock
        self.arm = ServoArm(model.name, connect, clock, **who)
        self.guard = Guard(self.arm, clock, period=PERIOD)
        spec = model.spec
        gentle = replace(spec, speed=spec.speed * SLOWLY, acceleration=spec.acceleration * SOFTLY)
        self.mover = Mover(gentle, PERIOD)
        self.track = Track.empty()
        self.names = spec.names
        self.each: Callable[[], None] = lambda: None  # called once a period
        self._pushing: Array  # (J,) s
        self._unwell: Array  # (J,) readings in a row
        self._leaps: Array  # (J,) readings in a row
        self._place: Array  # (J,) rad, the last place that can be believed
        self._seen: Array  # (J,) s, when that was
        self.calm()
        self._due = clock.now()

    def start(self) -> None:
        """Connect, engage where the arm stands. Raises `SteadyhandError`."""
        self.guard.open()
        self.guard.engage()
        self.mover.seed(self.guard.goal)
        self._due = self.clock.now()

    def go(self, q: Array, hold: float = HOLD) -> None:
        """Move to `q` (J,) rad and stand there for `hold` s. Raises `Resists`."""
        while not (np.abs(self.mover.q - q).max() < 1e-4 and self.mover.still):
            self._cycle(self.mover.toward(q))
        for _ in range(round(hold / PERIOD)):
            self._cycle(q)

    def _cycle(self, goal: Array) -> None:
        self._due = max(self._due + PERIOD, self.clock.now() - PERIOD)
        self.clock.wait(self._due)
        self.guard.command(goal)
        meant = self.guard.goal  # less is sent to a joint that does not get there
        state = self.guard.read()
        self.each()
        self._record(meant, state)
        self._watch(meant, state)

    def _record(self, goal: Array, state: ArmState) -> None:
        track = self.track
        track.t.append(state.stamp)
        track.goal.append(goal.copy())
        track.q.append(state.q.copy())
        track.effort.append(state.effort.copy())
        track.voltage.append(float(np.nanmedian(state.voltage)))

    def _watch(self, goal: Array, state: ArmState) -> None:
        """Raises `Resists` for the first joint that does not do as told."""
        self._pushing = np.where(np.abs(state.effort) > PUSH, self._pushing + PERIOD, 0.0)
        unwell = np.array([int(h) & int(UNWELL) for h in state.health])
        self._unwell = np.where(unwell, self._unwell + 1, 0)
        for j, name in enumerate(self.names):
            if state.age[j] > OLD:
                raise Resists(j, f"{name} has not answered for {state.age[j]:.1f} s")
            self._leap(j, state)
            if self._unwell[j] >= SURE:
                raise Resists(j, f"{name} reports {words(Health(int(unwell[j])))}")
            if self._pushing[j] > PUSH_FOR:
                raise Resists(j, f"{name} pushes with {abs(state.effort[j]):.0%} and is blocked")
            if abs(goal[j] - state.q[j]) > FAR and not self._leaps[j]:
                raise Resists(j, f"{name} is {np.degrees(goal[j] - state.q[j]):+.0f}° from its goal")

    def _leap(self, j: int, state: ArmState) -> None:
        """A position may not change faster than the joint; one reading alone may be a mistake of the line."""
        since = max(state.stamp - self._seen[j], PERIOD)
        leap = abs(state.q[j] - self._place[j]) - 2.0 * self.mover.spec.speed[j] * since
        if not leap > LEAP:
            self._place[j], self._seen[j], self._leaps[j] = state.q[j], state.stamp, 0
            return
        self._leaps[j] += 1
        if self._leaps[j] >= SURE:
            raise Resists(j, f"{self.names[j]} leapt by {np.degrees(leap):.0f}°", float(leap))

    def calm(self) -> None:
        """Begin to watch anew, as after a stop."""
        count = len(self.names)
        self._pushing, self._unwell, self._leaps = np.zeros(count), np.zeros(count), np.zeros(count)
        self._place, self._seen = np.full(count, np.nan), np.full(count, -np.inf)

    def end(self) -> list[str]:
        """Let go; returns the joints that did not confirm it."""
        try:
            self.guard.relax()
            torque = [self.arm.bus.get(j.servo, table(j.model)["torque_enable"], retries=4) for j in self.model.joints]
            return [name for name, on in zip(self.names, torque) if on != 0]
        finally:
            self.guard.close()


def run(model: ArmModel, connect: Callable[[], Port], clock: Clock, sheet: Sheet,
        pictures: Callable[[Session], None] = lambda session: None, who: Mapping[str, Any] | None = None) -> None:
    """Every stage with motion. `pictures` is called with the engaged session, to look while it moves."""
    session = Session(model, connect, clock, who or {})
    try:
        session.start()
    except SteadyhandError as error:
        session.guard.close()
        sheet.state("joints/follows", False, str(error))
        sheet.skip_rest("the arm did not engage", ("joints", "gripper", "stop"))
        return
    try:
        _moves(session, sheet, pictures)
    except Resists as stop:
        _stopped(session, sheet, stop)
    except SteadyhandError as error:
        sheet.state("joints/follows", False, str(error))
    finally:
        left = session.end()
        sheet.state("stop/torque off", not left, f"still on: {', '.join(left)}" if left else "confirmed by every servo")
        sheet.skip_rest("motion was ended early", ("joints", "gripper", "stop"))


def _moves(session: Session, sheet: Sheet, pictures: Callable[[Session], None]) -> None:
    model, spec = session.model, session.model.spec
    rest = float(np.nanmedian(session.guard.read().voltage))
    centre = np.clip(spec.home, spec.lower + EDGE + SWING, spec.upper - EDGE - SWING)
    session.go(centre)
    tracks: dict[str, Track] = {}
    for j in range(len(spec.names) - 1):
        session.track = Track.empty()
        for offset in (SWING, -SWING, 0.0, SWING, 0.0):
            q = centre.copy()
            q[j] += offset
            session.go(q)
        tracks[spec.names[j]] = session.track
    off = _gripper(session, centre)
    _judge(model, tracks, session.track, rest, sheet)
    sheet.number("gripper/opens and closes", off, "from where it should be")
    pictures(session)
    _stop(session, centre, sheet)
    session.go(np.clip(spec.park, spec.lower, spec.upper))


def _judge(model: ArmModel, tracks: Mapping[str, Track], fingers: Track, rest: float, sheet: Sheet) -> None:
    """Lines out of the recordings of joints that all moved, the gripper's (`fingers`) last."""
    names = list(model.spec.names)
    rows: dict[str, dict[str, float]] = {k: {} for k in
                                         ("follow", "track", "hold", "play", "friction", "over", "leap")}
    for name, track in tracks.items():
        j = names.index(name)
        goal, q, effort = (track.column(what, j) for what in ("goal", "q", "effort"))
        for key, value in _figures(goal, q, effort).items():
            rows[key][name] = value
        sheet.curves[name] = {"t": [t - track.t[0] for t in track.t], "goal": goal.tolist(), "q": q.tolist(),
                              "effort": effort.tolist()}
    rows["friction"][names[-1]] = _friction(*(fingers.column(what, len(names) - 1) for what in ("goal", "effort")))
    lazy = [name for name, share in rows["follow"].items() if share < 0.6]
    sheet.state("joints/follows", not lazy, "; ".join(f"{n} moves {rows['follow'][n]:.0%} of the way" for n in lazy)
                or "every joint", values=rows["follow"])
    for key, what in (("tracking", "track"), ("hold", "hold"), ("backlash", "play"), ("friction", "friction"),
                      ("overshoot", "over"), ("jumps", "leap")):
        sheet.number(f"joints/{key}", {n: v for n, v in rows[what].items() if n not in lazy})
    lowest = min(float(np.percentile(t.voltage, 2)) for t in tracks.values())
    sheet.number("joints/sag", {"sag": rest - lowest}, f"from {rest:.1f} V")


def _figures(goal: Array, q: Array, effort: Array) -> dict[str, float]:
    """What one joint's swing says: shares, rad and fractions of stall torque."""
    speed = np.diff(goal, append=goal[-1]) / PERIOD
    still = np.convolve(np.abs(speed) > 1e-6, np.ones(round(HOLD / PERIOD / 2)), "full")[: len(goal)] == 0
    middle = np.abs(goal - np.median(goal[still])) < 0.5 * SWING
    final = np.flatnonzero(still)
    ends = [group for group in np.split(final, np.flatnonzero(np.diff(final) > 1) + 1) if len(group)]
    stands = [(goal[g[-1]], float(np.median(q[g])), g) for g in ends]
    at_centre = [(q_, g) for goal_, q_, g in stands if abs(goal_ - stands[-1][0]) < 1e-3]
    over = [np.max(np.sign(goal[g[0]] - goal[max(0, g[0] - 40)]) * (q[max(0, g[0] - 5) : g[-1] + 1] - q_))
            for _, q_, g in stands]
    return {
        "follow": float(np.ptp(q) / max(np.ptp(goal), 1e-9)),
        "track": float(np.abs(goal - q).max()),
        "hold": float(np.abs((goal - q)[still]).max()) if still.any() else 0.0,
        "play": float(np.ptp([q_ for q_, _ in at_centre])) if at_centre else 0.0,
        "friction": _friction(goal[middle], effort[middle], speed[middle]),
        "over": float(max(0.0, *over)) if over else 0.0,
        "leap": float(max(0.0, (np.abs(np.diff(q)) - np.abs(np.diff(goal))).max())),
    }


def _friction(goal: Array, effort: Array, speed: Array | None = None) -> float:
    """Half of what the effort differs by between the two directions: what gravity adds is the same in both."""
    speed = np.diff(goal, append=goal[-1]) / PERIOD if speed is None else speed
    up, down = (effort[s * speed > 0.05] for s in (1, -1))
    return float(abs(up.mean() - down.mean()) / 2) if len(up) and len(down) else 0.0


def _gripper(session: Session, centre: Array) -> dict[str, float]:
    """Open and close; how far it then is from where it should be (rad)."""
    model, spec = session.model, session.model.spec
    off = {}
    session.track = Track.empty()
    for word, angle in (("open", model.gripper_open), ("closed", model.gripper_closed)):
        q = centre.copy()
        q[-1] = np.clip(0.9 * angle, spec.lower[-1] + 0.02, spec.upper[-1] - 0.02)
        session.go(q)
        off[word] = abs(float(session.track.q[-1][-1] - q[-1]))
    session.go(centre)
    return off


def _stop(session: Session, centre: Array, sheet: Sheet) -> None:
    """Goals := present positions in full motion: how long until it stands, and whether it then stays."""
    q = centre.copy()
    q[0] = centre[0] + (0.45 if centre[0] + 0.45 < session.model.spec.upper[0] else -0.45)
    session.track = Track.empty()
    while abs(session.mover.q[0] - centre[0]) < 0.25:
        session._cycle(session.mover.toward(q))
    began = session.clock.now()
    here = session.track.q[-1].copy()
    session.track = Track.empty()
    session.mover.seed(here)
    for _ in range(round(1.0 / PERIOD)):
        session._cycle(here)
    t = np.array(session.track.t) - began
    moved = np.abs(np.array(session.track.q) - session.track.q[-1])
    stood = {}
    for j, name in enumerate(session.names):
        late = np.flatnonzero(moved[:, j] > 0.01)
        stood[name] = float(t[min(late[-1] + 1, len(t) - 1)] if len(late) else t[0])
    sheet.number("stop/emergency stop", stood)
    drift = np.ptp(np.array(session.track.q)[t > 0.5], axis=0)
    sheet.number("stop/drift", dict(zip(session.names, map(float, drift))), "in the half second after")
    session.go(centre)


def _stopped(session: Session, sheet: Sheet, stop: Resists) -> None:
    """Hold at once, then lower the arm if the other joints let us."""
    if stop.leap:
        sheet.number("joints/jumps", {session.names[stop.joint]: stop.leap}, stop.why)
    elif (why := sheet.explained.get(session.names[stop.joint])) is not None:
        sheet.skip("joints/follows", f"{stop.why}; motion ended at once; not judged: {why}")
    else:
        sheet.state("joints/follows", False, f"{stop.why}; motion ended at once")
    if stop.leap:
        return  # who does not know where it is must not be moved
    try:
        session.guard.reseed(0.0)
        session.mover.seed(session.guard.goal)
        session.calm()
        park = session.guard.spec.park.copy()
        park[stop.joint] = session.guard.goal[stop.joint]
        session.go(park)
    except (Resists, SteadyhandError):
        return  # then it lets go where it stands
