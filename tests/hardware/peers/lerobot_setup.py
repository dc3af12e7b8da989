"""Sets the arm behind argv[1] up as LeRobot does for a new SO-101: ids, then a calibration; prints that as JSON.

As in `lerobot_bus.py`, what the bus imports for nothing is stood in for.
"""

import json
import sys
import types

for name in ("torch", "lerobot.utils.utils"):
    module = types.ModuleType(name)
    module.enter_pressed = lambda: False
    module.move_cursor_up = lambda lines: None
    sys.modules[name] = module

from lerobot.motors import Motor, MotorCalibration, MotorNormMode  # noqa: E402
from lerobot.motors.feetech import FeetechMotorsBus, OperatingMode  # noqa: E402

NAMES = ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper")
one = FeetechMotorsBus(port=sys.argv[1], motors={"x": Motor(9, "sts3215", MotorNormMode.DEGREES)})
one.setup_motor("x", initial_baudrate=1_000_000, initial_id=3)
seen = {"renamed": sorted(one.broadcast_ping() or {})}
one.disconnect(disable_torque=False)
one = FeetechMotorsBus(port=sys.argv[1], motors={"x": Motor(3, "sts3215", MotorNormMode.DEGREES)})
one.setup_motor("x", initial_baudrate=1_000_000, initial_id=9)
one.disconnect(disable_torque=False)

motors = {name: Motor(k + 1, "sts3215", MotorNormMode.DEGREES) for k, name in enumerate(NAMES)}
bus = FeetechMotorsBus(port=sys.argv[1], motors=motors)
bus.connect()
bus.disable_torque()
for name in NAMES:
    bus.write("Operating_Mode", name, OperatingMode.POSITION.value)
before = bus.sync_read("Present_Position", normalize=False)
offsets = bus.set_half_turn_homings()
seen["homed"] = bus.sync_read("Present_Position", normalize=False)
made = {name: MotorCalibration(id=k + 1, drive_mode=0, homing_offset=offsets[name], range_min=900 + 10 * k,
                               range_max=3100 + 10 * k) for k, name in enumerate(NAMES)}
bus.write_calibration(made)
seen["kept"] = bus.read_calibration() == made
bus.enable_torque()
bus.disconnect(disable_torque=True)
seen["before"] = before
seen["calibration"] = {name: vars(row) for name, row in made.items()}
print(json.dumps(seen))
