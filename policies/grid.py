"""Grids: the same seeded scenes under one changed factor at a time, and the page that shows what that costs."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from policies.rollout import Outcome
from policies.statistics import paired, summarize, wilson
from robot import output, registry
from robot.errors import ConfigError
from robot.report import Page

RESULTS = "results.json"
NARROW = "text-align:center;padding:4px 6px"  # a grid of a dozen tasks fits on a page
NOMINAL, SWAPPED, ALL = "nominal", "swapped instruction", "all axes"


@dataclass(frozen=True)
class Cell:
    """One condition: which groups of the configuration it replaces. An ordinary evaluation is one without a name."""

    name: str = ""
    task: str = ""
    condition: str = ""
    groups: Mapping[str, Any] = field(default_factory=dict, hash=False)
    twin: int = 0  # of the scene: which thing is asked for


def checkpoints(config: Mapping[str, Any]) -> list[str]:
    """What is measured together: the same scenes for each, pooled in every cell. Raises `ConfigError` for one twice."""
    paths = list(config.get("checkpoints") or [config["checkpoint"]])
    if len(set(paths)) != len(paths):
        raise ConfigError(f"checkpoints={paths} names one twice")
    return paths


def cells(config: Mapping[str, Any]) -> list[Cell]:
    """The conditions that `config["grid"]` asks for: every task in its train ranges, the same scenes with another thing
    asked for, each axis alone beyond its range, and all of them. Raises `ConfigError` for what does not exist."""
    grid = config.get("grid")
    if not grid:
        return [Cell()]
    out = []
    for task in grid["tasks"]:
        registry.get("task", task)
        train = {"_option_": "train"}
        conditions = {NOMINAL: train} | ({SWAPPED: train} if grid["swap"] else {})
        conditions |= {axis: {"_option_": "train", "held_out": [axis]} for axis in grid["axes"]}
        conditions[ALL] = {"_option_": "held_out"}
        for name, node in conditions.items():
            registry.build("randomization", node)
            groups = {"task": task, "randomization": node}
            out.append(Cell(f"{task} {name}", task, name, groups, int(name == SWAPPED)))
    if not out:
        raise ConfigError("the grid names no task; give grid.tasks=[pick_place]")
    return out


def write(folder: Path, config: Mapping[str, Any], made: Sequence[Cell], outcomes: Sequence[Outcome]) -> Path:
    """Write `results.json` and `grid.html` to `folder`; returns the page's path."""
    by_cell: dict[str, list[Outcome]] = {c.name: [] for c in made}
    for outcome in outcomes:
        by_cell[outcome.cell].append(outcome)
    table = {name: summarize(some) for name, some in by_cell.items()}
    tasks = list(dict.fromkeys(c.task for c in made))
    conditions = list(dict.fromkeys(c.condition for c in made))
    drops = {task: {c: 100 * (table[f"{task} {NOMINAL}"]["success_rate"] - table[f"{task} {c}"]["success_rate"])
                    for c in conditions} for task in tasks}
    pooled = {c: _pooled([by_cell[f"{t} {NOMINAL}"] for t in tasks], [by_cell[f"{t} {c}"] for t in tasks])
              for c in conditions}
    document = {"checkpoints": _runs(checkpoints(config), [o for t in tasks for o in by_cell[f"{t} {NOMINAL}"]]),
                "conditions": pooled, "cells": table, "drop_points": drops,
                "outcomes": [o.to_json() for o in outcomes]}
    output.write_text(folder / RESULTS, json.dumps(document, indent=2) + "\n")
    return _page(config, document, tasks, conditions).write(folder / "grid.html")


def _pooled(nominal: Sequence[Sequence[Outcome]], changed: Sequence[Sequence[Outcome]]) -> dict[str, Any]:
    """One condition over all tasks: rate and drop in points against the same scenes as trained, with intervals."""
    before, after = ([o.success for part in parts for o in part] for parts in (nominal, changed))
    wrong = sum(o.wrong_object for part in changed for o in part)
    good, n = sum(after), len(after)
    drop, low, high = (100 * x for x in paired(before, after))
    return {"episodes": n, "success_rate": good / n, "interval": list(wilson(good, n)), "drop_points": drop,
            "drop_interval": [low, high], "wrong_object_rate": wrong / n,
            "wrong_object_interval": list(wilson(wrong, n))}


