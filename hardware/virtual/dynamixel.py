"""The firmware of Dynamixel X servos (XL330, XL430, XM430) as a state machine, after the ROBOTIS e-manual."""

from __future__ import annotations

import math
from collections.abc import Mapping

from hardware.protocols import messages
from hardware.protocols.messages import BROADCAST, Op, Reply
from hardware.protocols.tables import Area, Table
from hardware.virtual.memory import Memory
from hardware.virtual.servo import Drive, Profile, Sensed

RESULT, INSTRUCTION, RANGE, LENGTH, LIMIT, ACCESS = 1, 2, 4, 5, 6, 7  # error numbers of a status packet
ALERT = 0x80
VOLTAGE, OVERHEAT, ENCODER, SHOCK, OVERLOAD = 1, 4, 8, 16, 32  # bits of the hardware error status
CURRENT, VELOCITY, POSITION, EXTENDED, CURRENT_POSITION, PWM = 0, 1, 3, 4, 5, 16
TURN = 4096
COUNTS_PER_S = 0.229 * TURN / 60  # of a velocity count
COUNTS_PER_S2 = 214.577 * TURN / 3600  # of an acceleration count
FULL_PWM = 885
LEAD = 200.0  # counts that a velocity-mode set point may run ahead of the shaft
OVERLOAD_AT, OVERLOAD_FOR = 0.9, 1.5  # of stall torque, and s without motion
BOOT = 0.2  # s that a reboot takes
TICK_TURN = 32768  # ms
GOALS = ("goal_pwm", "goal_current", "goal_velocity", "goal_position", "profile_acceleration", "profile_velocity")


