"""`steadyhand simulate`: a scripted expert in randomised scenes, as videos and a summary."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from robot import registry
from robot.clock import WallClock
from robot.errors import ConfigError, SceneError
from robot.interfaces import Array, Image
from robot.output import claim, write_text
from sim import gallery, trials
from sim.film import captioned, write_video
from sim.picture import Instant, between
from sim.world import PERIOD, Tabletop

log = logging.getLogger(__name__)
FRAMES = 3  # drawn for each period: 30 a second
SETTLE = 5  # periods shown after success


class Expert(Protocol):
    """What brings a task about; found by name, so that this package need not know who provides it."""

    def reset(self, world: Tabletop) -> None: ...
    def act(self) -> Array: ...


@dataclass(frozen=True)
class Result:
    """How one episode went."""

    episode: int
    seed: int
    instruction: str
    success: bool
    progress: float
    seconds: float  # simulated
    video: str
    reason: str = ""  # why it stopped early


def main(config: dict[str, Any]) -> int:
    """Run the episodes, draw the gallery or make the table that `config` describes."""
    modes = {"gallery": gallery.main, "table": trials.main}
    if config.get("mode", "rollouts") in modes:
        return modes[config["mode"]](config)
    if config.get("mode", "rollouts") != "rollouts":
        raise ConfigError(f"mode={config['mode']}: choose with --config-name gallery or --config-name table instead")
    if int(config["episodes"]) < 1:
        raise ConfigError(f"episodes={config['episodes']}: give at least 1")
    expert: Expert = registry.assemble(config, "expert")
    gui = bool(config["gui"])
    world: Tabletop = registry.assemble({**config, "world": {**config["world"], "gui": gui}}, "world")
    try:
        out = claim(config["out"], "simulate", config)
        results = _episodes(world, expert, config, out, Pacer(gui))
        _summarise(world, results, out)
    finally:
        world.close()
    return 0


def _episodes(world: Tabletop, expert: Expert, config: dict[str, Any], out: Path, pacer: Pacer) -> list[Result]:
    results: list[Result] = []
    columns = (TextColumn("simulating"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[note]}"),
               TimeRemainingColumn())
    with Progress(*columns) as progress:
        bar = progress.add_task("", total=int(config["episodes"]), note="")
        for number in range(int(config["episodes"])):
            results.append(_episode(world, expert, config, out, number, pacer))
            good = sum(r.success for r in results)
            progress.update(bar, advance=1, note=f"{good} of {len(results)} succeeded")
    return results


def _episode(world: Tabletop, expert: Expert, config: dict[str, Any], out: Path, number: int,
             pacer: Pacer) -> Result:
    seed = int(config["seed"]) + number
    instruction = world.reset(seed)
    seconds = float(config["seconds"]) or world.task.seconds
    moments, reason = rollout(world, expert, seconds, pacer)
    name = f"episode-{number:03d}.mp4"
    write_video(out / name, film(world, moments, instruction, int(config["pixels"])), round(FRAMES / PERIOD))
    return Result(number, seed, instruction, world.success(), round(world.progress(), 4),
                  round(world.clock.now(), 3), name, reason)


def rollout(world: Tabletop, expert: Expert, seconds: float, pacer: Pacer) -> tuple[list[tuple[Instant, float]], str]:
    """Let the expert work until success or `seconds` of simulated time.

    Returns each period's instant and progress, and why it gave up, if it did.
    """
    expert.reset(world)
    moments = [(world.poses(), world.progress())]
    pacer.start()
    done = 0
    while world.clock.now() < seconds - PERIOD / 2 and done <= SETTLE:
        try:
            world.step(expert.act())
        except SceneError as error:
            return moments, str(error)
        moments.append((world.poses(), world.progress()))
        pacer.keep(world.clock.now())
        done = done + 1 if world.success() else 0
    return moments, ""


def film(world: Tabletop, moments: list[tuple[Instant, float]], caption: str, size: int) -> Iterator[Image]:
    """Every camera side by side, `FRAMES` pictures a period, under the instruction and the progress."""
    for (a, low), (b, _) in zip(moments, [*moments[1:], moments[-1]]):
        for k in range(FRAMES):
            pictures = world.draw(between(a, b, k / FRAMES), size)
            yield captioned(list(pictures.values()), caption, low)


class Pacer:
    """Keeps simulated time from running ahead of a person who watches; does nothing when nobody does."""

    def __init__(self, watched: bool) -> None:
        self._clock = WallClock() if watched else None
        self._start = 0.0

    def start(self) -> None:
        """Simulated time is zero now."""
        if self._clock is not None:
            self._start = self._clock.now()

    def keep(self, now: float) -> None:
        """Wait until the wall clock shows simulated `now` (s)."""
        if self._clock is not None:
            self._clock.wait(self._start + now)


def _summarise(world: Tabletop, results: list[Result], out: Path) -> None:
    good = sum(r.success for r in results)
    renderer = world.renderer.name if world.renderer is not None else "none"
    summary = {"episodes": len(results), "successes": good, "success_rate": good / len(results),
               "renderer": renderer, "results": [asdict(r) for r in results]}
    write_text(out / "summary.json", json.dumps(summary, indent=2) + "\n")
    console = Console()
    for result in results:
        if not result.success:
            console.print(f"seed {result.seed} did not succeed (progress {result.progress:.0%}) {result.reason}")
    console.print(f"{good} of {len(results)} episodes succeeded, drawn by {renderer}; videos: {out}", soft_wrap=True)
