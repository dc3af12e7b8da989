"""What a servo family does its own way above the bytes: the block to read, torque, configuration, alarms."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Protocol

from hardware.bus import Bus
from hardware.protocols import messages
from hardware.protocols.tables import Table, Unpacker
from robot.interfaces import Health

SOFT = 0.2  # of its full torque, for a servo that cannot be trusted
TICK_TURN = 32.768  # s, after which a Dynamixel's clock begins again


@dataclass(frozen=True)
class Reading:
    """One servo's telemetry: counts for the position, SI for the rest, nan where it has no sensor."""

    position: int
    velocity: float  # rad/s, positive with growing counts
    effort: float  # fraction of full
    current: float  # A
    voltage: float  # V
    temperature: float  # °C
    health: Health
    alert: bool = False  # something is wrong that only an audit can tell
    tick: float = math.nan  # s, the servo's own clock


@dataclass(frozen=True)
class Audit:
    """What one servo's configuration looks like: energised, as written, and if not in what way."""

    torque: bool
    health: Health
    wrong: tuple[str, ...] = ()  # registers that are not what was written


class Family(Protocol):
    """One servo as its family wants it handled."""

    table: Table
    block: tuple[int, int]  # address and size of what is read each cycle
    lowest: int  # present positions outside are no readings
    highest: int

    def reading(self, data: bytes, error: int) -> Reading: ...
    def configure(self, bus: Bus, servo: int) -> list[str]:
        """Write the configuration; the registers that would not take it."""
        ...

    def engaging(self, present: int) -> list[tuple[str, int]]:
        """What to write, in order, for torque to come on, in full, at count `present`."""
        ...

    def soften(self, bus: Bus, servo: int) -> bool:
        """Let it push with `SOFT` of its torque only, until it is engaged anew; False where it has to let go."""
        ...

    def audit(self, bus: Bus, servo: int, engaged: bool) -> Audit | None:
        """Compare the servo with what was written; None when it does not answer."""
        ...

    def unlatch(self, bus: Bus, servo: int) -> None:
        """Clear a protection that tripped, as far as can be done without waiting."""
        ...


def flags(bits: int, meaning: dict[int, Health]) -> Health:
    """Bits of an error byte or status register as `Health`."""
    out = Health.OK
    for bit, flag in meaning.items():
        if bits >> bit & 1:
            out |= flag
    return out


