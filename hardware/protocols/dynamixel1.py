"""Dynamixel Protocol 1.0 (AX, MX): Feetech's frame with other error bits and no sync read; the AX-12A's table.

Source: ROBOTIS e-manual.
"""

from __future__ import annotations

import math
from typing import ClassVar

from hardware.protocols import envelope, feetech, messages
from hardware.protocols.messages import BROADCAST, Op
from hardware.protocols.tables import Area, Register, Sign, Table, build
from robot.errors import BusError

BULK_READ = 0x92
KNOWN = (messages.Ping | messages.Read | messages.Write | messages.RegWrite | messages.Action | messages.SyncWrite
         | messages.Other)


class Dynamixel1(feetech.Feetech):
    """Protocol 1.0 as a `Codec`. The bus reads one servo after the other."""

    name: ClassVar[str] = "dynamixel1"
    sync: ClassVar[bool] = False

    def encode(self, op: Op) -> bytes:
        if isinstance(op, messages.BulkRead):
            rows = b"".join(bytes((size, servo, address)) for servo, address, size in op.rows)
            return envelope.pack(BROADCAST, BULK_READ, b"\x00" + rows)
        if not isinstance(op, KNOWN):
            raise BusError(f"Dynamixel 1.0 has no instruction for {op}")
        return feetech.encode(op)

    def expected(self, op: Op) -> dict[int, int] | None:
        if isinstance(op, messages.BulkRead):
            return {servo: size for servo, _, size in op.rows}
        return super().expected(op)


ROM, MAGNITUDE = Area.ROM, Sign.MAGNITUDE
COUNT = math.radians(300) / 1023  # rad
SPEED = 0.111 * 2 * math.pi / 60  # rad/s a count
_R = Register
AX12 = Table(
    model="ax-12a",
    number=12,
    protocol="dynamixel1",
    size=50,
    source="ROBOTIS e-manual, AX-12A",
    bauds={1: 1_000_000, 3: 500_000, 7: 250_000, 16: 115_200, 34: 57_600, 103: 19_200, 207: 9600},
    alarms={0: "input voltage", 1: "angle limit", 2: "overheating", 3: "range", 4: "checksum", 5: "overload",
            6: "instruction"},
    counts=1024,
    resolution=COUNT,
    same=(18, 300),  # AX-18A, AX-12W
    registers=build([
        _R(0, 2, "model_number", writable=False, area=ROM, default=12),
        _R(2, 1, "firmware_version", writable=False, area=ROM, default=24),
        _R(3, 1, "id", area=ROM, default=1),
        _R(4, 1, "baud_code", area=ROM, default=1),
        _R(5, 1, "return_delay", "s", 2e-6, area=ROM, default=250),
        _R(6, 2, "min_position", "rad", COUNT, area=ROM),
        _R(8, 2, "max_position", "rad", COUNT, area=ROM, default=1023),
        _R(11, 1, "max_temperature", "°C", area=ROM, default=70),
        _R(12, 1, "min_voltage", "V", 0.1, area=ROM, default=60),
        _R(13, 1, "max_voltage", "V", 0.1, area=ROM, default=140),
        _R(14, 2, "max_torque", "1", 1 / 1023, area=ROM, default=1023),
        _R(16, 1, "response_level", area=ROM, default=2),
        _R(17, 1, "led_mask", area=ROM, default=36),
        _R(18, 1, "shutdown_mask", area=ROM, default=36),
        _R(24, 1, "torque_enable"),
        _R(25, 1, "led"),
        _R(26, 1, "cw_margin", default=1),
        _R(27, 1, "ccw_margin", default=1),
        _R(28, 1, "cw_slope", default=32),
        _R(29, 1, "ccw_slope", default=32),
        _R(30, 2, "goal_position", "rad", COUNT),
        _R(32, 2, "goal_velocity", "rad/s", SPEED),
        _R(34, 2, "torque_limit", "1", 1 / 1023, default=1023),
        _R(36, 2, "present_position", "rad", COUNT, writable=False),
        _R(38, 2, "present_velocity", "rad/s", SPEED, writable=False, sign=MAGNITUDE, bit=10),
        _R(40, 2, "present_load", "1", 1 / 1023, writable=False, sign=MAGNITUDE, bit=10),
        _R(42, 1, "present_voltage", "V", 0.1, writable=False),
        _R(43, 1, "present_temperature", "°C", writable=False),
        _R(44, 1, "registered", writable=False),
        _R(46, 1, "moving", writable=False),
        _R(47, 1, "lock"),
        _R(48, 2, "punch", default=32),
    ]),
)
TABLES = (AX12,)
