"""Self-test: the line under load, loss and delay servo by servo."""

from __future__ import annotations

import numpy as np

from hardware.family import family
from hardware.latency import Counters
from hardware.protocols import messages
from hardware.protocols.models import table
from hardware.selftest.wire import PATIENCE, Wire

CYCLES = 400
ROUNDS = 16
SETTLE = 3.0  # s that a limp arm may take to come to lie
SLOW = 0.002  # s behind the others, from which a servo is left out of common readings

Told = dict[int, list[tuple[float, bytes, int]]]  # servo id -> when (s), data and error byte of each answer


def load(wire: Wire) -> Told:
    """Read everything as fast as it goes; returns what each servo said, with the time (s)."""
    delays = _delays(wire)
    wire.sheet.number("communication/delay", {wire.name(i): d for i, d in delays.items()},
                      "after the servo that answers first")
    slow = [i for i, d in delays.items() if d > SLOW]
    ids = [i for i in wire.there if i not in slow]
    told: Told = {i: [] for i in ids}
    if not ids:
        wire.sheet.skip_rest("every servo is slow", ("communication",))
        return told
    _settle(wire, ids)
    late = {i: wire.bus.servos.setdefault(i, Counters()).late for i in ids}
    took = _read_all(wire, ids, told)
    late = {i: wire.bus.servos[i].late - before for i, before in late.items()}
    lost = {wire.name(i): max(0.0, 1.0 - (len(told[i]) + late[i]) / CYCLES) for i in ids}
    left = f"; left out: {', '.join(map(wire.name, slow))}" if slow else ""
    wire.sheet.number("communication/answers", lost, f"of {CYCLES} readings had no good answer{left}")
    block = family(table(wire.model.joints[0].model)).block
    op = messages.SyncRead(tuple(ids), *block)
    wire.sheet.samples["reading of all servos (ms)"] = [round(t * 1e3, 4) for t in took]
    if len(took) < 10:
        wire.sheet.skip("communication/cycle", "too few readings were complete")
    else:
        whole = float(np.median(took))
        wire.sheet.number("communication/cycle", {"overhead": whole - wire.wire_time(op) - wire.latency},
                          f"whole reading {whole * 1e3:.2f} ms")
    return told


def _settle(wire: Wire, ids: list[int]) -> None:
    """Wait until a limp arm has come to lie, so that what moves after that is noise."""
    before: list[int] = []
    end = wire.clock.now() + SETTLE
    while wire.clock.now() < end:
        registers = [table(wire.ids[i].model)["present_position"] for i in ids]
        held = [wire.read(i, r.address, r.size) for i, r in zip(ids, registers)]
        now = [0 if h is None else r.decode(h) for h, r in zip(held, registers)]
        if before and max(abs(a - b) for a, b in zip(now, before)) <= 3:
            return
        before = now
        wire.clock.wait(wire.clock.now() + 0.15)


def _read_all(wire: Wire, ids: list[int], told: Told) -> list[float]:
    """Durations (s) of the readings that were complete; a late answer is an answer."""
    bus, took = wire.bus, []
    block = family(table(wire.model.joints[0].model)).block
    for _ in range(CYCLES):
        start = wire.clock.now()
        results = bus.sync_read(ids, *block)
        if all(r.ok for r in results.values()):
            took.append(wire.clock.now() - start)
        else:
            wire.clock.wait(start + PATIENCE)  # what was only late shows before the next request
        for i, result in results.items():
            if result.data is not None:
                told[i].append((start, result.data, result.error))
    return took


def _delays(wire: Wire) -> dict[int, float]:
    """How much later than the fastest each servo answers (s), asked alone with patience."""
    taken: dict[int, list[float]] = {i: [] for i in wire.there}
    for _ in range(ROUNDS):  # in turn, so that a stall of this computer hits all alike
        for servo in wire.there:
            op = wire.short(servo)
            data, took = wire.ask(op, servo, op.size)
            if data is not None:
                taken[servo].append(took)
    usual = {i: float(np.percentile(t, 25)) for i, t in taken.items() if t}
    fastest = min(usual.values(), default=0.0)
    return {i: m - fastest for i, m in usual.items()}
