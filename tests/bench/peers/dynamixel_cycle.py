"""Times full-state cycles of six X-series servos behind argv[1] with `dynamixel_sdk`; prints seconds as JSON.

argv[3] is `sync` or `fast`: what the readings are asked with. 21 bytes a servo, current through temperature.
With `replay` as argv[4] the servos' answers to the first cycles are there at once in the others.
"""

import json
import sys
import time

import dynamixel_sdk as sdk
from recording import Recording

FIELDS = ((126, 2), (128, 4), (132, 4), (144, 2), (146, 1))
port = sdk.PortHandler(sys.argv[1])
assert port.openPort() and port.setBaudRate(1_000_000)
port.ser = line = Recording(port.ser) if "replay" in sys.argv else port.ser
handler = sdk.PacketHandler(2.0)
for servo in range(1, 7):
    handler.write1ByteTxRx(port, servo, 9, 0)
writer, reader = sdk.GroupSyncWrite(port, handler, 116, 4), sdk.GroupSyncRead(port, handler, 126, 21)
for servo in range(1, 7):
    reader.addParam(servo)
read = reader.txRxPacket if sys.argv[3] == "sync" else reader.fastSyncRead
wall, cpu, lost = [], [], 0
for k in range(int(sys.argv[2])):
    line.replaying = k >= 20
    start, busy = time.perf_counter(), time.process_time()
    writer.clearParam()
    for servo in range(1, 7):
        writer.addParam(servo, [0x00, 0x08, 0x00, 0x00])
    writer.txPacket()
    lost += read() != 0
    values = [reader.getData(s, a, n) for s in range(1, 7) for a, n in FIELDS]
    wall.append(time.perf_counter() - start)
    cpu.append(time.process_time() - busy)
    time.sleep(0.001)
assert len(values) == 30
print(json.dumps({"wall": wall, "cpu": cpu, "lost": lost}))
