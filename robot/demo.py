"""The whole loop as a newcomer would type it: every step is the real command in a process of its own."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.rule import Rule

from robot import output
from robot.clock import WallClock
from robot.config import resolve
from robot.demo_report import write_report
from robot.errors import SteadyhandError


@dataclass(frozen=True)
class Step:
    """One command of the loop."""

    name: str
    arguments: tuple[str, ...]

    @property
    def line(self) -> str:
        return shlex.join(("steadyhand", self.name, *self.arguments))


@dataclass(frozen=True)
class Done:
    """What became of a step."""

    name: str
    line: str
    seconds: float
    status: int


def main(config: Mapping[str, Any]) -> int:
    """Run every step in turn, then write `report.html`; 0 only when each step succeeded."""
    console, clock = Console(), WallClock()
    for step in steps(config, Path("out")):
        resolve(step.name, step.arguments)  # a mistake is said before anything begins
    out = output.claim(config["out"], "demo", config)
    done: list[Done] = []
    for step in steps(config, out):
        console.print(Rule(f"[bold]{step.name}[/]   {step.line}", align="left"))
        began = clock.now()
        status = subprocess.call([sys.executable, "-m", "robot.cli", step.name, *step.arguments])
        done.append(Done(step.name, step.line, round(clock.now() - began, 1), status))
        if status and step.name in ("generate", "train"):
            raise SteadyhandError(f"{step.name} failed with exit status {status}, so nothing after it can run")
    page = write_report(out, [asdict(d) for d in done], config)
    failed = [d.name for d in done if d.status]
    console.print(Rule("[bold]done[/]", align="left"))
    console.print(f"{sum(d.seconds for d in done) / 60:.1f} minutes; report: {page}", soft_wrap=True)
    if failed:
        console.print(f"[red]these steps did not succeed: {', '.join(failed)}[/]")
    return 1 if failed else 0


def steps(config: Mapping[str, Any], out: Path) -> list[Step]:
    """The commands of the loop, in order, each writing under `out`."""
    seed, renderer = f"seed={config['seed']}", f"renderer={config['renderer']}"
    scene = (f"task={config['task']}", f"randomization={config['randomization']}", renderer)
    data, policy = out / "data", out / "policy"
    deploy = ["arm=so101", "port=virtual", f"checkpoint={policy}", *scene, seed,
              f"episodes={config['deploy_episodes']}", f"out={out / 'deploy'}"]
    if config["fault"]:
        deploy.append(f"fault='{config['fault']}'")
    return [
        Step("simulate", (*scene, seed, f"episodes={config['simulate_episodes']}", f"out={out / 'simulate'}")),
        Step("generate", (*scene, seed, f"episodes={config['demonstrations']}", f"workers={config['workers']}",
                          f"out={data}")),
        Step("train", (f"data={data}", f"out={policy}", seed, f"steps={config['train_steps']}",
                       *_told(config["train"]))),
        Step("evaluate", (f"checkpoint={policy}", *scene, seed, f"episodes={config['evaluate_episodes']}",
                          f"workers={config['workers']}", f"out={out / 'evaluate'}")),
        Step("deploy", tuple(deploy)),
        Step("selftest", ("arm=so101", "port=virtual", "yes=true", f"out={out / 'selftest'}")),
    ]


def _told(values: Mapping[str, Any], prefix: str = "") -> list[str]:
    """A nest of settings as a command's arguments."""
    out = []
    for key, value in values.items():
        out += _told(value, f"{prefix}{key}.") if isinstance(value, Mapping) else [f"{prefix}{key}={value}"]
    return out
