"""Self-test: who is on the line, of what kind, and how long an answer takes."""

from __future__ import annotations

import numpy as np

from hardware import identify
from hardware.family import family
from hardware.protocols.models import TABLES, model_of, table
from hardware.selftest.wire import Wire

PINGS = 120


def scan(wire: Wire) -> None:
    """Who is there, alone under its id, and of the right kind."""
    sheet, bus = wire.sheet, wire.bus
    echo = bus.probe_echo()
    wire.there = [i for i in wire.ids if wire.number(i) is not None]
    missing = [f"{wire.name(i)} (servo {i})" for i in wire.ids if i not in wire.there]
    found = f"{len(wire.there)} of {len(wire.ids)} servos answer"
    hint = identify.instead(bus, wire.model) if not wire.there else f"silent: {', '.join(missing)}"
    sheet.state("scan/answers", not missing, f"{found}; {hint}" if missing else found)
    others = [i for i in bus.who(identify.NEIGHBOURS, retries=0) if i not in wire.ids]
    sheet.state("scan/strangers", not others, f"ids {', '.join(map(str, others))}" if others else "none", True)
    if echo:
        sheet.state("port/echo", False, "the adapter echoes", True)
    else:
        sheet.state("port/echo", True, "none")
    if not wire.there:
        sheet.skip_rest("no servo answers", ("port", "scan"))
        return
    twins = [wire.name(i) for i in wire.there if identify.twins(bus, i, family(table(wire.ids[i].model)).block)]
    sheet.state("scan/twins", not twins, f"two answer as {', '.join(twins)}" if twins else "none")
    strange = {i: number for i in wire.there if (number := wire.number(i)) not in _kinds(wire, i)}
    words = "; ".join(f"{wire.name(i)} is {model_of(number or 0)}" for i, number in strange.items())
    sheet.state("scan/kind", not strange, words or "all as in the joint table")
    _latency(wire)


def _kinds(wire: Wire, servo: int) -> tuple[int, ...]:
    known = TABLES[wire.ids[servo].model]
    return (known.number, *known.same)


def _latency(wire: Wire) -> None:
    """Round trips beyond their time on the wire, of the servo that answers fastest."""
    taken: dict[int, list[float]] = {i: [] for i in wire.there}
    for k in range(PINGS):
        servo = wire.there[k % len(wire.there)]
        op = wire.short(servo)
        data, took = wire.ask(op, servo, op.size)
        if data is not None:
            taken[servo].append(took - wire.wire_time(op))
    medians = {i: float(np.median(t)) for i, t in taken.items() if t}
    if not medians:
        wire.sheet.skip_rest("no answer came back", ("port",))
        return
    best = min(medians, key=medians.__getitem__)
    wire.sheet.samples["round trip beyond wire time (ms)"] = [round(t * 1e3, 4) for t in taken[best]]
    wire.latency = max(0.0, medians[best])
    wire.sheet.number("port/latency", {"round trip": wire.latency}, "beyond wire time, median")
    spread = float(np.percentile(taken[best], 99)) - medians[best]
    wire.sheet.number("port/jitter", {"spread": spread}, "99 of 100 against the median")
