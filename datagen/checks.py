"""Everything about a dataset folder that can be wrong without running a simulation: each check yields problems."""

from __future__ import annotations

import json
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from datagen import files, stats
from datagen.episode import DEFAULT
from datagen.folder import Folder
from datagen.pictures import decoded, pictures
from robot.errors import DataError

CLOSE = 1e-5  # relative, between stored statistics and recomputed ones
LOSS = 0.03  # of full brightness, between a picture's statistics before and after it was encoded


DAMAGED = (OSError, ValueError, KeyError, TypeError, pa.ArrowException, av.FFmpegError, DataError)


def problems(folder: Folder) -> Iterator[str]:
    """Every check in turn; one that cannot go on because of damage says so and the next one begins."""
    for check in (checksums, counts, frames, videos, images, statistics, looks, manifest):
        try:
            yield from check(folder)
        except DAMAGED as error:
            text = " ".join(str(error).split()) or type(error).__name__
            yield f"{check.__name__}: {type(error).__name__}: {text[:200]}"


def checksums(folder: Folder) -> Iterator[str]:
    """Files that are gone, were added or have changed since they were written."""
    recorded = files.read_sums(folder.root)
    if not recorded:
        if "attempted" in folder.info:
            yield f"{files.SUMS} is missing, so a changed byte may go unseen"
        return
    present = files.committed(folder.root)
    for name in sorted(set(recorded) - set(present)):
        yield f"{name} is missing"
    for name in sorted(set(present) - set(recorded)):
        yield f"{name} was not written by steadyhand, or a run was killed as it wrote it; run generate again"
    for name in sorted(set(present) & set(recorded)):
        if files.hash_of(folder.root / name) != recorded[name]:
            yield f"{name} has changed since it was written (its sha256 differs)"


def counts(folder: Folder) -> Iterator[str]:
    """Episodes and frames that info.json counts and the metadata do not hold, and the other way round."""
    info, rows = folder.info, folder.episodes
    numbers = [row["episode_index"] for row in rows]
    for missing in sorted(set(range(info["total_episodes"])) - set(numbers)):
        yield f"episode {missing} is missing from meta/episodes"
    if len(set(numbers)) != len(numbers):
        yield "meta/episodes holds an episode twice"
    if len(rows) > info["total_episodes"]:
        yield f"meta/episodes holds {len(rows)} episodes, info.json counts {info['total_episodes']}"
    total = sum(row["length"] for row in rows)
    if total != info["total_frames"]:
        yield f"episodes add up to {total} frames, info.json counts {info['total_frames']}"
    at = 0
    for row in rows:
        if (row["dataset_from_index"], row["dataset_to_index"]) != (at, at + row["length"]):
            yield f"episode {row['episode_index']} is said to be frames {row['dataset_from_index']} to " \
                  f"{row['dataset_to_index']}, but should be {at} to {at + row['length']}"
            return
        at += row["length"]


def frames(folder: Folder) -> Iterator[str]:
    """Rows of the data files that are missing, doubled or out of place, and values that are not numbers."""
    tasks, fps = files.read_tasks(folder.root), folder.info["fps"]
    for file in sorted({folder.data_file(row) for row in folder.episodes}):
        if not file.is_file():
            yield f"{file.relative_to(folder.root)} is missing"
            continue
        own = [row for row in folder.episodes if folder.data_file(row) == file]
        floats = [k for k, v in folder.info["features"].items() if v["dtype"] == "float32"]
        table = pq.read_table(file, columns=[*floats, *(k for k in DEFAULT if k not in floats)]).sort_by("index")
        first, name = own[0]["dataset_from_index"], file.relative_to(folder.root)
        due = sum(row["length"] for row in own)
        index = table["index"].to_numpy()
        if not np.array_equal(index, np.arange(first, first + due)):
            yield f"{name} holds {len(index)} frames, {due} from number {first} are due"
            continue
        within = np.concatenate([np.arange(row["length"]) for row in own])
        if np.abs(table["timestamp"].to_numpy() - within / fps).max() > 1e-4:
            yield f"{name} has timestamps off the {fps} Hz grid"
        if table["task_index"].to_numpy().max() >= len(tasks):
            yield f"{name} names a task that meta/tasks.parquet lacks"
        for column in floats:
            if not np.isfinite(values(table, column)).all():
                yield f"{name}: column {column} holds values that are not finite"


def videos(folder: Folder) -> Iterator[str]:
    """Video files that cannot be read, or whose frames are not those of their episodes."""
    for key in folder.videos:
        for file in sorted({folder.video_file(row, key) for row in folder.episodes}):
            own = [row for row in folder.episodes if folder.video_file(row, key) == file]
            due, name = sum(row["length"] for row in own), file.relative_to(folder.root)
            if not file.is_file():
                yield f"{name} is missing"
                continue
            try:
                times = _decoded(file)
            except (av.FFmpegError, OSError, IndexError) as error:
                yield f"{name} cannot be decoded: {error}"
                continue
            if len(times) != due:
                yield f"{name} has {len(times)} of its {due} frames"
            elif any(t != Fraction(k, folder.info["fps"]) for k, t in enumerate(times)):
                yield f"{name} has frames off the {folder.info['fps']} Hz grid"


