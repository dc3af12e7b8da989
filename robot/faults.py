"""The catalogue of what goes wrong: one function a fault, with its response, clearing and recovery beside it.

A row is the pre-flight check, the reaction while running and the words for a person. A function gets the facts
of one cycle and returns the reason, or None. Thresholds are proposals for serial-servo arms, not measurements.
Where two rows answer equally, the one that stands first here is mended first.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from robot.fault_row import CATALOGUE, Budget, Fault, fault
from robot.interfaces import ArmState, Array, Clears, Health, Mode, Response, Snapshot

__all__ = ["CATALOGUE", "Budget", "Fault", "fault"]

Mask = NDArray[np.bool_]  # (J,)
UNREACHED = int(Health.SILENT | Health.CORRUPT | Health.LIMP | Health.REBOOTED)
SILENT, LIMP, REBOOTED, DRIFTED = (int(h) for h in (Health.SILENT, Health.LIMP, Health.REBOOTED, Health.DRIFTED))
VOLTAGE, TEMPERATURE, ENCODER = int(Health.VOLTAGE), int(Health.TEMPERATURE), int(Health.ENCODER)
OVERLOAD, UNFIT = int(Health.OVERLOAD | Health.CURRENT), LIMP | REBOOTED
TRAIL = 0.2  # s, by which a joint on its way trails its goal: servos brake for where it is, not for where it goes
PERSON = Budget(0, 300.0)  # only a person can mend it


def _named(s: Snapshot, bad: Mask, values: Array | None = None, unit: str = "") -> str:
    if values is None:
        return ", ".join(n for n, b in zip(s.spec.names, bad) if b)
    return ", ".join(f"{n} {v:.4g}{unit}" for n, b, v in zip(s.spec.names, bad, values) if b)


def _flagged(s: Snapshot, flag: int) -> Mask:
    out: Mask = (s.state.health & flag) != 0
    return out


def _any(mask: Mask) -> bool:
    """What `mask.any()` says, for a few joints at a quarter of its time: every row is asked in every cycle."""
    return True in mask.tolist()


def _noted(s: Snapshot, name: str) -> str | None:
    """What the process itself knows to be wrong under this row's name."""
    return next((n.split(": ", 1)[1] for n in s.notes if n.startswith(f"{name}: ")), None)


def _driven(s: Snapshot) -> Mask:
    """Arm joints that hear goals and are told to be elsewhere; the gripper may well press on something."""
    out: Mask = ~_flagged(s, UNREACHED) & np.isfinite(s.goal)
    out[-1] = False
    return out


def _standing(s: Snapshot) -> Mask:
    """Driven joints that have got nowhere in the last quarter second, whatever their hunting makes of their speed."""
    return _driven(s) & (s.travel < 0.03) if s.travel is not None else np.zeros(len(s.goal), dtype=bool)


def _strain(s: Snapshot) -> Array:
    """The effort of each joint, or what it gave where it stands before the guard took the strain off it."""
    return np.abs(s.state.effort) if s.strain is None else s.strain


# ---------------------------------------------------------------- communication
@fault(Response.HOLD, after=0.05, recover="reopen", group="communication")
def lost_bus(s: Snapshot) -> str | None:
    """No servo answers: the cable, the adapter or the power is gone. The servos drive on to their last goals."""
    late = s.state.age > 0.1
    return None if False in late.tolist() else f"no servo has answered for {s.state.age.min():.2f} s"


@fault(Response.HOLD, after=0.05, recover="retry", group="communication")
def lost_servo(s: Snapshot) -> str | None:
    """A servo does not answer: its joint would move unseen, or not at all."""
    bad = s.state.age > 0.1
    return f"no answer from {_named(s, bad, s.state.age, ' s')}" if _any(bad) and not bad.all() else None


@fault(Response.SLOW, after=0.1, lasts=2.0, group="communication")
def noisy_bus(s: Snapshot) -> str | None:
    """Many answers are damaged: a loose plug or a poor ground; what is left is less, and later."""
    sent, corrupt = s.lately.sent, s.lately.corrupt
    return f"{corrupt} of the last {sent} answers damaged" if corrupt > 4 and corrupt > 0.01 * sent else None


# ---------------------------------------------------------------- power
@fault(Response.RELAX, clears=Clears.ON_RESET, recover=None, budget=PERSON, group="power")
def lost_torque(s: Snapshot) -> str | None:
    """Every servo is limp or has restarted though nobody here let go: the power was cut, or somebody else works on
    the bus. The arm must not wake up by itself."""
    limp = s.mode is not Mode.LIMP and s.state.flags & UNFIT and _flagged(s, UNFIT).all()
    return "every servo has lost its torque" if limp else None


