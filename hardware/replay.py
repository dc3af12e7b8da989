"""`steadyhand replay record=FILE`: a flight record goes through the supervisor again, which must decide the same."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from robot.errors import ConfigError
from robot.faults import CATALOGUE
from robot.interfaces import Verdict
from robot.recorder import read
from robot.supervisor import Supervisor


@dataclass
class Replay:
    """What became of a record."""

    cycles: int = 0
    seconds: float = 0.0
    differ: list[str] = field(default_factory=list)  # cycles that were judged otherwise, in words
    story: list[tuple[float, str]] = field(default_factory=list)  # s from the first cycle, what happened


def replay(path: Path) -> Replay:
    """Judge every cycle of the record at `path` again. Raises `DataError` for another file, `ConfigError` for a
    record whose resets name faults that the catalogue no longer has."""
    out, supervisor = Replay(), Supervisor()
    first: float | None = None
    freed: tuple[str, ...] = ()
    for record in read(path):
        if first is None and record.snapshot is not None:
            first = record.stamp
        at = record.stamp - (record.stamp if first is None else first)
        if record.event is not None:
            out.story.append((at, _words(record.event)))
            if record.event["kind"] == "reset":
                freed = tuple(record.event["names"])
                supervisor.reset(freed)
        elif record.snapshot is not None and record.verdict is not None:
            again = supervisor.update(record.snapshot)
            out.cycles, out.seconds = out.cycles + 1, at
            if not _same(again, record.verdict):
                out.differ.append(f"{at:.3f} s: it was {_verdict(record.verdict)}, now it is {_verdict(again)}")
    return out


def _same(a: Verdict, b: Verdict) -> bool:
    alike = (a.response, a.active, a.may_engage) == (b.response, b.active, b.may_engage)
    return alike and dict(a.reasons) == dict(b.reasons)


def _verdict(v: Verdict) -> str:
    return f"{v.response.name.lower()} ({', '.join(v.active) or 'no fault'})"


def _words(event: Any) -> str:
    rest = {k: v for k, v in event.items() if k not in ("stamp", "kind")}
    if event["kind"] == "fault":
        row = CATALOGUE.get(rest["name"])
        return f"fault {rest['name']}: {rest['reason']}{f' -> {row.response.name.lower()}' if row else ''}"
    return f"{event['kind']} " + ", ".join(f"{k} {v}" for k, v in rest.items())


def main(config: dict[str, Any]) -> int:
    """Tell the story of a record; 0 when every verdict is the same again."""
    path = Path(config["record"])
    made, console = replay(path), Console()
    if made.cycles == 0:
        raise ConfigError(f"{path} holds no cycle of the control loop")
    if config["story"]:
        for at, words in made.story:
            console.print(f"{at:9.3f} s  {words}", markup=False, soft_wrap=True)
    for words in made.differ[:20]:
        console.print(words, markup=False, soft_wrap=True)
    same = made.cycles - len(made.differ)
    console.print(f"{same} of {made.cycles} verdicts in {made.seconds:.1f} s are the same again")
    return 0 if not made.differ else 1
