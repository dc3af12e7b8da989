"""Merge datasets and split one by episode, without decoding a picture: rows and packets move as they are."""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from datagen import files, manifest, staging, stats, video
from datagen.checks import DAMAGED
from datagen.dataset import Writer
from datagen.episode import DEFAULT, IMAGE, Schema
from datagen.folder import Folder
from datagen.staging import Staged
from robot.errors import ConfigError, DataError
from robot.output import CONFIG, claim

BLOCK = 50  # episodes that share a file


def merge(sources: Sequence[Path], out: Path) -> int:
    """Put the episodes of all `sources`, in that order, into a new dataset; returns how many there are.

    Raises `DataError` when one is no dataset of ours, or their features, cameras or codecs differ.
    """
    if len(sources) < 2:
        raise ConfigError("merge= takes two datasets or more: merge=[a,b]")
    with _fresh(out) as folder:
        claim(folder, "merge", {"sources": [str(s) for s in sources]})
        return _write(folder, [(source, None) for source in sources])


def split(source: Path, share: float, seed: int, out: Path) -> tuple[int, int]:
    """Divide the episodes of `source` into `out`/train and `out`/held_out, about `share` of them held out.

    The same seed chooses the same episodes. Raises `ConfigError` when one side would be empty.
    """
    total = int(files.read_info(source)["total_episodes"])
    held = round(share * total)
    if not 0 < held < total:
        raise ConfigError(f"share={share} of {total} episodes leaves one side empty; give another share=")
    order = np.random.default_rng(seed).permutation(total)
    note = {"source": str(source), "share": share, "seed": seed}
    with _fresh(out) as folder:
        for name, chosen in (("train", order[held:]), ("held_out", order[:held])):
            _write(claim(folder / name, "split", note), [(source, np.sort(chosen).tolist())])
    return total - held, held


@contextmanager
def _fresh(out: Path) -> Iterator[Path]:
    """A folder beside `out` that becomes `out` when all is done, and is gone when it is not."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DataError(f"{out} is not empty; choose another out= or remove it first")
    folder = out.with_name(f".{out.name}.{os.getpid()}")
    shutil.rmtree(folder, ignore_errors=True)
    try:
        folder.mkdir(parents=True)
        yield folder
        if out.exists():
            out.rmdir()
        os.replace(folder, out)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _write(folder: Path, parts: Sequence[tuple[Path, list[int] | None]]) -> int:
    staging.folder(folder)
    writer = Writer(folder)
    block: list[Staged] = []
    for source, chosen in parts:
        reader = Source(source)
        for index in range(reader.count) if chosen is None else chosen:
            number = writer.attempted + len(block)
            block.append(staging.read(staging.put(folder, number, reader.packed(index, folder))))
            if len(block) == BLOCK:
                writer.commit(block)
                block = []
    if block:
        writer.commit(block)
    shutil.rmtree(folder / staging.FOLDER, ignore_errors=True)
    return writer.episodes


class Source:
    """A dataset whose episodes are taken out one by one, packed as a worker would."""

    def __init__(self, root: Path) -> None:
        self.root, self.folder = root, Folder(root)
        info = self.folder.info
        if "schema" not in info:
            raise DataError(f"{root} was not made by steadyhand generate, so it cannot be merged or split")
        self.count = int(info["total_episodes"])
        self.schema = Schema.from_dict(info["schema"])
        self.rows = {r["index"]: r for r in files.read_manifest(root) if r["index"] is not None}
        self.name = manifest.digest({"at": files.hash_of(root / CONFIG)})
        self._stats: tuple[Path, dict[int, dict[str, stats.Stats]]] = (Path(), {})

    def packed(self, index: int, out: Path) -> dict[str, bytes]:
        """Episode `index` of this dataset; its configuration goes along into `out`/sources.

        Raises `DataError` when it is damaged.
        """
        try:
            row = {k: v for k, v in self.rows[index].items() if k not in ("episode", "index")}
            row = {"number": self.rows[index]["episode"], "source": self.name, **row}
            content = self._packed(index, row)
        except DAMAGED as error:
            reason = " ".join(str(error).split())[:160] or type(error).__name__
            raise DataError(f"{self.root}: episode {index} is damaged ({reason}); look at it with: "
                            f"steadyhand audit data={self.root}") from error
        self._bring(row["source"], out)
        return content

    def _packed(self, index: int, row: dict[str, Any]) -> dict[str, bytes]:
        episode = self.folder.episodes[index]
        content: dict[str, bytes] = {"data.parquet": self._columns(episode)}
        for camera, _ in self.schema.cameras if self.schema.video else ():
            key = IMAGE + camera
            first = round(episode[f"videos/{key}/from_timestamp"] * self.schema.fps)
            content[f"{camera}.mp4"] = video.cut(self.folder.video_file(episode, key), first, episode["length"],
                                                 self.schema.fps)
        note = {"task": episode["tasks"][0], "length": episode["length"], "success": episode["success"],
                "things": episode.get("things", []),
                "stats": {f: {k: v.tolist() for k, v in s.items()} for f, s in self._measured(index, episode).items()}}
        return content | {staging.NOTE: staging.note(row, note, self.schema)}

    def _columns(self, episode: dict[str, Any]) -> bytes:
        table = pq.read_table(self.folder.data_file(episode)).sort_by("index")
        own = table.slice(episode["dataset_from_index"] - int(table["index"][0].as_py()), episode["length"])
        buffer = io.BytesIO()
        pq.write_table(own.drop_columns(list(DEFAULT)), buffer, compression="none")
        return buffer.getvalue()

    def _measured(self, index: int, episode: dict[str, Any]) -> dict[str, stats.Stats]:
        place = {name: episode[f"meta/episodes/{name}"] for name in ("chunk_index", "file_index")}
        block = self.root / files.EPISODES.format(**place)
        if self._stats[0] != block:
            first = min(e["episode_index"] for e in self.folder.episodes
                        if all(e[f"meta/episodes/{k}"] == v for k, v in place.items()))
            self._stats = block, {first + k: s for k, s in enumerate(files.read_stats(block))}
        return self._stats[1][index]

    def _bring(self, name: str, out: Path) -> None:
        target = out / "sources" / name / CONFIG
        if not target.is_file():
            held = self.root / "sources" / name / CONFIG
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(held if held.is_file() else self.root / CONFIG, target)
