"""Finished episodes wait here, one folder each, until they are committed to the dataset.

A folder appears under its final name only when everything in it is on disk, so whatever is found after a crash
is whole.
"""

from __future__ import annotations

import io
import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from datagen import stats, video
from datagen.episode import IMAGE, Episode, Frames, Schema
from robot.errors import DataError

FOLDER, NOTE = ".staging", "episode.json"


@dataclass(frozen=True)
class Staged:
    """One episode number, done: kept with data, or given up with its row alone."""

    path: Path
    number: int  # k
    row: dict[str, Any]  # of the manifest
    episode: dict[str, Any] | None  # task, length, success, statistics; None when nothing is kept
    schema: Schema | None

    def drop(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)


def pack(row: dict[str, Any], episode: Episode | None, schema: Schema | None) -> dict[str, bytes]:
    """Encode an episode, or only the row of one given up, as files that any machine can send home."""
    files: dict[str, bytes] = {}
    about = _encode(files, episode, schema) if episode is not None and schema is not None else None
    return files | {NOTE: note(row, about, schema)}


def note(row: dict[str, Any], about: dict[str, Any] | None, schema: Schema | None) -> bytes:
    """The note beside an episode's files: its manifest row; task, length, success and statistics; its schema."""
    return json.dumps({"row": row, "episode": about, "schema": schema.as_dict() if schema else None}).encode()


def row(files: Mapping[str, bytes]) -> dict[str, Any]:
    """The manifest row of a packed episode."""
    return dict(json.loads(files[NOTE])["row"])


def put(root: Path, number: int, files: Mapping[str, bytes]) -> Path:
    """Write a packed episode aside, then give it its name; returns the folder."""
    final = root / FOLDER / f"episode-{number:07d}"
    temporary = final.with_name(f".{final.name}.{os.getpid()}")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    for name, content in files.items():
        (temporary / name).write_bytes(content)
    if final.exists():
        shutil.rmtree(final)
    os.replace(temporary, final)
    return final


def _encode(files: dict[str, bytes], episode: Episode, schema: Schema) -> dict[str, Any]:
    if len(episode) == 0 or any(len(v) != len(episode) for v in (*episode.columns.values(), *episode.frames.values())):
        raise DataError(f"episode of {len(episode)} frames has columns of other lengths")
    table = pa.table({name: column(np.asarray(values)) for name, values in episode.columns.items()})
    measured = {name: stats.of_column(values) for name, values in episode.columns.items()}
    for name, frames in episode.frames.items():
        measured[name] = stats.of_images(frames)
        if schema.video:
            content = video.encode(frames, schema.fps, schema.codec, schema.pixels)
            files[f"{name.removeprefix(IMAGE)}.mp4"] = content
        else:
            table = table.append_column(name, _pngs(frames))
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="none")
    files["data.parquet"] = buffer.getvalue()
    return {"task": episode.task, "length": len(episode), "success": episode.success,
            "things": list(episode.things),
            "stats": {f: {k: v.tolist() for k, v in s.items()} for f, s in measured.items()}}


def column(values: np.ndarray) -> pa.Array:
    """A (T, k) array as a parquet column: scalars when k is 1, fixed-size lists otherwise."""
    flat = pa.array(np.ascontiguousarray(values).ravel())
    return flat if values.shape[1] == 1 else pa.FixedSizeListArray.from_arrays(flat, values.shape[1])


def _pngs(frames: Frames) -> pa.Array:
    cells = []
    for number, rgb in enumerate(frames):
        done, data = cv2.imencode(".png", rgb[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 1])
        if not done:
            raise DataError(f"frame {number} of shape {rgb.shape} cannot be stored as PNG")
        cells.append({"bytes": data.tobytes(), "path": f"frame-{number:06d}.png"})
    return pa.array(cells, pa.struct([("bytes", pa.binary()), ("path", pa.string())]))


def folder(root: Path) -> Path:
    """Where episodes wait, made when it is not there."""
    path = root / FOLDER
    path.mkdir(exist_ok=True)
    return path


def found(root: Path) -> dict[int, Staged]:
    """Every whole staged episode, by number; what a killed worker left half-written is deleted."""
    out = {}
    for path in sorted((root / FOLDER).glob("*")) + sorted((root / FOLDER).glob(".*")):
        match = re.fullmatch(r"episode-(\d+)", path.name)
        if match:
            out[int(match.group(1))] = read(path)
        else:
            shutil.rmtree(path, ignore_errors=True)
    return out


def read(path: Path) -> Staged:
    """The staged episode in `path`. Raises `DataError` when its note cannot be read."""
    try:
        content = json.loads((path / NOTE).read_text())
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is damaged ({error}); delete that folder and run again") from error
    schema = Schema.from_dict(content["schema"]) if content["episode"] else None
    return Staged(path, int(path.name.rpartition("-")[2]), content["row"], content["episode"], schema)
