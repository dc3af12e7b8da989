"""`steadyhand simulate --config-name table`: how often the expert solves each task, as a table; nothing is drawn."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

from robot import registry
from robot.errors import ConfigError, SceneError
from robot.output import claim, write_text
from robot.workers import each
from sim.world import PERIOD, Tabletop

BATCH = 10  # seeds that a worker takes at a time
HOLD = 3  # periods that success has to last
BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"
TRIALS = "trials.jsonl"
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class Trial:
    """How one attempt went."""

    task: str
    randomization: str
    seed: int
    success: bool
    progress: float
    seconds: float  # simulated
    reason: str = ""


@dataclass(frozen=True)
class Batch:
    """Some seeds of one task under one randomisation: what a worker is given."""

    config: dict[str, Any]
    seeds: tuple[int, ...]


def main(config: dict[str, Any]) -> int:
    """Try every task under every randomisation; write trials, table and, with `page`, the table into that page.

    A folder that holds trials already is gone on with: an interrupted run loses at most a batch.
    """
    tasks = list(config["tasks"]) or sorted(registry.load("task"))
    batches = list(_batches(config, tasks))
    page = Path(config["page"]) if config["page"] else None
    if page is not None and (not page.is_file() or BEGIN not in page.read_text()):
        raise ConfigError(f"page={page}: that file has no line {BEGIN!r} to put the table after")
    out = claim(config["out"], "simulate", config, resume=True)
    _run(_missing(batches, read(out)), int(config["workers"]), out / TRIALS)
    trials = [t for t in read(out) if t.task in tasks and t.randomization in config["randomizations"]]
    text = table(trials, tasks, list(config["randomizations"]))
    write_text(out / "table.md", text)
    if page is not None:
        before, rest = page.read_text().split(BEGIN, 1)
        write_text(page, f"{before}{BEGIN}\n{text}{END}{rest.split(END, 1)[-1]}")
    Console().print(text, soft_wrap=True, markup=False)
    return 0


def read(out: Path) -> list[Trial]:
    """The trials that a folder holds so far. Raises `ConfigError` for a line that is none."""
    path = out / TRIALS
    try:
        return [Trial(**json.loads(line)) for line in path.read_text().splitlines()] if path.is_file() else []
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{path} holds a line that is no trial ({error}); give another out=") from error


def attempt(world: Tabletop, expert: Any, seed: int) -> tuple[bool, float, float, str]:
    """Success that lasts, progress, simulated seconds, and why it could not be tried, of one seed."""
    try:
        world.reset(seed)
        expert.reset(world)
        done = 0
        while done < HOLD and world.clock.now() < world.task.seconds - PERIOD / 2:
            world.step(expert.act())
            done = done + 1 if world.success() else 0
    except SceneError as error:
        return False, 0.0, world.clock.now(), str(error)
    return done >= HOLD, round(world.progress(), 3), round(world.clock.now(), 2), ""


def table(trials: list[Trial], tasks: list[str], randomizations: list[str]) -> str:
    """Successes of attempts and the median simulated time of a success, one row a task."""
    heads = [f"{name} | time" for name in randomizations]
    rows = [f"| task | {' | '.join(heads)} |", "|---|" + "---:|---:|" * len(randomizations)]
    for task in tasks:
        cells = []
        for name in randomizations:
            mine = [t for t in trials if (t.task, t.randomization) == (task, name)]
            times = sorted(t.seconds for t in mine if t.success)
            good = f"{len(times)} of {len(mine)} ({len(times) / max(len(mine), 1):.1%})"
            cells.append(f"{good} | {times[len(times) // 2]:.1f} s" if times else f"{good} | -")
        rows.append(f"| {task} | {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"


def _batches(config: Mapping[str, Any], tasks: list[str]) -> Iterator[Batch]:
    count, first = int(config["episodes"]), int(config["seed"])
    if count < 1:
        raise ConfigError(f"episodes={count}: give at least 1")
    for randomization in config["randomizations"]:
        registry.get("randomization", randomization)
        for task in tasks:
            registry.get("task", task)
            mine = {**config, "task": task, "randomization": randomization}
            for low in range(first, first + count, BATCH):
                yield Batch(mine, tuple(range(low, min(low + BATCH, first + count))))


def _missing(batches: list[Batch], trials: list[Trial]) -> list[Batch]:
    """What is left to be tried of `batches`."""
    done = {(t.task, t.randomization, t.seed) for t in trials}
    left = [Batch(b.config, tuple(s for s in b.seeds if (b.config["task"], b.config["randomization"], s) not in done))
            for b in batches]
    return [b for b in left if b.seeds]


def _run(batches: list[Batch], workers: int, path: Path) -> None:
    """Try `batches` in `workers` processes, a line a trial in `path`, as they come."""
    for name in THREADS:
        os.environ.setdefault(name, "1")
    solved = 0
    with Progress() as progress:
        bar = progress.add_task("trying", total=sum(len(b.seeds) for b in batches))
        for done in each(_try, batches, workers):
            with path.open("a") as file:
                file.writelines(json.dumps(asdict(trial)) + "\n" for trial in done)
            solved += sum(trial.success for trial in done)
            progress.update(bar, advance=len(done), description=f"{solved} solved")


def _try(batch: Batch) -> list[Trial]:
    config = {key: value for key, value in batch.config.items() if key != "renderer"}
    expert = registry.assemble(config, "expert")
    world: Tabletop = registry.assemble(config, "world")
    try:
        return [Trial(config["task"], config["randomization"], seed, *attempt(world, expert, seed))
                for seed in batch.seeds]
    finally:
        world.close()