class Sts:
    """A Feetech STS/SMS servo. Its error byte is its status register, on every reply."""

    ROM: ClassVar[dict[str, int]] = {}  # to be burnt in where it is otherwise
    SETTINGS: ClassVar[dict[str, int]] = {"acceleration": 254, "goal_velocity": 3400}
    MARK: ClassVar[str] = "acceleration"  # of the settings, the one whose default tells a reboot
    KEPT: ClassVar[tuple[str, str]] = ("min_position", "speed_i")  # registers from..to that nobody should change
    LAST: ClassVar[str] = "lock"
    FLAGS: ClassVar[dict[int, Health]] = {
        0: Health.VOLTAGE, 1: Health.ENCODER, 2: Health.TEMPERATURE, 3: Health.CURRENT, 5: Health.OVERLOAD,
    }
    NAMES: ClassVar[tuple[str, ...]] = ("present_position", "present_velocity", "present_load", "present_current",
                                        "present_voltage", "present_temperature", "status")

    def __init__(self, table: Table) -> None:
        self.table = table
        self.lowest, self.highest = 0, table.counts - 1
        self.block = table.span(*self._ends())
        self._unpack = Unpacker(table, *self.block, self.NAMES)
        self._scale = [table[name].scale for name in self.NAMES]
        self._health = [flags(bits, self.FLAGS) for bits in range(256)]
        self._settings = table.span("torque_enable", self.LAST)
        self._whole = table.span(self.KEPT[0], self.LAST)
        first, last = (table[name].address for name in self.KEPT)
        self._kept = [r.name for r in table.registers.values()
                      if first <= r.address <= last and r.writable and r.name not in ("torque_enable", "led")]
        self._shadow: dict[str, int] = {}  # what they held when the arm was opened
        watched = list(dict.fromkeys([*self._kept, "max_torque", *self.SETTINGS, "torque_limit"]))
        near = [name for name in watched if table[name].address >= self._settings[0]]
        self._looks = {deep: (names, Unpacker(table, *block, names))  # which of these each kind of look sees
                       for deep, names, block in ((True, watched, self._whole), (False, near, self._settings))}
        self._deep = False
        self._found: tuple[str, ...] = ()  # what the last whole look found wrong

    def _ends(self) -> tuple[str, str]:
        """The registers with the lowest and the highest address of those read each cycle."""
        order = sorted(self.NAMES, key=lambda name: self.table[name].address)
        return order[0], order[-1]

    def reading(self, data: bytes, error: int) -> Reading:
        position, velocity, load, current, voltage, temperature, status = self._unpack(data)
        _, v, e, i, u, t, _ = self._scale
        return Reading(position, velocity * v, load * e, current * i, voltage * u, temperature * t,
                       self._health[error | status])

    def configure(self, bus: Bus, servo: int) -> list[str]:
        wrong = [name for name, counts in self.ROM.items()
                 if bus.get(servo, self.table[name]) != counts and not bus.put(servo, self.table[name], counts)]
        address, size = self._whole
        data = bus.read(servo, address, size).data
        if data is None:
            return ["max_torque"]
        held = {name: self._cut(name, address, data) for name in (*self._kept, "max_torque")}
        self._shadow = self._shadow or {**held, **self.SETTINGS, "torque_limit": held["max_torque"]}
        wanted = {name: counts for name, counts in self._shadow.items() if held.get(name) != counts}
        self._found = ()
        return wrong + [name for name, counts in wanted.items() if not bus.put(servo, self.table[name], counts)]

    def _cut(self, name: str, address: int, data: bytes) -> int:
        register = self.table[name]
        return register.decode(data[register.address - address : register.end - address])

    def engaging(self, present: int) -> list[tuple[str, int]]:
        soft = self._shadow.get("torque_limit") != self._shadow.get("max_torque")
        return [*self._limit(1.0 if soft else None), ("goal_position", present), ("torque_enable", 1)]

    def soften(self, bus: Bus, servo: int) -> bool:
        for name, counts in self._limit(SOFT):
            bus.put(servo, self.table[name], counts)
        return True

    def _limit(self, share: float | None) -> list[tuple[str, int]]:
        """What to write for `share` of the full torque, and from now on expected; nothing for None."""
        if share is None or not self._shadow:
            return []
        self._shadow["torque_limit"] = round(share * self._shadow["max_torque"])
        return [("torque_limit", self._shadow["torque_limit"])]

    def audit(self, bus: Bus, servo: int, engaged: bool) -> Audit | None:
        """Every other time with what nobody should change, which takes longer to read."""
        self._deep = not self._deep and bool(self._shadow)
        address, size = self._whole if self._deep else self._settings
        data = bus.read(servo, address, size, retries=0).data
        if data is None:
            return None
        names, unpack = self._looks[self._deep]
        wrong = tuple(name for name, counts in zip(names, unpack(data)) if self._shadow.get(name, counts) != counts)
        if self._deep:
            self._found = wrong
        wrong += tuple(name for name in self._found if name not in wrong and self.table[name].address < address)
        torque = self._cut("torque_enable", address, data) == 1
        health = Health.OK if torque else Health.LIMP
        if wrong and not torque and self._cut(self.MARK, address, data) == self.table[self.MARK].default:
            health |= Health.REBOOTED
        elif wrong or torque != engaged:
            health |= Health.DRIFTED
        return Audit(torque, health, wrong)

    def unlatch(self, bus: Bus, servo: int) -> None:
        bus.put(servo, self.table["torque_enable"], 0, tries=1)


