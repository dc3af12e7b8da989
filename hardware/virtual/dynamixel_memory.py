"""The control table of a virtual Dynamixel X: indirect addresses, and what a write is refused for."""

from __future__ import annotations

from collections.abc import Mapping

from hardware.protocols.tables import Table
from hardware.virtual.memory import Memory

RESULT, INSTRUCTION, CRC, RANGE, LENGTH, LIMIT, ACCESS = 1, 2, 3, 4, 5, 6, 7  # error numbers of a status packet
POSITION = 3  # operating mode
GOALS = ("goal_pwm", "goal_current", "goal_velocity", "goal_position")
# register -> lowest and highest counts that it takes
BOUNDS = {
    "id": (0, 252), "return_delay": (0, 254), "drive_mode": (0, 15), "homing_offset": (-1_044_479, 1_044_479),
    "max_temperature": (0, 100), "pwm_limit": (0, 885), "max_position": (0, 4095), "min_position": (0, 4095),
    "torque_enable": (0, 1), "led": (0, 1), "response_level": (0, 2), "bus_watchdog": (0, 127),
    "profile_velocity": (0, 32767), "profile_acceleration": (0, 32767),
}
BOUNDED_BY = {"goal_pwm": "pwm_limit", "goal_velocity": "velocity_limit", "goal_current": "current_limit"}


class DynamixelMemory(Memory):
    """Bytes behind the registers, reached as the servo's own firmware does."""

    def __init__(self, table: Table, factory: Mapping[str, int]) -> None:
        super().__init__(table, factory)
        numbers = [n.removeprefix("indirect_data_") for n in table.registers if n.startswith("indirect_data_")]
        # the byte of each indirect data -> where its address is kept
        self._indirect = {table[f"indirect_data_{n}"].address: table[f"indirect_address_{n}"].address for n in numbers}
        self._choices = {"baud_code": set(table.bauds),
                         "operating_mode": {1, 3, 4, 16} | ({0, 5} if "goal_current" in table else set())}
        self._checked = [table[n] for n in (*GOALS, *BOUNDS, *self._choices) if n in table]

    def where(self, address: int, size: int) -> list[int]:
        """The bytes that a block really means: indirect data lies elsewhere."""
        data, kept = self.data, self._indirect
        return [data[kept[at]] | data[kept[at] + 1] << 8 if at in kept else at for at in range(address, address + size)]

    def fetch(self, address: int, size: int) -> bytes:
        """A block as it is read; what points beyond the table reads 0."""
        if address + size <= min(self._indirect):
            return bytes(self.data[address : address + size])
        return bytes(self.data[at] if at < self.size else 0 for at in self.where(address, size))

    def refusal(self, address: int, data: bytes) -> int:
        """The error number that writing `data` at `address` gives, 0 when it is fine."""
        if not data:
            return LENGTH
        if address + len(data) > self.size:
            return RANGE
        where = self.where(address, len(data))
        if any(at >= self.size or not self.writable[at] for at in where):
            return ACCESS
        if self.data[64] and any(self.in_rom[at] for at in where):
            return ACCESS
        for register in self._checked:
            if register.address in where:
                at = where.index(register.address)
                error = self._value(register.name, data[at : at + register.size])
                if error:
                    return error
        return 0

    def _value(self, name: str, raw: bytes) -> int:
        register = self.table[name]
        if len(raw) < register.size:
            return LENGTH
        counts = register.decode(raw)
        if name in GOALS and self.get("bus_watchdog") < 0:
            return RANGE
        if name in self._choices:
            return 0 if counts in self._choices[name] else LIMIT
        if name == "goal_position":
            within = self.data[11] != POSITION or self.get("min_position") <= counts <= self.get("max_position")
        elif name in BOUNDED_BY:
            within = abs(counts) <= self.get(BOUNDED_BY[name])
        else:
            low, high = BOUNDS[name]
            within = low <= counts <= high
        return 0 if within else LIMIT
