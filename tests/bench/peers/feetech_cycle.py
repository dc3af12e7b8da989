"""Times full-state cycles of six STS servos behind argv[1] with `scservo_sdk`; prints seconds as JSON.

With `replay` as argv[3] the servos' answers to the first cycles are there at once in the others.
"""

import json
import sys
import time

import scservo_sdk as sdk
from recording import Recording

cycles = int(sys.argv[2])
port = sdk.PortHandler(sys.argv[1])
assert port.openPort() and port.setBaudRate(1_000_000)
port.ser = line = Recording(port.ser) if "replay" in sys.argv else port.ser
new = hasattr(sdk, "sms_sts")
handler = sdk.sms_sts(port) if new else sdk.PacketHandler(0)
first = () if new else (port,)
writer, reader = sdk.GroupSyncWrite(*first, handler, 42, 2), sdk.GroupSyncRead(*first, handler, 56, 8)
for servo in range(1, 7):
    reader.addParam(servo)
wall, cpu, lost = [], [], 0
for k in range(cycles):
    line.replaying = k >= 20
    start, busy = time.perf_counter(), time.process_time()
    writer.clearParam()
    for servo in range(1, 7):
        writer.addParam(servo, [0x00, 0x08])
    writer.txPacket()
    lost += reader.txRxPacket() != 0
    values = [reader.getData(s, a, n) for s in range(1, 7) for a, n in ((56, 2), (58, 2), (60, 2), (62, 1), (63, 1))]
    wall.append(time.perf_counter() - start)
    cpu.append(time.process_time() - busy)
    time.sleep(0.001)
assert len(values) == 30
print(json.dumps({"wall": wall, "cpu": cpu, "lost": lost}))