class Ax(Sts):
    """A Dynamixel AX servo: protocol 1.0, no current sensor, and a shutdown that takes the torque limit to 0."""

    ROM: ClassVar[dict[str, int]] = {"return_delay": 0, "response_level": 2}
    SETTINGS: ClassVar[dict[str, int]] = {"goal_velocity": 1023}
    MARK: ClassVar[str] = "goal_velocity"
    KEPT: ClassVar[tuple[str, str]] = ("min_position", "ccw_slope")
    LAST: ClassVar[str] = "torque_limit"
    FLAGS: ClassVar[dict[int, Health]] = {0: Health.VOLTAGE, 2: Health.TEMPERATURE, 5: Health.OVERLOAD}
    NAMES: ClassVar[tuple[str, ...]] = ("present_position", "present_velocity", "present_load", "present_voltage",
                                        "present_temperature")

    def reading(self, data: bytes, error: int) -> Reading:
        position, velocity, load, voltage, temperature = self._unpack(data)
        _, v, e, u, t = self._scale
        return Reading(position, velocity * v, load * e, math.nan, voltage * u, temperature * t, self._health[error])

    def unlatch(self, bus: Bus, servo: int) -> None:
        bus.put(servo, self.table["torque_limit"], self._shadow.get("torque_limit", 0), tries=1)
        super().unlatch(bus, servo)


class Dxl:
    """A Dynamixel X servo. Its error byte only says that something is wrong; its clock tells a reboot."""

    ROM: ClassVar[dict[str, int]] = {"return_delay": 0, "operating_mode": 3}
    RAM: ClassVar[dict[str, int]] = {"response_level": 2, "profile_velocity": 0, "profile_acceleration": 0}
    GAINS = ("velocity_i", "velocity_p", "position_d", "position_i", "position_p", "feedforward_2", "feedforward_1")
    WATCHDOG = 25  # of 20 ms: without any packet for so long, the servo stops by itself
    FLAGS: ClassVar[dict[int, Health]] = {
        0: Health.VOLTAGE, 2: Health.TEMPERATURE, 3: Health.ENCODER, 4: Health.CURRENT, 5: Health.OVERLOAD,
    }
    ALERT = 0x80
    lowest, highest = -4096, 8191

    def __init__(self, table: Table) -> None:
        self.table = table
        self.block = table.span("realtime_tick", "present_temperature")
        force = "present_load" if "present_load" in table else "present_current"
        self._load = force == "present_load"
        names = ("realtime_tick", "present_pwm", force, "present_velocity", "present_position",
                 "present_voltage", "present_temperature")
        self._unpack = Unpacker(table, *self.block, names)
        self._scale = [table[name].scale for name in names]
        self._settings = table.span("torque_enable", "profile_velocity")
        self._gains: dict[str, int] = {}  # as they were when the arm was opened
        self._full = 0  # goal PWM before it was softened; 0 when it was not

    def reading(self, data: bytes, error: int) -> Reading:
        values = self._unpack(data)
        tick, pwm, force, velocity, _, voltage, temperature = (v * s for v, s in zip(values, self._scale))
        return Reading(
            position=values[4], velocity=velocity, effort=force if self._load else pwm,
            current=math.nan if self._load else force, voltage=voltage, temperature=temperature,
            health=Health.OK, alert=bool(error & self.ALERT), tick=tick,
        )

    def configure(self, bus: Bus, servo: int) -> list[str]:
        wrong = [
            name for name, counts in self.ROM.items()
            if bus.get(servo, self.table[name]) != counts and not bus.put(servo, self.table[name], counts)
        ]
        address, size = self.table.span(self.GAINS[0], self.GAINS[-1])
        data = bus.read(servo, address, size).data or b""
        held = {name: self.table.cut(name, address, data) for name in self.GAINS}
        self._gains = self._gains or {name: counts for name, counts in held.items() if counts is not None}
        wanted = {**self.RAM, **{name: counts for name, counts in self._gains.items() if held[name] != counts}}
        return wrong + [name for name, counts in wanted.items() if not bus.put(servo, self.table[name], counts)]

    def engaging(self, present: int) -> list[tuple[str, int]]:
        full, self._full = self._full, 0
        hard = [("goal_pwm", full)] if full else []
        return [("bus_watchdog", 0), *hard, ("goal_position", present), ("torque_enable", 1),
                ("bus_watchdog", self.WATCHDOG)]

    def soften(self, bus: Bus, servo: int) -> bool:
        register = self.table["goal_pwm"]
        self._full = self._full or bus.get(servo, register) or 0
        bus.put(servo, register, round(SOFT * self._full))
        return True

    def audit(self, bus: Bus, servo: int, engaged: bool) -> Audit | None:
        address, size = self._settings
        data = bus.read(servo, address, size, retries=0).data
        if data is None:
            return None
        wanted = {**self.RAM, **self._gains, **({"bus_watchdog": self.WATCHDOG} if engaged else {})}
        wrong = tuple(name for name, counts in wanted.items() if self.table.cut(name, address, data) != counts)
        torque = self.table.cut("torque_enable", address, data) == 1
        health = flags(self.table.cut("status", address, data) or 0, self.FLAGS)
        if not torque:
            health |= Health.LIMP
        if wrong or torque != engaged:
            health |= Health.DRIFTED
        return Audit(torque, health, wrong)

    def unlatch(self, bus: Bus, servo: int) -> None:
        """Only a reboot lets a Dynamixel that shut down take torque again; it then shows as rebooted."""
        if bus.get(servo, self.table["status"]):
            bus.request(messages.Reboot(servo))


