"""Drives servos behind argv[1] with LeRobot's motor bus argv[2] (feetech or dynamixel); prints JSON.

LeRobot's bus imports torch and a helper module that needs it, for nothing that a bus does: both are stood in for,
so that no gigabytes need be installed. The bus itself is the real one.
"""

import json
import sys
import time
import types

for name in ("torch", "lerobot.utils.utils"):
    module = types.ModuleType(name)
    module.enter_pressed = lambda: False
    module.move_cursor_up = lambda lines: None
    sys.modules[name] = module

from lerobot.motors import Motor, MotorNormMode  # noqa: E402

port, kind, *rest = sys.argv[1:]
if kind == "feetech":
    from lerobot.motors.feetech import FeetechMotorsBus as MotorsBus
else:
    from lerobot.motors.dynamixel import DynamixelMotorsBus as MotorsBus

motors = {}
for row in rest:
    servo, model = row.split(":")
    motors[f"m{servo}"] = Motor(int(servo), model, MotorNormMode.DEGREES)
bus = MotorsBus(port=port, motors=motors)
start = time.perf_counter()
bus.connect()
seen = {"connect_ms": (time.perf_counter() - start) * 1e3}
seen["broadcast"] = sorted(bus.broadcast_ping() or {})
bus.disable_torque()
before = bus.sync_read("Present_Position", normalize=False)
seen["before"] = before
seen["temperature"] = bus.sync_read("Present_Temperature", normalize=False)
bus.sync_write("Goal_Position", before, normalize=False)
bus.enable_torque()
goals = {name: counts - 100 if counts > 2048 else counts + 100 for name, counts in before.items()}
bus.sync_write("Goal_Position", goals, normalize=False)
time.sleep(1.5)
seen["goals"] = goals
seen["after"] = bus.sync_read("Present_Position", normalize=False)
took = []
for _ in range(100):
    start = time.perf_counter()
    bus.sync_read("Present_Position", normalize=False)
    took.append(time.perf_counter() - start)
seen["sync_read_ms"] = sorted(took)[50] * 1e3
bus.disconnect(disable_torque=True)
print(json.dumps(seen))
