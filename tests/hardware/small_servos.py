"""Servos reduced to a register file each, for tests of what talks to them: they answer bytes with bytes.

No dynamics: a goal is reached at once while torque is on. As on a real STS servo, a goal write turns torque on.
"""

from __future__ import annotations

from hardware.protocols import dynamixel2, messages
from hardware.protocols.messages import BROADCAST, Codec, Reply
from hardware.protocols.models import codec, table
from hardware.protocols.tables import Area


class SmallServo:
    def __init__(self, model: str, servo: int, position: int = 2048) -> None:
        self.table = table(model)
        self.memory = bytearray(self.table.size)
        self.error = 0
        for r in self.table.registers.values():
            self.set(r.name, r.default)
        self.set("id", servo)
        self.set("present_position", position)
        self.set("present_voltage", 120)
        self.set("present_temperature", 30)

    def get(self, name: str) -> int:
        r = self.table[name]
        return r.decode(bytes(self.memory[r.address : r.end]))

    def set(self, name: str, counts: int) -> None:
        r = self.table[name]
        self.memory[r.address : r.end] = r.encode(counts)

    def reboot(self, position: int | None = None) -> None:
        """RAM back to its defaults; the joint may have sagged to `position` meanwhile."""
        kept = self.get("present_position") if position is None else position
        for r in self.table.registers.values():
            if r.area is Area.RAM and not r.name.startswith("present_"):
                self.set(r.name, r.default)
        self.set("present_position", kept)

    def write(self, address: int, data: bytes) -> None:
        for k, byte in enumerate(data):
            owner = next((r for r in self.table.registers.values() if r.address <= address + k < r.end), None)
            if owner is not None and owner.writable:
                self.memory[address + k] = byte
        goal = self.table["goal_position"]
        if address <= goal.address < address + len(data) and self.table.protocol == "feetech":
            self.set("torque_enable", 1)
        if self.get("torque_enable"):
            self.set("present_position", self.get("goal_position"))


class SmallBus:
    """Several servos on one line; call it with request bytes. `heard` keeps every request."""

    def __init__(self, *servos: SmallServo) -> None:
        self.servos = list(servos)
        self.codec: Codec = codec(servos[0].table.protocol)
        self.dead: set[int] = set()
        self.corrupt: set[int] = set()
        self.echo = False
        self.heard: list[messages.Op] = []
        self._ear = self.codec.listener()

    def __getitem__(self, servo: int) -> SmallServo:
        return next(s for s in self.servos if s.get("id") == servo)

    def __call__(self, data: bytes) -> bytes:
        out = data if self.echo else b""
        for op in self._ear.feed(data):
            assert not isinstance(op, messages.Damage), op
            self.heard.append(op)
            out += self._answer(op)
        return out

    def _answer(self, op: messages.Op) -> bytes:
        replies = []
        ids = op.ids if isinstance(op, messages.SyncRead) else [s.get("id") for s in self.servos]
        for servo in ids:
            for s in self.servos:
                if s.get("id") == servo and servo not in self.dead:
                    reply = self._one(s, op)
                    if reply is not None:
                        replies.append(reply)
        if isinstance(op, messages.SyncRead) and op.fast:
            return dynamixel2.encode_fast(replies)
        return b"".join(self._bytes(r) for r in replies)

    def _one(self, s: SmallServo, op: messages.Op) -> Reply | None:
        me = s.get("id")
        match op:
            case messages.Ping(to) if to in (me, BROADCAST):
                number = s.get("model_number").to_bytes(2, "little")
                return Reply(me, s.error, b"" if self.codec.name == "feetech" else number + b"\x30")
            case messages.Read(to, address, size) if to == me:
                return Reply(me, s.error, bytes(s.memory[address : address + size]))
            case messages.SyncRead(_, address, size):
                return Reply(me, s.error, bytes(s.memory[address : address + size]))
            case messages.Write(to, address, data) if to in (me, BROADCAST):
                s.write(address, data)
                return None if to == BROADCAST else Reply(me, s.error, b"")
            case messages.SyncWrite(address, rows):
                for to, data in rows:
                    if to == me:
                        s.write(address, data)
        return None

    def _bytes(self, reply: Reply) -> bytes:
        out = self.codec.encode_reply(reply)
        return out[:-1] + bytes((out[-1] ^ 0x10,)) if reply.id in self.corrupt else out


def so101_servos() -> SmallBus:
    return SmallBus(*(SmallServo("sts3215", servo) for servo in range(1, 7)))
