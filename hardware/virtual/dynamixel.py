"""The firmware of Dynamixel X servos (XL330, XL430, XM430) as a state machine, after the ROBOTIS e-manual."""

from __future__ import annotations

import math
from collections.abc import Mapping

from hardware.protocols import messages
from hardware.protocols.messages import BROADCAST, Damage, Op, Reply
from hardware.protocols.tables import Table
from hardware.virtual.dynamixel_memory import ACCESS, CRC, GOALS, INSTRUCTION, POSITION, RANGE, RESULT, DynamixelMemory
from hardware.virtual.servo import Drive, Profile, Sensed

ALERT = 0x80
VOLTAGE, OVERHEAT, ENCODER, SHOCK, OVERLOAD = 1, 4, 8, 16, 32  # bits of the hardware error status
CURRENT, VELOCITY, EXTENDED, CURRENT_POSITION, PWM = 0, 1, 4, 5, 16  # operating modes
REVERSE, TIMED, GOAL_ENERGISES = 1, 4, 8  # bits of the drive mode
TURN = 4096
COUNTS_PER_S = 0.229 * TURN / 60  # of a velocity count
COUNTS_PER_S2 = 214.577 * TURN / 3600  # of an acceleration count
FULL_PWM = 885
LEAD = 200.0  # counts that a velocity-mode set point may run ahead of the shaft
OVERLOAD_AT, OVERLOAD_FOR = 0.9, 1.5  # of stall torque, and s without motion
BOOT = 0.2  # s that a reboot takes
ARRIVED = 20  # counts beside the goal that count as there
TICK_TURN = 32768  # ms


