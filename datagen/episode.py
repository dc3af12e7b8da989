"""What one demonstration is before it is encoded, and what its dataset's features are called."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Frames = NDArray[np.uint8]  # (T, H, W, 3) RGB

STATE, EFFORT, ACTION, IMAGE = "observation.state", "observation.effort", "action", "observation.images."
EXECUTED = "aux.executed"  # (J,) rad, commanded, noise included; `action` is what should have been
UNITS = {
    STATE: "rad", EFFORT: "fraction of rated torque", ACTION: "rad", EXECUTED: "rad",
    "aux.target_xyz": "m", "aux.goal_xyz": "m",
    "aux.target_px": "u, v as image fractions; visible", "aux.goal_px": "u, v as image fractions; visible",
    "aux.tool_px": "u, v as image fractions; inside the picture",
    "aux.target_quat": "x, y, z, w", "aux.yaw": "cos, sin of 4 times the angle",
    "aux.things_px": "six times u, v as image fractions; visible",
    "aux.subgoal": "number of the first goal not reached, from 0; of goals when all are",
    "aux.phase": "approach 0, descend 1, close 2, lift 3, carry 4, lower 5, open 6, retreat 7",
    "aux.held": "0 or 1", "aux.progress": "0 to 1", "aux.success": "0 or 1", "timestamp": "s",
}
DEFAULT = {"timestamp": "float32", "frame_index": "int64", "episode_index": "int64", "index": "int64",
           "task_index": "int64"}


@dataclass(frozen=True)
class Episode:
    """T frames of one demonstration, raw: float32 columns (T, k) and uint8 frames by camera."""

    task: str  # the instruction
    columns: Mapping[str, Floats]
    frames: Mapping[str, Frames]
    success: bool = True
    things: tuple[str, ...] = ()  # names of what `aux.things_px` points at, in its order

    def __len__(self) -> int:
        return len(self.columns[ACTION])

    def digest(self) -> str:
        """Hash of instruction, names, columns and frames, in names' order: the episode's identity."""
        out = hashlib.sha256("\n".join((self.task, *self.things)).encode())
        for name, array in sorted({**self.columns, **self.frames}.items()):
            out.update(f"{name} {array.dtype.str} {array.shape}".encode())
            out.update(np.ascontiguousarray(array).data)
        return out.hexdigest()


@dataclass(frozen=True)
class Schema:
    """Everything about a dataset that is the same for all of its episodes."""

    robot: str
    fps: int
    joints: tuple[str, ...]  # plain joint names
    columns: tuple[tuple[str, int], ...]  # float32 columns and their widths
    cameras: tuple[tuple[str, tuple[int, int, int]], ...]  # camera name and frame shape (H, W, 3)
    codec: str = "libx264"  # "png" stores image features instead of videos
    pixels: str = "yuv444p"

    @classmethod
    def of(cls, episode: Episode, robot: str, joints: Sequence[str], fps: int, codec: str, pixels: str) -> Schema:
        """The schema that `episode` and everything like it has."""
        return cls(
            robot, fps, tuple(joints),
            tuple((k, int(v.shape[1])) for k, v in episode.columns.items()),
            tuple((k.removeprefix(IMAGE), tuple(int(n) for n in v.shape[1:])) for k, v in episode.frames.items()),
            codec, pixels,
        )

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Schema:
        """What `as_dict` gave, after its way through JSON."""
        return cls(stored["robot"], stored["fps"], tuple(stored["joints"]),
                   tuple((name, width) for name, width in stored["columns"]),
                   tuple((name, tuple(shape)) for name, shape in stored["cameras"]), stored["codec"], stored["pixels"])

    @property
    def video(self) -> bool:
        return self.codec != "png"

    def features(self) -> dict[str, Any]:
        """The `features` of info.json, in LeRobot's conventions for names, shapes and types."""
        out: dict[str, Any] = {}
        for name, width in self.columns:
            named = name in (STATE, EFFORT, ACTION) and width == len(self.joints)
            out[name] = {"dtype": "float32", "shape": [width],
                         "names": [f"{j}.pos" for j in self.joints] if named else None}
        for camera, shape in self.cameras:
            out[IMAGE + camera] = {"dtype": "video" if self.video else "image", "shape": list(shape),
                                   "names": ["height", "width", "channels"]}
            if self.video:
                out[IMAGE + camera]["info"] = self._video_info(shape)
        return out | {k: {"dtype": v, "shape": [1], "names": None} for k, v in DEFAULT.items()}

    def _video_info(self, shape: tuple[int, int, int]) -> dict[str, Any]:
        codec = {"libx264": "h264", "libsvtav1": "av1", "libx265": "hevc"}.get(self.codec, self.codec)
        return {"video.height": shape[0], "video.width": shape[1], "video.codec": codec,
                "video.pix_fmt": self.pixels, "video.is_depth_map": False, "video.fps": self.fps,
                "video.channels": 3, "has_audio": False}

    def units(self) -> dict[str, str]:
        """Unit of each column that has one."""
        out = {}
        for name, _ in self.columns:
            known = UNITS.get(name) or next((u for k, u in UNITS.items() if name.startswith(k + ".")), None)
            if known:
                out[name] = known
        return out | {"timestamp": "s"}
