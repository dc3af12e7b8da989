"""`steadyhand campaign`: every fault on purpose, many times, at random moments, and a table of what came of it.

Runs are independent and seeded by their own names, so a campaign can be stopped and gone on with, spread over
processes or narrowed to some rows without any run becoming another one.
"""

from __future__ import annotations

import json
import logging
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from hardware import campaign_page
from hardware.campaign_cases import CASES, chosen
from hardware.campaign_table import summary
from hardware.campaign_trial import Trial, seed_of, shift, trial
from hardware.lab import Workshop
from robot import output
from robot.errors import ConfigError, SteadyhandError
from robot.workers import each

RUNS, RESULT, PAGE, TABLE = "runs.jsonl", "campaign.json", "campaign.html", "campaign.md"
STRETCH = 0.25  # h of fault-free work that make one run
FREE = ("out", "faults", "runs", "pairs", "hours", "workers", "debug")  # may differ in a continuation

_shop: Workshop | None = None  # of a worker process


@dataclass(frozen=True)
class Job:
    """One run that has to be made."""

    kind: str  # row, pair or shift
    names: tuple[str, ...]
    number: int
    hours: float = 0.0

    @property
    def key(self) -> str:
        return f"{self.kind}/{'+'.join(self.names)}/{self.number}"


def main(config: dict[str, Any]) -> int:
    """Run what is missing, then report; 0 when every target holds."""
    jobs = plan(config)
    out = output.claim(config["out"], "campaign", config, resume=True)
    output.agree(out, config, FREE)
    done = read(out / RUNS)
    missing = [job for job in jobs if job.key not in done]
    console = Console()
    if done and missing:
        console.print(f"{len(jobs) - len(missing)} of {len(jobs)} runs are there already")
    with (out / RUNS).open("a") as log:
        for key, row in _run(missing, config):
            done[key] = row
            log.write(json.dumps({"key": key, **row}) + "\n")
            log.flush()
            os.fsync(log.fileno())
    result = summary([done[job.key] for job in jobs], config)
    output.write_text(out / RESULT, json.dumps(result, indent=2) + "\n")
    campaign_page.write(out / PAGE, result)
    output.write_text(out / TABLE, campaign_page.markdown(result))
    _tell(result, out, console)
    return 0 if all(t["met"] for t in result["targets"]) else 1


def plan(config: Mapping[str, Any]) -> list[Job]:
    """Every run of the campaign that `config` describes. Raises `ConfigError` for unknown rows and odd numbers."""
    if config["runs"] < 1 or config["pairs"] < 0 or config["hours"] < 0 or config["workers"] < 1:
        raise ConfigError("runs= and workers= must be at least 1, pairs= and hours= at least 0")
    cases = list(chosen(list(config["faults"])))
    jobs = [Job("row", (name,), k) for k in range(int(config["runs"])) for name in cases]
    if config["faults"]:
        return jobs
    rng = np.random.default_rng([int(config["seed"]), 0x70616972])
    for k in range(int(config["pairs"])):
        first, second = rng.choice(len(cases), 2, replace=False)
        jobs.append(Job("pair", (cases[first], cases[second]), k))
    stretches = round(float(config["hours"]) / STRETCH + 0.49)
    return jobs + [Job("shift", ("fault-free",), k, min(STRETCH, float(config["hours"]) - k * STRETCH))
                   for k in range(stretches)]


def read(path: Path) -> dict[str, dict[str, Any]]:
    """The runs that are there, by key; half a line at the end, of a campaign that was killed, does not count."""
    done: dict[str, dict[str, Any]] = {}
    if not path.is_file():
        return done
    whole = path.read_bytes()
    end = whole.rfind(b"\n") + 1
    if end < len(whole):
        with path.open("r+b") as file:
            file.truncate(end)
    for line in whole[:end].splitlines():
        row = json.loads(line)
        done[row.pop("key")] = row
    return done


# ---------------------------------------------------------------- running
def _run(jobs: list[Job], config: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    columns = (TextColumn("campaign"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[note]}"),
               TimeRemainingColumn())
    with Progress(*columns) as progress:
        bar = progress.add_task("", total=len(jobs), note="")
        with tempfile.TemporaryDirectory() as folder:
            for key, row in each(perform, jobs, int(config["workers"]), start, (dict(config), Path(folder))):
                progress.update(bar, advance=1, note=key)
                yield key, row


def start(config: dict[str, Any], folder: Path) -> None:
    """What a process needs for its runs."""
    global _shop
    logging.getLogger().setLevel(logging.CRITICAL)  # faults on purpose are no news
    mine = folder / str(os.getpid())
    mine.mkdir(exist_ok=True)
    _shop = Workshop.of(config, mine)


def perform(job: Job) -> tuple[str, dict[str, Any]]:
    """One run; a run that cannot be made says so instead of ending the campaign."""
    assert _shop is not None
    seed = seed_of(int(_shop.config["seed"]), job.kind, "+".join(job.names), job.number)
    try:
        made = (shift(_shop, job.hours, job.number, seed) if job.kind == "shift"
                else trial(_shop, job.kind, job.names, job.number, seed))
    except SteadyhandError as error:
        made = Trial(job.kind, "+".join(job.names), job.number, seed, outcome=f"error: {error}")
    return job.key, asdict(made)


def _tell(result: Mapping[str, Any], out: Path, console: Console) -> None:
    for t in result["targets"]:
        word = "[green]met[/]" if t["met"] else "[red]not met[/]"
        console.print(f"{t['target']}: {t['value']} {word}", soft_wrap=True)
    console.print(f"result: {out / RESULT}; page: {out / PAGE}", soft_wrap=True)


__all__ = ["CASES", "Job", "main", "perform", "plan", "read", "start"]
