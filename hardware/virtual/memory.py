"""A virtual servo's control table as bytes: what survives a power cycle, what does not, what may be written."""

from __future__ import annotations

from collections.abc import Mapping

from hardware.protocols.tables import Area, Register, Sign, Table


class Memory:
    """The bytes behind one servo's registers. `data` is what the firmware sees, `rom` what is burnt in."""

    def __init__(self, table: Table, factory: Mapping[str, int]) -> None:
        """`factory`: register name -> counts, where this servo left the factory unlike its table."""
        self.table = table
        self.size = table.size
        self._registers: dict[str, Register] = dict(table.registers)
        self.writable = bytearray(self.size)
        self.in_rom = bytearray(self.size)
        self.rom = bytearray(self.size)
        for name, register in self._registers.items():
            for at in range(register.address, min(register.end, self.size)):
                self.writable[at] = register.writable
                self.in_rom[at] = register.area is Area.ROM
            self._store(self.rom, register, factory.get(name, register.default))
        self.data = bytearray(self.rom)
        self._layout = {n: (r.address, r.size, _fold(r)) for n, r in self._registers.items()}

    def boot(self) -> None:
        """Power came on: RAM registers take their defaults, ROM registers what was burnt in."""
        for register in self._registers.values():
            if register.area is Area.RAM:
                self._store(self.rom, register, register.default)
        self.data[:] = self.rom

    def get(self, name: str) -> int:
        """Counts of register `name`, with its sign."""
        address, size, sign = self._layout[name]
        data = self.data
        if sign < 0:
            return self._registers[name].decode(bytes(data[address : address + size]))
        raw = data[address] if size == 1 else data[address] | data[address + 1] << 8  # asked for many times a tick
        if not sign:
            return raw
        return -(raw & sign - 1) if raw & sign else raw & sign - 1

    def put(self, name: str, counts: int, burn: bool = False) -> None:
        """Set register `name`, clamped to what it can hold; with `burn` also for the next power cycle."""
        register = self._registers[name]
        self._store(self.data, register, counts)
        if burn:
            self._store(self.rom, register, counts)

    def address(self, name: str) -> int:
        return self._registers[name].address

    def touches(self, name: str, address: int, size: int) -> bool:
        """Whether a write of `size` bytes at `address` reaches register `name`."""
        register = self._registers[name]
        return register.address < address + size and address < register.end

    @staticmethod
    def _store(target: bytearray, register: Register, counts: int) -> None:
        counts = min(max(int(counts), register.lowest), register.highest)
        target[register.address : register.end] = register.encode(counts)


def _fold(register: Register) -> int:
    """The bit that is the sign of a short register, 0 where it has none; -1 for registers of other kinds."""
    if register.size > 2 or register.sign is Sign.TWOS:
        return -1
    return 1 << register.bit if register.sign is Sign.MAGNITUDE else 0