def _runs(paths: Sequence[str], nominal: Sequence[Outcome]) -> dict[str, Any]:
    """Each checkpoint's rate as trained: how much of the spread is the training's."""
    out = {}
    for path in paths:
        own = [o.success for o in nominal if (o.checkpoint or paths[0]) == path]
        good, n = sum(own), len(own)
        out[path] = {"episodes": n, "success_rate": good / n, "interval": list(wilson(good, n))}
    return out


# ---------------------------------------------------------------- the page
def _page(config: Mapping[str, Any], found: Mapping[str, Any], tasks: Sequence[str],
          conditions: Sequence[str]) -> Page:
    pooled, table, runs = found["conditions"], found["cells"], found["checkpoints"]
    scenes, count = config["episodes"], len(runs)
    page = Page("Generalisation", f"{scenes * count} episodes a cell (checkpoints: {count}, scenes: {scenes}), "
                f"seed {config['seed']}; the same scenes in every cell of a task")
    page.cards(_cards(pooled))
    page.section("Success by task and condition", "Percent of episodes, with the 95 % Wilson interval below. Each "
                 f"condition takes one axis out of the range that was trained on; “{SWAPPED}” keeps the scene and asks "
                 "for another thing in it.")
    page.parts.append(_heat(table, pooled, tasks, conditions))
    page.section("What each condition costs", "Over all tasks, in points of success against the same scenes as "
                 "trained; intervals are of the paired differences.")
    page.table(["condition", "success", "drop", "95 % interval", "wrong object held"],
               [[c, f"{r['success_rate']:.0%}", f"{r['drop_points']:.1f}",
                 "{:.1f} to {:.1f}".format(*r["drop_interval"]), f"{r['wrong_object_rate']:.1%}"]
                for c, r in pooled.items() if c != NOMINAL])
    page.section("Checkpoints", "As trained, over all tasks.")
    page.table(["checkpoint", "episodes", "success", "95 % interval"],
               [[path, r["episodes"], f"{r['success_rate']:.0%}", "{:.0%} to {:.0%}".format(*r["interval"])]
                for path, r in runs.items()])
    page.section("Every cell")
    page.table(["cell", "successes", "95 % interval", "wrong object", "median s", "first chunk ms"],
               [[name, f"{r['successes']}/{r['episodes']}", "{:.0%} to {:.0%}".format(*r["interval"]),
                 f"{r['wrong_object_rate']:.0%}", _seconds(r["median_seconds"]), f"{r['first_ms']:.0f}"]
                for name, r in table.items()])
    return page


def _cards(pooled: Mapping[str, Any]) -> list[tuple[str, str]]:
    single = {c: r["drop_points"] for c, r in pooled.items() if c not in (NOMINAL, SWAPPED, ALL)}
    cards = [(f"{pooled[NOMINAL]['success_rate']:.0%}", "success as trained, mean over tasks"),
             (f"{pooled[ALL]['success_rate']:.0%}", "with every axis beyond its train range")]
    if single:
        worst = max(single, key=lambda c: single[c])
        cards.append((f"{single[worst]:.0f} points", f"the most that one axis costs: {worst}"))
    asked = SWAPPED if SWAPPED in pooled else NOMINAL
    cards.append((f"{pooled[asked]['wrong_object_rate']:.1%}", f"held a wrong object ({asked})"))
    return cards


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def _heat(table: Mapping[str, Any], pooled: Mapping[str, Any], tasks: Sequence[str], conditions: Sequence[str]) -> str:
    """An HTML table, one row a condition and a column a task, coloured from red (0) to green (1)."""
    many = len(tasks) > 1
    names = (*(["all"] if many else []), *tasks)
    head = "".join(f'<th style="{NARROW}">{html.escape(name).replace("_", "_<wbr>")}</th>' for name in names)
    rows = []
    for condition in conditions:
        found = ([pooled[condition]] if many else []) + [table[f"{task} {condition}"] for task in tasks]
        rows.append(f"<tr><th>{html.escape(condition)}</th>{''.join(map(_cell, found))}</tr>")
    return ('<div style="overflow-x:auto"><table><thead><tr><th></th>'
            f"{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>")


def _cell(r: Mapping[str, Any]) -> str:
    low, high = r["interval"]
    return (f'<td style="background:hsl({120 * r["success_rate"]:.0f} 60% 78%);{NARROW};white-space:nowrap">'
            f"<b>{100 * r['success_rate']:.0f}</b><br><small>{100 * low:.0f}–{100 * high:.0f}</small></td>")
