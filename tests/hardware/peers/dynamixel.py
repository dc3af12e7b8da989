"""Drives Dynamixel servos argv[2:] behind argv[1] with `dynamixel_sdk`; prints what it saw as JSON."""

import json
import sys
import time

import dynamixel_sdk as sdk

POSITION, TORQUE, GOAL, RETURN_DELAY = 132, 64, 116, 9
servos = [int(a) for a in sys.argv[2:]]
port = sdk.PortHandler(sys.argv[1])
assert port.openPort() and port.setBaudRate(1_000_000)
handler = sdk.PacketHandler(2.0)
seen = {"ping": {s: list(handler.ping(port, s)) for s in servos}}
seen["broadcast"] = sorted(handler.broadcastPing(port)[0])
for s in servos:
    handler.write1ByteTxRx(port, s, TORQUE, 0)
    handler.write1ByteTxRx(port, s, RETURN_DELAY, 0)
seen["positions"] = {s: list(handler.read4ByteTxRx(port, s, POSITION)) for s in servos}
for s in servos:
    handler.write1ByteTxRx(port, s, TORQUE, 1)
group = sdk.GroupSyncWrite(port, handler, GOAL, 4)
seen["goals"] = {}
for s, (counts, _, _) in seen["positions"].items():
    goal = counts - 100 if counts > 2048 else counts + 100
    seen["goals"][s] = goal
    assert group.addParam(s, list(goal.to_bytes(4, "little")))
group.txPacket()
time.sleep(1.5)
for name, method in (("sync", "txRxPacket"), ("fast", "fastSyncRead")):
    reader = sdk.GroupSyncRead(port, handler, POSITION, 4)
    for s in servos:
        assert reader.addParam(s)
    if hasattr(reader, method):
        seen[f"{name}_result"] = getattr(reader, method)()
        seen[name] = {s: reader.getData(s, POSITION, 4) for s in servos}
bulk = sdk.GroupBulkRead(port, handler)
for s in servos:
    bulk.addParam(s, 144, 3)
seen["bulk_result"] = bulk.txRxPacket()
seen["bulk"] = {s: bulk.getData(s, 144, 2) for s in servos}
seen["range_error"] = handler.write4ByteTxRx(port, servos[0], GOAL, 9999)[1]
seen["access_error"] = handler.write1ByteTxRx(port, servos[0], RETURN_DELAY, 5)[1]
seen["reboot"] = list(handler.reboot(port, servos[0]))
time.sleep(1.0)
seen["torque_after_reboot"] = handler.read1ByteTxRx(port, servos[0], TORQUE)[0]
for s in servos:
    handler.write1ByteTxRx(port, s, TORQUE, 0)
port.closePort()
print(json.dumps(seen))
