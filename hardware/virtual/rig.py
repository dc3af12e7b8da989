"""The bodies of virtual servos: firmwares, motors, one supply and one plant, advanced in whole ticks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from hardware.protocols.models import table
from hardware.protocols.tables import RAD_PER_COUNT
from hardware.virtual import faults
from hardware.virtual.electrics import Heat, Supply, SupplySpec
from hardware.virtual.families import MOTORS, firmware
from hardware.virtual.servo import Drive, Firmware, Sensed
from robot.arms import ArmModel
from robot.errors import ConfigError
from robot.injection import Injection, Kind, Schedule, instances, parse
from robot.interfaces import Array, Plant, PlantState

CENTRE = 2048  # raw counts at joint angle 0
JAM_STIFFNESS = 18.0  # of stall torque a rad: how hard a motor presses against a jam

Factory = Mapping[int, Mapping[str, int]]


@dataclass
class Unit:
    """One servo on the bus and the joint it moves."""

    firmware: Firmware
    joint: int
    sign: int
    name: str
    sensed: Sensed = field(default_factory=Sensed)
    drive: Drive = field(default_factory=lambda: Drive(CENTRE, 0.0))
    powered: bool = True
    held: Sensed | None = None  # what a stuck encoder last read


class Rig:
    """Every servo of an arm with what it hangs on; knows nothing of bytes."""

    def __init__(self, model: ArmModel, plant: Plant, q: Array, period: float, seed: int = 0,
                 supply: SupplySpec | None = None, factory: Factory | None = None) -> None:
        """`q` (J,) rad is where the plant's joints are; `period` s is the tick of firmwares and plant.

        `factory`: servo id -> register name -> counts, where a servo is set up unlike its table.
        """
        self.plant, self.period = plant, period
        self.now = self.origin = self.born = 0.0  # s
        self.ticks = 0
        self.state = PlantState(np.array(q, float), np.zeros(len(q)), np.zeros(len(q)))
        self.ids = tuple(id for joint in model.joints for id in (joint.servo, *joint.shadow))
        self.units = []
        for index, joint in enumerate(model.joints):
            for id in (joint.servo, *joint.shadow):
                set_up = {"baud_code": _code(joint.model, model.baud), **(factory or {}).get(id, {})}
                self.units.append(Unit(firmware(joint.model, id, set_up), index, joint.sign, joint.name))
        self.names = tuple(u.name for u in self.units)
        motors = [MOTORS[model.joints[u.joint].model] for u in self.units]
        volts = max(made_for for _, made_for in motors)
        self.supply = Supply(supply or SupplySpec(volts, brown_out=0.38 * volts), len(self.units))
        self._rail = [made_for / volts for _, made_for in motors]  # weaker servos hang on a converter
        self.heat = Heat([spec for spec, _ in motors])
        self._stall_current = [spec.stall_current for spec, _ in motors]
        self._idle = [spec.idle_current for spec, _ in motors]
        self.faults = Schedule(faults.SUPPORTED)
        self.effects = faults.NONE
        self.rng = np.random.default_rng(seed)
        self._stall = [float(j.torque) for j in model.joints]
        self._anchor: dict[int, float] = {}  # joint -> where it jammed (rad)
        self._pressed: dict[int, float] = {}  # joint -> what its motor presses against the jam (N·m)
        self._sense()
        for unit, rail in zip(self.units, self._rail):
            unit.sensed.voltage = self.supply.voltage * rail
            unit.firmware.settle(unit.sensed)

    # ------------------------------------------------------------ time
    def start(self, now: float) -> None:
        """Call the present moment `now` (s)."""
        self.faults.shift(now - self.now)
        self.born = now
        self.skip(now)

    def skip(self, now: float) -> None:
        """Go on at `now` (s) without living through the time before it, as after a stall of the host."""
        self.now = self.origin = now
        self.ticks = 0

    def advance(self, until: float) -> None:
        """Bring servos and plant to `until` (s), in whole ticks."""
        while (due := self.origin + (self.ticks + 1) * self.period) <= until + 1e-9:
            self.ticks += 1
            self.now = due
            self._tick()

    def moved(self, q: Array) -> None:
        """The joints were put at `q` (J,) rad by hand; every servo goes on from there."""
        self.state = PlantState(np.array(q, float), np.zeros(len(q)), np.zeros(len(q)))
        self._sense()
        for unit in self.units:
            unit.firmware.settle(unit.sensed)

    def _tick(self) -> None:
        if len(self.faults):
            self.effects = faults.effects(self.faults.active(self.now, self.measure), self.names, self.ids)
        else:
            self.effects = faults.NONE
        self._switch()
        goal, torque, share = self._drives()
        self._jam(goal, torque)
        self.state = self.plant.step(self.period, np.array(goal), np.array(torque))
        self._electrics(share)
        self._sense()

    def _switch(self) -> None:
        """Whoever has no power is limp and silent, and boots when power is back."""
        if self.effects is faults.NONE and all(unit.powered for unit in self.units):
            return
        dead = ("supply", Kind.OFF) in self.effects.line
        for index, unit in enumerate(self.units):
            powered = not dead and self.effects.on("servo", Kind.OFF, index) is None
            if powered and not unit.powered:
                unit.firmware.boot()
            elif unit.powered and not powered:
                unit.drive = Drive(unit.sensed.position, 0.0)
            unit.powered = powered

    def _drives(self) -> tuple[list[float], list[float], list[float]]:
        """Goals (J,) rad and torques (J,) N·m for the plant, and the torque of each servo (N·m).

        Lists of floats, as in the rest of a tick: for a handful of joints they are several times as fast as arrays.
        """
        q = self.state.q.tolist()
        goal, torque, share = q.copy(), [0.0] * len(q), [0.0] * len(self.units)
        supplied = min(1.0, self.supply.voltage / self.supply.spec.volts)
        for index, unit in enumerate(self.units):
            if not unit.powered:
                continue
            if self.effects.on("servo", Kind.STUCK, index) is None:
                unit.drive = unit.firmware.step(self.period, unit.sensed)
            drive = unit.drive
            share[index] = part = drive.torque * (self._strength(index) * supplied) * self._stall[unit.joint]
            if part > 0.0:
                torque[unit.joint] += part
                # a servo follows what its own encoder says
                goal[unit.joint] = q[unit.joint] + self._gap(unit)
        return goal, torque, share

    @staticmethod
    def _gap(unit: Unit) -> float:
        """rad from where a servo takes itself to be to its goal, as strongly as its gain makes of it."""
        return (unit.drive.goal - unit.sensed.position) * RAD_PER_COUNT * unit.sign * unit.drive.gain

    def _strength(self, index: int) -> float:
        """The share of its torque that a motor delivers at full voltage."""
        return self._health(index) if self.effects.on("motor", Kind.OFF, index) is None else 0.0

    def _health(self, index: int) -> float:
        """What is left of a motor: it needs that much more of its duty for the same torque."""
        weak = self.effects.on("motor", Kind.SLOW, index)
        return 1.0 if weak is None else min(max(weak, 1e-3), 1.0)

    def _jam(self, goal: list[float], torque: list[float]) -> None:
        """A jammed joint is held where it is, whatever its motor does."""
        jammed = {self.units[i].joint for i in self.effects.servos.get(("motor", Kind.STUCK), {})}
        self._anchor = {j: self._anchor.get(j, float(self.state.q[j])) for j in jammed}
        self._pressed = {}
        for joint, anchor in self._anchor.items():
            gap = goal[joint] - float(self.state.q[joint])
            press = min(abs(gap) * JAM_STIFFNESS * self._stall[joint], torque[joint])
            self._pressed[joint] = math.copysign(press, gap)
            goal[joint], torque[joint] = anchor, 10.0 * self._stall[joint]

    def _electrics(self, share: list[float]) -> None:
        pushed = self.state.torque.tolist()
        for joint, press in self._pressed.items():
            pushed[joint] = press
        total = [0.0] * len(pushed)
        for unit, own in zip(self.units, share):
            total[unit.joint] += own
        amperes = []
        for index, (unit, own) in enumerate(zip(self.units, share)):
            joint, sensed = unit.joint, unit.sensed
            part = own / total[joint] if total[joint] else 0.0
            duty = pushed[joint] * part / self._stall[joint] / self._health(index)
            sensed.duty = min(max(duty, -1.0), 1.0) * unit.sign
            sensed.current = sensed.duty * self._stall_current[index]
            if self.effects.on("motor", Kind.OFF, index) is not None:  # it is told to push, and nothing flows
                sensed.duty = min(max(self._gap(unit) * JAM_STIFFNESS, -1.0), 1.0) * unit.drive.torque * unit.sign
            amperes.append(sensed.current)
        self._set_supply()
        drawn = [abs(own) + (idle if unit.powered else 0.0)
                 for own, idle, unit in zip(amperes, self._idle, self.units)]
        voltage, restarted = self.supply.step(self.period, drawn)
        for index in restarted:
            self.units[index].firmware.boot()
        self.heat.step(self.period, amperes)
        for index, celsius in self.effects.servos.get(("temperature", Kind.WRONG), {}).items():
            self.heat.celsius[index] = celsius
        for unit, rail in zip(self.units, self._rail):
            unit.sensed.voltage = voltage * rail

    def _set_supply(self) -> None:
        active, spec = self.effects.line, self.supply.spec
        self.supply.volts = active.get(("supply", Kind.WRONG), spec.volts)
        self.supply.resistance = active.get(("supply", Kind.SLOW), spec.resistance)
        if ("supply", Kind.OFF) in active:
            self.supply.volts = 0.0
        if (ripple := active.get(("supply", Kind.GARBAGE))) is not None:
            self.supply.volts += ripple * float(self.rng.uniform(-1.0, 1.0))

    # ------------------------------------------------------------ sensors
    def _sense(self) -> None:
        """What each servo's sensors make of the plant."""
        q, dq, misled = self.state.q.tolist(), self.state.dq.tolist(), self.effects is not faults.NONE
        for index, (unit, celsius) in enumerate(zip(self.units, self.heat.celsius)):
            sensed = unit.sensed
            sensed.position = CENTRE + q[unit.joint] / RAD_PER_COUNT * unit.sign
            sensed.velocity = dq[unit.joint] / RAD_PER_COUNT * unit.sign
            sensed.temperature = celsius
            if misled:
                self._mislead(index, unit)

    def _mislead(self, index: int, unit: Unit) -> None:
        on, sensed = self.effects.on, unit.sensed
        sensed.encoder_ok = on("encoder", Kind.OFF, index) is None
        if not sensed.encoder_ok:
            sensed.position = sensed.velocity = 0.0
        sensed.position += on("encoder", Kind.WRONG, index) or 0.0
        if (noise := on("encoder", Kind.GARBAGE, index)) is not None:
            sensed.position += float(self.rng.uniform(-noise, noise))
        if on("encoder", Kind.STUCK, index) is None:
            unit.held = None
        else:
            unit.held = unit.held or replace(sensed)
            sensed.position, sensed.velocity = unit.held.position, 0.0
        if (gain := on("config", Kind.WRONG, index)) is not None and unit.firmware.memory is not None:
            unit.firmware.memory.put("position_p", int(gain))

    # ------------------------------------------------------------ people
    def inject(self, text: str) -> Injection:
        """Ask for a fault now. Raises `ConfigError` for what the bench cannot do."""
        fault = parse(text, faults.SUPPORTED)
        if fault.component in faults.PER_SERVO:
            self._refuse_strange(fault)
        if fault.condition is not None:
            fault.condition.holds(self.measure)
        return self.faults.add(fault, self.now)

    def _refuse_strange(self, fault: Injection) -> None:
        """Raise `ConfigError` when a servo that it names cannot have that fault."""
        needs = {("config", Kind.WRONG): "position_p", ("servo", Kind.WRONG): "model_number"}
        register = needs.get((fault.component, fault.kind), "")
        for index in instances(fault, self.names, self.ids):
            memory = self.units[index].firmware.memory
            if register and (memory is None or register not in memory.table):
                raise ConfigError(f"fault {fault.text!r}: servo {self.ids[index]} has no register {register}")

    def clear(self) -> None:
        """End every fault. Servos and sensors go on from where they are."""
        self.faults.clear()
        self.effects = faults.NONE
        for unit in self.units:
            unit.sensed.encoder_ok, unit.held = True, None

    def measure(self, quantity: str, instance: str) -> float:
        """How things stand, for a fault's condition. Raises `ConfigError` for an unknown quantity or servo."""
        whole = {"time": self.now - self.born, "voltage": self.supply.voltage}
        if quantity in whole:
            return whole[quantity]
        numbers = tuple(map(str, self.ids))
        if instance not in numbers + self.names:
            raise ConfigError(f"a condition on {quantity} needs a servo, not {instance!r}; "
                              f"there are: {', '.join(numbers + self.names)}")
        unit = self.units[(numbers if instance in numbers else self.names).index(instance)]
        values = {"q": float(self.state.q[unit.joint]), "speed": abs(float(self.state.dq[unit.joint])),
                  "temperature": unit.sensed.temperature, "current": abs(unit.sensed.current)}
        if quantity not in values:
            raise ConfigError(f"a condition is about one of: {', '.join((*whole, *values))}; not {quantity!r}")
        return values[quantity]

    @property
    def energised(self) -> list[bool]:
        """Whether each servo's motor may push."""
        return [u.powered and u.drive.torque > 0.0 for u in self.units]


def _code(model: str, baud: int) -> int:
    bauds = table(model).bauds
    for code, rate in bauds.items():
        if rate == baud:
            return code
    raise ConfigError(f"a {model} cannot talk at {baud} baud; it can at: {', '.join(map(str, bauds.values()))}")
