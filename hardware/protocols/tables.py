"""Control tables as data: where each register lies, what its counts mean, and who says so."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property

from robot.errors import ConfigError

RAD_PER_COUNT = 2 * math.pi / 4096


class Area(Enum):
    ROM = "rom"  # survives a power cycle
    RAM = "ram"  # back to its default at power on


class Sign(Enum):
    UNSIGNED = "unsigned"
    MAGNITUDE = "sign and magnitude"  # one bit is the sign, those below it the magnitude
    TWOS = "two's complement"


@dataclass(frozen=True)
class Register:
    """One entry of a control table. `scale` turns counts into `unit`."""

    address: int
    size: int  # bytes, little endian
    name: str
    unit: str = ""
    scale: float = 1.0
    writable: bool = True
    area: Area = Area.RAM
    sign: Sign = Sign.UNSIGNED
    bit: int = 15  # of the sign, where sign and magnitude are apart
    default: int = 0
    source: str = ""  # where it differs from the table's

    @cached_property
    def end(self) -> int:
        return self.address + self.size

    @cached_property
    def lowest(self) -> int:
        if self.sign is Sign.MAGNITUDE:
            return -((1 << self.bit) - 1)
        return -(1 << (8 * self.size - 1)) if self.sign is Sign.TWOS else 0

    @cached_property
    def highest(self) -> int:
        if self.sign is Sign.MAGNITUDE:
            return (1 << self.bit) - 1
        return (1 << (8 * self.size - (self.sign is Sign.TWOS))) - 1

    def encode(self, counts: int) -> bytes:
        """The register's bytes. Raises `ConfigError` when `counts` does not fit."""
        if not self.lowest <= counts <= self.highest:
            raise ConfigError(f"{self.name} is {self.lowest}..{self.highest}, not {counts}")
        if self.sign is Sign.MAGNITUDE and counts < 0:
            counts = -counts | 1 << self.bit
        return (counts & ((1 << 8 * self.size) - 1)).to_bytes(self.size, "little")

    def decode(self, data: bytes) -> int:
        """Counts out of the register's bytes."""
        raw = int.from_bytes(data, "little")
        if self.sign is Sign.MAGNITUDE:
            size = raw & ((1 << self.bit) - 1)
            return -size if raw >> self.bit & 1 else size
        if self.sign is Sign.TWOS and raw >> (8 * self.size - 1):
            return raw - (1 << 8 * self.size)
        return raw


@dataclass(frozen=True)
class Table:
    """The control table of one servo model."""

    model: str
    number: int  # what the servo says it is
    protocol: str
    size: int  # bytes that can be read, from 0
    source: str
    registers: Mapping[str, Register]
    bauds: Mapping[int, int]  # bits/s by code
    alarms: Mapping[int, str]  # bit -> words, of the hardware status
    counts: int = 4096  # of the whole position scale; its middle is the centre
    resolution: float = RAD_PER_COUNT  # rad a count
    same: tuple[int, ...] = field(default=())  # further model numbers with this table

    def __getitem__(self, name: str) -> Register:
        if name not in self.registers:
            raise ConfigError(f"a {self.model} has no register {name!r}")
        return self.registers[name]

    def __contains__(self, name: str) -> bool:
        return name in self.registers

    def span(self, first: str, last: str) -> tuple[int, int]:
        """Address and size of the block from register `first` through `last`."""
        start = self[first].address
        return start, self[last].end - start

    def cut(self, name: str, address: int, data: bytes) -> int | None:
        """Counts of register `name` out of a block read at `address`; None when the block lacks it."""
        register = self.registers.get(name)
        if register is None or register.address < address or register.end > address + len(data):
            return None
        return register.decode(data[register.address - address : register.end - address])


class Unpacker:
    """Takes registers `names` out of a block read at `address`, all at once: this runs for each servo and cycle."""

    def __init__(self, table: Table, address: int, size: int, names: Sequence[str]) -> None:
        order = sorted((table[name] for name in names), key=lambda r: r.address)
        form, at = "<", address
        for r in order:
            code = {1: "b", 2: "h", 4: "i"}[r.size]
            form += "x" * (r.address - at) + (code if r.sign is Sign.TWOS else code.upper())
            at = r.end
        self._struct = struct.Struct(form + "x" * (address + size - at))
        places = {r.name: k for k, r in enumerate(order)}
        self._places = [places[name] for name in names]
        self._folds = [(k, 1 << r.bit) for k, r in enumerate(order) if r.sign is Sign.MAGNITUDE]

    def __call__(self, data: bytes) -> list[int]:
        """Counts in the order of `names`."""
        values = list(self._struct.unpack(data))
        for k, bit in self._folds:
            raw = values[k]
            if raw >= bit:
                values[k] = -(raw & bit - 1) if raw & bit else raw & bit - 1
        return [values[k] for k in self._places]


def build(rows: list[Register], overlap: bool = False) -> dict[str, Register]:
    """Registers by name. Raises `ConfigError` when two of them share a name or, unless `overlap`, a byte."""
    out: dict[str, Register] = {}
    taken: dict[int, str] = {}
    for row in rows:
        if row.name in out:
            raise ConfigError(f"register {row.name} is listed twice")
        for byte in range(row.address, row.end):
            if byte in taken and not overlap:
                raise ConfigError(f"registers {row.name} and {taken[byte]} share byte {byte}")
            taken[byte] = row.name
        out[row.name] = row
    return out
