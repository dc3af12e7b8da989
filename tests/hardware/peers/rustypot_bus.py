"""Drives servos behind argv[1] with the controller argv[2] of `rustypot` at argv[3] baud; prints what it saw as JSON.

Its control tables were written by others: every register that it knows is read and handed over with where it lies.
"""

import json
import sys
import time

import rustypot

port, kind, baud, *rest = sys.argv[1:]
servos = [int(a) for a in rest]
bus = getattr(rustypot, f"{kind}PyController")(port, int(baud), 0.2)
seen = {"ping": [bool(bus.ping(s)) for s in servos], "registers": []}
for row in bus.registers():
    if not row.name.startswith("indirect"):
        counts, error = bus.read_register_with_error(servos[0], row.name, retries=5)
        seen["registers"].append([row.name, row.addr, row.size, row.sign_bit, counts, error])
if bus.supports_broadcast_ping():
    seen["broadcast"] = sorted(bus.broadcast_scan(servos))
for s in servos:
    bus.write_register(s, "torque_enable", 1, retries=5)
before = [bus.read_register(s, "present_position", retries=5) for s in servos]
middle = 512 if kind == "Ax" else 2048
seen["goals"] = [counts - 60 if counts > middle else counts + 60 for counts in before]
for s, goal in zip(servos, seen["goals"]):
    bus.write_register(s, "goal_position", goal, retries=5)
time.sleep(1.5)
seen["after"] = [bus.read_register(s, "present_position", retries=5) for s in servos]
if kind != "Ax":  # protocol 1.0 has no sync read
    seen["sync"] = list(bus.sync_read_register(servos, "present_position", retries=5))
for s in servos:
    bus.write_register(s, "torque_enable", 0, retries=5)
print(json.dumps(seen))
