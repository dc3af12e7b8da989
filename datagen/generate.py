"""`steadyhand generate`: a dataset of verified demonstrations, from as many workers as you like, to be gone on with."""

from __future__ import annotations

import errno
import json
import logging
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from datagen import edit, job, manifest, staging, video
from datagen.dataset import Writer
from datagen.engine import Engine, Job
from datagen.files import read_manifest
from datagen.staging import Staged
from robot import registry
from robot.clock import WallClock
from robot.errors import ConfigError, DataError
from robot.output import VERSIONS, claim, versions

log = logging.getLogger(__name__)
EVERY = 20.0  # s, at most, from an episode's arrival to its commit


def main(config: dict[str, Any]) -> int:
    """Generate, or go on generating, the dataset in `config["out"]`."""
    if config["merge"] or config["split"]:
        with _saying(Path(config["out"]), "nothing is left there; make room and run the same command again"):
            return _edit(config)
    check(config)
    out = claim(config["out"], "generate", config, resume=manifest.same(Path(config["out"]), config))
    found = {k: v for k, v in versions().items() if k in (*job.CODE, "commit")}
    _compare(out, found)
    console = Console(stderr=False)
    with _saying(out, "finished episodes are kept, mend that and run the same command again"), manifest.alone(out):
        tally = run(out, config, job.Demonstrations(config, found), console)
    return tally.tell(console, config)


def _edit(config: dict[str, Any]) -> int:
    """Merge or split datasets that are there already."""
    console, out = Console(), Path(config["out"])
    if config["merge"] and config["split"]:
        raise ConfigError("merge= and split= are two things; give one of them")
    if config["merge"]:
        count = edit.merge([Path(p) for p in config["merge"]], out)
        console.print(f"{count} episodes of {len(config['merge'])} datasets in {out}", highlight=False, soft_wrap=True)
        return 0
    train, held = edit.split(Path(config["split"]), float(config["share"]), int(config["seed"]), out)
    console.print(f"{train} episodes in {out / 'train'}, {held} in {out / 'held_out'}", highlight=False, soft_wrap=True)
    return 0


def check(config: dict[str, Any]) -> None:
    """Raise `ConfigError` for values that no run could use."""
    for key, least in (("episodes", 1), ("workers", 1), ("attempts", 1), ("block", 1)):
        if int(config[key]) < least:
            raise ConfigError(f"{key}={config[key]}: give at least {least}")
    if config["failures"] not in ("drop", "keep"):
        raise ConfigError(f"failures={config['failures']}: choose drop or keep")
    video.check(config["codec"], config["pixels"])
    job.tasks_of(config)
    registry.assemble(config, "engine")
    if config["learner"]:
        # a bad checkpoint, or one of another arm, is said now, once
        registry.build("loader", "checkpoint", path=config["learner"], model=config["model"])


def _compare(out: Path, found: dict[str, str]) -> None:
    """Warn when the dataset was begun by other code: its new episodes may not be those of an unbroken run."""
    try:
        before = json.loads((out / VERSIONS).read_text())
    except (OSError, ValueError):
        return
    for key, value in found.items():
        if before.get(key) != value:
            log.warning("%s was begun with %s %s, this is %s; episodes to come may differ from an unbroken run's",
                        out, key, before.get(key), value)


@dataclass
class Tally:
    """How far a run came."""

    out: Path
    wanted: int
    done: int = 0
    kept: int = 0
    attempts: int = 0
    successes: int = 0
    fresh: int = 0  # episodes made by this run
    seconds: float = 0.0
    stopped: bool = False
    renderer: str = ""
    reasons: dict[str, int] = field(default_factory=dict)

    def count(self, row: dict[str, Any]) -> None:
        """Take one manifest row into account. Raises `DataError` when it was drawn by another renderer."""
        if self.renderer and row.get("renderer", self.renderer) != self.renderer:
            raise DataError(f"{self.out} was drawn by {self.renderer}, this machine draws by {row['renderer']}; "
                            "go on where the first is available, or choose another out=")
        self.renderer = self.renderer or row.get("renderer", "")
        self.done += 1
        self.attempts += row.get("attempts", 1)
        success = row.get("outcome") == "success"
        self.successes += success
        self.kept += bool(row.get("sha256"))
        failed = row.get("failed", []) if success or not row.get("sha256") else [row["outcome"]]
        for reason in failed:
            self.reasons[reason] = self.reasons.get(reason, 0) + 1

    @property
    def rate(self) -> float:
        return self.successes / self.attempts if self.attempts else 0.0

    @property
    def pace(self) -> float:
        """Episodes an hour."""
        return 3600 * self.fresh / self.seconds if self.seconds > 0 else 0.0

    def tell(self, console: Console, config: dict[str, Any]) -> int:
        """Say where the result is, or how to go on; the exit status."""
        for reason, count in sorted(self.reasons.items(), key=lambda item: -item[1])[:5]:
            console.print(f"  {count} attempts failed: {reason}", highlight=False)
        console.print(f"{self.kept} episodes in {self.out} ({self.rate:.1%} of {self.attempts} attempts succeeded; "
                      f"{self.fresh} new in {self.seconds:.0f} s, {self.pace:,.0f} an hour)",
                      highlight=False, soft_wrap=True)
        if self.stopped:
            console.print("stopped; everything finished is kept. Go on with the same command.")
            return 130
        if self.kept == 0:
            raise DataError(f"not one of {self.attempts} attempts succeeded; nothing to learn from in {self.out}")
        console.print(f"next: steadyhand train data={config['out']} out=runs/train", highlight=False, soft_wrap=True)
        return 0


