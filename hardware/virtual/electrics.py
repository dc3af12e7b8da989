"""One supply for all servos, and the heat in their motors: what couples them beside the bus.

Floats, not arrays, as in all of a bench's tick: for a handful of motors they are several times as fast.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class SupplySpec:
    """A power supply and its cable."""

    volts: float = 12.0  # V, no load
    resistance: float = 0.12  # ohm, source and cable
    smoothing: float = 0.004  # s, time constant of the capacitors
    brown_out: float = 4.5  # V, below which a servo's processor restarts
    hold_up: float = 0.003  # s that a servo lives through below that


@dataclass(frozen=True)
class MotorSpec:
    """A servo's motor as its terminals and its case see it."""

    stall_current: float = 2.5  # A at rated voltage and full duty
    idle_current: float = 0.03  # A, the electronics
    resistance: float = 4.5  # ohm
    capacity: float = 45.0  # J/K, motor and case as one body
    to_air: float = 7.0  # K/W


class Supply:
    """Voltage at the servos: what is left after the current that all of them draw."""

    def __init__(self, spec: SupplySpec, count: int) -> None:
        self.spec = spec
        self.volts = spec.volts  # V at the terminals, no load; a fault may change it
        self.resistance = spec.resistance
        self.voltage = spec.volts  # V at the servos
        self._low_for = [0.0] * count  # s below what a servo's processor needs

    def step(self, dt: float, current: Sequence[float]) -> tuple[float, list[int]]:
        """`current` (A) that each servo draws; returns the voltage (V) and who restarts of it."""
        drawn = 0.0
        for amperes in current:
            drawn += abs(amperes)
        # motors draw in proportion to what they get, so they are a conductance to the source
        conductance = drawn / max(self.voltage, 1.0)
        settled = max(0.0, self.volts) / (1.0 + self.resistance * conductance)
        self.voltage += (settled - self.voltage) * dt / (dt + self.spec.smoothing)
        if self.voltage >= self.spec.brown_out:
            self._low_for = [0.0] * len(self._low_for)
            return self.voltage, []
        self._low_for = [low + dt for low in self._low_for]
        return self.voltage, [k for k, low in enumerate(self._low_for) if low >= self.spec.hold_up]


class Heat:
    """Case temperatures of motors (M of them) that turn current into heat."""

    def __init__(self, motors: Sequence[MotorSpec], ambient: float = 25.0) -> None:
        self.ambient = ambient
        self.celsius = [ambient + 3.0] * len(motors)
        self._figures = [(m.resistance, m.capacity, m.to_air) for m in motors]

    def step(self, dt: float, current: Sequence[float]) -> None:
        """First-order: losses in the winding from `current` (A) of each motor in, conduction to the air out."""
        ambient = self.ambient
        self.celsius = [
            celsius + (amperes * amperes * resistance + 0.2 - (celsius - ambient) / to_air) * (dt / capacity)
            for celsius, amperes, (resistance, capacity, to_air) in zip(self.celsius, current, self._figures)]
