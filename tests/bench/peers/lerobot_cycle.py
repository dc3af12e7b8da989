"""Times cycles of six STS servos behind argv[1] with LeRobot's bus; prints JSON.

argv[3] is `position`, as its robots read each cycle, or `full`: it reads one register a request, so that takes five.
With `replay` as argv[4] the servos' answers to the first cycles are there at once in the others.
"""

import json
import sys
import time
import types

for name in ("torch", "lerobot.utils.utils"):
    module = types.ModuleType(name)
    module.enter_pressed = module.move_cursor_up = None
    sys.modules[name] = module

from lerobot.motors import Motor, MotorNormMode  # noqa: E402
from lerobot.motors.feetech import FeetechMotorsBus  # noqa: E402
from recording import Recording  # noqa: E402

FULL = ("Present_Position", "Present_Velocity", "Present_Load", "Present_Voltage", "Present_Temperature")
names = FULL if sys.argv[3] == "full" else FULL[:1]
motors = {f"m{k}": Motor(k, "sts3215", MotorNormMode.DEGREES) for k in range(1, 7)}
bus = FeetechMotorsBus(port=sys.argv[1], motors=motors)
bus.connect()
bus.port_handler.ser = line = Recording(bus.port_handler.ser) if "replay" in sys.argv else bus.port_handler.ser
goals = dict.fromkeys(motors, 2048)
wall, cpu, lost = [], [], 0
for k in range(int(sys.argv[2])):
    line.replaying = k >= 20
    start, busy = time.perf_counter(), time.process_time()
    try:
        bus.sync_write("Goal_Position", goals, normalize=False)
        for register in names:
            bus.sync_read(register, normalize=False)
    except ConnectionError:
        lost += 1
    wall.append(time.perf_counter() - start)
    cpu.append(time.process_time() - busy)
    time.sleep(0.001)
line.replaying = False
bus.disconnect(disable_torque=True)
print(json.dumps({"wall": wall, "cpu": cpu, "lost": lost}))
