"""A LeRobotDataset v3.0 folder that grows by whole blocks of episodes and can be loaded at any moment.

A commit writes one data file, one video file a camera and one metadata file, under numbers not used before, then
`stats.json` and at last `info.json`, which is what makes the block count. Files that `info.json` does not count
are left over from a crash and are deleted when the folder is opened again.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from datagen import staging, stats, video
from datagen.episode import IMAGE, Schema
from datagen.files import (
    DATA,
    EPISODES,
    FILES_PER_CHUNK,
    MANIFEST,
    SUMS,
    VIDEO,
    block_number,
    committed,
    hash_of,
    read_info,
    read_manifest,
    read_stats,
    read_sums,
    read_tasks,
)
from datagen.staging import Staged
from robot.errors import DataError
from robot.output import write_text


class Writer:
    """Appends to the dataset at `root`; nobody else may write there. The first episode kept decides the schema."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.schema: Schema | None = None
        self.episodes = self.frames = self.blocks = 0
        self.attempted = 0  # episode numbers done, kept or not
        self.tasks: dict[str, int] = {}
        self.total = stats.Total()
        self.sums: dict[str, str] = {}  # file -> sha256
        if (root / "meta" / "info.json").is_file():
            self._recover()
        else:
            for name in ("meta", "data", "videos", MANIFEST, SUMS):
                _remove(root / name)

    def commit(self, block: Sequence[Staged]) -> None:
        """Make these episodes, in order of their numbers, part of the dataset; then delete their staging."""
        if [s.number for s in block] != list(range(self.attempted, self.attempted + len(block))):
            raise DataError(f"episodes {[s.number for s in block]} do not follow episode {self.attempted - 1}")
        kept = [s for s in block if s.episode is not None]
        if kept:
            self._write_block(kept, self._agreed(kept))
        self.attempted += len(block)
        if self.schema is not None:
            write_text(self.root / "meta" / "info.json", json.dumps(self._info(self.schema), indent=2) + "\n")
        self._log(block)
        self._seal()
        for staged in block:
            staged.drop()

    # ------------------------------------------------------------ one block
    def _agreed(self, kept: Sequence[Staged]) -> Schema:
        schema = self.schema or kept[0].schema
        for staged in kept:
            if schema is None or staged.schema != schema:
                raise DataError(f"episode {staged.number} has another layout than the dataset {self.root}")
        self.schema = schema
        return schema

    def _write_block(self, kept: Sequence[Staged], schema: Schema) -> None:
        place = {"chunk_index": self.blocks // FILES_PER_CHUNK, "file_index": self.blocks % FILES_PER_CHUNK}
        episodes = [s.episode or {} for s in kept]
        lengths = [int(e["length"]) for e in episodes]
        for episode in episodes:
            self.tasks.setdefault(episode["task"], len(self.tasks))
        table = pa.concat_tables([self._frames(s, self.episodes + k, self.frames + sum(lengths[:k]), schema.fps)
                                  for k, s in enumerate(kept)])
        for episode in episodes:
            self.total.add({f: {k: np.asarray(v) for k, v in s.items()} for f, s in episode["stats"].items()})
        with tempfile.TemporaryDirectory(prefix=".block-", dir=_made(self.root / staging.FOLDER / "x").parent) as name:
            aside = Path(name)
            for camera, _ in schema.cameras if schema.video else ():
                file = _made(aside / VIDEO.format(video_key=IMAGE + camera, **place))
                video.join([s.path / f"{camera}.mp4" for s in kept], lengths, file, schema.fps)
            pq.write_table(table, _made(aside / DATA.format(**place)), compression="snappy")
            pq.write_table(self._rows(kept, lengths, place, schema), _made(aside / EPISODES.format(**place)))
            _write_tasks(aside / "meta" / "tasks.parquet", list(self.tasks))
            (aside / "meta" / "stats.json").write_text(json.dumps(self.total.as_json(), indent=1) + "\n")
            for file in sorted(f for f in aside.rglob("*.*") if f.is_file()):
                os.replace(file, _made(self.root / file.relative_to(aside)))
        self.episodes += len(kept)
        self.frames += sum(lengths)
        self.blocks += 1

    def _frames(self, staged: Staged, episode: int, first: int, fps: int) -> pa.Table:
        table = pq.read_table(staged.path / "data.parquet")
        count = table.num_rows
        task = self.tasks[(staged.episode or {})["task"]]
        number = np.arange(count, dtype=np.int64)
        for name, values in (
            ("timestamp", (number / fps).astype(np.float32)), ("frame_index", number),
            ("episode_index", np.full(count, episode, np.int64)), ("index", number + first),
            ("task_index", np.full(count, task, np.int64)),
        ):
            table = table.append_column(name, pa.array(values))
        return table

    def _rows(self, kept: Sequence[Staged], lengths: list[int], place: dict[str, int], schema: Schema) -> pa.Table:
        rows, first, fps = [], 0, schema.fps
        for k, (staged, length) in enumerate(zip(kept, lengths)):
            episode = staged.episode or {}
            row: dict[str, Any] = {
                "episode_index": self.episodes + k, "tasks": [episode["task"]], "length": length,
                "dataset_from_index": self.frames + first, "dataset_to_index": self.frames + first + length,
                **{f"data/{name}": n for name, n in place.items()},
                **{f"meta/episodes/{name}": n for name, n in place.items()},
            }
            for camera, _ in schema.cameras if schema.video else ():
                key = f"videos/{IMAGE}{camera}"
                row |= {f"{key}/{name}": n for name, n in place.items()}
                row |= {f"{key}/from_timestamp": first / fps, f"{key}/to_timestamp": (first + length) / fps}
            for feature, measured in episode["stats"].items():
                row |= {f"stats/{feature}/{name}": values for name, values in measured.items()}
            rows.append(row | {"success": bool(episode["success"]), "sha256": staged.row.get("sha256", "")})
            first += length
        things = pa.array([(s.episode or {}).get("things", []) for s in kept], pa.list_(pa.string()))
        return pa.Table.from_pylist(rows).append_column("things", things)

    def _info(self, schema: Schema) -> dict[str, Any]:
        return {
            "codebase_version": "v3.0", "robot_type": schema.robot, "total_episodes": self.episodes,
            "total_frames": self.frames, "total_tasks": len(self.tasks), "chunks_size": FILES_PER_CHUNK,
            "data_files_size_in_mb": 100, "video_files_size_in_mb": 200, "fps": schema.fps,
            "splits": {"train": f"0:{self.episodes}"}, "data_path": DATA,
            "video_path": VIDEO if schema.video else None, "features": schema.features(),
            "units": schema.units(), "attempted": self.attempted, "blocks": self.blocks, "schema": schema.as_dict(),
        }

    def _log(self, block: Sequence[Staged]) -> None:
        """Append to the manifest; `index` is the episode's number in the dataset, null when not kept."""
        index = self.episodes - sum(s.episode is not None for s in block)
        with (self.root / MANIFEST).open("a") as file:
            for staged in block:
                kept = staged.episode is not None
                file.write(json.dumps({"episode": staged.number, "index": index if kept else None, **staged.row}))
                file.write("\n")
                index += kept
            file.flush()
            os.fsync(file.fileno())

    def _seal(self) -> None:
        """Record the hash of every file, so that an audit can find a flipped byte. Block files never change."""
        for name in committed(self.root):
            fixed = name.partition("/file-")[2] and name in self.sums
            if not fixed:
                self.sums[name] = hash_of(self.root / name)
        write_text(self.root / SUMS, json.dumps(self.sums, indent=0, sort_keys=True) + "\n")

    # ------------------------------------------------------------ after a crash
    def _recover(self) -> None:
        info = read_info(self.root)
        try:
            self.schema = Schema.from_dict(info["schema"])
            self.blocks, self.attempted = int(info["blocks"]), int(info["attempted"])
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"{self.root} was not made by steadyhand generate; it cannot be added to") from error
        self.episodes, self.frames = int(info["total_episodes"]), int(info["total_frames"])
        self.tasks = {text: k for k, text in enumerate(read_tasks(self.root))}
        for block in sorted((self.root / "meta" / "episodes").rglob("file-*.parquet")):
            if block_number(block) < self.blocks:
                for measured in read_stats(block):
                    self.total.add(measured)
        for folder in ("data", "videos", "meta"):
            for file in (self.root / folder).rglob("*.*"):
                if file.name.startswith(".") or (file.name.startswith("file-") and block_number(file) >= self.blocks):
                    _remove(file)
        self.sums = {k: v for k, v in read_sums(self.root).items() if (self.root / k).is_file()}
        rows = read_manifest(self.root)
        write_text(self.root / MANIFEST, "".join(json.dumps(r) + "\n" for r in rows[: self.attempted]))
        lost = [s for s in staging.found(self.root).values() if s.number < self.attempted]
        if len(rows) < self.attempted:
            self._log([s for s in lost if s.number >= len(rows)])
        self._seal()
        for staged in lost:
            staged.drop()


def _write_tasks(path: Path, tasks: list[str]) -> None:
    """The tasks table as pandas would write it: the text is the index of the frame, which LeRobot relies on."""
    index = "__index_level_0__"
    columns = [{"name": n, "field_name": f, "pandas_type": p, "numpy_type": t, "metadata": None}
               for n, f, p, t in (("task_index", "task_index", "int64", "int64"), (None, index, "unicode", "object"))]
    head = {"name": None, "field_name": None, "pandas_type": "unicode", "numpy_type": "object",
            "metadata": {"encoding": "UTF-8"}}
    note = {"index_columns": [index], "column_indexes": [head], "columns": columns, "pandas_version": "2.2.3"}
    table = pa.table({"task_index": pa.array(range(len(tasks)), pa.int64()), index: pa.array(tasks, pa.string())})
    pq.write_table(table.replace_schema_metadata({"pandas": json.dumps(note)}), path)


def _made(file: Path) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    return file


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
