"""Videos and strips of a policy at work, with what it was looking at drawn over the pictures."""

from __future__ import annotations

from pathlib import Path

import av
import cv2
import numpy as np

from policies.rollout import Film
from robot.interfaces import Chunk, Image
from robot.output import aside

TARGET, GOAL = (255, 210, 0), (0, 230, 255)  # RGB


def overlay(rgb: Image, heatmaps: np.ndarray | None, scale: int = 2) -> Image:
    """`rgb` enlarged, with the target's heatmap in yellow and the goal's in cyan; `heatmaps` (2, h, w)."""
    size = (rgb.shape[1] * scale, rgb.shape[0] * scale)
    out = cv2.resize(rgb, size, interpolation=cv2.INTER_CUBIC).astype(np.float32)
    if heatmaps is not None:
        for heat, colour in zip(heatmaps, (TARGET, GOAL)):
            wide = cv2.resize(heat.astype(np.float32), size, interpolation=cv2.INTER_LINEAR)
            weight = 0.6 * np.clip(wide / max(float(wide.max()), 1e-9), 0, 1)[..., None] ** 1.5
            out = out * (1 - weight) + np.array(colour, np.float32) * weight
    return np.clip(out, 0, 255).astype(np.uint8)


def panels(film: Film) -> list[Image]:
    """One picture (H, W, 3) per filmed instant: the cameras side by side with the newest heatmaps."""
    names = list(film.frames)
    count = min(len(film.frames[n]) for n in names)
    out = []
    for k in range(count):
        stamp = film.frames[names[0]][k].stamp
        chunk = _newest(film.chunks, stamp)
        row = [overlay(film.frames[n][k].rgb, None if chunk is None else chunk.info.get(f"heatmap.{n}"))
               for n in names]
        out.append(np.concatenate(row, axis=1))
    return out


def _newest(chunks: list[tuple[float, Chunk]], stamp: float) -> Chunk | None:
    before = [c for t, c in chunks if t <= stamp + 1e-6]
    return before[-1] if before else None


def write_video(film: Film, path: Path, fps: int = 10) -> Path:
    """An H.264 file of the episode; nothing is written when it has no pictures."""
    pictures = panels(film)
    if not pictures:
        return path
    with aside(path) as temporary, av.open(str(temporary), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=fps, options={"crf": "23", "preset": "veryfast"})
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for picture in pictures:
            for packet in stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path


def write_strip(film: Film, path: Path, count: int = 6) -> Path:
    """A PNG of `count` instants from left to right, cameras one above the other."""
    pictures = panels(film)
    if not pictures:
        return path
    chosen = [pictures[k] for k in np.linspace(0, len(pictures) - 1, count).astype(int)]
    half = chosen[0].shape[1] // len(film.frames)
    columns = [np.concatenate(np.split(p, range(half, p.shape[1], half), axis=1), axis=0) for p in chosen]
    image = np.concatenate(columns, axis=1)
    with aside(path) as temporary:
        if not cv2.imwrite(str(temporary), cv2.cvtColor(image, cv2.COLOR_RGB2BGR)):
            raise OSError(f"cannot write {path}")
    return path
