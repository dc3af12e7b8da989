"""LeRobot's own SO-101 at work: swings about home until argv[2] s are over or it raises; prints JSON lines.

`lerobot_robot.py PORT SECONDS FILE HOME`: HOME are six angles (rad), FILE may come to hold a word that makes the policy
misbehave. Observe, act, wait, and `disconnect` whatever happens: the shape of LeRobot's own control loops, at their
30 Hz, with the configuration that its robot class has by default.

Its bus imports torch and its robot imports its processors, for nothing that either does here: empty modules stand in,
so that no gigabytes need be installed. Bus, robot and configuration are the real ones.
"""

import json
import math
import sys
import tempfile
import time
import types
from pathlib import Path


def stand_in(name, **what):
    module = types.ModuleType(name)
    vars(module).update(what)
    sys.modules[name] = module


stand_in("torch")
stand_in("lerobot.utils.utils", enter_pressed=None, move_cursor_up=None)
stand_in("lerobot.processor", RobotAction=dict, RobotObservation=dict)

from lerobot.motors import MotorCalibration  # noqa: E402
from lerobot.robots.so_follower import SO101Follower, SO101FollowerConfig  # noqa: E402

FPS, ARRIVE = 30.0, 3.0  # Hz; s on the way to home
WEIGHTS = (1.0, 0.4, 0.4, 0.4, 1.0, 0.3)
port, seconds, file, home = sys.argv[1], float(sys.argv[2]), Path(sys.argv[3]), json.loads(sys.argv[4])


def say(what, **more):
    print(json.dumps({"what": what, "at": time.monotonic(), **more}), flush=True)


def of(counts, motor):
    """Its unit for a position: degrees about the middle of the calibrated range, the gripper in percent of it."""
    return counts / 40.95 if motor == "gripper" else (counts - 2047.5) * 360.0 / 4095.0


def policy(now):
    """The same swing as `tests/hardware/waver_policy.py`, and the same misbehaviour."""
    wrong = file.read_text() if file.exists() else ""
    off = {"nan": math.nan, "wild": 2.0}.get(wrong, 0.0)
    if wrong == "slow":
        time.sleep(2.5)
    return [h + 0.4 * w * math.sin(3.0 * now) + off for h, w in zip(home, WEIGHTS)]


def step(robot, began, first):
    now = time.monotonic()
    robot.get_observation()
    share = min(1.0, (now - began) / ARRIVE)
    wanted = [2048.0 + q * 4096.0 / math.tau for q in policy(now)]
    counts = [a + (b - a) * share for a, b in zip(first, wanted)]
    robot.send_action({f"{m}.pos": of(c, m) for m, c in zip(robot.bus.motors, counts)})
    time.sleep(max(0.0, 1.0 / FPS - (time.monotonic() - now)))


robot = SO101Follower(SO101FollowerConfig(port=port, id="peer", calibration_dir=Path(tempfile.mkdtemp())))
robot.calibration = {m: MotorCalibration(k + 1, 0, 0, 0, 4095) for k, m in enumerate(robot.bus.motors)}
robot.bus.calibration = robot.calibration
try:
    robot.connect(calibrate=False)
    first, began = list(robot.bus.sync_read("Present_Position", normalize=False).values()), time.monotonic()
    say("works")
    while time.monotonic() < began + seconds:
        step(robot, began, first)
except Exception as error:  # noqa: BLE001 - whatever it is, it is the finding
    say("raised", error=f"{type(error).__name__}: {' '.join(str(error).split())}")
finally:
    try:
        robot.disconnect()
        say("disconnected")
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the finding
        say("disconnect raised", error=f"{type(error).__name__}: {' '.join(str(error).split())}")