def run(out: Path, config: dict[str, Any], work: Job, console: Console) -> Tally:
    """Make the episodes that are not there yet; the folder can be loaded at every moment from the first commit."""
    tally = Tally(out, int(config["episodes"]))
    staging.folder(out)
    writer = Writer(out)
    for row in read_manifest(out):
        tally.count(row)
    waiting = {n: s for n, s in staging.found(out).items() if n >= writer.attempted}
    for staged in waiting.values():
        tally.count(staged.row)
    todo = [n for n in range(writer.attempted, tally.wanted) if n not in waiting]
    engine: Engine = registry.assemble(config, "engine")
    clock, start = WallClock(), WallClock().now()
    committed = start - EVERY
    with _progress(console, tally) as show, _interruptible() as stopped:
        try:
            for number, packed in engine.run(work, _until(stopped, todo), int(config["workers"])):
                tally.count(staging.row(packed))  # raises before what does not belong here is kept
                waiting[number] = staging.read(staging.put(out, number, packed))
                tally.fresh, tally.seconds = tally.fresh + 1, clock.now() - start
                show()
                late = clock.now() - committed > EVERY
                if commit(writer, waiting, int(config["block"]), late):
                    committed = clock.now()
        finally:
            commit(writer, waiting, int(config["block"]), True)
        tally.stopped = stopped() and writer.attempted < tally.wanted
    return tally


def commit(writer: Writer, waiting: dict[int, Staged], block: int, late: bool) -> bool:
    """Commit what follows on from the dataset without a gap: whole blocks, or all of it when it is late."""
    before = writer.attempted
    while True:
        ready = []
        while len(ready) < block and writer.attempted + len(ready) in waiting:
            ready.append(waiting[writer.attempted + len(ready)])
        if not ready or (len(ready) < block and not late):
            return writer.attempted > before
        writer.commit(ready)
        for staged in ready:
            del waiting[staged.number]


# ---------------------------------------------------------------- people
@contextmanager
def _progress(console: Console, tally: Tally) -> Iterator[Callable[[], None]]:
    bar = Progress(TextColumn("generating"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[note]}"),
                   TimeRemainingColumn(), console=console)
    with bar:
        task = bar.add_task("", total=max(tally.wanted, tally.done), completed=tally.done, note="")

        def show() -> None:
            note = f"{tally.pace:,.0f} episodes/h, success {tally.rate:.0%}"
            bar.update(task, completed=tally.done, note=note + (", finishing" if tally.stopped else ""))

        yield show


@contextmanager
def _interruptible() -> Iterator[Callable[[], bool]]:
    """Ctrl-C (or SIGTERM) once: no new episodes, those in flight are finished. Twice: at once."""
    seen: list[int] = []

    def note(number: int, _: Any) -> None:
        if seen:
            raise KeyboardInterrupt
        seen.append(number)
        log.warning("finishing the episodes in flight; once more to stop at once")

    before = {}
    with suppress(ValueError):  # not in the main thread: whoever runs us handles signals
        before = {s: signal.signal(s, note) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(seen)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _until(stopped: Callable[[], bool], numbers: list[int]) -> Iterator[int]:
    for number in numbers:
        if stopped():
            return
        yield number


@contextmanager
def _saying(out: Path, then: str) -> Iterator[None]:
    """A full disk or a folder that cannot be written, in words; `then` is what became of the work."""
    try:
        yield
    except (OSError, av.FFmpegError) as error:
        what = "the disk is full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else error.strerror or str(error)
        raise DataError(f"cannot write to {out}: {what}; {then}") from error
