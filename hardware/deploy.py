"""`steadyhand deploy`: a checkpoint works on an arm, with guard, watchdog, recoveries and a flight record."""

from __future__ import annotations

import json
import logging
import math
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from hardware import preflight
from hardware.virtual import faults
from hardware.virtual.client import control_path
from hardware.workcell import FLIGHT, Cell, ServoCell, SimCell
from robot import injection, output, registry
from robot.agent import Agent, RunResult
from robot.errors import ArmError, ConfigError
from robot.interfaces import Mode

RESULT = "deploy.json"


@dataclass
class Episode:
    """One attempt at a job."""

    seed: int
    instruction: str
    success: bool
    fault: str  # injected on purpose; "" for none
    run: RunResult

    def to_json(self) -> dict[str, Any]:
        r = self.run
        return {
            "seed": self.seed, "instruction": self.instruction, "success": self.success, "fault": self.fault,
            "outcome": r.outcome, "seconds": round(r.seconds, 3), "ticks": r.ticks,
            "rate": round(r.ticks / r.seconds, 2) if r.seconds else None, "late": r.late,
            "latency": None if r.latency != r.latency else round(r.latency, 4), "dropped_rows": r.dropped,
            "modes": [{"at": round(t, 3), "mode": m} for t, m in r.modes],
            "faults": [asdict(f) for f in r.faults], "recoveries": [asdict(h) for h in r.recoveries],
            "interventions": asdict(r.interventions),
        }


@dataclass
class Report:
    """What `deploy.json` says."""

    arm: str
    port: str
    checks: list[preflight.Check] = field(default_factory=list)
    episodes: list[Episode] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        good = sum(e.success for e in self.episodes)
        return {
            "arm": self.arm, "port": self.port, "flight": FLIGHT,
            "successes": good, "attempts": len(self.episodes),
            "success_rate": good / len(self.episodes) if self.episodes else None,
            "preflight": [asdict(c) for c in self.checks], "episodes": [e.to_json() for e in self.episodes],
        }


def main(config: dict[str, Any]) -> int:
    """Deploy; 0 when every episode ran to its end, whether or not it succeeded at its job."""
    return deploy(config)


def deploy(config: dict[str, Any], command: Sequence[str] | None = None) -> int:
    """As `main`; `command` replaces the policy process."""
    console = Console()
    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s", level=logging.WARNING)
    simulated = config["arm"][registry.OPTION_KEY] == "sim"
    if not simulated:
        config = {**config, "model": config["arm"]["model"]}
    _refuse(config, simulated)
    out = output.claim(config["out"], "deploy", config, idle=("process",))
    report = Report(config["arm"].get("model", "sim"), "" if simulated else str(config["port"]))
    console.print(f"deploying {config['checkpoint']} on {report.arm} {report.port}", soft_wrap=True)
    cell: Cell = SimCell(config, out) if simulated else ServoCell(config, out, command)
    try:
        with _interruptible(cell.agent, console) as interrupted:
            _work(cell, config, report, console, interrupted, out)
    finally:
        cell.close()
        _save(report, out)
    good, all_ran = sum(e.success for e in report.episodes), len(report.episodes) == config["episodes"]
    console.print(f"success: {good}/{len(report.episodes)}; result: {out / RESULT}; flight record: {out / FLIGHT}",
                  soft_wrap=True)
    ended_well = all(e.run.outcome in ("done", "timeout") for e in report.episodes)
    return 0 if all_ran and ended_well else 1


def _refuse(config: Mapping[str, Any], simulated: bool) -> None:
    """Raise `ConfigError` for what can be seen to be wrong before a process is started or a byte is sent."""
    port, text = str(config["port"]), config["fault"]
    real = not simulated and port != "virtual" and not control_path(Path(port)).exists()
    if text and simulated:
        raise ConfigError(f"arm=sim has no servos for the fault {text!r}; use arm=so101 port=virtual")
    if text and real:
        raise ConfigError(f"faults are injected on virtual servos only, not on {port}; use port=virtual")
    if text:
        fault = injection.parse(text, faults.SUPPORTED)
        if fault.component not in ("bus", "adapter", "supply", "camera"):
            joints = registry.build("model", config["model"]).joints
            injection.instances(fault, [j.name for j in joints], [j.servo for j in joints])
    if real and not config["text"]:
        raise ConfigError(f"say what the arm on {port} is to do: text=\"put the red cube in the blue tray\"")


def _work(cell: Cell, config: Mapping[str, Any], report: Report, console: Console, interrupted: list[int],
          out: Path) -> None:
    report.checks = preflight.inspect(cell.agent)
    preflight.require(report.checks)
    console.print(f"pre-flight: {len(report.checks)} checks passed")
    for k in range(config["episodes"]):
        if interrupted:
            return
        seed, fault = config["first_seed"] + 1000 * config["seed"] + k, config["fault"] if k == 0 else ""
        instruction = cell.begin(seed, fault)
        console.print(f"episode {k + 1}/{config['episodes']}: {instruction}")
        run = cell.agent.run(instruction, config["seconds"], cell.done, home=True)
        episode = Episode(seed, instruction, run.outcome == "done" or cell.done(), fault, run)
        report.episodes.append(episode)
        _tell(episode, console)
        _save(report, out)
        if cell.agent.behaviour.mode is not Mode.LIMP:
            cell.agent.park()
        if run.outcome in ("limp", "parked"):
            raise ArmError(f"the arm {run.outcome} after {_last_fault(run)}; look at it, then start again")


def _last_fault(run: RunResult) -> str:
    return f"{run.faults[-1].name}: {run.faults[-1].reason}" if run.faults else "no fault on record"


def _tell(episode: Episode, console: Console) -> None:
    r = episode.run
    word = "[green]success[/]" if episode.success else f"[yellow]{r.outcome}[/]"
    waited = f"latency {r.latency * 1e3:.0f} ms" if math.isfinite(r.latency) else "no plan came"
    console.print(f"  {word} in {r.seconds:.1f} s, {r.ticks / max(r.seconds, 1e-9):.0f} Hz, {r.late} late cycles, "
                  f"{waited}")
    for f in r.faults:
        console.print(f"  {f.start:6.2f} s  fault {f.name}: {f.reason} (until {f.end:.2f} s)", soft_wrap=True)
    for h in r.recoveries:
        console.print(f"          {h.recovery} for {h.fault}: {'done' if h.succeeded else h.note} in {h.seconds:.2f} s",
                      soft_wrap=True)


def _save(report: Report, out: Path) -> None:
    output.write_text(out / RESULT, json.dumps(report.to_json(), indent=2) + "\n")


@contextmanager
def _interruptible(agent: Agent, console: Console) -> Iterator[list[int]]:
    """ctrl-C and SIGTERM: hold, park, torque off. A second one leaves the arm to the watchdog at once."""
    interrupted: list[int] = []

    def handler(number: int, frame: object) -> None:
        interrupted.append(number)
        if len(interrupted) > 1 or agent.behaviour.mode is Mode.LIMP:
            raise KeyboardInterrupt
        agent.stop()
        console.print("stopping: the arm parks, then lets go (again: leave that to the watchdog)")

    before = {n: signal.signal(n, handler) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield interrupted
    finally:
        for number, old in before.items():
            signal.signal(number, old)
