"""Self-test: are the servos set up as the joint table says, and do they take what is written?"""

from __future__ import annotations

from hardware import calibration as calibrations
from hardware.protocols import messages
from hardware.protocols.models import table
from hardware.protocols.tables import Area
from hardware.selftest.wire import Wire

# registers that are a servo's own affair: who it is, where it is calibrated, how fast it talks
OWN = {"model_information", "firmware_major", "firmware_minor", "firmware_version", "model_number", "id", "baud_code",
       "return_delay", "homing_offset", "min_position", "max_position", "phase", "drive_mode", "protection_current",
       "max_torque", "max_voltage", "min_voltage", "max_temperature"}
HARMLESS = ("acceleration", "led")  # the first that a servo has is changed for a moment
GAINS = {"position_p", "position_i", "position_d"}  # in RAM where a servo forgets them


def check(wire: Wire) -> None:
    """Registers against the joint table's defaults, whether writes arrive, whether the range fits."""
    changed: dict[str, float] = {}
    words, deaf = [], []
    for servo in wire.there:
        wrong = _changed(wire, servo)
        changed[wire.name(servo)] = float(len(wrong))
        words += [f"{wire.name(servo)}: {w}" for w in wrong]
        if wrong:
            wire.sheet.explained[wire.name(servo)] = "its registers were changed"
        if not _takes_writes(wire, servo):
            deaf.append(wire.name(servo))
    sheet = wire.sheet
    sheet.number("configuration/registers", changed, "; ".join(words) or "differ from the servos' defaults")
    sheet.state("configuration/writes", not deaf, ", ".join(deaf) or "a register takes a value and gives it back")
    misfit = _misfit(wire)
    if misfit is None:
        sheet.skip("configuration/range", "not every servo's calibration could be read")
    else:
        sheet.state("configuration/range", not misfit, misfit or "every joint's range fits")


def _changed(wire: Wire, servo: int) -> list[str]:
    registers = table(wire.ids[servo].model)
    if not registers.size:
        return []  # an LX-16A has settings of its owner only
    rom = [r for r in registers.registers.values() if (r.area is Area.ROM and r.name not in OWN) or r.name in GAINS]
    data = wire.read(servo, 0, max(r.end for r in rom))
    held = {r.name: r.decode(data[r.address : r.end]) for r in rom} if data else {}
    return [f"{r.name} is {held[r.name]}, not {r.default}" for r in rom if held.get(r.name, r.default) != r.default]


def _takes_writes(wire: Wire, servo: int) -> bool:
    """Change a harmless RAM register, read it back, put it back."""
    registers = table(wire.ids[servo].model)
    register = registers[next(name for name in HARMLESS if name in registers)]
    before = wire.read(servo, register.address, register.size)
    if before is None:
        return True  # silence has a line of its own
    other = bytes([before[0] ^ 1])
    held = [_put(wire, servo, register.address, value) for value in (other, before)]
    return held == [other, before] or None in held


def _put(wire: Wire, servo: int, address: int, value: bytes) -> bytes | None:
    """Write until it reads back; what the register holds in the end."""
    held = None
    for _ in range(4):
        wire.ask(messages.Write(servo, address, value), servo, 0)
        held = wire.read(servo, address, len(value))
        if held == value:
            break
    return held


def _misfit(wire: Wire) -> str | None:
    """Which joints' ranges do not fit into their servos' turns; None when that cannot be known."""
    scale = wire.scale = _calibration(wire)
    if scale is None:
        return None
    out = []
    for joint, zero, unit, top in zip(wire.model.joints, scale.zero, scale.scale, scale.highest):
        low, high = sorted((joint.lower / unit + zero, joint.upper / unit + zero))
        if low < 0 or high > top:
            out.append(f"{joint.name} needs counts {low:.0f}..{high:.0f}")
    return "; ".join(out)


def _calibration(wire: Wire) -> calibrations.Calibration | None:
    """What the servos hold; None when one of them cannot be read."""
    motors = {}
    for joint in wire.model.joints:
        registers = table(joint.model)
        rows = [registers[n] for n in calibrations.REGISTERS if n in registers]
        held = {r.name: wire.read(joint.servo, r.address, r.size) for r in rows}
        if joint.servo not in wire.there or None in held.values():
            return None
        motors[joint.name] = calibrations.motor_of(joint, {
            r.name: r.decode(data) for r in rows if (data := held[r.name]) is not None})
    if all(calibrations.whole(joint, motors[joint.name]) for joint in wire.model.joints):
        return calibrations.nominal(wire.model)  # never calibrated: the servos' own middle is zero
    return calibrations.from_motors(wire.model, motors, "the servos")
