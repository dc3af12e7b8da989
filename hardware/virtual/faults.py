"""What a virtual bench can break, and what each fault means for servos, line, supply and cameras."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from robot.injection import Injection, Kind, instances

OFF, STUCK, GARBAGE, WRONG, SLOW = Kind.OFF, Kind.STUCK, Kind.GARBAGE, Kind.WRONG, Kind.SLOW

# component -> kind -> (what it means, the value when none is given)
MEANING: dict[str, dict[Kind, tuple[str, float]]] = {
    "servo": {
        OFF: ("without power: silent and limp, reboots when it is back", 0.0),
        STUCK: ("hung: answers, but with what it measured when it hung, and hears no goal", 0.0),
        WRONG: ("calls itself model VALUE", 1234.0),
        SLOW: ("answers VALUE s late", 0.01),
    },
    "reply": {
        OFF: ("its transmitter is dead: it moves but never answers", 0.0),
        GARBAGE: ("this share of its answers is damaged", 1.0),
        SLOW: ("answers VALUE s late", 0.01),
    },
    "motor": {
        OFF: ("turns freely whatever it is told", 0.0),
        STUCK: ("jammed", 0.0),
        SLOW: ("only this share of its torque is left", 0.15),
    },
    "encoder": {
        OFF: ("its magnet is lost: the encoder flag is set and positions read 0", 0.0),
        STUCK: ("reads the same position for ever", 0.0),
        GARBAGE: ("positions jump about by this many counts", 300.0),
        WRONG: ("slipped by this many counts", 200.0),
    },
    "temperature": {WRONG: ("the motor is VALUE °C hot", 80.0)},
    "config": {WRONG: ("its position gain is VALUE, which nobody wrote", 8.0)},
    "bus": {
        OFF: ("the data wire is broken", 0.0),
        GARBAGE: ("this share of frames is damaged, both ways", 0.05),
        SLOW: ("every answer is VALUE s late", 0.004),
    },
    "adapter": {
        OFF: ("unplugged from USB", 0.0),
        WRONG: ("echoes what is sent", 0.0),
        SLOW: ("hands bytes on VALUE s late, as a latency timer does", 0.016),
    },
    "supply": {
        OFF: ("no power", 0.0),
        WRONG: ("VALUE volts", 6.0),
        SLOW: ("soft: VALUE ohm between source and servos", 2.0),
        GARBAGE: ("ripples by VALUE volts", 1.5),
    },
    "camera": {
        OFF: ("no pictures", 0.0),
        STUCK: ("the same picture for ever", 0.0),
        GARBAGE: ("noise", 0.0),
        WRONG: ("black", 0.0),
        SLOW: ("pictures VALUE s old", 0.5),
    },
}
SUPPORTED = {component: tuple(kinds) for component, kinds in MEANING.items()}
PER_SERVO = ("servo", "reply", "motor", "encoder", "temperature", "config")


@dataclass
class Effects:
    """The faults in force, sorted by whom they hit: (component, kind) -> servo index -> value."""

    servos: dict[tuple[str, Kind], dict[int, float]] = field(default_factory=dict)
    line: dict[tuple[str, Kind], float] = field(default_factory=dict)  # bus, adapter, supply
    cameras: dict[str, tuple[Kind, float]] = field(default_factory=dict)  # "" means all

    def on(self, component: str, kind: Kind, index: int) -> float | None:
        """The value of that fault on servo `index`; None when it has none."""
        if not self.servos:  # asked a dozen times a tick of every servo
            return None
        return self.servos.get((component, kind), {}).get(index)


NONE = Effects()


def effects(active: Iterable[Injection], names: tuple[str, ...], ids: tuple[int, ...]) -> Effects:
    """Sort the active faults. `names` and `ids` are those of the servos, in order."""
    out = Effects()
    for fault in active:
        value = fault.value if fault.value is not None else MEANING[fault.component][fault.kind][1]
        if fault.component in PER_SERVO:
            hit = out.servos.setdefault((fault.component, fault.kind), {})
            hit.update(dict.fromkeys(instances(fault, names, ids), value))
        elif fault.component == "camera":
            out.cameras[fault.instance] = (fault.kind, value)
        else:
            out.line[(fault.component, fault.kind)] = value
    return out
