"""The maker's own SDK drives virtual Dynamixels over a pty; skipped without it (docs/peers.md)."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hardware.virtual.client import Bench, control_path
from robot.clock import WallClock

pytestmark = pytest.mark.peer
HERE = Path(__file__).parent
CLOCK = WallClock()


@pytest.fixture
def link(tmp_path):
    path = tmp_path / "servos"
    with subprocess.Popen([sys.executable, str(HERE / "small_bench.py"), str(tmp_path), str(path)]) as process:
        end = CLOCK.now() + 20
        while not control_path(path).exists() and CLOCK.now() < end:
            CLOCK.wait(CLOCK.now() + 0.02)
        yield path
        process.terminate()


def test_dynamixel_sdk(link):
    folder = os.environ.get("STEADYHAND_PEERS")
    if not folder or not (python := Path(folder) / "dynamixel" / "bin" / "python").exists():
        pytest.skip("STEADYHAND_PEERS has no dynamixel; docs/peers.md says how to make it")
    done = subprocess.run([str(python), str(HERE / "peers" / "dynamixel.py"), str(link), "1", "2", "3", "4"],
                          capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout.splitlines()[-1])
    four = ["1", "2", "3", "4"]
    assert [seen["ping"][k] for k in four] == [[1060, 0, 0], [1020, 0, 0], [1020, 0, 0], [1060, 0, 0]]
    assert seen["broadcast"] == [1, 2, 3, 4]
    assert seen["sync_result"] == seen["fast_result"] == seen["bulk_result"] == 0
    assert seen["sync"] == seen["fast"]
    for k in ("1", "4"):  # 2 and 3 share a joint and were sent apart
        assert abs(seen["sync"][k] - seen["goals"][k]) < 15
    assert all(100 <= v <= 125 for v in seen["bulk"].values())
    assert seen["range_error"] == 6 and seen["access_error"] == 7
    assert seen["reboot"][1] == 0 and seen["torque_after_reboot"] == 0
    assert Bench.attach(link).status()["energised"] == [False] * 4
