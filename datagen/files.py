"""What is in a dataset folder: metadata, manifest, statistics, and the hashes that its files should have."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from datagen import stats
from robot.errors import DataError
from robot.output import CONFIG

DATA = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
VIDEO = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
EPISODES = "meta/episodes/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
MANIFEST, SUMS, FILES_PER_CHUNK = "manifest.jsonl", "checksums.json", 1000


def read_info(root: Path) -> dict[str, Any]:
    """`meta/info.json`. Raises `DataError` when it is missing or damaged."""
    file = root / "meta" / "info.json"
    try:
        info: dict[str, Any] = json.loads(file.read_text())
        int(info["total_episodes"]), int(info["total_frames"]), dict(info["features"])
    except FileNotFoundError as error:
        raise DataError(f"{root} is not a dataset: {file} is missing") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{file} is damaged ({type(error).__name__}: {error})") from error
    return info


def read_manifest(root: Path) -> list[dict[str, Any]]:
    """Rows of the manifest; a last line cut short by a crash is left out."""
    rows: list[dict[str, Any]] = []
    if (root / MANIFEST).is_file():
        for number, line in enumerate((root / MANIFEST).read_text().splitlines()):
            try:
                rows.append(json.loads(line))
            except ValueError:
                break
            if rows[-1].get("episode") != number:
                raise DataError(f"{root / MANIFEST} line {number + 1} is of episode {rows[-1].get('episode')}")
    return rows


def committed(root: Path) -> list[str]:
    """Relative paths of every file that belongs to the dataset."""
    files = [f for sub in ("meta", "data", "videos") for f in (root / sub).rglob("*.*") if f.is_file()]
    files += [root / name for name in (MANIFEST, CONFIG) if (root / name).is_file()]
    return sorted(f.relative_to(root).as_posix() for f in files if not f.name.startswith("."))


def hash_of(file: Path) -> str:
    """sha256 of a file's bytes."""
    digest = hashlib.sha256()
    with file.open("rb") as handle:
        while piece := handle.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def read_sums(root: Path) -> dict[str, str]:
    """Recorded hashes by file; empty when there are none. Raises `DataError` when the record is damaged."""
    try:
        sums: dict[str, str] = json.loads((root / SUMS).read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise DataError(f"{root / SUMS} is damaged ({error})") from error
    return sums


def read_tasks(root: Path) -> list[str]:
    """Instruction texts by task index."""
    table = pq.read_table(root / "meta" / "tasks.parquet").sort_by("task_index")
    name = next(n for n in table.column_names if n != "task_index")
    return [str(t) for t in table[name].to_pylist()]


def read_stats(block: Path) -> list[dict[str, stats.Stats]]:
    """Statistics of each episode of one metadata file."""
    table = pq.read_table(block).sort_by("episode_index")
    names = [n for n in table.column_names if n.startswith("stats/")]
    out: list[dict[str, stats.Stats]] = []
    for row in table.select(names).to_pylist():
        measured: dict[str, stats.Stats] = {}
        for name, values in row.items():
            _, feature, key = name.split("/")
            measured.setdefault(feature, {})[key] = np.asarray(values, np.float64)
        out.append(measured)
    return out


def block_number(file: Path) -> int:
    """Which block a data, video or episodes file belongs to."""
    return int(file.parent.name.rpartition("-")[2]) * FILES_PER_CHUNK + int(file.stem.rpartition("-")[2])
