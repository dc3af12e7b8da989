"""A real-time bench of a small arm: `python small_bench.py FOLDER LINK [SERVO [pairs]]`; Dynamixels unless told."""

import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from hardware.virtual import bench  # noqa: E402
from robot import registry  # noqa: E402
from tests.hardware.small_arm import plain_arm, small_arm  # noqa: E402

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    model = small_arm(folder, gripper="xl430-w250")
    if len(sys.argv) > 3:
        model = plain_arm(folder, sys.argv[3], pairs="pairs" in sys.argv[4:])
    registry.load("model")
    registry.option("model", "small")(lambda: model)
    (folder / "config.json").write_text(json.dumps({"model": "small", "plant": "joints"}))
    raise SystemExit(bench.main(sys.argv[1:3]))