@fault(Response.PARK, after=0.2, lasts=2.0, recover="wait_for_power", group="power")
def brownout(s: Snapshot) -> str | None:
    """The supply is below what the servos need: they will reset and the arm will fall."""
    bad = _flagged(s, VOLTAGE) | (s.state.voltage < 0.75 * s.rest_voltage)
    return f"supply too low: {_named(s, bad, s.state.voltage, ' V')}" if _any(bad) else None


@fault(Response.SLOW, after=0.1, lasts=1.0, group="power")
def sagging(s: Snapshot) -> str | None:
    """The supply gives way under load: slower work draws less."""
    bad = s.state.voltage < 0.88 * s.rest_voltage
    return f"supply sags: {_named(s, bad, s.state.voltage, ' V')}" if _any(bad) else None


@fault(Response.HOLD, after=0.0, recover="reconfigure", group="power")
def rebooted(s: Snapshot) -> str | None:
    """A servo restarted: it is limp, and its limits and gains are back to the factory's."""
    if not s.state.flags & REBOOTED:
        return None
    return f"{_named(s, _flagged(s, REBOOTED))} restarted and lost its configuration"


@fault(Response.HOLD, after=0.3, recover="reconfigure", group="power")
def drifted(s: Snapshot) -> str | None:
    """A servo's configuration is not what was written to it."""
    if not s.state.flags & DRIFTED:
        return None
    bad = _flagged(s, DRIFTED) & ~_flagged(s, REBOOTED)
    return f"the configuration of {_named(s, bad)} has changed" if _any(bad) else None


@fault(Response.HOLD, after=0.15, recover="reconfigure", budget=Budget(2, 300.0), group="power")
def limp_joint(s: Snapshot) -> str | None:
    """One joint has no torque while the others hold: the arm sags there."""
    if s.mode is Mode.LIMP or not s.state.flags & LIMP:
        return None
    limp = _flagged(s, LIMP)
    return None if limp.all() else f"{_named(s, limp)} has no torque"


@fault(Response.HOLD, after=1.0, budget=PERSON, group="power")
def woken_joint(s: Snapshot) -> str | None:
    """A joint has torque though the arm should be limp: another program is writing to the bus."""
    if s.mode is not Mode.LIMP or not s.state.flags & LIMP or _flagged(s, LIMP | SILENT).all():
        return None
    return f"{_named(s, ~_flagged(s, LIMP))} has torque that nobody asked for"


# ---------------------------------------------------------------- thermal
@fault(Response.PARK, after=0.5, lasts=5.0, recover="cool_down", budget=Budget(4, 3600.0), group="thermal")
def overheated(s: Snapshot) -> str | None:
    """A servo is within 5 °C of switching itself off, or has done so; then the arm would fall."""
    bad = (s.state.temperature > 65.0) | _flagged(s, TEMPERATURE)
    return f"too hot: {_named(s, bad, s.state.temperature, ' °C')}" if _any(bad) else None


@fault(Response.SLOW, after=1.0, lasts=10.0, group="thermal")
def warm(s: Snapshot) -> str | None:
    """A servo is within 15 °C of switching itself off: slower work heats it less."""
    bad = s.state.temperature > 55.0
    return f"warm: {_named(s, bad, s.state.temperature, ' °C')}" if _any(bad) else None


# ---------------------------------------------------------------- mechanical
def jumped(state: ArmState, previous: ArmState, speed: Array) -> Mask:
    """Joints, held by their servos, whose positions changed by more than one can move that does `speed` (J,) rad/s."""
    dt = np.minimum(state.stamp - previous.stamp + previous.age, 1.0)
    held = (state.health | previous.health) & LIMP == 0  # a limp joint may be moved by hand
    out: Mask = held & (np.abs(state.q - previous.q) > 2.0 * speed * dt + 0.15)
    return out


@fault(Response.HOLD, after=0.0, clears=Clears.ON_RESET, budget=PERSON, group="mechanical")
def encoder_jump(s: Snapshot) -> str | None:
    """A joint's position jumped further than it can move: a slipped gear or magnet. Its zero is no longer known."""
    if s.previous is None:
        return None
    bad = jumped(s.state, s.previous, s.spec.speed)
    return f"position jumped: {_named(s, bad, np.abs(s.state.q - s.previous.q), ' rad')}" if _any(bad) else None


@fault(Response.HOLD, after=0.05, clears=Clears.ON_RESET, budget=PERSON, group="mechanical")
def encoder_lost(s: Snapshot) -> str | None:
    """A servo's encoder reports a fault: where the joint is, is not known."""
    return f"encoder fault at {_named(s, _flagged(s, ENCODER))}" if s.state.flags & ENCODER else None


