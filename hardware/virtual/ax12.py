"""The firmware of a Dynamixel AX-12A (protocol 1.0) as a state machine, after the ROBOTIS e-manual.

A goal write energises the motor, as users of AX servos report; the manual does not say.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from hardware.protocols import messages
from hardware.protocols.dynamixel1 import AX12, COUNT, SPEED
from hardware.protocols.messages import BROADCAST, Damage, Op, Reply
from hardware.protocols.tables import RAD_PER_COUNT, Table
from hardware.virtual.memory import Memory
from hardware.virtual.servo import Drive, Profile, Sensed

VOLTAGE, ANGLE, HEAT, RANGE, CHECKSUM, OVERLOAD, INSTRUCTION = 1, 2, 4, 8, 16, 32, 64
RESET = 0x06
RATIO = COUNT / RAD_PER_COUNT  # encoder counts of one of this servo's
RAW_CENTRE, CENTRE = 2048, 512
SPEED_COUNTS = SPEED / RAD_PER_COUNT  # encoder counts/s of a speed count
FULL_SPEED = 0.9 * 1023 * SPEED_COUNTS  # counts/s, no load
SLOPE = 32  # the compliance that leaves the position loop its usual gain
LEAD = 200.0  # counts that the set point of a turning wheel may run ahead of the shaft
OVERLOAD_AT, OVERLOAD_FOR = 0.9, 1.5  # of stall torque, and s without motion


class Ax12:
    """One AX-12A. A protection that trips takes the torque limit to 0, where it stays until it is written."""

    relays = False

    def __init__(self, id: int, factory: Mapping[str, int] | None = None, table: Table = AX12) -> None:
        """`factory`: registers unlike the table's."""
        self.memory = Memory(table, {"id": id, **(factory or {})})
        self._profile, self._sensed = Profile(), Sensed()
        self.boot()

    @property
    def id(self) -> int:
        return self.memory.data[3]

    @property
    def baud(self) -> int:
        return self.memory.table.bauds.get(self.memory.data[4], round(2_000_000 / (self.memory.data[4] + 1)))

    @property
    def return_delay(self) -> float:
        return self.memory.data[5] * 2e-6

    # ------------------------------------------------------------ life
    def boot(self) -> None:
        """Torque off, unlocked, RAM at its defaults, the goal where the shaft is."""
        memory = self.memory
        memory.boot()
        memory.put("torque_limit", memory.get("max_torque"))
        self._status, self._pressing = 0, 0.0
        self._registered: tuple[int, bytes] | None = None
        self.settle(self._sensed)

    def settle(self, sensed: Sensed) -> None:
        """The shaft was put elsewhere from outside: the goal becomes where it is."""
        self._sensed = sensed
        self.memory.put("goal_position", self._user())
        self._profile.hold(sensed.position)

    def step(self, dt: float, sensed: Sensed) -> Drive:
        """One control tick: protections, then the set point of joint or wheel mode."""
        self._sensed = sensed
        self._protect(dt, sensed)
        memory = self.memory
        limit = min(memory.get("torque_limit"), memory.get("max_torque")) / 1023 if memory.data[24] else 0.0
        if limit == 0.0:
            self._profile.hold(sensed.position)
            return Drive(sensed.position, 0.0)
        speed = memory.get("goal_velocity")
        if self._wheel:
            turn = (speed & 0x3FF) * SPEED_COUNTS * (-1 if speed & 0x400 else 1)
            ahead = self._profile.position + turn * dt
            self._profile.hold(min(max(ahead, sensed.position - LEAD), sensed.position + LEAD))
            return Drive(self._profile.position, limit)
        pace = min(speed * SPEED_COUNTS or FULL_SPEED, FULL_SPEED)
        goal = self._profile.toward(self._raw(memory.get("goal_position")), pace, math.inf, dt)
        return Drive(goal, limit, SLOPE / max(memory.data[28], 1))

    @property
    def _wheel(self) -> bool:
        return not self.memory.get("min_position") and not self.memory.get("max_position")

    def _user(self) -> int:
        """The shaft's position in this servo's counts; beyond its 300° it reads the nearer end."""
        turned = (self._sensed.position - RAW_CENTRE) / RATIO
        return min(max(round(CENTRE + turned), 0), 1023)

    @staticmethod
    def _raw(counts: int) -> float:
        return RAW_CENTRE + (counts - CENTRE) * RATIO

    def _protect(self, dt: float, sensed: Sensed) -> None:
        memory = self.memory
        seen = 0
        if not memory.data[12] <= sensed.voltage * 10.0 <= memory.data[13]:
            seen |= VOLTAGE
        if sensed.temperature > memory.data[11]:
            seen |= HEAT
        pressing = memory.data[24] and abs(sensed.duty) > OVERLOAD_AT and abs(sensed.velocity) < 50.0
        self._pressing = self._pressing + dt if pressing else 0.0
        if self._pressing > OVERLOAD_FOR or (self._status & OVERLOAD and not memory.get("torque_limit")):
            seen |= OVERLOAD
        self._status = seen
        if seen & memory.data[18]:
            memory.put("torque_limit", 0)
            memory.data[24] = 0

    # ------------------------------------------------------------ requests
    def handle(self, op: Op | Damage) -> Reply | None:
        """The reply to `op`, None when it is not for this servo or is not answered."""
        memory = self.memory
        match op:
            case messages.Ping(servo) if servo in (self.id, BROADCAST):
                return Reply(self.id, self._status, b"")
            case messages.Read(servo, address, size) if servo == self.id:
                return self._read(address, size)
            case messages.SyncWrite(address, rows):
                for servo, data in rows:
                    if servo == self.id:
                        self._write(address, data)
            case messages.Write() | messages.RegWrite() | messages.Action() | messages.Other() \
                    if op.id in (self.id, BROADCAST):
                error = self._order(op)
                if op.id != BROADCAST and memory.data[16] == 2:
                    return Reply(op.id, self._status | error, b"")  # even if that gave it another id
            case Damage(_, _, servo) if servo == self.id and memory.data[16] == 2:
                return Reply(servo, self._status | CHECKSUM, b"")
        return None

    def _order(self, op: messages.Write | messages.RegWrite | messages.Action | messages.Other) -> int:
        """Carry out what is acknowledged; returns the error bits."""
        match op:
            case messages.Write(_, address, data):
                return self._write(address, data)
            case messages.RegWrite(_, address, data):
                self._registered = (address, data)
            case messages.Action():
                waiting, self._registered = self._registered, None
                return self._write(*waiting) if waiting else INSTRUCTION
            case messages.Other(_, instruction) if instruction == RESET:
                for name, register in self.memory.table.registers.items():
                    self.memory.put(name, register.default, burn=True)
                self.boot()
            case messages.Other():
                return INSTRUCTION
        return 0

    def _read(self, address: int, size: int) -> Reply | None:
        memory, sensed = self.memory, self._sensed
        if memory.data[16] == 0:
            return None
        if address + size > memory.size:
            return Reply(self.id, self._status | RANGE, b"")
        memory.put("present_position", self._user())
        memory.put("present_velocity", round(sensed.velocity / SPEED_COUNTS))
        memory.put("present_load", round(sensed.duty * 1023))
        memory.put("present_voltage", round(sensed.voltage * 10))
        memory.put("present_temperature", round(sensed.temperature))
        memory.put("registered", self._registered is not None)
        memory.put("moving", abs(sensed.velocity) > 20.0)
        return Reply(self.id, self._status, bytes(memory.data[address : address + size]))

    def _write(self, address: int, data: bytes) -> int:
        """Write if all of it may be written; returns the error bits."""
        memory, where = self.memory, range(address, address + len(data))
        if where.stop > memory.size or not all(memory.writable[at] for at in where):
            return RANGE
        if memory.data[47] and any(memory.in_rom[at] for at in where):
            return RANGE  # locked until the next power cycle
        if (error := self._goal_error(address, data)) != 0:
            return error
        torque = memory.data[24]
        for at, byte in zip(where, data):
            if at == 47 and memory.data[47]:
                continue
            memory.data[at] = byte
            if memory.in_rom[at]:
                memory.rom[at] = byte
        if memory.touches("goal_position", address, len(data)):
            memory.data[24] = 1
        if memory.data[24] and not torque:
            self._profile.hold(self._sensed.position)
            self._pressing = 0.0
        if memory.touches("max_torque", address, len(data)):
            memory.put("torque_limit", memory.get("max_torque"))
        return 0

    def _goal_error(self, address: int, data: bytes) -> int:
        memory, goal = self.memory, self.memory.table["goal_position"]
        if not address <= goal.address <= address + len(data) - goal.size or self._wheel:
            return 0
        counts = goal.decode(data[goal.address - address : goal.end - address])
        if counts > 1023:
            return RANGE
        return 0 if memory.get("min_position") <= counts <= memory.get("max_position") else ANGLE
