"""Decode a LeRobotDataset v3.0 folder once into flat arrays, and know when they no longer match their source."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from policies.reels import Reel, unroll
from policies.stream import Span, VideoFrames
from robot.errors import DataError
from robot.output import aside, write_text

VERSION = 1
IMAGE = "observation.images."
COLUMNS = {"state": "observation.state", "effort": "observation.effort", "action": "action"}
SLOTS = 6  # things that `aux.things_px` has room for


def load(path: Path, cameras: Sequence[str] | None, folder: Path | None, cached: bool = True) -> dict[str, Any]:
    """The fields of `TrainingData` for the dataset at `path`, decoding whatever is not cached yet.

    Without `cached`, videos stay where they are and pictures are decoded when they are asked for.
    """
    info = read_info(path)
    known = [k.removeprefix(IMAGE) for k in info["features"] if k.startswith(IMAGE)]
    wanted = known if cameras is None else list(cameras)
    for camera in wanted:
        if camera not in known:
            raise DataError(f"{path} has no camera {camera!r}; it has: {', '.join(known) or 'none'}")
    folder = path / ".cache" if folder is None else folder
    source = fingerprint(path)
    columns = _columns(path, folder, info, source)
    images: dict[str, Any]
    if cached:
        images = {c: _images(path, folder, info, source, columns, c) for c in wanted}
    else:
        images = {camera: _streamed(path, info, columns, camera) for camera in wanted}
    meta = columns.pop("meta")
    aux = {k.removeprefix("aux."): columns[k] for k in columns if k.startswith("aux.")}
    names = info["features"]["action"].get("names") or [f"joint{j}" for j in range(columns["action"].shape[1])]
    return {
        "path": path, "images": images, "aux": aux, "fps": float(info["fps"]), "hash": meta["hash"],
        "joint_names": tuple(str(n).removesuffix(".pos") for n in names), "instructions": meta["instructions"],
        "succeeded": columns["succeeded"].astype(bool),
        "robots": [str(info.get("robot_type") or "")] * len(columns["start"]),
        **{k: columns[k] for k in ("state", "effort", "action", "episode", "start", "length")},
    }


def read_info(path: Path) -> dict[str, Any]:
    """`meta/info.json`, checked. Raises `DataError` when there is no dataset that we can read."""
    file = path / "meta" / "info.json"
    if not path.is_dir():
        raise DataError(f"there is no dataset at {path}; make one with: steadyhand generate out={path}")
    if not file.is_file():
        raise DataError(f"{path} is not a dataset: {file} is missing; make one with: steadyhand generate out=DIR")
    try:
        info: dict[str, Any] = json.loads(file.read_text())
        features, episodes = info["features"], int(info["total_episodes"])
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise DataError(f"{file} is damaged ({type(error).__name__}: {error}); restore or regenerate it") from error
    if info.get("codebase_version") != "v3.0":
        raise DataError(f"{path} is LeRobotDataset {info.get('codebase_version')}; only v3.0 can be read")
    if episodes < 1:
        raise DataError(f"{path} holds no episodes yet; go on with: steadyhand generate out={path}")
    for key in ("observation.state", "action"):
        if key not in features:
            raise DataError(f"{path} has no {key}; it has: {', '.join(features)}")
        unit = (info.get("units") or {}).get(key, "rad")
        if unit != "rad":
            raise DataError(f"{path}: {key} is in {unit}; training needs rad")
    return info


def fingerprint(path: Path) -> dict[str, list[int]]:
    """Size and time of change of every file that the cache is made from, by relative path."""
    out = {}
    for sub in ("meta", "data", "videos"):
        for file in sorted((path / sub).rglob("*.*")):
            if file.is_file() and not file.name.startswith("."):
                stat = file.stat()
                out[file.relative_to(path).as_posix()] = [stat.st_size, stat.st_mtime_ns]
    return out


# ---------------------------------------------------------------- columns
def _columns(path: Path, folder: Path, info: dict[str, Any], source: dict[str, list[int]]) -> dict[str, Any]:
    file, note = folder / "columns.npz", folder / "columns.json"
    relevant = {k: v for k, v in source.items() if not k.startswith("videos/")}
    if file.is_file() and _matches(note, relevant):
        with np.load(file) as stored:
            return {**{k: stored[k] for k in stored.files}, "meta": json.loads(note.read_text())["meta"]}
    columns, meta = _read_columns(path, info)
    with _writing(folder):
        note.unlink(missing_ok=True)
        with aside(file) as temporary:
            np.savez(temporary, **columns)
        write_text(note, json.dumps({"version": VERSION, "source": relevant, "meta": meta}))
    return {**columns, "meta": meta}


def _read_columns(path: Path, info: dict[str, Any]) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    episodes = read_episodes(path, info)
    table = read_frames(path, info)
    start = np.asarray(episodes["dataset_from_index"], np.int64)
    length = np.asarray(episodes["length"], np.int64)
    frames = int(info["total_frames"])
    owner = table["episode_index"].to_numpy()
    expected = np.repeat(np.arange(len(length)), length)
    if len(owner) != frames or not np.array_equal(owner, expected):
        raise DataError(f"{path}: data files hold {len(owner)} frames where the metadata say {int(length.sum())}, "
                        "or in another order; check it with: steadyhand audit")
    columns = {k: _matrix(table, v) for k, v in COLUMNS.items() if v in table.column_names}
    columns.setdefault("effort", np.zeros_like(columns["state"]))
    columns |= {k: _matrix(table, k) for k in table.column_names if k.startswith("aux.")}
    digest = hashlib.sha256()
    for key in sorted(columns):
        digest.update(key.encode() + np.ascontiguousarray(columns[key]).tobytes())
    instructions = [str(t[0]) for t in episodes["tasks"]]
    digest.update(json.dumps([instructions, episodes.get("sha256")]).encode())
    if any(episodes.get("things") or ()):
        columns.setdefault("aux.things_words", _letters(episodes["things"])[expected])
    success = episodes.get("success") or [True] * len(length)
    columns |= {"episode": expected.astype(np.int64), "start": start, "length": length,
                "succeeded": np.asarray(success, bool)}
    return columns, {"hash": digest.hexdigest(), "instructions": instructions}


def _letters(things: list[list[str]]) -> NDArray[np.float32]:
    """(E, slots * letters) character codes of each episode's names, ended and filled with zeros."""
    words = [[name.encode("ascii", "replace") for name in names] for names in things]
    letters = max(len(word) for names in words for word in names)
    out = np.zeros((len(words), SLOTS, letters), np.float32)
    for episode, names in enumerate(words):
        for slot, word in enumerate(names[:SLOTS]):
            out[episode, slot, : len(word)] = list(word)
    return out.reshape(len(words), -1)


