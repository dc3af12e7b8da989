"""One connection to an arm's servos, with more patience than a control loop has."""

from __future__ import annotations

from hardware import calibration as calibrations
from hardware.bus import Bus
from hardware.port import BITS
from hardware.protocols import messages
from hardware.protocols.models import codec, table
from hardware.selftest.sheet import Sheet
from robot.arms import ArmModel
from robot.interfaces import Clock, Port

PATIENCE = 0.04  # s that a servo may take to answer before it counts as silent


class Wire:
    """One connection to an arm's servos, and what was found on it."""

    def __init__(self, model: ArmModel, port: Port, clock: Clock, sheet: Sheet) -> None:
        self.model, self.clock, self.sheet = model, clock, sheet
        self.bus = Bus(port, codec(model.bus), clock)
        self.bus.end = min(table(j.model).size for j in model.joints)
        self.ids = {id: joint for joint in model.joints for id in (joint.servo, *joint.shadow)}
        self.there: list[int] = []
        self.latency = 0.0  # s
        self.scale: calibrations.Calibration | None = None

    def name(self, servo: int) -> str:
        joint = self.ids[servo]
        return joint.name if servo == joint.servo else f"{joint.name} (servo {servo})"

    def ask(self, op: messages.Op, servo: int, size: int) -> tuple[bytes | None, float]:
        """What `servo` says to `op`, `size` bytes, and how long that took (s). Waits with patience."""
        port, out = self.bus.port, self.bus.codec.encode(op)
        port.drain()
        start = self.clock.now()
        port.write(out)
        skip = len(out) if self.bus.echo else 0
        reader = self.bus.codec.reader({servo: size}, op)
        while data := port.read(skip or 256, start + PATIENCE):
            skip, data = max(0, skip - len(data)), data[skip:]
            for item in reader.feed(data):
                if isinstance(item, messages.Reply):
                    return item.data, self.clock.now() - start
        return None, self.clock.now() - start

    def read(self, servo: int, address: int, size: int) -> bytes | None:
        """A block of `servo`'s table, asked for up to five times."""
        op = messages.Read(servo, address, size)
        return next((data for _ in range(5) if (data := self.ask(op, servo, size)[0]) is not None), None)

    def wire_time(self, op: messages.Op) -> float:
        """Seconds that `op` and its answers take on the line."""
        codec_ = self.bus.codec
        if isinstance(op, messages.SyncRead) and not codec_.sync:
            return sum(self.wire_time(messages.Read(servo, op.address, op.size)) for servo in op.ids)
        return (len(codec_.encode(op)) + codec_.wire(op)) * BITS / self.bus.port.baud

    def short(self, servo: int) -> messages.Read:
        """A read of the model number, or of the id where a servo does not say what it is."""
        known = table(self.ids[servo].model)
        register = known["model_number" if "model_number" in known else "id"]
        return messages.Read(servo, register.address, register.size)

    def number(self, servo: int) -> int | None:
        """The model number that `servo` says it is, None when it is silent."""
        known, op = table(self.ids[servo].model), self.short(servo)
        data = self.read(*op)
        if data is None or "model_number" not in known:
            return None if data is None else known.number
        return int.from_bytes(data, "little")
