"""Grids: the same seeded scenes under one changed factor at a time, and the page that shows what that costs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from policies.rollout import Outcome
from robot import output, registry
from robot.errors import ConfigError
from robot.report import Page

NOMINAL, ALL = "nominal", "all axes"


@dataclass(frozen=True)
class Cell:
    """One condition: which groups of the configuration it replaces. An ordinary evaluation is one without a name."""

    name: str = ""
    task: str = ""
    condition: str = ""
    groups: Mapping[str, Any] = field(default_factory=dict, hash=False)


def cells(config: Mapping[str, Any]) -> list[Cell]:
    """The conditions that `config["grid"]` asks for: every task in its train ranges, with each axis alone beyond
    its own, and with all of them. Raises `ConfigError` for a task or axis that does not exist."""
    grid = config.get("grid")
    if not grid:
        return [Cell()]
    out = []
    for task in grid["tasks"]:
        registry.get("task", task)
        conditions = {NOMINAL: {"_option_": "train"}}
        conditions |= {axis: {"_option_": "train", "held_out": [axis]} for axis in grid["axes"]}
        conditions[ALL] = {"_option_": "held_out"}
        for name, node in conditions.items():
            registry.build("randomization", node)
            out.append(Cell(f"{task} {name}", task, name, {"task": task, "randomization": node}))
    if not out:
        raise ConfigError("the grid names no task; give grid.tasks=[pick_place]")
    return out


def write(folder: Path, config: Mapping[str, Any], made: Sequence[Cell], outcomes: Sequence[Outcome]) -> Path:
    """Write `results.json` and `grid.html` to `folder`; returns the page's path."""
    from policies.evaluate import RESULTS, summarize

    table = {c.name: summarize([o for o in outcomes if o.cell == c.name]) for c in made}
    tasks = list(dict.fromkeys(c.task for c in made))
    conditions = list(dict.fromkeys(c.condition for c in made))
    drops = {task: {c: 100 * (table[f"{task} {NOMINAL}"]["success_rate"] - table[f"{task} {c}"]["success_rate"])
                    for c in conditions} for task in tasks}
    document = {"cells": table, "drop_points": drops, "outcomes": [o.to_json() for o in outcomes]}
    output.write_text(folder / RESULTS, json.dumps(document, indent=2) + "\n")
    page = Page("Generalisation", f"{config['checkpoint']}: {config['episodes']} episodes a cell, "
                f"seed {config['seed']}, the same scenes in every cell of a row")
    average = sum(table[f"{t} {NOMINAL}"]["success_rate"] for t in tasks) / len(tasks)
    wrong = sum(table[f"{t} {NOMINAL}"]["wrong_object_rate"] for t in tasks) / len(tasks)
    everything = sum(table[f"{t} {ALL}"]["success_rate"] for t in tasks) / len(tasks)
    page.cards([(f"{average:.0%}", "success as trained, mean over tasks"),
                (f"{everything:.0%}", "with every axis beyond its train range"),
                (f"{wrong:.0%}", "episodes in which a wrong object was held")])
    page.section("Success by task and condition", "Each condition takes one axis out of the range it was trained in; "
                 "95 % Wilson intervals in the title of a cell.")
    page.parts.append(_heat(table, tasks, conditions))
    page.section("In numbers")
    page.table(["cell", "successes", "95 % interval", "wrong object", "median s"],
               [[name, f"{r['successes']}/{r['episodes']}", "{:.0%} to {:.0%}".format(*r["interval"]),
                 f"{r['wrong_object_rate']:.0%}", _seconds(r["median_seconds"])] for name, r in table.items()])
    return page.write(folder / "grid.html")


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def _heat(table: Mapping[str, Any], tasks: Sequence[str], conditions: Sequence[str]) -> str:
    """An HTML table, one row a condition, coloured from red (0) to green (1)."""
    head = "".join(f"<th>{t}</th>" for t in tasks)
    rows = []
    for condition in conditions:
        cells = []
        for task in tasks:
            r = table[f"{task} {condition}"]
            low, high = r["interval"]
            colour = f"hsl({120 * r['success_rate']:.0f} 60% 78%)"
            cells.append(f'<td style="background:{colour}" title="{low:.0%} to {high:.0%}">'
                         f"{100 * r['success_rate']:.0f}</td>")
        rows.append(f"<tr><th>{condition}</th>{''.join(cells)}</tr>")
    return f"<table><thead><tr><th></th>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
