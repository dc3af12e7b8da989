"""The firmware of a Feetech STS3215 as a state machine.

Behaviour after a clean-room description of firmware 3.10 (0o8o0-blip/sts3215-firmware) and the STS memory
table; where sources disagree the choice is a parameter.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping

from hardware.protocols import messages
from hardware.protocols.feetech import STS3215
from hardware.protocols.messages import BROADCAST, Damage, Op, Reply
from hardware.protocols.tables import Table
from hardware.virtual.memory import Memory
from hardware.virtual.servo import Drive, Profile, Sensed

VOLTAGE, ENCODER, TEMPERATURE, CURRENT, OVERLOAD = 1, 2, 4, 8, 32
RESET, BOOT_LOADER = 0x06, 0x08
TURN = 4096
DEFAULT_P = 32  # of the position loop
FULL_SPEED = 3400.0  # counts/s, no load: about 50 rpm
LEAD = 200.0  # counts that a speed-mode set point may run ahead of the shaft
OVER_VOLTAGE_TICKS = 51
TELEMETRY = struct.Struct("<HHHBBBBBHH")  # registers 56, present_position, to 69, present_current


class Sts3215:
    """One STS3215. Time and sensors are passed in, so it runs in virtual time as well as in real time."""

    relays = False

    def __init__(self, id: int, factory: Mapping[str, int] | None = None, table: Table = STS3215,
                 drop_locked: bool = False) -> None:
        """`factory`: registers unlike the table's. `drop_locked`: a ROM write under lock is lost at once,
        not only at the next power cycle (sources disagree)."""
        self.memory = Memory(table, {"id": id, **(factory or {})})
        self._drop_locked = drop_locked
        self._profile = Profile()
        self._sensed = Sensed()
        self.boot()

    # ------------------------------------------------------------ identity
    @property
    def id(self) -> int:
        return self.memory.data[5]

    @property
    def baud(self) -> int:
        return self.memory.table.bauds.get(self.memory.data[6], 1_000_000)

    @property
    def return_delay(self) -> float:
        return self.memory.data[7] * 2e-6

    @property
    def status(self) -> int:
        return self._status

    @property
    def energised(self) -> bool:
        return self.memory.data[40] == 1

    # ------------------------------------------------------------ life
    def boot(self) -> None:
        """Torque off, locked, RAM at its defaults, and the goal where the shaft is."""
        memory = self.memory
        memory.boot()
        memory.put("torque_limit", memory.get("max_torque"))
        memory.put("goal_position", round(self._user()))
        self._status = 0
        self._registered: tuple[int, bytes] | None = None
        self._overload_for = self._current_for = 0.0
        self._over_voltage = 0
        self._unloaded = False
        self._bootloader = False
        self._profile.hold(self._sensed.position)

    def settle(self, sensed: Sensed) -> None:
        """The shaft was put elsewhere from outside: the goal becomes where it is."""
        self._sensed = sensed
        self.memory.put("goal_position", round(self._user()))
        self._profile.hold(sensed.position)

    def step(self, dt: float, sensed: Sensed) -> Drive:
        """One control tick: protections first, then the set point of the present mode."""
        self._sensed = sensed
        self._protect(dt, sensed)
        limit = self._limit()
        if limit == 0.0:
            self._profile.hold(sensed.position)
            return Drive(sensed.position, 0.0)
        mode = self.memory.data[33]
        if mode == 1:
            return Drive(self._speed(dt, sensed), limit)
        if mode == 2:
            duty = self.memory.get("goal_time") / 1000.0
            return Drive(sensed.position + math.copysign(TURN, duty), min(limit, abs(duty)))
        return Drive(self._position(dt), limit, self.memory.data[21] / DEFAULT_P)

    def _limit(self) -> float:
        """The fraction of stall torque that the output stage may use now."""
        data = self.memory.data
        if data[40] not in (1, 2) or self._bootloader:
            return 0.0
        if self._status & data[19] & (VOLTAGE | TEMPERATURE | CURRENT | ENCODER):
            return 0.0
        limit = min(self.memory.get("torque_limit"), self.memory.get("max_torque"), 1000) / 1000.0
        if data[40] == 2:
            limit = min(limit, 0.05)
        return min(limit, data[34] / 100.0) if self._unloaded else limit

    # ------------------------------------------------------------ motion
    def _user(self) -> float:
        """The shaft's position in user counts: raw minus homing offset, within one turn."""
        return (self._sensed.position - self.memory.get("homing_offset")) % TURN

    def _goal(self) -> float:
        """The raw counts to go to: the goal register clamped to the limits; the register keeps what was sent."""
        memory = self.memory
        if memory.data[33] == 3:
            return self._step_goal
        goal = float(memory.get("goal_position"))
        low, high = memory.get("min_position"), memory.get("max_position")
        if low or high:
            goal = min(max(goal, low), high)
        # the shortest image of the goal beside the shaft, which is raw
        offset, position = memory.get("homing_offset"), self._sensed.position
        user = (position - offset) % TURN
        return goal + offset + TURN * round((position - user - offset) / TURN)

    def _position(self, dt: float) -> float:
        memory = self.memory
        speed = abs(memory.get("goal_velocity")) or FULL_SPEED
        acceleration = memory.data[41] * 100.0 or math.inf
        return self._profile.toward(self._goal(), min(speed, FULL_SPEED), acceleration, dt)

    def _speed(self, dt: float, sensed: Sensed) -> float:
        memory, profile = self.memory, self._profile
        acceleration = memory.data[41] * 100.0 or math.inf
        wanted, change = float(memory.get("goal_velocity")), acceleration * dt
        profile.velocity += min(max(wanted - profile.velocity, -change), change)
        ahead = profile.position + profile.velocity * dt
        profile.position = min(max(ahead, sensed.position - LEAD), sensed.position + LEAD)
        return profile.position

    # ------------------------------------------------------------ protection
    def _protect(self, dt: float, sensed: Sensed) -> None:
        memory, data = self.memory, self.memory.data
        status = 0 if sensed.encoder_ok else ENCODER
        volts = sensed.voltage * 10.0
        self._over_voltage = self._over_voltage + 1 if volts > data[14] else 0
        if volts < data[15] or self._over_voltage > OVER_VOLTAGE_TICKS:
            status |= VOLTAGE
        if sensed.temperature > data[13]:
            status |= TEMPERATURE
        on = data[40] == 1
        over = on and abs(sensed.current) > memory.get("protection_current") * 6.5e-3
        self._current_for = self._current_for + dt if over else 0.0
        if on and (self._status & CURRENT or self._current_for > data[38] * 0.01):
            status |= CURRENT
        if self._overloaded(dt, sensed, on):
            status |= OVERLOAD
        self._unloaded = bool(status & OVERLOAD & data[19])
        self._status = status

    def _overloaded(self, dt: float, sensed: Sensed, on: bool) -> bool:
        """Latches after the protection time; relieved torque or a torque switch clears it."""
        data = self.memory.data
        if not on:
            self._overload_for = 0.0
            return False
        if self._status & OVERLOAD:
            if abs(sensed.duty) < 0.95 * data[34] / 100.0:
                self._overload_for = 0.0
                return False
            return True
        pushing = abs(sensed.duty) > data[36] / 100.0 and abs(sensed.velocity) < 50.0
        self._overload_for = self._overload_for + dt if pushing else 0.0
        return self._overload_for > data[35] * 0.01

    # ------------------------------------------------------------ requests
    def handle(self, op: Op | Damage) -> Reply | None:
        """The reply to `op`, None when it is not for this servo or is not answered."""
        if self._bootloader:
            return None
        match op:
            case messages.Read():
                return self._read(op.id, op.address, op.size)
            case messages.SyncRead(ids, address, size) if self.id in ids:
                return self._read(self.id, address, size)
            case messages.SyncWrite(address, rows):
                mine = self.id
                for servo, data in rows:
                    if servo == mine:
                        self._write(address, data)
            case messages.Ping():
                return self._reply(op.id, b"", even_broadcast=True)
            case messages.Write() if self._for_me(op.id):
                self._write(op.address, op.data)
                return self._acknowledge(op.id)
            case messages.RegWrite() if self._for_me(op.id):
                self._registered = (op.address, op.data)
                return self._acknowledge(op.id)
            case messages.Action() if self._for_me(op.id):
                if self._registered is not None:
                    self._write(*self._registered)
                    self._registered = None
                return self._acknowledge(op.id)
            case messages.Other() if self._for_me(op.id):
                return self._other(op)
        return None

    def _for_me(self, servo: int) -> bool:
        return servo in (self.id, BROADCAST)

    def _reply(self, asked: int, data: bytes, even_broadcast: bool = False) -> Reply | None:
        if asked == self.id or (even_broadcast and asked == BROADCAST):
            return Reply(self.id, self._status, data)
        return None

    def _acknowledge(self, asked: int) -> Reply | None:
        """Under the id that was asked: a servo that was just given another one still answers for the old."""
        return Reply(asked, self._status, b"") if asked != BROADCAST and self.memory.data[8] else None

    def _other(self, op: messages.Other) -> Reply | None:
        if op.instruction == BOOT_LOADER:
            self._bootloader = True  # out of reach until the next power cycle
            return None
        if op.instruction == RESET:
            for name, register in self.memory.table.registers.items():
                if name not in ("id", "baud_code"):
                    self.memory.put(name, register.default, burn=True)
            self.boot()
            return self._acknowledge(op.id)
        return None

    def _read(self, asked: int, address: int, size: int) -> Reply | None:
        if asked != self.id or address >= self.memory.size:
            return None
        self._refresh()
        return Reply(self.id, self._status, bytes(self.memory.data[address : address + size]))

    def _refresh(self) -> None:
        """Bring the telemetry registers up to date."""
        memory, sensed, profile = self.memory, self._sensed, self._profile
        TELEMETRY.pack_into(
            memory.data, 56,
            round(self._user()) % TURN, _magnitude(sensed.velocity, 15), _magnitude(sensed.duty * 1000, 10),
            min(max(round(sensed.voltage * 10), 0), 255), min(max(round(sensed.temperature), 0), 255),
            self._registered is not None, self._status, abs(profile.velocity) > memory.data[80],
            round(profile.position - memory.get("homing_offset")) % TURN, _magnitude(sensed.current / 6.5e-3, 15))

    def _write(self, address: int, data: bytes) -> None:
        """Byte by byte; what may not be written is skipped without a word."""
        memory = self.memory
        locked = memory.data[55] != 0
        torque, mode = memory.data[40], memory.data[33]
        for at, byte in enumerate(data, address):
            if at >= memory.size or not memory.writable[at]:
                continue
            if memory.in_rom[at]:
                if locked and self._drop_locked:
                    continue
                if not locked:
                    memory.rom[at] = byte
            memory.data[at] = byte
        if memory.touches("goal_position", address, len(data)):
            self._new_goal(torque)
        if memory.touches("torque_enable", address, len(data)):
            self._new_torque(torque)
        if memory.data[33] != mode:
            memory.put("goal_velocity", 0)
            memory.data[41] = memory.data[40] = 0
        if memory.touches("max_torque", address, len(data)):
            memory.put("torque_limit", memory.get("max_torque"))

    def _new_goal(self, torque_before: int) -> None:
        """A goal write energises the motor (measured on real servos)."""
        if self.memory.data[40] == 0:
            self.memory.data[40] = 1
        if self.memory.data[33] == 3:
            self._step_goal = self._profile.position + self.memory.get("goal_position")
        if torque_before == 0:
            self._profile.hold(self._sensed.position)

    def _new_torque(self, before: int) -> None:
        memory = self.memory
        if memory.data[40] == 128:
            offset = round(self._sensed.position - 2048)
            memory.put("homing_offset", (offset + TURN // 2) % TURN - TURN // 2, burn=memory.data[55] == 0)
            memory.data[40] = 0
        if memory.data[40] != before:
            self._overload_for = self._current_for = 0.0
            self._status &= ~(OVERLOAD | CURRENT)
            self._profile.hold(self._sensed.position)

    _step_goal = 2048.0


def _magnitude(value: float, bit: int) -> int:
    """`value` in whole counts as a register holds them whose `bit` is the sign of those below it."""
    counts = round(value)
    size = min(abs(counts), (1 << bit) - 1)
    return size | 1 << bit if counts < 0 else size
