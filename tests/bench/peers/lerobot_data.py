"""LeRobot's dataset reader and writer, timed in its own environment: `read ROOT SECONDS WORKERS` or `write ROOT N`."""

import json
import os
import sys
import time
import warnings

warnings.simplefilter("ignore")
os.environ["HF_HUB_OFFLINE"] = "1"


def read(root: str, seconds: float, workers: int) -> dict:
    """Samples a second, batches of 32 with both cameras and 16 actions, shuffled."""
    import torch
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    torch.set_num_threads(1)
    ahead = {"action": [k / 10 for k in range(16)]}
    data = LeRobotDataset("local/set", root=root, delta_timestamps=ahead)
    loader = torch.utils.data.DataLoader(data, batch_size=32, shuffle=True, num_workers=workers)
    frames, start = 0, None
    while True:
        for batch in loader:
            if start is None:  # the first batch pays for opening files and workers
                start = time.perf_counter()
                continue
            frames += len(batch["index"])
            if time.perf_counter() - start > seconds:
                return {"frames_per_s": frames / (time.perf_counter() - start), "backend": data.video_backend}


def write(root: str, episodes: int) -> dict:
    """Milliseconds a frame for add_frame and save_episode, two cameras of 128 px, h264 so as to favour speed."""
    import numpy as np
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    source = np.load(sys.argv[4])
    names = [f"j{k}" for k in range(6)]
    features = {k: {"dtype": "float32", "shape": (6,), "names": names} for k in ("observation.state", "action")}
    for camera in ("front", "wrist"):
        features[f"observation.images.{camera}"] = {"dtype": "video", "shape": (128, 128, 3),
                                                    "names": ["height", "width", "channels"]}
    data = LeRobotDataset.create("local/new", fps=10, features=features, root=root, use_videos=True,
                                 vcodec="h264")
    start, frames = time.perf_counter(), 0
    for _ in range(episodes):
        for front, wrist in zip(source["front"], source["wrist"]):
            data.add_frame({"observation.state": np.zeros(6, np.float32), "action": np.zeros(6, np.float32),
                            "observation.images.front": front, "observation.images.wrist": wrist, "task": "move"})
            frames += 1
        data.save_episode()
    return {"ms_per_frame": 1000 * (time.perf_counter() - start) / frames}


if __name__ == "__main__":
    if sys.argv[1] == "read":
        print(json.dumps(read(sys.argv[2], float(sys.argv[3]), int(sys.argv[4]))))
    else:
        print(json.dumps(write(sys.argv[2], int(sys.argv[3]))))
