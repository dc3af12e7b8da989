"""Feetech STS/SMS servos: wire format, both sides of the line, and the STS3215's control table.

Instruction 0x08 is never encoded: on an STS bus it enters the firmware's boot loader, which has no id and can
spoil the flash of every servo that hears it (feetech-fw-util documentation).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from hardware.protocols import envelope, messages
from hardware.protocols.messages import BROADCAST, Damage, Op, Reply
from hardware.protocols.tables import RAD_PER_COUNT, Area, Register, Sign, Table, build
from robot.errors import BusError

PING, READ, WRITE, REG_WRITE, ACTION, SYNC_READ, SYNC_WRITE = 0x01, 0x02, 0x03, 0x04, 0x05, 0x82, 0x83
BOOT_LOADER = 0x08
OVERHEAD = 6  # bytes of a status frame beside its data


def encode(op: Op) -> bytes:
    """The request's bytes. Raises `BusError` for what an STS servo does not know or must never hear."""
    match op:
        case messages.SyncRead(ids, address, size):
            return envelope.pack(BROADCAST, SYNC_READ, bytes((address, size, *ids)))
        case messages.SyncWrite(address):
            size, rows = op.packed()
            return envelope.pack(BROADCAST, SYNC_WRITE, bytes((address, size)) + rows)
        case messages.Ping(servo):
            return envelope.pack(servo, PING)
        case messages.Read(servo, address, size):
            return envelope.pack(servo, READ, bytes((address, size)))
        case messages.Write(servo, address, data):
            return envelope.pack(servo, WRITE, bytes((address,)) + data)
        case messages.RegWrite(servo, address, data):
            return envelope.pack(servo, REG_WRITE, bytes((address,)) + data)
        case messages.Action(servo):
            return envelope.pack(servo, ACTION)
        case messages.Other(servo, instruction, params) if instruction != BOOT_LOADER:
            return envelope.pack(servo, instruction, params)
    raise BusError(f"a Feetech STS servo must not be sent {op}: it has no such instruction that is safe")


def decode(servo: int, instruction: int, body: bytes) -> Op | Damage:
    """The request in a frame, as a servo reads it."""
    if instruction == PING and not body:
        return messages.Ping(servo)
    if instruction == READ and len(body) == 2:
        return messages.Read(servo, body[0], body[1])
    if instruction == WRITE and body:
        return messages.Write(servo, body[0], body[1:])
    if instruction == REG_WRITE and body:
        return messages.RegWrite(servo, body[0], body[1:])
    if instruction == ACTION and not body:
        return messages.Action(servo)
    if instruction == SYNC_READ and len(body) >= 2:
        return messages.SyncRead(tuple(body[2:]), body[0], body[1])
    if instruction == SYNC_WRITE and len(body) >= 2:
        address, size, rest = body[0], body[1], body[2:]
        if len(rest) % (size + 1):
            return Damage("sync write of uneven rows", body, servo)
        rows = (rest[k : k + size + 1] for k in range(0, len(rest), size + 1))
        return messages.SyncWrite(address, tuple((row[0], row[1:]) for row in rows))
    return messages.Other(servo, instruction, body)


class Feetech:
    """The STS wire format as a `Codec`."""

    name: ClassVar[str] = "feetech"
    sync: ClassVar[bool] = True
    sync_write: ClassVar[bool] = True
    fast: ClassVar[bool] = False
    acknowledges: ClassVar[bool] = True

    def encode(self, op: Op) -> bytes:
        return encode(op)

    def expected(self, op: Op) -> dict[int, int] | None:
        match op:
            case messages.SyncRead(ids, _, size):
                return dict.fromkeys(ids, size)
            case messages.Read(servo, _, size) if servo != BROADCAST:
                return {servo: size}
            case messages.Ping(servo):
                return None if servo == BROADCAST else {servo: 0}
            case messages.Write(servo) | messages.RegWrite(servo) | messages.Action(servo):
                return {} if servo == BROADCAST else {servo: 0}
        return {}

    def wire(self, op: Op) -> int:
        sizes = self.expected(op)
        return OVERHEAD * 253 if sizes is None else sum(sizes.values()) + OVERHEAD * len(sizes)

    def reader(self, expected: Mapping[int, int] | None = None, op: Op | None = None) -> envelope.Framer[Reply]:
        return envelope.Framer(Reply, expected)

    def listener(self) -> envelope.Framer[Op | Damage]:
        return envelope.Framer(decode, broadcast=True)

    def encode_reply(self, reply: Reply, op: Op | None = None) -> bytes:
        return envelope.pack(*reply)


