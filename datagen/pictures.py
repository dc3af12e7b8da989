"""Pictures of a dataset by episode and frame, whether they are stored as videos or as images."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import av
import cv2
import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from datagen.folder import Folder
from robot.errors import DataError

Picture = NDArray[np.uint8]  # (H, W, 3) RGB


def pictures(folder: Folder, episode: dict[str, Any], key: str, wanted: Collection[int]) -> dict[int, Picture]:
    """Frames `wanted` (numbers within the episode) of camera `key`, as far as they are there."""
    if key in folder.videos:
        return _from_video(folder, episode, key, set(map(int, wanted)))
    table = pq.read_table(folder.data_file(episode), columns=["index", key]).sort_by("index")
    first = episode["dataset_from_index"] - int(table["index"][0].as_py())
    cells = table[key].slice(first, episode["length"])
    return {int(n): decoded(cells[int(n)].as_py()["bytes"]) for n in wanted if n < len(cells)}


def decoded(png: bytes) -> Picture:
    """The picture in a cell of an image column. Raises `DataError` when it is damaged."""
    bgr = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
    if bgr is None:
        raise DataError("a picture cannot be decoded")
    return np.ascontiguousarray(bgr[..., ::-1])


def _from_video(folder: Folder, episode: dict[str, Any], key: str, wanted: set[int]) -> dict[int, Picture]:
    fps, begin = folder.info["fps"], episode[f"videos/{key}/from_timestamp"]
    out: dict[int, Picture] = {}
    with av.open(str(folder.video_file(episode, key))) as container:
        stream = container.streams.video[0]
        container.seek(int(begin / stream.time_base), stream=stream)
        for frame in container.decode(video=0):
            number = round((float(frame.pts * frame.time_base) - begin) * fps)
            if number in wanted:
                out[number] = frame.to_ndarray(format="rgb24")
            if number >= max(wanted):
                break
    return out
