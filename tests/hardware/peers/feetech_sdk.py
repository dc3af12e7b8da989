"""Drives servos 1-6 behind argv[1] with `scservo_sdk`, of either Feetech package; prints what it saw as JSON."""

import json
import sys
import time

import scservo_sdk as sdk

POSITION, TORQUE, GOAL = 56, 40, 42


def sts_handler(port):
    """The packet handler for STS servos, which the two packages name and call differently."""
    if hasattr(sdk, "sms_sts"):
        return sdk.sms_sts(port), lambda handler, method, *args: getattr(handler, method)(*args)
    return sdk.PacketHandler(0), lambda handler, method, *args: getattr(handler, method)(port, *args)


port = sdk.PortHandler(sys.argv[1])
assert port.openPort() and port.setBaudRate(1_000_000)
handler, call = sts_handler(port)
seen = {"ping": {}, "positions": {}, "sync": {}}
for servo in range(1, 7):
    number, result, error = call(handler, "ping", servo)
    seen["ping"][servo] = [number, result, error]
for servo in range(1, 7):
    call(handler, "write1ByteTxRx", servo, TORQUE, 0)
    counts, result, error = call(handler, "read2ByteTxRx", servo, POSITION)
    seen["positions"][servo] = [counts, result, error]

group = sdk.GroupSyncWrite(handler, GOAL, 2) if hasattr(sdk, "sms_sts") else sdk.GroupSyncWrite(port, handler, GOAL, 2)
for servo, (counts, _, _) in seen["positions"].items():
    goal = counts - 100 if counts > 2048 else counts + 100
    seen["sync"][servo] = goal
    assert group.addParam(servo, [goal & 0xFF, goal >> 8])
group.txPacket()
time.sleep(1.0)
seen["arrived"] = {servo: call(handler, "read2ByteTxRx", servo, POSITION)[0] for servo in range(1, 7)}

reader = sdk.GroupSyncRead(handler, POSITION, 2) if hasattr(sdk, "sms_sts") else sdk.GroupSyncRead(
    port, handler, POSITION, 2)
for servo in range(1, 7):
    assert reader.addParam(servo)
seen["sync_read_result"] = reader.txRxPacket()
seen["sync_read"] = {servo: reader.getData(servo, POSITION, 2) for servo in range(1, 7)}
start = time.perf_counter()
seen["absent"] = call(handler, "ping", 77)[1]
seen["absent_ms"] = (time.perf_counter() - start) * 1e3
for servo in range(1, 7):
    call(handler, "write1ByteTxRx", servo, TORQUE, 0)
port.closePort()
print(json.dumps(seen))
