"""Drives AX-12A servos 1-3 behind argv[1] with `dynamixel_sdk` (protocol 1.0) and, if there, `pyax12`; prints JSON."""

import importlib.util
import json
import sys
import time

import dynamixel_sdk as sdk

three = (1, 2, 3)
port = sdk.PortHandler(sys.argv[1])
assert port.openPort() and port.setBaudRate(1_000_000)
handler = sdk.PacketHandler(1.0)


def ask(method, *args):
    """Once more after a time-out: this computer may have been busy."""
    for _ in range(5):
        answer = getattr(handler, method)(port, *args)
        if answer[-2] == 0:
            break
    return list(answer)


seen = {"ping": [ask("ping", s) for s in three]}
seen["positions"] = [ask("read2ByteTxRx", s, 36) for s in three]
seen["goals"] = [counts - 60 if counts > 512 else counts + 60 for counts, _, _ in seen["positions"]]
for s in three:
    ask("write2ByteTxRx", s, 32, 200)
group = sdk.GroupSyncWrite(port, handler, 30, 2)
for s, goal in zip(three, seen["goals"]):
    group.addParam(s, [goal & 0xFF, goal >> 8])
group.txPacket()
time.sleep(1.5)
seen["after"] = [ask("read2ByteTxRx", s, 36)[0] for s in three]
seen["torque"] = [ask("read1ByteTxRx", s, 24)[0] for s in three]
ask("write2ByteTxRx", 1, 8, 800)
seen["angle_error"] = ask("write2ByteTxRx", 1, 30, 900)[1]
ask("write2ByteTxRx", 1, 8, 1023)
seen["range_error"] = ask("write1ByteTxRx", 1, 43, 5)[1]
ask("regWriteTxRx", 1, 25, 1, [1])
seen["registered"] = ask("read1ByteTxRx", 1, 44)[0]
handler.action(port, 254)
seen["led"] = ask("read1ByteTxRx", 1, 25)[0]
seen["absent"] = handler.ping(port, 77)[1]
for s in three:
    ask("write1ByteTxRx", s, 24, 0)
port.closePort()
if importlib.util.find_spec("pyax12"):
    from pyax12.connection import Connection

    line = Connection(port=sys.argv[1], baudrate=1_000_000, waiting_time=0.1)
    seen["pyax12"] = {"ping": [bool(line.ping(s)) for s in three], "model": line.get_model_number(1),
                      "position": line.get_present_position(1), "voltage": line.get_present_voltage(1),
                      "celsius": line.get_present_temperature(1), "limit": line.get_ccw_angle_limit(1)}
    line.close()
print(json.dumps(seen))
