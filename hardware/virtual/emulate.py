"""`steadyhand emulate`: virtual servos behind a link, for any program that can open a serial port."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from hardware.virtual.bench import VirtualBench
from hardware.virtual.client import control_path, frames_path
from hardware.virtual.faults import MEANING


def main(config: dict[str, Any]) -> int:
    """Serve until ctrl-C or SIGTERM."""
    console = Console()
    bench = VirtualBench(config, Path(config["link"]).absolute())
    console.print(describe(bench))
    console.print(f'break something:  python -m hardware.virtual.client {bench.link} "servo 3 off for 2"',
                  highlight=False, soft_wrap=True)
    console.print("ctrl-C ends it", style="bold")
    bench.run()
    console.print(f"stopped; {bench.link} is gone")
    return 0


def describe(bench: VirtualBench) -> Table:
    """What is served and where, as a table."""
    table = Table(title=f"virtual {bench.model.name}: SIMULATED servos, nothing real moves", show_header=False)
    joints = ", ".join(f"{j.servo} {j.name} ({j.model})" for j in bench.model.joints)
    kinds = ", ".join(f"{c} ({'/'.join(k.value for k in kinds)})" for c, kinds in MEANING.items())
    rows = {
        "port": f"{bench.link} -> {os.readlink(bench.link)} at {bench.model.baud} baud",
        "servos": joints,
        "plant": "PyBullet scene" if bench.world else "joint dynamics with gravity",
        "control": str(control_path(bench.link)),
        "cameras": str(frames_path(bench.link)) if bench.studio else "none (plant=bullet has them)",
        "faults": kinds,
    }
    if bench.instruction:
        rows["job"] = bench.instruction
    for key, value in rows.items():
        table.add_row(f"[bold]{key}[/]", value)
    return table
