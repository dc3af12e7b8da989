"""The self-test as a command: stages in order, a table on the terminal, a page, JSON, an exit status."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.prompt import Confirm
from rich.table import Table

from hardware import calibration
from hardware.port import SerialPort
from hardware.selftest import freeze, history, joints, page, pictures, still
from hardware.selftest.sheet import Line, Sheet, Verdict
from hardware.virtual.client import Bench
from hardware.virtual.families import model_of
from robot import output, registry
from robot.arms import ArmModel
from robot.clock import WallClock
from robot.errors import ConfigError
from robot.interfaces import Camera

COLOUR = {Verdict.PASS: "green", Verdict.WARN: "yellow", Verdict.FAIL: "bold red", Verdict.SKIP: "dim"}
MOTION = ("joints", "gripper", "stop", "watchdog")


def main(config: dict[str, Any]) -> int:
    """0 when no line failed, 1 otherwise. Raises `SteadyhandError` subclasses for what cannot be started."""
    console, model = Console(width=None if sys.stdout.isatty() else 120), model_of(config)
    if config["faults"] and config["port"] != "virtual":
        raise ConfigError("faults= breaks virtual servos only; with a real arm break it by hand")
    out = output.claim(config["out"], "selftest", config)
    node = calibration.virtual(config["arm"]) if config["port"] == "virtual" else config["arm"]
    robot = str(node.get("id", "default"))
    sheet = Sheet()
    with _bench(config) as (port, cameras):
        moving = _may_move(config, console, port)
        who = {key: node[key] for key in ("id", "calibration", "restore") if key in node}
        _stages(model, port, who, cameras, moving, out, sheet, console)
    past = history.path_of(model.name, robot)
    runs = history.load(past)
    history.compare(runs, sheet)
    runs.append(history.append(past, sheet))
    return _report(model, str(config["port"]), out, sheet, runs, console)


@contextmanager
def _bench(config: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Camera]]]:
    """The port to test and the cameras beside it; a virtual bench lives as long as the block."""
    if config["port"] == "virtual":
        with Bench.start({**config, "bench": {"faults": config["faults"]}}) as bench:
            yield bench.port, bench.cameras
        return
    cameras = registry.assemble(config, "camera") if config.get("camera") else {}
    try:
        yield str(config["port"]), cameras
    finally:
        for camera in cameras.values():
            close = getattr(camera, "close", None)
            if close is not None:
                close()


def _may_move(config: Mapping[str, Any], console: Console, port: str) -> bool:
    """Ask once before anything moves."""
    if not config["motion"] or config["yes"]:
        return bool(config["motion"])
    if not sys.stdin.isatty():
        console.print("nobody to ask, so nothing moves; yes=true allows it")
        return False
    return Confirm.ask(f"The arm on {port} will move gently. Is its space clear and a hand on the power switch?",
                       console=console, default=False)


def _stages(model: ArmModel, port: str, who: Mapping[str, Any], cameras: Mapping[str, Camera], moving: bool, out: Path,
            sheet: Sheet, console: Console) -> None:
    clock = WallClock()

    def connect() -> SerialPort:
        return SerialPort(port, model.baud, clock)

    with console.status("port, servos, configuration, line, sensors") as status:
        still.run(model, connect, clock, sheet)
        blocked = [line for line in sheet.lines if line.verdict is Verdict.FAIL]
        if not moving or blocked:
            why = f"{blocked[0].stage}: {blocked[0].name} failed" if blocked else "no motion was allowed"
            status.update("cameras")
            pictures.watch_still(cameras, clock, sheet)
            sheet.skip_rest(why, MOTION)
            return
        status.update("joints, gripper, cameras, stop: the arm moves")
        joints.run(model, connect, clock, sheet, lambda session: pictures.watch_moving(cameras, session, sheet), who)
        sheet.skip_rest("motion was ended early", ("camera",))
        if sheet.verdict("joints", "stop") is Verdict.FAIL:
            sheet.skip_rest("the arm does not move as it should", ("watchdog",))
            return
        status.update("watchdog: a moving loop is frozen")
        freeze.prove(model, port, out / "watchdog", sheet, who)


def _report(model: ArmModel, port: str, out: Path, sheet: Sheet, runs: list[dict[str, Any]], console: Console) -> int:
    verdict = sheet.verdict()
    console.print(_table(f"self-test of {model.name} on {port}", sheet.ordered()))
    document = {"arm": model.name, "port": port, **sheet.document()}
    output.write_text(out / "selftest.json", json.dumps(document, indent=1) + "\n")
    subtitle = f"port {port}, {runs[-1]['when']}"
    where = page.write(out / "selftest.html", f"Self-test: {model.name}", subtitle, sheet, runs)
    console.print(f"[{COLOUR[verdict]}]{verdict.value.upper()}[/]   {where}", soft_wrap=True)
    return 1 if verdict is Verdict.FAIL else 0


def _table(title: str, lines: list[Line]) -> Table:
    table = Table(title=title, title_justify="left")
    for column in ("stage", "line", "", "seen", "limit"):
        table.add_column(column, overflow="fold")
    stage = ""
    for line in lines:
        seen = line.text + (f"\n[italic]{line.advice}[/]" if line.advice else "")
        mark = f"[{COLOUR[line.verdict]}]{line.verdict.value}[/]"
        limit = f"{line.limit} {line.unit}" if line.limit else ""
        table.add_row(line.stage if line.stage != stage else "", line.name, mark, seen, limit)
        stage = line.stage
    return table
