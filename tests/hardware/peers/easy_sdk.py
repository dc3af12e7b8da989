"""Drives Dynamixels 1-3 behind argv[1] with `dynamixel_easy_sdk`; prints what it saw as JSON."""

import json
import sys
import time

from dynamixel_easy_sdk import connector, data_types, dynamixel_error


def refusal(call, *args):
    """The makers' number of the error that a call ends in."""
    try:
        call(*args)
    except dynamixel_error.DxlRuntimeError as error:
        return int(error.dxl_error)
    return 0


def patient(call):
    """`call`, asked again when nobody answered: the package waits for milliseconds, a busy machine may take longer."""
    def again(*args):
        for _ in range(20):
            try:
                return call(*args)
            except dynamixel_error.DxlRuntimeError as error:
                if "COMM_RX" not in str(error):
                    raise
        return call(*args)
    return again


for name in ("ping", "read1ByteData", "read2ByteData", "read4ByteData", "write1ByteData", "write2ByteData",
             "write4ByteData"):
    setattr(connector.Connector, name, patient(getattr(connector.Connector, name)))
line = connector.Connector(sys.argv[1], 1_000_000)
motors = line.createAllMotors()
seen = {"models": [m.model_name for m in motors], "positions": [m.getPresentPosition() for m in motors]}
one, two = motors[:2]
one.disableTorque()
one.setProfileConfiguration(data_types.ProfileConfiguration.TIME_BASED)
line.write4ByteData(1, 112, 1000)
line.write4ByteData(1, 108, 200)
one.enableTorque()
start = one.getPresentPosition()
one.setGoalPosition(start + 400)
time.sleep(0.45)
seen["half"] = one.getPresentPosition() - start
time.sleep(1.2)
seen["whole"] = one.getPresentPosition() - start
seen["status"] = line.read1ByteData(1, 123)
one.disableTorque()
one.setProfileConfiguration(data_types.ProfileConfiguration.VELOCITY_BASED)
one.setDirection(data_types.Direction.REVERSE)
seen["reversed"] = one.getPresentPosition() + start + 400
one.setDirection(data_types.Direction.NORMAL)
one.setOperatingMode(data_types.OperatingMode.VELOCITY)
one.enableTorque()
one.setGoalVelocity(60)
time.sleep(0.4)
seen["velocity"] = one.getPresentVelocity()
one.disableTorque()
one.setOperatingMode(data_types.OperatingMode.POSITION)
seen["refused"] = [refusal(line.write1ByteData, 1, 7, 253), refusal(line.write1ByteData, 1, 64, 2),
                   refusal(line.write4ByteData, 1, 132, 0), refusal(one.setGoalPosition, 5)]
for name in (9, 1):
    try:
        one.changeID(name)
    except dynamixel_error.DxlRuntimeError:  # the acknowledgement came too late, and under the old id nobody answers
        one.id = name
    seen.setdefault("renamed", []).append(one.ping())
group = line.createGroupExecutor()
for m in motors:
    m.enableTorque()
    group.addCmd(m.stageSetGoalPosition(2048 + 40 * m.id))
group.executeWrite()
time.sleep(1.5)
for m in motors:
    group.addCmd(m.stageGetPresentPosition())
group.clearStagedWriteCommands()
seen["group"] = group.executeRead()
two.reboot()
time.sleep(0.6)
seen["after_reboot"] = two.isTorqueOn()
for m in motors:
    m.disableTorque()
line.closePort()
print(json.dumps(seen))
