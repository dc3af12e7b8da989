"""Drives LX-16A servos 1-3 behind argv[1] with `pylx16a`, then with `lewansoul-lx16a`; prints what it saw as JSON."""

import json
import sys
import time

import lewansoul_lx16a
import serial
from pylx16a.lx16a import LX16A

three = (1, 2, 3)
LX16A.initialize(sys.argv[1], timeout=0.5)
servos = [LX16A(s) for s in three]
first = servos[0]
seen = {"angles": [s.get_physical_angle() for s in servos], "ids": [s.get_id(poll_hardware=True) for s in servos],
        "volts": [s.get_vin() for s in servos], "celsius": [s.get_temp() for s in servos],
        "limits": first.get_angle_limits(poll_hardware=True), "vin": first.get_vin_limits(poll_hardware=True),
        "hot": first.get_temp_limit(poll_hardware=True), "motor": first.is_motor_mode(poll_hardware=True),
        "torque": [s.is_torque_enabled(poll_hardware=True) for s in servos]}
first.set_angle_limits(20, 200)
first.set_angle_offset(6)
first.set_temp_limit(80)
first.led_power_off()
seen["set"] = [first.get_angle_limits(poll_hardware=True), first.get_angle_offset(poll_hardware=True),
               first.get_temp_limit(poll_hardware=True), first.is_led_power_on(poll_hardware=True)]
first.set_angle_limits(0, 240)
first.set_angle_offset(0)
for s, angle in zip(servos, (150, 120, 140)):
    s.move(angle, time=400)
time.sleep(1.2)
seen["moved"] = [s.get_physical_angle() for s in servos]
first.move(100, time=300, wait=True)
time.sleep(0.3)
seen["waiting"] = first.get_physical_angle()
first.move_start()
time.sleep(0.8)
seen["started"] = first.get_physical_angle()
LX16A._controller.close()

with serial.Serial(sys.argv[1], 115200, timeout=1) as line:
    bus = lewansoul_lx16a.ServoController(line, timeout=1)
    bus.move(1, 600, time=300)
    time.sleep(0.8)
    seen["lewansoul"] = {"position": bus.get_position(1), "voltage": bus.get_voltage(1),
                         "temperature": bus.get_temperature(1), "id": bus.get_servo_id(2), "on": bus.is_motor_on(1),
                         "limits": bus.get_position_limits(1), "mode": bus.get_mode(1)}
    for s in three:
        bus.motor_off(s)
    seen["lewansoul"]["off"] = [bus.is_motor_on(s) for s in three]
print(json.dumps(seen))