ROM, RAM, MAGNITUDE = Area.ROM, Area.RAM, Sign.MAGNITUDE
_R = Register
STS3215 = Table(
    model="sts3215",
    number=777,
    protocol="feetech",
    size=87,
    source="Feetech STS memory table (28292032312); defaults of a factory 12 V servo, firmware 3.10",
    bauds={0: 1_000_000, 1: 500_000, 2: 250_000, 3: 128_000, 4: 115_200, 5: 76_800, 6: 57_600, 7: 38_400},
    alarms={0: "voltage", 1: "magnetic encoder", 2: "temperature", 3: "current", 5: "overload"},
    same=(2825,),  # STS3250
    registers=build([
        _R(0, 1, "firmware_major", writable=False, area=ROM, default=3),
        _R(1, 1, "firmware_minor", writable=False, area=ROM, default=10),
        _R(2, 1, "big_endian", writable=False, area=ROM),
        _R(3, 2, "model_number", writable=False, area=ROM, default=777),
        _R(5, 1, "id", area=ROM, default=1),
        _R(6, 1, "baud_code", area=ROM),
        _R(7, 1, "return_delay", "s", 2e-6, area=ROM, source="sources disagree on 0, 100 and 500 us"),
        _R(8, 1, "response_level", area=ROM, default=1),
        _R(9, 2, "min_position", "rad", RAD_PER_COUNT, area=ROM),
        _R(11, 2, "max_position", "rad", RAD_PER_COUNT, area=ROM, default=4095),
        _R(13, 1, "max_temperature", "°C", area=ROM, default=70),
        _R(14, 1, "max_voltage", "V", 0.1, area=ROM, default=140),
        _R(15, 1, "min_voltage", "V", 0.1, area=ROM, default=40),
        _R(16, 2, "max_torque", "1", 1e-3, area=ROM, default=1000),
        _R(18, 1, "phase", area=ROM, default=0x0C),
        _R(19, 1, "unload_mask", area=ROM, default=0x2C),
        _R(20, 1, "led_mask", area=ROM, default=0x2F),
        _R(21, 1, "position_p", area=ROM, default=32),
        _R(22, 1, "position_d", area=ROM, default=32),
        _R(23, 1, "position_i", area=ROM),
        _R(24, 1, "min_startup_force", "1", 1e-3, area=ROM, default=16),
        _R(25, 1, "integral_limit", area=ROM),
        _R(26, 1, "cw_dead_zone", "rad", RAD_PER_COUNT, area=ROM, default=1),
        _R(27, 1, "ccw_dead_zone", "rad", RAD_PER_COUNT, area=ROM, default=1),
        _R(28, 2, "protection_current", "A", 6.5e-3, area=ROM, default=310, source="511 in the memory table"),
        _R(30, 1, "angular_resolution", area=ROM, default=1),
        _R(31, 2, "homing_offset", "rad", RAD_PER_COUNT, area=ROM, sign=MAGNITUDE, bit=11),
        _R(33, 1, "mode", area=ROM),
        _R(34, 1, "protective_torque", "1", 1e-2, area=ROM, default=20),
        _R(35, 1, "protection_time", "s", 1e-2, area=ROM, default=200),
        _R(36, 1, "overload_torque", "1", 1e-2, area=ROM, default=80),
        _R(37, 1, "speed_p", area=ROM, default=10),
        _R(38, 1, "over_current_time", "s", 1e-2, area=ROM, default=200),
        _R(39, 1, "speed_i", area=ROM, default=200),
        _R(40, 1, "torque_enable"),
        _R(41, 1, "acceleration", "rad/s²", 100 * RAD_PER_COUNT),
        _R(42, 2, "goal_position", "rad", RAD_PER_COUNT, sign=MAGNITUDE),
        _R(44, 2, "goal_time", sign=MAGNITUDE, bit=10),
        _R(46, 2, "goal_velocity", "rad/s", RAD_PER_COUNT, sign=MAGNITUDE),
        _R(48, 2, "torque_limit", "1", 1e-3, default=1000),
        _R(55, 1, "lock", default=1),
        _R(56, 2, "present_position", "rad", RAD_PER_COUNT, writable=False, sign=MAGNITUDE),
        _R(58, 2, "present_velocity", "rad/s", RAD_PER_COUNT, writable=False, sign=MAGNITUDE),
        _R(60, 2, "present_load", "1", 1e-3, writable=False, sign=MAGNITUDE, bit=10),
        _R(62, 1, "present_voltage", "V", 0.1, writable=False),
        _R(63, 1, "present_temperature", "°C", writable=False),
        _R(64, 1, "registered", writable=False),
        _R(65, 1, "status", writable=False),
        _R(66, 1, "moving", writable=False),
        _R(67, 2, "target_position", "rad", RAD_PER_COUNT, writable=False, sign=MAGNITUDE),
        _R(69, 2, "present_current", "A", 6.5e-3, writable=False, sign=MAGNITUDE),
        _R(80, 1, "moving_threshold", area=ROM, default=2),
        _R(81, 1, "sample_time", "s", 1e-3, area=ROM, default=20),
        _R(82, 1, "speed_unit", area=ROM, default=50),
        _R(83, 1, "hts", area=ROM, default=1),
        _R(84, 1, "speed_limit", area=ROM, default=150),
        _R(85, 1, "acceleration_limit", area=ROM, default=100),
        _R(86, 1, "acceleration_scale", area=ROM, default=1),
    ]),
)
TABLES = (STS3215,)