def read_episodes(path: Path, info: dict[str, Any]) -> dict[str, list[Any]]:
    """Columns of the episode metadata (without statistics), ordered by episode. Raises `DataError`."""
    total = int(info["total_episodes"])
    files = sorted((path / "meta" / "episodes").rglob("*.parquet"))
    tables = [_parquet(f, lambda name: not name.startswith("stats/")) for f in files]
    if not tables:
        raise DataError(f"{path}: meta/episodes is empty; restore or regenerate it")
    table = pa.concat_tables(tables, promote_options="default").sort_by("episode_index")
    table = table.slice(0, total)
    if table["episode_index"].to_pylist() != list(range(total)):
        raise DataError(f"{path}: meta/info.json counts {total} episodes, meta/episodes has {table.num_rows} of them")
    out: dict[str, list[Any]] = table.to_pydict()
    return out


def read_frames(path: Path, info: dict[str, Any]) -> pa.Table:
    """Every numeric column of every frame, in order of `index`."""
    features = info["features"]
    keep = {k for k, v in features.items() if v["dtype"] not in ("video", "image", "string")}
    files = sorted((path / "data").rglob("*.parquet"))
    if not files:
        raise DataError(f"{path}: data is empty; restore or regenerate it")
    table = pa.concat_tables([_parquet(f, keep.__contains__) for f in files]).sort_by("index")
    return table.slice(0, int(info["total_frames"]))


def _parquet(file: Path, keep: Any) -> pa.Table:
    try:
        reader = pq.ParquetFile(file)
        return reader.read(columns=[n for n in reader.schema_arrow.names if keep(n)])
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{file} is damaged ({str(error).splitlines()[0]}); restore or regenerate it") from error


def _matrix(table: pa.Table, name: str) -> NDArray[np.float32]:
    column = table[name].combine_chunks()
    if pa.types.is_fixed_size_list(column.type) or pa.types.is_list(column.type):
        return column.flatten().to_numpy(zero_copy_only=False).reshape(len(column), -1).astype(np.float32)
    return column.to_numpy(zero_copy_only=False).astype(np.float32).reshape(-1, 1)