@fault(Response.HOLD, after=0.05, clears=Clears.ON_RESET, budget=PERSON, group="mechanical")
def out_of_range(s: Snapshot) -> str | None:
    """A joint stands where it cannot be: its zero is wrong, or its count wrapped round."""
    bad = np.maximum(s.spec.lower - s.state.q, s.state.q - s.spec.upper) > 0.15
    return f"outside its range: {_named(s, bad, s.state.q, ' rad')}" if _any(bad) else None


@fault(Response.HOLD, after=0.1, clears=Clears.ON_RESET, recover="relieve", group="mechanical")
def overload(s: Snapshot) -> str | None:
    """A servo reports overload: it has cut its torque to a fraction, and will not do what it is told."""
    if not s.state.flags & OVERLOAD:
        return None
    return f"overload at {_named(s, _flagged(s, OVERLOAD), s.state.effort)}"


@fault(Response.RETREAT, after=0.3, clears=Clears.ON_RESET, budget=PERSON, group="mechanical")
def blocked(s: Snapshot) -> str | None:
    """A joint is far from its goal, and not because it is still on its way: something is in the way. The arm goes
    back; a person must look."""
    left = s.goal - s.state.q
    if not _any(np.abs(left) > 0.3):
        return None
    bad = _driven(s) & (np.abs(left) - TRAIL * np.maximum(s.state.dq * np.sign(left), 0.0) > 0.3)
    return f"far from the goal: {_named(s, bad, left, ' rad')}" if _any(bad) else None


@fault(Response.HOLD, after=0.4, clears=Clears.ON_RESET, recover="retreat_and_retry", budget=Budget(2, 300.0),
       group="mechanical")
def stalled(s: Snapshot) -> str | None:
    """A joint pushes hard and does not move: it will overheat, or break what it pushes against. Not at once: at work
    an arm runs against things and gives way, which takes a plan or two. A servo itself lets go after 2 s."""
    bad = (np.abs(s.goal - s.state.q) > 0.1) & (_strain(s) > 0.5)
    if not _any(bad):
        return None
    bad &= _standing(s)
    return f"pushes without moving: {_named(s, bad, s.goal - s.state.q, ' rad')}" if _any(bad) else None


@fault(Response.HOLD, after=0.5, clears=Clears.ON_RESET, recover="retreat_and_retry", budget=Budget(2, 300.0),
       group="mechanical")
def overpowered(s: Snapshot) -> str | None:
    """A joint gives all it has and does not get to its goal: its load is too heavy, or its motor fails."""
    bad = (np.abs(s.goal - s.state.q) > 0.1) & (np.abs(s.state.effort) > 0.9)
    if not _any(bad):
        return None
    bad &= _driven(s)
    return f"gives all it has: {_named(s, bad, s.goal - s.state.q, ' rad')}" if _any(bad) else None


@fault(Response.HOLD, after=0.1, clears=Clears.ON_RESET, budget=PERSON, group="mechanical")
def stuck_joint(s: Snapshot) -> str | None:
    """A joint neither moves nor pushes: a broken gear or wire, or a servo that ignores its goals."""
    bad = (np.abs(s.goal - s.state.q) > 0.15) & ~(_strain(s) > 0.5)
    if not _any(bad):
        return None
    bad &= _standing(s)
    return f"does not follow: {_named(s, bad, s.goal - s.state.q, ' rad')}" if _any(bad) else None


# ---------------------------------------------------------------- sensing
@fault(Response.HOLD, after=0.1, recover="retry", budget=Budget(2, 300.0), group="sensing")
def frozen_telemetry(s: Snapshot) -> str | None:
    """A servo answers with the same numbers for ever: it says that it moves, and stands where it stood."""
    if s.previous is None:
        return None
    bad = (s.state.q == s.previous.q) & (np.abs(s.state.dq) > 0.5)
    if not _any(bad):
        return None
    bad &= (s.state.dq == s.previous.dq) & (s.state.effort == s.previous.effort) & ~_flagged(s, UNREACHED)
    return f"frozen readings of {_named(s, bad)}" if _any(bad) else None


@fault(Response.HOLD, recover="wait_for_camera", group="sensing")
def stale_camera(s: Snapshot) -> str | None:
    """A camera gives no new picture: the policy would act on the past."""
    old = {name: age for name, age in s.frame_age.items() if age > 0.5 and name not in s.spare}
    words = ", ".join(f"{name} ({age:.1f} s)" for name, age in old.items())
    return f"no new picture from {words}" if old else None


@fault(Response.SLOW, lasts=1.0, group="sensing")
def spare_camera(s: Snapshot) -> str | None:
    """A camera that the policy was trained to do without gives no new picture: work goes on with what is left."""
    old = [name for name in s.spare if s.frame_age.get(name, 0.0) > 0.5]
    return f"works without {', '.join(old)}" if old else None