class Lx:
    """An LX-16A. One value a request, so only the position is read each cycle; an audit brings the others in turn."""

    block = (28, 2)
    lowest, highest = -125, 1125  # an arm pushed past its ends reads beyond the scale

    def __init__(self, table: Table) -> None:
        self.table = table
        self._temperature = self._voltage = math.nan  # °C, V
        self._limits: tuple[float, float, float] | None = None  # V, V, °C
        self._turn = self._held = False

    def reading(self, data: bytes, error: int) -> Reading:
        position = self.table["present_position"].decode(data)
        return Reading(position, math.nan, math.nan, math.nan, self._voltage, self._temperature, Health.OK)

    def configure(self, bus: Bus, servo: int) -> list[str]:
        volts, celsius = (bus.get(servo, self.table[name]) for name in ("voltage_limits", "max_temperature"))
        if volts is None or celsius is None:
            return ["voltage_limits"]
        self._held = False
        self._limits = ((volts & 0xFFFF) * 1e-3, (volts >> 16) * 1e-3, float(celsius))
        return [] if bus.put(servo, self.table["mode"], 0) else ["mode"]

    def engaging(self, present: int) -> list[tuple[str, int]]:
        return [("goal_position", min(max(present, 0), self.table.counts - 1)), ("torque_enable", 1)]

    def audit(self, bus: Bus, servo: int, engaged: bool) -> Audit | None:
        """A servo that held torque and is limp unasked has lost its power: no setting in RAM could tell otherwise."""
        loaded = bus.get(servo, self.table["torque_enable"], retries=0)
        self._turn = not self._turn
        register = self.table["present_temperature" if self._turn else "present_voltage"]
        counts = bus.get(servo, register, retries=0)
        if loaded is None or counts is None:
            return None
        if self._turn:
            self._temperature = counts * register.scale
        else:
            self._voltage = counts * register.scale
        health = self._flags() | (Health.OK if loaded else Health.LIMP)
        if bool(loaded) != engaged:
            health |= Health.REBOOTED if self._held and engaged else Health.DRIFTED
        self._held = bool(loaded)
        return Audit(bool(loaded), health)

    def soften(self, bus: Bus, servo: int) -> bool:
        """It knows no limit of its torque."""
        self.unlatch(bus, servo)
        return False

    def _flags(self) -> Health:
        """An LX-16A flashes an LED over its limits but says nothing; they are compared here."""
        low, high, hot = self._limits or (0.0, math.inf, math.inf)
        out = Health.TEMPERATURE if self._temperature > hot else Health.OK
        return out | (Health.VOLTAGE if self._voltage < low or self._voltage > high else Health.OK)

    def unlatch(self, bus: Bus, servo: int) -> None:
        bus.put(servo, self.table["torque_enable"], 0, tries=1)


KINDS: dict[str, Callable[[Table], Family]] = {"feetech": Sts, "dynamixel2": Dxl, "dynamixel1": Ax, "lx16a": Lx}


def family(table: Table) -> Family:
    """How to handle a servo with that control table."""
    return KINDS[table.protocol](table)
