"""Drives servos 1-6 behind argv[1] with the package `st3215`; prints what it saw as JSON.

The package takes an answer that came late for the next one's, so its input is emptied before each question.
"""

import json
import sys
import time

from st3215 import ST3215

bus = ST3215(sys.argv[1])
six = range(1, 7)


def ask(name, *args):
    for _ in range(8):
        bus.portHandler.ser.reset_input_buffer()
        try:
            answer = getattr(bus, name)(*args)
        except IndexError:  # a late answer of another length
            continue
        if answer is not None and answer is not False:
            return answer
    return None


seen = {"ping": [ask("PingServo", s) for s in six], "absent": bus.PingServo(77)}
for name in ("Load", "Voltage", "Current", "Temperature", "Mode", "Status", "Position"):
    seen[name] = [ask(f"Read{name}", s) for s in six]
seen["goals"] = [counts - 100 if counts > 2048 else counts + 100 for counts in seen["Position"]]
for s, goal in zip(six, seen["goals"]):
    ask("MoveTo", s, goal)
time.sleep(1.5)
seen["after"] = [ask("ReadPosition", s) for s in six]
ask("UnLockEprom", 1)
ask("CorrectPosition", 1, -30)
seen["corrected"] = ask("ReadCorrection", 1)
ask("CorrectPosition", 1, 0)
ask("LockEprom", 1)
for s in six:
    ask("StopServo", s)
print(json.dumps(seen))
