"""The firmware of a Hiwonder LX-16A as a state machine: commands with values instead of a control table.

After the maker's protocol description. A move command energises the motor; nothing is ever acknowledged.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from hardware.protocols import messages
from hardware.protocols.lx16a import COUNT, LX16A
from hardware.protocols.messages import BROADCAST, Damage, Op, Reply
from hardware.protocols.tables import RAD_PER_COUNT
from hardware.virtual.servo import Drive, Profile, Sensed

MOVE, WAIT, START, STOP, ID, OFFSET, BURN_OFFSET = 1, 7, 11, 12, 13, 17, 18
ANGLES, VOLTS, HEAT, TEMPERATURE, VOLTAGE, POSITION, MODE, LOAD, LED, ALARM = 20, 22, 24, 26, 27, 28, 29, 31, 33, 35
RATIO = COUNT / RAD_PER_COUNT  # encoder counts of one of this servo's
RAW_CENTRE, CENTRE, TOP = 2048, 500, 1000
FULL_SPEED = 60 / 0.16 * 4096 / 360  # counts/s, no load: 60° in 0.16 s
LEAD = 200.0  # counts that the set point of a turning motor may run ahead of the shaft
# command -> bytes of the value it writes
SIZES = {MOVE: 4, WAIT: 4, ID: 1, OFFSET: 1, ANGLES: 4, VOLTS: 4, HEAT: 1, MODE: 4, LOAD: 1, LED: 1, ALARM: 1}


class Lx16a:
    """One LX-16A."""

    memory = None  # there is no table of registers
    relays = False
    baud = 115_200
    return_delay = 0.0

    def __init__(self, id: int, factory: Mapping[str, int] | None = None) -> None:
        """`factory`: registers of the LX-16A's table that are unlike its defaults."""
        made = {name: r.default for name, r in LX16A.registers.items()}
        made.update({"id": id, **(factory or {})})
        self._values = {r.address: r.encode(made[name]) for name, r in LX16A.registers.items() if r.writable}
        self._values.update({OFFSET: b"\0", ALARM: b"\x07", LED: b"\0"})
        self._burnt_offset = b"\0"
        self._profile, self._sensed = Profile(), Sensed()
        self.boot()

    @property
    def id(self) -> int:
        return self._values[ID][0]

    # ------------------------------------------------------------ life
    def boot(self) -> None:
        """Power came on: limp, no move waiting, the goal where the shaft is."""
        self._values[LOAD], self._values[OFFSET] = b"\0", self._burnt_offset
        self._waiting = self._words(round(self._user()), 0)
        self._pace = FULL_SPEED
        self.settle(self._sensed)

    def settle(self, sensed: Sensed) -> None:
        """The shaft was put elsewhere from outside: the goal becomes where it is."""
        self._sensed = sensed
        self._values[MOVE] = self._words(min(max(round(self._user()), 0), TOP), 0)
        self._profile.hold(sensed.position)

    def step(self, dt: float, sensed: Sensed) -> Drive:
        """One control tick: protections unload, then the set point of servo or motor mode."""
        self._sensed = sensed
        low, high = self._pair(VOLTS)
        armed = self._values[ALARM][0]
        if armed & 1 and sensed.temperature > self._values[HEAT][0]:
            self._values[LOAD] = b"\0"
        if armed & 2 and not low <= sensed.voltage * 1000 <= high:
            self._values[LOAD] = b"\0"
        if not self._values[LOAD][0]:
            self._profile.hold(sensed.position)
            return Drive(sensed.position, 0.0)
        mode, speed = self._pair(MODE)
        if mode & 0xFF:
            turn = (speed - 0x10000 if speed & 0x8000 else speed) / 1000 * FULL_SPEED
            ahead = self._profile.position + turn * dt
            self._profile.hold(min(max(ahead, sensed.position - LEAD), sensed.position + LEAD))
            return Drive(self._profile.position, 1.0)
        low, high = self._pair(ANGLES)
        goal = self._raw(min(max(self._pair(MOVE)[0], low), high))
        return Drive(self._profile.toward(goal, self._pace, math.inf, dt), 1.0)

    # ------------------------------------------------------------ numbers
    def _pair(self, command: int) -> tuple[int, int]:
        """The two words of a four-byte value."""
        value = self._values[command]
        return int.from_bytes(value[:2], "little"), int.from_bytes(value[2:], "little")

    @staticmethod
    def _words(first: int, second: int) -> bytes:
        return (first & 0xFFFF).to_bytes(2, "little") + second.to_bytes(2, "little")

    def _offset(self) -> int:
        return int.from_bytes(self._values[OFFSET], "little", signed=True)

    def _user(self) -> float:
        """The shaft's position in this servo's counts, 0..1000 and somewhat beyond."""
        return CENTRE + (self._sensed.position - RAW_CENTRE) / RATIO - self._offset()

    def _raw(self, counts: float) -> float:
        return RAW_CENTRE + (counts + self._offset() - CENTRE) * RATIO

    # ------------------------------------------------------------ requests
    def handle(self, op: Op | Damage) -> Reply | None:
        """The reply to `op`, None when it is not for this servo; only readings are answered."""
        match op:
            case messages.Read(servo, command, _) if servo in (self.id, BROADCAST):
                return Reply(self.id, 0, self._read(command))
            case messages.Write(servo, command, data) if servo in (self.id, BROADCAST):
                self._write(command, data)
            case messages.Other(servo, command, b"") if servo in (self.id, BROADCAST):
                self._order(command)
        return None

    def _read(self, command: int) -> bytes:
        sensed = self._sensed
        if command == POSITION:
            return (round(self._user()) & 0xFFFF).to_bytes(2, "little")
        if command == TEMPERATURE:
            return bytes((min(max(round(sensed.temperature), 0), 255),))
        if command == VOLTAGE:
            return min(max(round(sensed.voltage * 1000), 0), 0xFFFF).to_bytes(2, "little")
        return self._waiting if command == WAIT else self._values[command]

    def _write(self, command: int, data: bytes) -> None:
        """What makes no sense is dropped without a word, as everything here is."""
        if SIZES.get(command) != len(data) or (command == ID and data[0] >= BROADCAST):
            return
        if command == WAIT:
            self._waiting = data
            return
        limp = not self._values[LOAD][0]
        self._values[command] = data
        if command == MOVE:
            self._move(limp)
        elif command == LOAD and limp:
            self._profile.hold(self._sensed.position)

    def _move(self, limp: bool) -> None:
        """Go there in the time that was given, or as fast as it can."""
        self._values[LOAD] = b"\x01"
        if limp:
            self._profile.hold(self._sensed.position)
        goal, milliseconds = self._pair(MOVE)
        way = abs(self._raw(goal) - self._profile.position)
        self._pace = min(way / (milliseconds / 1000), FULL_SPEED) if milliseconds else FULL_SPEED

    def _order(self, command: int) -> None:
        if command == START:
            self._write(MOVE, self._waiting)
        elif command == STOP:
            self._values[MOVE] = self._words(min(max(round(self._user()), 0), TOP), 0)
            self._profile.hold(self._sensed.position)
        elif command == BURN_OFFSET:
            self._burnt_offset = self._values[OFFSET]
