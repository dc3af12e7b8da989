"""Drives the LX-16A servos 1-3 behind argv[1] with `lewanlib`; prints what it saw as JSON."""

import json
import sys
import time

from lewanlib import ServoBus

bus = ServoBus(sys.argv[1], timeout=0.2, discard_echo=False)
three = (1, 2, 3)
seen = {"celsius": [bus.temp_read(s, units="C") for s in three], "volts": [bus.vin_read(s) for s in three]}
seen["limits"] = [list(bus.angle_limit_read(1)), list(bus.vin_limit_read(1)), bus.temp_max_limit_read(1, units="C")]
seen["powered"] = bus.is_powered(1)
for s in three:
    bus.move_time_write(s, 150, 0.5)
seen["asked"] = list(bus.move_time_read(2))
time.sleep(0.25)
seen["half"] = bus.pos_read(1)
time.sleep(1.0)
seen["moved"] = [bus.pos_read(s) for s in three]
seen["energised"] = bus.is_powered(1)
bus.angle_offset_adjust(1, 5, write=False)
seen["offset"] = [bus.angle_offset_read(1), bus.pos_read(1)]
bus.angle_offset_adjust(1, 0, write=False)
bus.mode_write(3, "motor", 500)
seen["mode"] = list(bus.mode_read(3))
bus.mode_write(3, "servo")
bus.led_ctrl_write(2, True)
bus.led_error_write(2, True, False, True)
seen["led"] = [bus.led_ctrl_read(2), list(bus.led_error_read(2))]
bus.id_write(3, 9)
seen["renamed"] = bus.vin_read(9)
bus.id_write(9, 3)
bus.set_powered(254, False)
seen["off"] = [bus.is_powered(s) for s in three]
print(json.dumps(seen))