class Dynamixel:
    """One Dynamixel of the X series. A protection that trips takes torque until the servo is rebooted."""

    relays = True  # in a common reading each answers after the one before, not by the clock

    def __init__(self, id: int, factory: Mapping[str, int] | None, table: Table) -> None:
        """`factory`: registers unlike the table's."""
        self.memory = DynamixelMemory(table, {"id": id, **(factory or {})})
        self._profile, self._sensed = Profile(), Sensed()
        self._silent = 0.0
        self.boot()

    # ------------------------------------------------------------ identity
    @property
    def id(self) -> int:
        return self.memory.data[7]

    @property
    def baud(self) -> int:
        return self.memory.table.bauds.get(self.memory.data[8], 57_600)

    @property
    def return_delay(self) -> float:
        return self.memory.data[9] * 2e-6

    @property
    def status(self) -> int:
        """The hardware error status."""
        return self.memory.data[70]

    # ------------------------------------------------------------ life
    def boot(self) -> None:
        """Torque off, hardware errors forgotten, RAM at its defaults, clock at zero, goal where the shaft is."""
        self.memory.boot()
        self._tick = self._quiet = self._pressing = 0.0
        self._registered: tuple[int, bytes] | None = None
        self._timed = (math.inf, math.inf)  # pace of the move that a time-based profile is on
        self._settle_goal()

    def settle(self, sensed: Sensed) -> None:
        """The shaft was put elsewhere from outside: the goal becomes where it is."""
        self._sensed = sensed
        self._settle_goal()

    def _settle_goal(self) -> None:
        self.memory.put("goal_position", round(self._user()))
        self._profile.hold(self._sensed.position)

    def step(self, dt: float, sensed: Sensed) -> Drive:
        """One control tick: clock, watchdog, protections, then the set point of the present mode."""
        self._sensed = sensed
        self._silent = max(0.0, self._silent - dt)
        self._tick = (self._tick + dt * 1000.0) % TICK_TURN
        self._watch(dt)
        self._protect(dt, sensed)
        if self.memory.data[64] == 0:
            self._profile.hold(sensed.position)
            return Drive(sensed.position, 0.0)
        return self._drive(dt, sensed)

    def _watch(self, dt: float) -> None:
        """The bus watchdog: without any packet for so long, motion stops where it is."""
        armed = self.memory.get("bus_watchdog")
        self._quiet += dt
        if armed > 0 and self.memory.data[64] and self._quiet > armed * 0.02:
            self.memory.put("bus_watchdog", -1)
            self.memory.put("goal_velocity", 0)
            self._settle_goal()

    def _protect(self, dt: float, sensed: Sensed) -> None:
        memory = self.memory
        volts = sensed.voltage * 10.0
        seen = 0 if sensed.encoder_ok else ENCODER
        if not memory.get("min_voltage") <= volts <= memory.get("max_voltage"):
            seen |= VOLTAGE
        if sensed.temperature > memory.get("max_temperature"):
            seen |= OVERHEAT
        pressing = abs(sensed.duty) > OVERLOAD_AT and abs(sensed.velocity) < 50.0 and memory.data[64]
        self._pressing = self._pressing + dt if pressing else 0.0
        if self._pressing > OVERLOAD_FOR:
            seen |= OVERLOAD
        if seen:
            memory.data[70] |= seen
            if memory.data[70] & memory.data[63]:
                memory.data[64] = 0

    # ------------------------------------------------------------ motion
    def _user(self, raw: float | None = None) -> float:
        """A raw position, the shaft's unless told, in the servo's own counts."""
        raw = self._sensed.position if raw is None else raw
        if self.memory.data[10] & REVERSE:
            raw = TURN - raw
        user = raw + self.memory.get("homing_offset")
        return user if self.memory.data[11] in (EXTENDED, CURRENT_POSITION) else user % TURN

    def _raw(self, user: float) -> float:
        """Raw counts beside the shaft that mean `user`."""
        raw = user - self.memory.get("homing_offset")
        if self.memory.data[10] & REVERSE:
            raw = TURN - raw
        if self.memory.data[11] in (EXTENDED, CURRENT_POSITION):
            return raw
        return raw + TURN * round((self._sensed.position - raw) / TURN)

    def _drive(self, dt: float, sensed: Sensed) -> Drive:
        memory, mode = self.memory, self.memory.data[11]
        limit = min(memory.get("goal_pwm") if mode != PWM else FULL_PWM, memory.get("pwm_limit"), FULL_PWM) / FULL_PWM
        if mode == PWM:
            duty = memory.get("goal_pwm") / FULL_PWM
            return Drive(sensed.position + math.copysign(TURN, duty), min(abs(duty), limit))
        if mode in (CURRENT, CURRENT_POSITION) and "goal_current" in memory.table:
            share = memory.get("goal_current") / max(memory.get("current_limit"), 1)
            if mode == CURRENT:
                return Drive(sensed.position + math.copysign(TURN, share), min(abs(share), limit))
            limit = min(limit, abs(share))
        if mode == VELOCITY:
            return Drive(self._speed(dt, sensed), limit)
        return Drive(self._position(dt), limit, memory.get("position_p") / memory.table["position_p"].default)

    def _paces(self) -> tuple[float, float]:
        """Speed and acceleration of the profile (counts/s, counts/s²); 0 in the registers means no limit."""
        memory = self.memory
        top = memory.get("velocity_limit") * COUNTS_PER_S
        if memory.get("bus_watchdog") < 0:
            return top, math.inf
        if memory.data[10] & TIMED:
            return min(self._timed[0], top), self._timed[1]
        speed = memory.get("profile_velocity") * COUNTS_PER_S or top
        return min(speed, top), memory.get("profile_acceleration") * COUNTS_PER_S2 or math.inf

    def _plan(self) -> None:
        """A time-based profile: the registers say for how long to move and to speed up (ms)."""
        memory = self.memory
        lasts = memory.get("profile_velocity") / 1000.0
        rise = min(memory.get("profile_acceleration") / 1000.0, lasts / 2)
        way = abs(self._raw(float(memory.get("goal_position"))) - self._profile.position)
        speed = way / (lasts - rise) if lasts else math.inf
        self._timed = (speed, speed / rise if rise and speed else math.inf)

    def _position(self, dt: float) -> float:
        speed, acceleration = self._paces()
        return self._profile.toward(self._raw(float(self.memory.get("goal_position"))), speed, acceleration, dt)

    def _speed(self, dt: float, sensed: Sensed) -> float:
        _, acceleration = self._paces()
        profile, change = self._profile, acceleration * dt
        wanted = self.memory.get("goal_velocity") * COUNTS_PER_S
        profile.velocity += min(max(wanted - profile.velocity, -change), change)
        ahead = profile.position + profile.velocity * dt
        profile.position = min(max(ahead, sensed.position - LEAD), sensed.position + LEAD)
        return profile.position

    # ------------------------------------------------------------ requests
    def handle(self, op: Op | Damage) -> Reply | None:
        """The reply to `op`, None when it is not for this servo or is not answered."""
        if self._silent > 0.0:
            return None
        if isinstance(op, Damage):
            return Reply(op.id, CRC | self._alert(), b"") if op.id == self.id and self.memory.data[68] == 2 else None
        self._quiet = 0.0
        match op:
            case messages.Ping(servo) if servo in (self.id, BROADCAST):
                number = self.memory.get("model_number").to_bytes(2, "little")
                return Reply(self.id, self._alert(), number + bytes((self.memory.data[6],)))
            case messages.Read(servo, address, size) if servo == self.id:
                return self._read(address, size)
            case messages.SyncRead(ids, address, size) if self.id in ids:
                return self._read(address, size)
            case messages.BulkRead(rows):
                mine = [row for row in rows if row[0] == self.id]
                return self._read(mine[0][1], mine[0][2]) if mine else None
            case messages.SyncWrite(address, writes):
                for servo, data in writes:
                    if servo in (self.id, self._second):
                        self._write(address, data, servo)
            case messages.BulkWrite(rows):
                for servo, address, data in rows:
                    if servo in (self.id, self._second):
                        self._write(address, data, servo)
            case messages.Write() | messages.RegWrite() | messages.Action() | messages.Reboot() | messages.Clear() \
                    | messages.FactoryReset() | messages.Other():
                return self._order(op) if op.id in (self.id, self._second, BROADCAST) else None
        return None

    def _order(self, op: messages.Write | messages.RegWrite | messages.Action | messages.Reboot | messages.Clear
               | messages.FactoryReset | messages.Other) -> Reply | None:
        """What is acknowledged; the acknowledgement is made before the servo goes away to reboot."""
        error, level = 0, self.memory.data[68]
        unheard = op.id != self.id  # broadcast, or to the secondary id
        match op:
            case messages.Write(_, address, data):
                error = self._write(address, data, op.id)
            case messages.RegWrite(_, address, data):
                error = self.memory.refusal(address, data)
                self._registered = (address, data) if not error else None
            case messages.Action():
                error = self._write(*self._registered) if self._registered else RESULT
                self._registered = None
            case messages.Clear():
                error = RESULT if abs(self._sensed.velocity) > 50.0 else 0
            case messages.FactoryReset(servo, keep_id, keep_baud):
                error = self._reset(keep_id, keep_baud) if servo != BROADCAST or keep_id else INSTRUCTION
            case messages.Reboot():
                self.boot()
                self._silent = BOOT
            case messages.Other():
                error = INSTRUCTION
        if unheard or level < 2:
            return None
        return Reply(op.id, error | self._alert(), b"")  # even if that gave it another id

    @property
    def _second(self) -> int:
        """The secondary id: what is sent to it is carried out but never answered."""
        return self.memory.data[12] if self.memory.data[12] < 253 else -1

    def _alert(self) -> int:
        return ALERT if self.memory.data[70] else 0

    def _reset(self, keep_id: bool, keep_baud: bool) -> int:
        kept = {"id"} if keep_id else set()
        kept |= {"baud_code"} if keep_baud else set()
        for name, register in self.memory.table.registers.items():
            if name not in kept:
                self.memory.put(name, register.default, burn=True)
        self.boot()
        self._silent = BOOT
        return 0

    # ------------------------------------------------------------ registers
    def _read(self, address: int, size: int) -> Reply | None:
        if self.memory.data[68] == 0:
            return None
        if address + size > self.memory.size:
            return Reply(self.id, RANGE | self._alert(), b"")
        self._refresh()
        return Reply(self.id, self._alert(), self.memory.fetch(address, size))

    def _refresh(self) -> None:
        """Bring the telemetry registers up to date."""
        memory, sensed = self.memory, self._sensed
        flip = -1 if memory.data[10] & 1 else 1
        memory.put("realtime_tick", int(self._tick) % TICK_TURN)
        memory.put("moving", abs(sensed.velocity) > memory.get("moving_threshold") * COUNTS_PER_S)
        memory.put("present_pwm", round(flip * sensed.duty * FULL_PWM))
        if "present_current" in memory.table:
            memory.put("present_current", round(flip * sensed.current / memory.table["present_current"].scale))
        else:
            memory.put("present_load", round(flip * sensed.duty * 1000))
        memory.put("present_velocity", round(flip * sensed.velocity / COUNTS_PER_S))
        memory.put("present_position", round(self._user()))
        memory.put("position_trajectory", round(self._user(self._profile.position)))
        memory.put("moving_status", self._moving_status())
        memory.put("velocity_trajectory", round(flip * self._profile.velocity / COUNTS_PER_S))
        memory.put("present_voltage", round(sensed.voltage * 10))
        memory.put("present_temperature", min(max(round(sensed.temperature), 0), 255))
        memory.put("registered", self._registered is not None)

    def _moving_status(self) -> int:
        """Bit 0 there, bit 1 on the way, bit 3 not following, bits 4 and 5 the profile's shape."""
        memory, profile = self.memory, self._profile
        if not memory.data[64] or memory.data[11] not in (POSITION, EXTENDED, CURRENT_POSITION):
            return 0
        goal = self._raw(float(memory.get("goal_position")))
        under_way = abs(goal - profile.position) > 0.5
        shape = 0 if not memory.get("profile_velocity") else 3 if memory.get("profile_acceleration") else 1
        there = not under_way and abs(goal - self._sensed.position) <= ARRIVED
        return there | under_way << 1 | (abs(profile.position - self._sensed.position) > LEAD) << 3 | shape << 4

    def _write(self, address: int, data: bytes, asked: int = BROADCAST) -> int:
        """Write if all of it may be written; returns the error number."""
        memory = self.memory
        error = memory.refusal(address, data)
        if error:
            return error
        torque, mode, armed = memory.data[64], memory.data[11], memory.get("bus_watchdog")
        where = memory.where(address, len(data))
        if asked not in (self.id, BROADCAST) and any(memory.in_rom[at] for at in where):
            return ACCESS  # the secondary id reaches no ROM
        if memory.address("torque_enable") in where and data[where.index(64)] and memory.data[70] & memory.data[63]:
            return RESULT  # only a reboot brings torque back
        for at, byte in zip(where, data):
            memory.data[at] = byte
            if memory.in_rom[at]:
                memory.rom[at] = byte
        if memory.data[11] != mode:
            self._new_mode()
        if memory.data[10] & GOAL_ENERGISES and not memory.data[70] & memory.data[63]:
            memory.data[64] |= any(memory.address(name) in where for name in GOALS if name in memory.table)
        if memory.data[64] and not torque:
            self._profile.hold(self._sensed.position)
            self._pressing = 0.0
        if memory.address("goal_position") in where:
            self._plan()
        if memory.get("bus_watchdog") != armed:
            self._quiet = 0.0
        return 0

    def _new_mode(self) -> None:
        """Gains, profile and goals go back to their defaults."""
        for name, register in self.memory.table.registers.items():
            if 76 <= register.address <= 116 and name != "bus_watchdog":
                self.memory.put(name, register.default)
        self._settle_goal()
