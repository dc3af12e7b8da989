"""What can be broken in virtual time beside the bench: the processes of a deployment, and who else is on the bus."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hardware.bus import Bus
from hardware.protocols.messages import BROADCAST
from hardware.protocols.models import codec, table
from robot.arms import ArmModel
from robot.injection import Injection, Kind, Schedule
from robot.interfaces import Port

if TYPE_CHECKING:
    from hardware.lab import Lab

# component -> kind -> (what it means, the value when none is given)
MEANING: dict[str, dict[Kind, tuple[str, float]]] = {
    "policy": {
        Kind.OFF: ("its process is killed", 0.0),
        Kind.STUCK: ("it never answers again", 0.0),
        Kind.GARBAGE: ("it asks for what is not a number", 0.0),
        Kind.WRONG: ("it asks for poses that are far away", 0.0),
        Kind.SLOW: ("it answers VALUE s late", 2.5),
    },
    "loop": {
        Kind.OFF: ("the control process is killed", 0.0),
        Kind.STUCK: ("the control process stands still for VALUE s, as under SIGSTOP", 1.0),
        Kind.SLOW: ("every cycle takes VALUE s longer", 0.04),
    },
    "watchdog": {Kind.OFF: ("its process is killed", 0.0)},
    "disk": {Kind.OFF: ("it takes no more of the flight record", 0.0)},
    "torque": {Kind.OFF: ("somebody else keeps switching a servo's torque off, or everybody's", 0.0)},
}


class LoopDied(Exception):
    """The control process was killed: nothing of it runs any more."""


class Breaker:
    """Carries these faults out, once a cycle of the control loop."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._schedule = Schedule({name: tuple(kinds) for name, kinds in MEANING.items()})
        self._known: set[Injection] = set()

    def add(self, fault: Injection) -> None:
        """Ask for a fault from now on."""
        self._schedule.add(fault, self._lab.clock.now())

    def cycle(self) -> None:
        """What is in force. Raises `LoopDied` when the loop is killed."""
        lab = self._lab
        if not len(self._schedule):
            lab.planner.slow = 0.0
            return
        active = self._schedule.active(lab.clock.now(), lab.rig.measure)
        begun = [f for f in active if f not in self._known]
        self._known |= set(begun)
        lab.planner.slow = _value(active, "policy", Kind.SLOW)
        lab.planner.ail({f.kind: 0.0 for f in begun if f.component == "policy"})
        lab.awake = lab.awake and not any(f.component == "watchdog" for f in active)
        for fault in active:
            if fault.component == "torque":
                lab.staff.let_go(fault.instance)
        self._loop(active, begun)

    def _loop(self, active: tuple[Injection, ...], begun: list[Injection]) -> None:
        clock = self._lab.clock
        for fault in begun:
            if fault.component == "loop" and fault.kind is Kind.OFF:
                self._lab.parent = False
                raise LoopDied
            if fault.component == "loop" and fault.kind is Kind.STUCK:
                clock.wait(clock.now() + _value([fault], "loop", Kind.STUCK))
        clock.wait(clock.now() + _value(active, "loop", Kind.SLOW))

    def notes(self) -> tuple[str, ...]:
        """What the process itself would know of them."""
        active = self._schedule.active(self._lab.clock.now(), self._lab.rig.measure) if len(self._schedule) else ()
        full = any(f.component == "disk" for f in active)
        return ("full_disk: the flight record cannot be written: No space left on device",) if full else ()


class Staff:
    """Somebody with another program on the same bus."""

    def __init__(self, port: Port, model: ArmModel) -> None:
        self._port, self._model = port, model

    def let_go(self, joint: str) -> None:
        """Torque off at `joint`, or everywhere when it is empty; nobody waits for an answer."""
        from robot.clock import SimClock

        registers = table(self._model.joints[0].model)
        ids = {j.name: j.servo for j in self._model.joints}
        bus = Bus(self._port, codec(self._model.bus), SimClock())
        bus.write(ids[joint] if joint else BROADCAST, registers["torque_enable"].address, bytes(1))


def _value(faults: list[Injection] | tuple[Injection, ...], component: str, kind: Kind) -> float:
    """The value of that fault; 0 when it is not in force."""
    for f in faults:
        if f.component == component and f.kind is kind:
            return MEANING[component][kind][1] if f.value is None else f.value
    return 0.0