@fault(Response.HOLD, after=0.6, lasts=0.5, recover="wait_for_camera", group="sensing")
def frozen_camera(s: Snapshot) -> str | None:
    """A camera repeats one picture while the arm moves."""
    same = [name for name, count in s.frame_repeats.items() if count >= 5]
    moves = bool(same) and np.abs(s.state.dq).max() > 0.15
    return f"the same picture again and again from {', '.join(same)}" if moves else None


@fault(Response.HOLD, after=0.5, lasts=0.5, recover="wait_for_camera", group="sensing")
def dark_camera(s: Snapshot) -> str | None:
    """A camera shows nothing: covered, or in the dark."""
    dark = [name for name, level in s.frame_level.items() if level < 0.02]
    return f"no light in the picture of {', '.join(dark)}" if dark else None


@fault(Response.HOLD, after=0.1, lasts=0.5, recover="wait_for_camera", group="sensing")
def garbled_camera(s: Snapshot) -> str | None:
    """A camera's pictures have nothing to do with one another: a broken cable or a failing sensor."""
    wild = [name for name, change in s.frame_change.items() if change > 0.25]
    return f"noise instead of pictures from {', '.join(wild)}" if wild else None


# ---------------------------------------------------------------- software
@fault(Response.HOLD, recover="restart_policy", group="software")
def dead_policy(s: Snapshot) -> str | None:
    """The policy's process is gone."""
    return _noted(s, "dead_policy")


@fault(Response.HOLD, recover="restart_policy", group="software")
def broken_policy(s: Snapshot) -> str | None:
    """The policy answered with an error instead of a plan."""
    return _noted(s, "broken_policy")


@fault(Response.HOLD, recover="restart_policy", group="software")
def non_finite_action(s: Snapshot) -> str | None:
    """The policy asks for what is not a number; sent on, it becomes a goal at the end of the range."""
    if s.action is None or False not in np.isfinite(s.action).tolist():
        return None
    return f"the target of {_named(s, ~np.isfinite(s.action))} is not a number"


@fault(Response.HOLD, after=0.1, recover="restart_policy", group="software")
def wild_action(s: Snapshot) -> str | None:
    """The policy asks for a jump, for a plan that no joint can keep up with, or for a pose far outside the range."""
    if s.action is None or False in np.isfinite(s.goal).tolist():
        return None
    outside = np.maximum(s.spec.lower - s.action, s.action - s.spec.upper) > 0.35
    bad = np.abs(s.action - s.goal) > 1.0
    if s.demand is not None:
        bad |= s.demand > 1.5 * s.spec.speed
    bad[-1] = False
    bad |= outside
    return f"asked for {_named(s, bad, s.action, ' rad')}" if _any(bad) else None


@fault(Response.HOLD, recover="restart_policy", group="software")
def stale_action(s: Snapshot) -> str | None:
    """The policy has given no plan for too long."""
    late = s.mode is Mode.ACTIVE and s.chunk_age > 2.0
    return f"the newest plan is {s.chunk_age:.1f} s old" if late else None


@fault(Response.HOLD, lasts=0.5, recover="resume", budget=Budget(20, 300.0), group="software")
def frozen_loop(s: Snapshot) -> str | None:
    """The control loop did not run for a while: what it believes of the arm is old."""
    if s.mode is Mode.LIMP:
        return None
    return f"the loop came {s.loop_late * 1e3:.0f} ms late" if s.loop_late > 0.1 else None


@fault(Response.SLOW, after=0.3, lasts=1.0, group="software")
def late_loop(s: Snapshot) -> str | None:
    """The control loop keeps coming late: the computer or the bus cannot keep up."""
    return f"cycles begin {s.loop_late * 1e3:.0f} ms late" if s.loop_late > 0.02 else None


@fault(Response.HOLD, after=0.02, lasts=0.2, recover="resume", budget=Budget(20, 300.0), group="software")
def quiet_watchdog(s: Snapshot) -> str | None:
    """The watchdog has not shown itself for a while: the arm stands until it does, so that it stands if it is gone."""
    return f"no sign of the watchdog for {s.beat_age * 1e3:.0f} ms" if s.beat_age > 0.12 else None


@fault(Response.PARK, after=0.05, clears=Clears.ON_RESET, budget=PERSON, group="software")
def lost_watchdog(s: Snapshot) -> str | None:
    """The watchdog's process is gone: nobody would stop the arm if this one froze."""
    return f"no sign of the watchdog for {s.beat_age:.1f} s" if s.beat_age > 0.2 else None


@fault(Response.NOTE, lasts=1.0, group="software")
def full_disk(s: Snapshot) -> str | None:
    """The flight record cannot be written any more."""
    return _noted(s, "full_disk")
