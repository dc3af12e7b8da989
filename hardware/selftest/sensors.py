"""Self-test: what limp servos say of heat, voltage, position and themselves."""

from __future__ import annotations

import numpy as np

from hardware.family import Dxl, Reading, family, flags
from hardware.protocols.models import table
from hardware.selftest.traffic import Told
from hardware.selftest.wire import Wire
from robot.interfaces import Health

SUPPLIES = {"sts3215": (5.0, 7.4, 12.0), "xl330-m288": (5.0,), "xl430-w250": (11.1, 12.0), "xm430-w350": (12.0,)}


def check(wire: Wire, told: Told) -> None:
    """Temperature, voltage, ripple, noise at rest and the servos' own flags, from limp servos."""
    hot, off, ripple, noise, outside, flagged = {}, {}, {}, {}, {}, []
    for servo, rows in told.items():
        if not rows:
            continue
        kind = family(table(wire.ids[servo].model))
        seen = [kind.reading(data, error) for _, data, error in rows]
        name, volts = wire.name(servo), np.array([r.voltage for r in seen])
        made_for = SUPPLIES.get(wire.ids[servo].model, (12.0,))
        hot[name] = float(np.median([r.temperature for r in seen]))
        off[name] = min(abs(float(np.median(volts)) / v - 1.0) for v in made_for)
        ripple[name] = float(np.percentile(volts, 98) - np.percentile(volts, 2))
        noise[name] = _unrest(np.array([r.position for r in seen])) * table(wire.ids[servo].model).resolution
        own = _reported(wire, servo, seen) & (Health.ENCODER | Health.CURRENT | Health.OVERLOAD)
        if own:
            flagged.append(f"{name}: {words(own)}")
        else:
            outside.update(_outside(wire, servo, float(np.median([r.position for r in seen]))))
    sheet = wire.sheet
    sheet.number("sensors/temperature", hot)
    sheet.number("sensors/voltage", off, _volts(told, wire))
    sheet.number("sensors/ripple", ripple)
    sheet.number("sensors/noise", noise, "at rest")
    sheet.number("sensors/position", outside, "outside its range")
    sheet.state("sensors/flags", not flagged, "; ".join(flagged) or "none")


def _reported(wire: Wire, servo: int, seen: list[Reading]) -> Health:
    """What the servo says is wrong with it, in its answers or in the register they point to."""
    bits = Health(int(np.bitwise_or.reduce([int(r.health) for r in seen])))
    if any(r.alert for r in seen):
        status = table(wire.ids[servo].model)["status"]
        held = wire.read(servo, status.address, status.size)
        bits |= flags(status.decode(held), Dxl.FLAGS) if held else Health.OK
    return bits


def _outside(wire: Wire, servo: int, counts: float) -> dict[str, float]:
    """How far beyond its range a joint stands (rad), by name."""
    joint = wire.ids[servo]
    if wire.scale is None or servo != joint.servo:
        return {}
    j = wire.model.joints.index(joint)
    q = (counts - float(wire.scale.zero[j])) * float(wire.scale.scale[j])
    return {joint.name: max(0.0, joint.lower - q, q - joint.upper)}


def _unrest(counts: np.ndarray) -> float:
    """How far a position at rest jumps (counts): a slow sinking of a limp arm is no noise."""
    return float(np.percentile(np.abs(np.diff(counts)), 95)) if len(counts) > 2 else 0.0


def words(health: Health) -> str:
    """The flags' names, for a person."""
    return ", ".join(flag.name.lower() for flag in Health if flag & health and flag.name)


def _volts(told: Told, wire: Wire) -> str:
    seen = [family(table(wire.ids[i].model)).reading(rows[-1][1], 0).voltage for i, rows in told.items() if rows]
    return f"{np.median(seen):.1f} V" if seen else ""
