"""Drives Dynamixels 1-3 behind argv[1] with `dxl2` (dynamixel-python); prints what it saw as JSON."""

import json
import sys
import time

from dxl2 import v2

bus = v2.MotorBus(sys.argv[1], 1_000_000, timeout=0.2)
bus.connect()
three = (1, 2, 3)
seen = {"ping": bus.ping(1).data, "broadcast": sorted(bus.broadcast_ping().data), "absent": bus.ping(77).timeout}
for s in three:
    bus.write(s, 64, 1, 0)
    bus.write(s, 9, 1, 0)
params = v2.SyncParams(132, 4)
for s in three:
    params.add_motor(s)
seen["sync"] = bus.sync_read(params).data
params = v2.SyncParams(132, 4)
for s in three:
    params.add_motor(s)
seen["fast"] = bus.fast_sync_read(params).data
bulk = v2.BulkParams()
bulk.add_address(1, 0, 2)
bulk.add_address(2, 144, 2)
bulk.add_address(3, 146, 1)
seen["bulk"] = bus.bulk_read(bulk).data
seen["fast_bulk"] = bus.fast_bulk_read(bulk).data
bulk = v2.BulkParams()
bulk.add_value(1, 65, 1, 1)
bulk.add_value(2, 112, 4, 120)
bus.bulk_write(bulk)
seen["written"] = [bus.read(1, 65, 1).data, bus.read(2, 112, 4).data]
bus.reg_write(3, 65, 1, 1)
seen["waiting"] = [bus.read(3, 69, 1).data, bus.read(3, 65, 1).data]
bus.action(3)
seen["done"] = [bus.read(3, 69, 1).data, bus.read(3, 65, 1).data]
# the servo stops by itself when nobody talks to it
bus.write(1, 11, 1, 1)
bus.write(1, 64, 1, 1)
bus.write(1, 98, 1, 10)
bus.write(1, 104, 4, 50)
time.sleep(0.1)
seen["turning"] = bus.read(1, 128, 4, signed=True).data
time.sleep(0.5)
seen["watchdog"] = [bus.read(1, 98, 1, signed=True).data, bus.read(1, 128, 4, signed=True).data]
seen["locked"] = bus.write(1, 104, 4, 50).error
bus.write(1, 98, 1, 0)
seen["unlocked"] = bus.write(1, 104, 4, 0).error
bus.write(1, 64, 1, 0)
bus.write(1, 11, 1, 3)
bus.write(1, 68, 1, 1)
seen["quiet"] = [bus.write(1, 65, 1, 0).timeout, bus.read(1, 65, 1).data]
bus.write(1, 68, 1, 2)
bus.write(1, 12, 1, 100)
seen["second"] = [bus.write(100, 65, 1, 1).timeout, bus.read(1, 65, 1).data]
bus.write(2, 10, 1, 1)
seen["reset"] = [bus.factory_reset_except_id_baudrate(2).error]
time.sleep(0.6)
seen["reset"] += [bus.read(2, 10, 1).data, bus.read(2, 9, 1).data]
seen["reboot"] = bus.reboot(1).error
time.sleep(0.6)
seen["tick"] = bus.read(1, 120, 2).data
bus.disconnect()
print(json.dumps(seen))