class Dynamixel:
    """One Dynamixel of the X series. A protection that trips takes torque until the servo is rebooted."""

    relays = True  # in a common reading each answers after the one before, not by the clock

    def __init__(self, id: int, factory: Mapping[str, int] | None, table: Table) -> None:
        """`factory`: registers unlike the table's."""
        self.memory = Memory(table, {"id": id, **(factory or {})})
        self._profile, self._sensed = Profile(), Sensed()
        self._silent = 0.0
        self._first = table["indirect_address_1"].address
        self._data = table["indirect_data_1"].address
        self._count = sum(name.startswith("indirect_data") for name in table.registers)
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
        self._revolutions = 0
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
    def _user(self) -> float:
        """The shaft's position in the servo's own counts."""
        raw = self._sensed.position
        if self.memory.data[10] & 1:
            raw = TURN - raw
        user = raw + self.memory.get("homing_offset")
        return user if self.memory.data[11] in (EXTENDED, CURRENT_POSITION) else user % TURN

    def _raw(self, user: float) -> float:
        """Raw counts beside the shaft that mean `user`."""
        raw = user - self.memory.get("homing_offset")
        if self.memory.data[10] & 1:
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
        speed = memory.get("profile_velocity") * COUNTS_PER_S or top
        return min(speed, top), memory.get("profile_acceleration") * COUNTS_PER_S2 or math.inf

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
    def handle(self, op: Op) -> Reply | None:
        """The reply to `op`, None when it is not for this servo or is not answered."""
        if self._silent > 0.0:
            return None
        self._quiet = 0.0
        match op:
            case messages.Ping(servo) if self._for_me(servo):
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
                    if servo == self.id:
                        self._write(address, data)
            case messages.BulkWrite(rows):
                for servo, address, data in rows:
                    if servo == self.id:
                        self._write(address, data)
            case messages.Write() | messages.RegWrite() | messages.Action() | messages.Reboot() | messages.Clear() \
                    | messages.FactoryReset() | messages.Other():
                return self._order(op) if self._for_me(op.id) else None
        return None

    def _order(self, op: messages.Write | messages.RegWrite | messages.Action | messages.Reboot | messages.Clear
               | messages.FactoryReset | messages.Other) -> Reply | None:
        """What is acknowledged; the acknowledgement is made before the servo goes away to reboot."""
        error, level = 0, self.memory.data[68]
        match op:
            case messages.Write(_, address, data):
                error = self._write(address, data)
            case messages.RegWrite(_, address, data):
                error = self._check(address, data)
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
        if op.id == BROADCAST or level < 2:
            return None
        return Reply(self.id, error | self._alert(), b"")

    def _for_me(self, servo: int) -> bool:
        return servo in (self.id, BROADCAST, self.memory.data[12] if self.memory.data[12] < 253 else -1)

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
    def _where(self, address: int) -> int:
        """The byte that `address` really means: indirect data lies elsewhere."""
        k = address - self._data
        if not 0 <= k < self._count:
            return address
        at = self._first + 2 * k
        return int.from_bytes(self.memory.data[at : at + 2], "little")

    def _read(self, address: int, size: int) -> Reply | None:
        if self.memory.data[68] == 0:
            return None
        if address + size > self.memory.size:
            return Reply(self.id, RANGE | self._alert(), b"")
        self._refresh()
        data = self.memory.data
        block = bytes(data[self._where(at)] if self._where(at) < self.memory.size else 0
                      for at in range(address, address + size)) if address + size > self._data \
            else bytes(data[address : address + size])
        return Reply(self.id, self._alert(), block)

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
        memory.put("position_trajectory", round(self._profile.position))
        memory.put("velocity_trajectory", round(flip * self._profile.velocity / COUNTS_PER_S))
        memory.put("present_voltage", round(sensed.voltage * 10))
        memory.put("present_temperature", min(max(round(sensed.temperature), 0), 255))
        memory.put("registered", self._registered is not None)

    def _check(self, address: int, data: bytes) -> int:
        """The error that writing `data` would give, 0 when it is fine."""
        memory = self.memory
        if not data:
            return LENGTH
        if address + len(data) > memory.size:
            return RANGE
        where = [self._where(at) for at in range(address, address + len(data))]
        if any(at >= memory.size or not memory.writable[at] for at in where):
            return ACCESS
        if memory.data[64] and any(memory.in_rom[at] for at in where):
            return ACCESS
        for name, register in memory.table.registers.items():
            if register.area is Area.RAM and name in ("goal_position", "goal_velocity", "goal_pwm", "goal_current"):
                error = self._check_goal(name, where, data)
                if error:
                    return error
        return 0

    def _check_goal(self, name: str, where: list[int], data: bytes) -> int:
        memory, register = self.memory, self.memory.table[name]
        if register.address not in where:
            return 0
        at = where.index(register.address)
        raw = data[at : at + register.size]
        if len(raw) < register.size:
            return LENGTH
        if memory.get("bus_watchdog") < 0:
            return RANGE
        counts = register.decode(raw)
        if name == "goal_position" and memory.data[11] == POSITION:
            return 0 if memory.get("min_position") <= counts <= memory.get("max_position") else LIMIT
        bound = {"goal_pwm": "pwm_limit", "goal_velocity": "velocity_limit", "goal_current": "current_limit"}.get(name)
        return LIMIT if bound and abs(counts) > memory.get(bound) else 0

    def _write(self, address: int, data: bytes) -> int:
        """Write if all of it may be written; returns the error number."""
        memory = self.memory
        error = self._check(address, data)
        if error:
            return error
        torque, mode, armed = memory.data[64], memory.data[11], memory.get("bus_watchdog")
        where = [self._where(at) for at in range(address, address + len(data))]
        if memory.address("torque_enable") in where and data[where.index(64)] and memory.data[70] & memory.data[63]:
            return RESULT  # only a reboot brings torque back
        for at, byte in zip(where, data):
            memory.data[at] = byte
            if memory.in_rom[at]:
                memory.rom[at] = byte
        if memory.data[11] != mode:
            self._new_mode()
        if memory.data[64] and not torque:
            self._profile.hold(self._sensed.position)
            self._pressing = 0.0
        if memory.get("bus_watchdog") != armed:
            self._quiet = 0.0
        return 0

    def _new_mode(self) -> None:
        """Gains, profile and goals go back to their defaults."""
        for name, register in self.memory.table.registers.items():
            if 76 <= register.address <= 116 and name != "bus_watchdog":
                self.memory.put(name, register.default)
        self._settle_goal()
