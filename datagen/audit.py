"""`steadyhand audit`: can this dataset be trusted? Looks at every file, replays a sample, shows what is in it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow.parquet as pq
from rich.console import Console
from rich.progress import track
from rich.table import Table

from datagen import checks, files
from datagen.checks import DAMAGED, values
from datagen.coverage import coverage
from datagen.episode import ACTION, STATE
from datagen.folder import Folder
from datagen.pictures import pictures
from datagen.replay import Replayer, config_of
from robot.errors import DataError
from robot.output import write_text

PARTS = ("meta", "data", "videos", "manifest.jsonl")  # any of which tells a damaged dataset from another folder


def main(config: dict[str, Any]) -> int:
    """Audit the dataset in `config["data"]`; 0 only when nothing is wrong with it."""
    root = Path(config["data"])
    if not any((root / part).exists() for part in PARTS):
        raise DataError(f"there is no dataset at {root}; make one with: steadyhand generate out={root}")
    out = Path(config["out"] or root / "audit")
    with _writing(out):
        out.mkdir(parents=True, exist_ok=True)
    console = Console()
    folder = Folder(root)
    found = list(checks.problems(folder))
    report: dict[str, Any] = {"data": str(root), "problems": found}
    try:
        report |= _contents(folder, console)
        _sheet(folder, out / "contact.jpg", int(config["rows"]), console)
        report["coverage"] = _coverage(folder, console)
        found += _replay(folder, int(config["replay"]), int(config["seed"]), console)
    except DAMAGED as error:
        found.append(f"the rest could not be looked at: {' '.join(str(error).split())[:200]}")
    with _writing(out):
        write_text(out / "report.json", json.dumps(report, indent=2, default=str) + "\n")
    for problem in found:
        console.print(f"[red]problem[/red] {problem}", highlight=False, soft_wrap=True)
    console.print(f"{len(found)} problems; report in {out}" if found else f"sound; report in {out}",
                  highlight=False, soft_wrap=True)
    return 1 if found else 0


@contextmanager
def _writing(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataError(f"cannot write the report to {out}: {error.strerror}; give a folder with out=") from error


def _contents(folder: Folder, console: Console) -> dict[str, Any]:
    """Counts and lengths by task, mistakes and failures, ranges of state and action."""
    rows = {r["index"]: r for r in files.read_manifest(folder.root) if r["index"] is not None}
    by_task: dict[str, list[int]] = {}
    for episode in folder.episodes:
        task = rows.get(episode["episode_index"], {}).get("task", "unknown")
        by_task.setdefault(task, []).append(episode["length"])
    table = Table("task", "episodes", "frames", "shortest", "median", "longest", title=str(folder.root))
    for task, lengths in sorted(by_task.items()):
        figures = (len(lengths), sum(lengths), min(lengths), int(np.median(lengths)), max(lengths))
        table.add_row(task, *map(str, figures))
    console.print(table)
    mistakes = Counter(m for r in rows.values() for m in r.get("mistakes", ()))
    failures = Counter(f for r in rows.values() for f in r.get("failed", ()))
    outcomes = Counter(r.get("outcome", "unknown") for r in rows.values())
    for title, counted in (("outcomes", outcomes), ("mistakes", mistakes), ("failed attempts", failures)):
        text = ", ".join(f"{name}: {count}" for name, count in counted.most_common())
        console.print(f"{title}: {text or 'none'}", highlight=False)
    ranges = _ranges(folder, console)
    return {"tasks": {t: {"episodes": len(v), "frames": sum(v)} for t, v in by_task.items()}, "outcomes": outcomes,
            "mistakes": mistakes, "failed": failures, "ranges": ranges}


def _ranges(folder: Folder, console: Console) -> dict[str, Any]:
    names = folder.info["features"][ACTION].get("names") or []
    low: dict[str, Any] = {}
    for file in sorted({folder.data_file(row) for row in folder.episodes}):
        table = pq.read_table(file, columns=[STATE, ACTION])
        for key in (STATE, ACTION):
            array = values(table, key)
            old = low.get(key, (array.min(0), array.max(0)))
            low[key] = np.minimum(old[0], array.min(0)), np.maximum(old[1], array.max(0))
    shown = Table("joint", "state from", "to", "action from", "to (rad)")
    for j, name in enumerate(names):
        shown.add_row(name, *(f"{side[j]:.3f}" for key in (STATE, ACTION) for side in low[key]))
    console.print(shown)
    return {key: {"min": a.tolist(), "max": b.tolist()} for key, (a, b) in low.items()}


def _coverage(folder: Folder, console: Console) -> list[dict[str, Any]]:
    """Share of each randomisation axis, by configuration when several datasets were merged."""
    rows = [r for r in files.read_manifest(folder.root) if r["index"] is not None]
    out: list[dict[str, Any]] = []
    for source in sorted({r.get("source", "") for r in rows}):
        own = [r for r in rows if r.get("source", "") == source]
        table = Table("axis", "split", "covered", "from", "to", title=f"randomisation {source}".strip())
        for c in coverage(config_of(folder.root, own[0]), [r["seed"] for r in own]):
            table.add_row(c.axis, c.split, f"{c.share:.0%}" if c.split != "off" else "-", c.low, c.high)
            out.append({"source": source, **vars(c)})
        console.print(table)
    return out


def _replay(folder: Folder, count: int, seed: int, console: Console) -> list[str]:
    rows = [r for r in files.read_manifest(folder.root) if r["index"] is not None]
    chosen = np.sort(np.random.default_rng(seed).permutation(len(rows))[:count])
    replayer = Replayer(folder)
    found: list[str] = []
    for k in track(chosen, "replaying", console=console, transient=True):
        found += replayer.problems(rows[k])
    unlike = [r["index"] for r in (rows[k] for k in chosen) if replayer.maker(r).renderer.name != r["renderer"]]
    note = f"; {len(unlike)} drawn by another renderer, so only their motion" if unlike else ""
    console.print(f"replayed {len(chosen)} of {len(rows)} episodes{note}", highlight=False)
    return found


def _sheet(folder: Folder, file: Path, count: int, console: Console) -> None:
    """Some episodes a row each: start, quarter, middle, three quarters and end, every camera side by side."""
    if not folder.cameras:
        return
    rows = []
    for k in np.unique(np.linspace(0, len(folder.episodes) - 1, count).astype(int)):
        episode = folder.episodes[k]
        shots = np.unique(np.linspace(0, episode["length"] - 1, 5).astype(int))
        strips = [np.concatenate([p for _, p in sorted(pictures(folder, episode, key, shots).items())], axis=1)
                  for key in folder.cameras]
        rows.append(np.concatenate(strips, axis=1))
    width = max(r.shape[1] for r in rows)
    sheet = np.concatenate([np.pad(r, ((0, 4), (0, width - r.shape[1]), (0, 0))) for r in rows])
    if not cv2.imwrite(str(file), sheet[..., ::-1]):
        raise DataError(f"cannot write {file}")
    console.print(f"contact sheet: {file}", highlight=False, soft_wrap=True)
