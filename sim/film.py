"""Videos and contact sheets for people: captions, an mp4 writer that leaves no half file, rows of pictures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from robot.errors import DataError
from robot.interfaces import Image
from robot.output import aside

INK, PAPER, DONE = (60, 52, 46), (246, 246, 244), (52, 140, 84)  # RGB
BAND = 26  # px, height of a caption
SCALE, MARGIN = 0.42, 12  # of its letters; px, beside them


def write_video(path: Path, frames: Iterable[Image], fps: int = 30) -> int:
    """H.264 mp4 of equally large (H, W, 3) frames; returns their number. Raises `DataError` when it cannot be made."""
    count, stream = 0, None
    try:
        with aside(path) as temporary, av.open(str(temporary), "w", format="mp4") as container:
            for count, rgb in enumerate(frames, 1):
                if stream is None:
                    stream = container.add_stream("libx264", rate=fps, options={"crf": "20", "preset": "veryfast"})
                    stream.height, stream.width, stream.pix_fmt = *(n - n % 2 for n in rgb.shape[:2]), "yuv420p"
                even = np.ascontiguousarray(rgb[: stream.height, : stream.width])
                frame = av.VideoFrame.from_ndarray(even, format="rgb24")
                frame.pts, frame.time_base = count - 1, Fraction(1, fps)
                container.mux(stream.encode(frame))
            if stream is not None:
                container.mux(stream.encode())
    except (av.FFmpegError, OSError) as error:
        raise DataError(f"cannot write the video {path}: {error}") from error
    return count


def captioned(pictures: Sequence[Image], text: str, progress: float | None = None) -> Image:
    """Pictures of one height side by side under a line of text, with a bar for `progress` in [0, 1]."""
    row = np.hstack(list(pictures))
    band = band_of(row.shape[1], text)
    if progress is not None:
        band[-3:, : round(progress * row.shape[1])] = DONE
    return np.vstack([band, row])


def band_of(width: int, text: str, height: int = BAND) -> Image:
    """(height, width, 3) strip with `text`, shortened to what fits."""
    band = np.full((height, width, 3), PAPER, dtype=np.uint8)
    while text and _length(text) > width - MARGIN:
        text = text[:-4] + "..." if len(text) > 8 else ""
    cv2.putText(band, text, (MARGIN // 2, height - 9), cv2.FONT_HERSHEY_SIMPLEX, SCALE, INK, 1, cv2.LINE_AA)
    return band


def lines_of(width: int, text: str, most: int) -> list[str]:
    """`text` in lines that fit into `band_of(width, ...)`, `most` at most: what is left stays in the last."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and (len(lines) == most or _length(longer) <= width - MARGIN):
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def _length(text: str) -> int:
    """px."""
    return int(cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, SCALE, 1)[0][0])


def write_picture(path: Path, rgb: Image) -> None:
    """Write a PNG aside, then in its place. Raises `DataError` when it cannot be written."""
    try:
        done, data = cv2.imencode(".png", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
        with aside(path) as temporary:
            temporary.write_bytes(data.tobytes())
    except OSError as error:
        raise DataError(f"cannot write the picture {path}: {error}") from error
    if not done:
        raise DataError(f"cannot encode the picture {path}")