def images(folder: Folder) -> Iterator[str]:
    """Pictures stored as images that cannot be decoded or have another shape than their feature says."""
    for key in (k for k in folder.cameras if k not in folder.videos):
        shape = tuple(folder.info["features"][key]["shape"])
        for file in sorted({folder.data_file(row) for row in folder.episodes}):
            bad = 0
            for batch in pq.ParquetFile(file).iter_batches(128, columns=[key]):
                bad += sum(_shape(cell) != shape for cell in batch.column(0).to_pylist())
            if bad:
                yield f"{file.relative_to(folder.root)}: {bad} pictures of {key} are damaged or not {shape}"


def _shape(cell: dict[str, Any]) -> tuple[int, ...]:
    try:
        return decoded(cell["bytes"]).shape
    except DataError:
        return ()


def _decoded(file: Path) -> list[Fraction]:
    """Times (s) of the frames that decode."""
    with av.open(str(file)) as container:
        container.streams.video[0].thread_type = "AUTO"
        return [Fraction(f.pts) * f.time_base for f in container.decode(video=0) if not f.is_corrupt]


def statistics(folder: Folder) -> Iterator[str]:
    """Stored statistics that the data do not bear out; those of pictures as far as episodes add up, see `looks`."""
    total = stats.Total()
    for block in folder.blocks:
        for measured in files.read_stats(block):
            total.add(measured)
    stored = json.loads((folder.root / "meta" / "stats.json").read_text())
    for feature, summed in total.features.items():
        for name, value in summed.items():
            if not _close(value, stored.get(feature, {}).get(name)):
                yield f"meta/stats.json: {feature} {name} is not that of the episodes"
    for block in folder.blocks:
        measured = files.read_stats(block)
        rows = [row for row in folder.episodes if _block(row) == files.block_number(block)]
        table = pq.read_table(folder.data_file(rows[0]), columns=_floats(folder)).sort_by("index")
        at = 0
        for row, kept in zip(rows, measured):
            yield from _of_episode(row, kept, table.slice(at, row["length"]))
            at += row["length"]


def looks(folder: Folder) -> Iterator[str]:
    """Stored statistics of pictures that those of each file's first episode do not bear out."""
    for block in folder.blocks:
        measured = files.read_stats(block)[0]
        row = next(row for row in folder.episodes if _block(row) == files.block_number(block))
        for key in folder.cameras:
            shown = pictures(folder, row, key, range(0, row["length"], stats.EVERY))
            again = stats.of_images(np.stack([shown[n] for n in sorted(shown)]), every=1)
            for name in ("mean", "std"):
                gap = float(np.abs(again[name] - np.reshape(measured[key][name], (-1, 1, 1))).max())
                if gap > LOSS:
                    yield f"episode {row['episode_index']}: the {name} of {key} is {gap:.3f} off its pictures'"


def _of_episode(row: dict[str, Any], kept: dict[str, stats.Stats], table: pa.Table) -> Iterator[str]:
    for feature in sorted(set(kept) & set(table.column_names)):
        again = stats.of_column(values(table, feature))
        wrong = [name for name, value in again.items() if not _close(value, kept[feature].get(name))]
        if wrong:
            yield f"episode {row['episode_index']}: statistics of {feature} ({wrong[0]}) are not its data's"


def _block(row: dict[str, Any]) -> int:
    return int(row["meta/episodes/chunk_index"]) * files.FILES_PER_CHUNK + int(row["meta/episodes/file_index"])


def _floats(folder: Folder) -> list[str]:
    return [*(k for k, v in folder.info["features"].items() if v["dtype"] == "float32" and k != "index"), "index"]


def manifest(folder: Folder) -> Iterator[str]:
    """Rows of the manifest that are missing, or say otherwise than the metadata."""
    if not (folder.root / files.MANIFEST).is_file():
        if "attempted" in folder.info:
            yield f"{files.MANIFEST} is missing"
        return
    rows = files.read_manifest(folder.root)
    if len(rows) != folder.info.get("attempted"):
        yield f"{files.MANIFEST} has {len(rows)} rows, info.json counts {folder.info.get('attempted')}"
    kept = {row["index"]: row for row in rows if row["index"] is not None}
    for episode in folder.episodes:
        row = kept.get(episode["episode_index"])
        if row is None:
            yield f"episode {episode['episode_index']} has no row in {files.MANIFEST}"
        elif row.get("sha256", "") != episode.get("sha256", ""):
            yield f"episode {episode['episode_index']}: {files.MANIFEST} and meta/episodes name different hashes"


def values(table: pa.Table, name: str) -> np.ndarray:
    """A numeric column as (T, k)."""
    column = table[name].combine_chunks()
    if pa.types.is_fixed_size_list(column.type):
        return column.flatten().to_numpy(zero_copy_only=False).reshape(len(column), -1)
    return column.to_numpy(zero_copy_only=False).reshape(-1, 1)


def _close(value: np.ndarray, stored: Any) -> bool:
    if stored is None or np.size(stored) != value.size:
        return False
    return bool(np.allclose(np.ravel(value), np.ravel(np.asarray(stored, float)), rtol=CLOSE, atol=1e-6))
