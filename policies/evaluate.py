"""`steadyhand evaluate`: success of a checkpoint on seeded scenes that no demonstration came from."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from policies import grid
from policies.film import write_strip, write_video
from policies.grid import RESULTS, Cell, checkpoints
from policies.rollout import Outcome, rollout
from policies.statistics import summarize
from robot import output, registry
from robot.errors import ConfigError
from robot.interfaces import Policy
from robot.workers import each

# Scenes of evaluation have seeds from here to twice this; demonstrations are made from 2**61 on.
FIRST_SEED = 1_000_000_000
EPISODES = "episodes.jsonl"
FREE = ("resume", "debug", "episodes", "workers", "videos", "out")  # may differ between a run and its continuation


def scene_seed(seed: int, episode: int) -> int:
    """The world's seed for evaluation episode `episode` of evaluation `seed`, the same in every cell of a grid."""
    return FIRST_SEED + 1_000_000 * (seed % 1000) + episode


def main(config: dict[str, Any]) -> int:
    """Evaluate and write `results.json`; 0 when every episode ran."""
    console = Console()
    if config["episodes"] < 1 or config["workers"] < 1:
        raise ConfigError("episodes= and workers= must be at least 1")
    for path in checkpoints(config):
        registry.build("loader", "checkpoint", path=path, model=config["model"])  # a bad one is said now, once
    cells = grid.cells(config)
    if config["resume"] and not config["out"]:
        raise ConfigError("resume=true: say with out= which evaluation is to be gone on with")
    if config["resume"] and Path(config["out"], output.CONFIG).is_file():
        output.agree(Path(config["out"]), config, FREE)
    folder = output.claim(config["out"], "evaluate", config, resume=config["resume"])
    outcomes = run(config, cells, folder, console)
    if config.get("grid"):
        page = grid.write(folder, config, cells, outcomes)
        console.print(f"results: {folder / RESULTS}; page: {page}", soft_wrap=True)
        return 0
    results = summarize(outcomes) | {"outcomes": [o.to_json() for o in outcomes]}
    output.write_text(folder / RESULTS, json.dumps(results, indent=2) + "\n")
    low, high = results["interval"]
    console.print(f"success: {results['successes']}/{results['episodes']} = {results['success_rate']:.0%} "
                  f"(95 % interval {low:.0%} to {high:.0%}); results: {folder / RESULTS}", soft_wrap=True)
    return 0


def run(config: Mapping[str, Any], cells: list[Cell], folder: Path, console: Console) -> list[Outcome]:
    """Every outcome, in order; those already in the folder are not run again."""
    paths = checkpoints(config)
    known = {(o.cell, o.checkpoint or paths[0], o.episode): o for o in read(folder / EPISODES)}
    jobs = [Job(cell, k, path) for cell in cells for path in paths for k in range(config["episodes"])]
    todo = [j for j in jobs if j.key not in known]
    columns = (TextColumn("evaluating"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
               TextColumn("{task.fields[note]}"))
    with Progress(*columns, console=console) as bar, (folder / EPISODES).open("a") as log:
        task = bar.add_task("evaluate", total=len(jobs), completed=len(jobs) - len(todo), note="")
        begin = (_begin, (dict(config), str(folder)))
        for outcome in each(_episode, todo, config["workers"], *begin, again="resume=true goes on"):
            known[outcome.cell, outcome.checkpoint, outcome.episode] = outcome
            log.write(json.dumps(outcome.to_json()) + "\n")
            log.flush()
            good = sum(o.success for o in known.values())
            bar.update(task, advance=1, note=f"{good}/{len(known)} succeeded")
    return [known[j.key] for j in jobs]


def read(path: Path) -> list[Outcome]:
    """Outcomes of an earlier, perhaps interrupted, evaluation; what a kill cut short is dropped."""
    if not path.is_file():
        return []
    out, whole = [], []
    for line in path.read_text().splitlines():
        try:
            document = json.loads(line)
        except ValueError:
            break
        out.append(Outcome(**{**document, "faults": tuple(document["faults"])}))
        whole.append(line + "\n")
    output.write_text(path, "".join(whole))
    return out


# ---------------------------------------------------------------- workers
@dataclass(frozen=True)
class Job:
    """One episode of one cell."""

    cell: Cell
    episode: int
    checkpoint: str

    @property
    def key(self) -> tuple[str, str, int]:
        return self.cell.name, self.checkpoint, self.episode


_WORK: dict[str, Any] = {}  # what one worker process keeps between its episodes


def _begin(config: dict[str, Any], folder: str) -> None:
    import torch

    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
    _WORK.update(config=config, folder=Path(folder), policies={}, cell=None, world=None)


def _policy(path: str) -> Policy:
    """The policy of a checkpoint, loaded once."""
    if path not in _WORK["policies"]:
        model = _WORK["config"]["model"]
        _WORK["policies"][path] = registry.build("loader", "checkpoint", path=path, model=model)
    found: Policy = _WORK["policies"][path]
    return found


def _world(cell: Cell) -> Any:
    """The world of `cell`; only the last one is kept, since jobs come cell by cell."""
    if _WORK["cell"] != cell:
        if hasattr(_WORK["world"], "close"):
            _WORK["world"].close()
        _WORK.update(cell=cell, world=registry.assemble({**_WORK["config"], **cell.groups}, "world"))
    return _WORK["world"]


def _episode(job: Job) -> Outcome:
    config, folder, k = _WORK["config"], _WORK["folder"], job.episode
    world = _world(job.cell)
    seconds = config["seconds"] or getattr(getattr(world, "task", None), "seconds", 20.0)
    filmed = k < config["videos"] and job.checkpoint == checkpoints(config)[0]
    outcome, film = rollout(world, _policy(job.checkpoint), k, scene_seed(config["seed"], k), seconds, config["rate"],
                            config["replan"], filmed, job.cell.twin)
    if film is not None:
        stem = "_".join(filter(None, (job.cell.name.replace(" ", "-"), f"episode_{k:03d}")))
        write_video(film, folder / f"{stem}.mp4")
        write_strip(film, folder / f"{stem}.png")
    return dataclasses.replace(outcome, cell=job.cell.name, checkpoint=job.checkpoint)