# ---------------------------------------------------------------- images
def _images(path: Path, folder: Path, info: dict[str, Any], source: dict[str, list[int]],
            columns: dict[str, Any], camera: str) -> np.memmap[Any, np.dtype[np.uint8]]:
    key = IMAGE + camera
    video = info["features"][key]["dtype"] == "video"
    prefix = f"videos/{key}/" if video else "data/"
    relevant = {k: v for k, v in source.items() if k.startswith((prefix, "meta/"))}
    height, width, depth = info["features"][key]["shape"]
    shape = (len(columns["episode"]), int(height), int(width), int(depth))
    file, note = folder / f"{camera}.u8", folder / f"{camera}.json"
    if not (_matches(note, relevant) and file.is_file() and file.stat().st_size == int(np.prod(shape))):
        with _writing(folder):
            note.unlink(missing_ok=True)
            with aside(file) as temporary:
                if video:
                    unroll(_reels(path, info, key), temporary, shape)
                else:
                    _fill(temporary, shape, _stills(path, info, key))
            write_text(note, json.dumps({"version": VERSION, "source": relevant}))
    return np.memmap(file, np.uint8, "r", shape=shape)


def _streamed(path: Path, info: dict[str, Any], columns: dict[str, Any], camera: str) -> VideoFrames:
    key, fps = IMAGE + camera, float(info["fps"])
    if info["features"][key]["dtype"] != "video":
        raise DataError(f"{path} keeps {camera} as images, which are only read into a cache")
    episodes, spans = read_episodes(path, info), []
    for k, first in enumerate(columns["start"]):
        place = {name: episodes[f"videos/{key}/{name}"][k] for name in ("chunk_index", "file_index")}
        file = path / info["video_path"].format(video_key=key, **place)
        offset = round(episodes[f"videos/{key}/from_timestamp"][k] * fps)
        spans.append(Span(int(first), int(columns["length"][k]), file, offset))
    return VideoFrames(spans, (len(columns["episode"]), *map(int, info["features"][key]["shape"])), fps)


def _fill(file: Path, shape: tuple[int, ...], frames: Iterator[NDArray[np.uint8]]) -> None:
    """Written, not mapped: when a disk fills up, a write raises, but a mapped page ends the process (SIGBUS)."""
    count = 0
    with file.open("wb") as out:
        for count, frame in enumerate(frames, 1):
            if count > shape[0] or frame.shape != shape[1:]:
                raise DataError(f"frame {count} of {file.name} is {frame.shape}, "
                                f"where {shape[0]} of {shape[1:]} are due")
            out.write(np.ascontiguousarray(frame).data)
    if count != shape[0]:
        raise DataError(f"the pictures of {file.stem} end after {count} frames, {shape[0]} are due; check with: "
                        "steadyhand audit")


def _reels(path: Path, info: dict[str, Any], key: str) -> list[Reel]:
    """The video files of a camera, each with where its episodes' frames belong."""
    episodes, fps = read_episodes(path, info), float(info["fps"])
    rows: dict[Path, dict[int, int]] = {}
    for chunk, number, begin, first, length in zip(*(episodes[k] for k in (
            f"videos/{key}/chunk_index", f"videos/{key}/file_index", f"videos/{key}/from_timestamp",
            "dataset_from_index", "length"))):
        file = path / info["video_path"].format(video_key=key, chunk_index=chunk, file_index=number)
        rows.setdefault(file, {}).update({round(begin * fps) + k: first + k for k in range(length)})
    return [Reel(file, fps, frames) for file, frames in rows.items()]


def _stills(path: Path, info: dict[str, Any], key: str) -> Iterator[NDArray[np.uint8]]:
    from PIL import Image

    left = int(info["total_frames"])
    for file in sorted((path / "data").rglob("*.parquet")):
        try:
            for batch in pq.ParquetFile(file).iter_batches(256, columns=[key]):
                for cell in batch.column(0).to_pylist()[:left]:
                    left -= 1
                    yield np.asarray(Image.open(io.BytesIO(cell["bytes"])).convert("RGB"))
        except (OSError, pa.ArrowException) as error:
            raise DataError(f"{file}: pictures of {key} are damaged ({error}); restore or regenerate it") from error


# ---------------------------------------------------------------- cache folder
def _matches(note: Path, source: dict[str, list[int]]) -> bool:
    try:
        stored = json.loads(note.read_text())
    except (OSError, ValueError):
        return False
    return bool(stored.get("version") == VERSION and stored.get("source") == source)


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """The cache's folder, made; one that takes nothing (more) is a `DataError`."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise DataError(f"cannot write the cache {folder}: {error.strerror or error}; make room, or give another "
                        "folder") from error
