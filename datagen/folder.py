"""A dataset folder opened for reading: what its metadata say, and which file an episode is in."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from datagen import files


@dataclass
class Folder:
    """A dataset opened for looking at; what is damaged raises where it is first needed."""

    root: Path

    @cached_property
    def info(self) -> dict[str, Any]:
        return files.read_info(self.root)

    @cached_property
    def videos(self) -> list[str]:
        return [k for k, v in self.info["features"].items() if v["dtype"] == "video"]

    @cached_property
    def cameras(self) -> list[str]:
        """Features that are pictures, as videos or as images."""
        return [k for k, v in self.info["features"].items() if v["dtype"] in ("video", "image")]

    @cached_property
    def blocks(self) -> list[Path]:
        """Metadata files, in order."""
        return sorted((self.root / "meta" / "episodes").rglob("file-*.parquet"))

    @cached_property
    def episodes(self) -> list[dict[str, Any]]:
        """Rows of the episode metadata, in order, without statistics."""
        rows: list[dict[str, Any]] = []
        for block in self.blocks:
            names = [n for n in pq.read_schema(block).names if not n.startswith("stats/")]
            rows += pq.read_table(block, columns=names).to_pylist()
        return sorted(rows, key=lambda row: row["episode_index"])

    def data_file(self, row: dict[str, Any]) -> Path:
        return self.root / files.DATA.format(chunk_index=row["data/chunk_index"], file_index=row["data/file_index"])

    def video_file(self, row: dict[str, Any], key: str) -> Path:
        place = {name: row[f"videos/{key}/{name}"] for name in ("chunk_index", "file_index")}
        return self.root / files.VIDEO.format(video_key=key, **place)
