"""The self-test's page for people: verdict, lines with advice, curves of each joint, trends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from hardware.selftest import history
from hardware.selftest.sheet import QUESTIONS, Sheet, Verdict
from robot.report import Page, figure


def write(path: Path, title: str, subtitle: str, sheet: Sheet, runs: list[dict[str, Any]]) -> Path:
    """Write the page; `runs` are this arm's runs, this one last."""
    page = Page(title, subtitle)
    counts = {v: sum(line.verdict is v for line in sheet.lines) for v in Verdict}
    page.cards([(sheet.verdict().value.upper(), "verdict")] + [(str(n), v.value) for v, n in counts.items()])
    troubles = [line for line in sheet.ordered() if line.verdict in (Verdict.FAIL, Verdict.WARN)]
    if troubles:
        page.section("What to do")
        page.table(("", "what", "seen", "do this"),
                   [(t.verdict.value, f"{t.stage}: {t.name}", t.text, t.advice) for t in troubles])
    page.section("Every line")
    page.table(("stage", "line", "", "seen", "limit"),
               [(line.stage, line.name, line.verdict.value, line.text,
                 f"{line.limit} {line.unit}" if line.limit else "") for line in sheet.ordered()])
    if any(sheet.samples.values()):
        _scatter(page, sheet)
    if sheet.curves:
        _curves(page, sheet)
    _trends(page, runs)
    return page.write(path)


def _scatter(page: Page, sheet: Sheet) -> None:
    page.section("The line", "How often an answer took how long; the dotted line is 99 of 100.")
    fig, _ = figure(9.0, 2.4)
    fig.clear()
    shown = {title: values for title, values in sheet.samples.items() if values}
    for (title, values), a in zip(shown.items(), np.ravel(fig.subplots(1, len(shown), squeeze=False))):
        a.hist(values, bins=40, color="#1f6f8b")
        a.axvline(float(np.percentile(values, 99)), ls=":", color="0.4")
        a.set_yscale("log")
        a.set_xlabel(title)
        a.grid(alpha=0.25)
    page.plot(fig, "")


def _curves(page: Page, sheet: Sheet) -> None:
    page.section("Joints", "Each joint swings to either side; dashed is the goal.")
    fig, _ = figure(9.0, 2.2 * len(sheet.curves))
    fig.clear()
    axes = fig.subplots(len(sheet.curves), 2, squeeze=False, sharex="col")
    for (name, curve), (left, right) in zip(sheet.curves.items(), axes):
        t = curve["t"]
        left.plot(t, np.degrees(curve["goal"]), "--", color="0.5", lw=1)
        left.plot(t, np.degrees(curve["q"]), color="#1f6f8b", lw=1.2)
        left.set_ylabel(f"{name} (°)")
        right.plot(t, np.degrees(np.array(curve["goal"]) - curve["q"]), color="#c0392b", lw=1, label="error (°)")
        right.plot(t, 10 * np.array(curve["effort"]), color="#b9770e", lw=1, label="effort × 10")
        right.legend(loc="upper right", fontsize=7, frameon=False)
        for a in (left, right):
            a.grid(alpha=0.25)
    axes[-1][0].set_xlabel("s")
    axes[-1][1].set_xlabel("s")
    page.plot(fig, "Left: position and goal. Right: what remains, and how hard the motor works.")


def _trends(page: Page, runs: list[dict[str, Any]]) -> None:
    rows = [key for key in history.WATCHED if any(len(history.series(runs, key, n)) > 1 for n in _names(runs, key))]
    if not rows:
        return
    page.section("Trends", f"The last {len(runs)} runs of this arm, this one last; dotted is where a warning begins.")
    fig, _ = figure(9.0, 1.9 * ((len(rows) + 1) // 2))
    fig.clear()
    axes = np.atleast_1d(fig.subplots((len(rows) + 1) // 2, 2, squeeze=False)).ravel()
    for key, a in zip(rows, axes):
        q = QUESTIONS[key]
        for name in _names(runs, key):
            a.plot(history.series(runs, key, name), marker=".", lw=1, label=name)
        a.axhline(q.warn * q.scale, ls=":", color="0.5")
        a.set_title(f"{key} ({q.unit})", fontsize=9)
        a.grid(alpha=0.25)
    for a in axes[len(rows):]:
        a.set_visible(False)
    axes[0].legend(fontsize=6, frameon=False)
    page.plot(fig, "")


def _names(runs: list[dict[str, Any]], key: str) -> list[str]:
    return sorted({name for run in runs for name in run.get("values", {}).get(key, {})})
