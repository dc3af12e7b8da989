"""The demo's closing page, written from the files that each step left."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from robot.output import versions
from robot.report import Page, figure

Data = dict[str, Any]
MODES = {"active": "#8fc7a4", "hold": "#f0c36d", "recover": "#f0c36d", "retreat": "#e59866", "park": "#a9b8c6",
         "limp": "#d5d8dc"}

ERRORS = {"target_mm": "target, median error (mm)", "goal_mm": "goal, median error (mm)",
          "chunk_mrad": "joint targets, median error (mrad)", "gripper_mrad": "gripper, median error (mrad)",
          "held": "grasps told right (share)"}  # what training reports of the episodes it held out

SAID = {"warn": "with a warning", "fail": "failed", "skip": "skipped"}


def write_report(out: Path, steps: Sequence[Data], config: Mapping[str, Any]) -> Path:
    """Write `out/report.html`; a step that left nothing is said to have left nothing. Returns the page."""
    found = {
        "simulate": _read(out / "simulate" / "summary.json"),
        "train": _read(out / "policy" / "run.json"),
        "evaluate": _read(out / "evaluate" / "results.json"),
        "deploy": _read(out / "deploy" / "deploy.json"),
        "selftest": _read(out / "selftest" / "selftest.json"),
        "data": _read(out / "data" / "meta" / "info.json"),
    }
    minutes = sum(s["seconds"] for s in steps) / 60
    page = Page("Steadyhand: the whole loop", f"task {config['task']}, randomization {config['randomization']}, "
                f"seed {config['seed']}, {minutes:.1f} minutes")
    page.cards(_cards(found, minutes))
    for sentence in _summary(found):
        page.text(sentence)
    _simulation(page, out, found["simulate"])
    _demonstrations(page, out, found["data"])
    _training(page, out, found["train"])
    _evaluation(page, out, found["evaluate"])
    _deployment(page, found["deploy"])
    _selftest(page, found["selftest"])
    page.section("How this was made", "Every step is a command; the first four give the same numbers again from the "
                 "same seed on the same kind of machine. Deployment and self-test run in real time.")
    page.table(["command", "seconds", "exit status"], [[s["line"], s["seconds"], s["status"]] for s in steps])
    page.code("\n".join(f"{name} {version}" for name, version in versions().items()))
    return page.write(out / "report.html")


def _read(path: Path) -> Data | None:
    try:
        found: Data = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return found


def _lines(path: Path) -> list[Data]:
    try:
        return [json.loads(line) for line in path.read_text().splitlines()]
    except (OSError, ValueError):
        return []


def _cards(found: Mapping[str, Data | None], minutes: float) -> list[tuple[str, str]]:
    cards = []
    if e := found["evaluate"]:
        low, high = e["interval"]
        cards.append((f"{e['success_rate']:.0%}", f"success on {_count(e['episodes'], 'scene')} never seen "
                      f"(95 % interval {low:.0%} to {high:.0%})"))
    if d := found["data"]:
        cards.append((str(d["total_episodes"]), "verified demonstrations"))
    if t := found["train"]:
        cards.append((f"{t['parameters'] / 1e6:.2f} M", f"parameters, trained in {t['seconds'] / 60:.1f} minutes"))
    if d := found["deploy"]:
        cards.append((f"{d['successes']}/{d['attempts']}", "jobs done over the servo bus"
                      + (", the first with a fault" if d["episodes"] and d["episodes"][0]["fault"] else "")))
    if s := found["selftest"]:
        cards.append((str(s["verdict"]), f"self-test, {len(s['lines'])} lines"))
    return [*cards, (f"{minutes:.1f} min", "for all of it")]


def _summary(found: Mapping[str, Data | None]) -> list[str]:
    """What came of it, in sentences for whoever reads no further."""
    out = []
    if (data := found["data"]) and (card := found["train"]) and (e := found["evaluate"]):
        out.append(f"A policy of {card['parameters'] / 1e6:.1f} million weights learnt from {data['total_episodes']} "
                   f"scripted demonstrations. On {_count(e['episodes'], 'scene')} that it never saw it did "
                   f"{e['successes']} as told, from camera pictures, joint angles and the sentence alone.")
    if result := found["deploy"]:
        for episode in result["episodes"]:
            if episode["fault"]:
                out.append(_survived(episode))
    if checks := found["selftest"]:
        verdicts = [line["verdict"] for line in checks["lines"]]
        out.append(f"The self-test: {verdicts.count('pass')} of {_count(len(verdicts), 'line')} passed"
                   + "".join(f", {verdicts.count(v)} {words}" for v, words in SAID.items() if v in verdicts) + ".")
    return out


def _survived(episode: Data) -> str:
    """The story of a fault that was injected: what, when it was noticed, what mended it, how the job ended."""
    story = f"On the servo bus a fault was injected on purpose ({episode['fault']})"
    if episode["faults"]:
        first = episode["faults"][0]
        story += f"; {first['start']:.2f} s into the job the arm noticed: {first['reason']}"
    mended = [f"{h['recovery']} ({h['seconds']:.2f} s)" for h in episode["recoveries"] if h["succeeded"]]
    if mended:
        story += f"; what mended it: {', '.join(mended)}"
    return f"{story}. The job ended in {'success' if episode['success'] else episode['outcome']}."


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _nothing(page: Page) -> None:
    page.text("This step left no result; see its message above the report's line on the terminal.")


def _simulation(page: Page, out: Path, summary: Data | None) -> None:
    page.section("Simulate", "The scripted expert in randomised scenes; demonstrations come from it.")
    if summary is None:
        return _nothing(page)
    page.media({out / "simulate" / r["video"]: f"{r['instruction']} ({'success' if r['success'] else r['reason']})"
                for r in summary["results"][:2]})
    return page.text(f"Front camera on the left, wrist camera on the right; drawn by {summary['renderer']}.")


def _demonstrations(page: Page, out: Path, info: Data | None) -> None:
    page.section("Generate")
    rows = _lines(out / "data" / "manifest.jsonl")
    if info is None or not rows:
        return _nothing(page)
    attempts = sum(r.get("attempts", 1) for r in rows)
    page.table(["episodes", "frames", "frames a second", "attempts of the expert", "renderer", "instructions"],
               [[info["total_episodes"], info["total_frames"], info["fps"], attempts, rows[0].get("renderer", ""),
                 info["total_tasks"]]])
    return None


def _training(page: Page, out: Path, card: Data | None) -> None:
    page.section("Train")
    curve = _lines(out / "policy" / "curve.jsonl")
    if card is None or not curve:
        return _nothing(page)
    fig, axes = figure()
    losses = [(c["step"], c["loss"]) for c in curve if "loss" in c]
    errors = [(c["step"], c["val.target_mm"]) for c in curve if "val.target_mm" in c]
    axes.plot(*zip(*losses), color="#34627a", label="training loss")
    axes.set(xlabel="step", ylabel="loss", yscale="log")
    if errors:
        other = axes.twinx()
        other.plot(*zip(*errors), "o-", color="#c0392b", label="target error on held-out episodes")
        other.set(ylabel="mm", ylim=(0, 1.2 * max(mm for _, mm in errors)))
        other.spines["top"].set_visible(False)
    fig.legend(loc="outside upper right", ncols=2, frameon=False)
    page.plot(fig, "Training loss, and how far the named object was placed from where it stood, on episodes that "
              "were held out.")
    shown = {words: card["validation"][k] for k, words in ERRORS.items() if k in card["validation"]}
    page.table(list(shown), [[f"{v:.3g}" for v in shown.values()]])
    return None


def _evaluation(page: Page, out: Path, results: Data | None) -> None:
    page.section("Evaluate", "Scenes from seeds that no demonstration came from, through the same agent loop and guard "
                 "as on hardware.")
    if results is None:
        return _nothing(page)
    low, high = results["interval"]
    page.table(["episodes", "success", "95 % interval (Wilson)", "wrong object", "mean progress",
                "median seconds to success", "first chunk, slowest (ms)"],
               [[results["episodes"], f"{results['success_rate']:.1%}", f"{low:.1%} to {high:.1%}",
                 f"{results['wrong_object_rate']:.1%}", f"{results['mean_progress']:.2f}",
                 f"{results['median_seconds']:.1f}" if results["median_seconds"] else "none succeeded",
                 f"{results['first_ms']:.1f}"]])
    folder = out / "evaluate"
    told = {o["episode"]: o for o in results["outcomes"]}
    page.media({p: _caption(told, p) for p in sorted(folder.glob("episode_*.mp4"))[:4]})
    for strip in sorted(folder.glob("episode_*.png"))[:2]:
        page.media({strip: "What it looked at: the target in yellow, the goal in cyan."})
    return None


def _caption(told: Mapping[int, Data], path: Path) -> str:
    outcome = told.get(int(path.stem.split("_")[1]), {})
    return f"{outcome.get('instruction', '')} ({'success' if outcome.get('success') else 'failed'})"


def _deployment(page: Page, result: Data | None) -> None:
    page.section("Deploy", "The same checkpoint through the serial driver to virtual servos on a pseudo-terminal, in "
                 "real time. The band shows what the agent was doing; the lines are faults.")
    if result is None:
        return _nothing(page)
    for episode in result["episodes"]:
        end = "success" if episode["success"] else "failed"
        page.plot(_timeline(episode), f"{episode['instruction']}: {end}; injected: {episode['fault'] or 'nothing'}; "
                  f"{episode['rate']} cycles a second, {episode['late']} of them late")
    rows = [[e["seed"], f["name"], f["reason"], f"{f['start']:.2f}", f"{f['end']:.2f}"]
            for e in result["episodes"] for f in e["faults"]]
    if rows:
        page.table(["scene", "fault", "in words", "from (s)", "to (s)"], rows)
    rows = [[e["seed"], h["recovery"], h["fault"], "yes" if h["succeeded"] else "no", f"{h['seconds']:.2f}"]
            for e in result["episodes"] for h in e["recoveries"]]
    if rows:
        page.table(["scene", "recovery", "for", "worked", "seconds"], rows)
    return page.text(f"{len(result['preflight'])} pre-flight checks passed before anything was energised.")


def _timeline(episode: Data) -> Any:
    fig, axes = figure(7.0, 1.4 + 0.3 * len(episode["faults"]))
    whole = max(episode["seconds"], *(m["at"] for m in episode["modes"])) + 0.3  # the park after it, and a moment
    ends = [m["at"] for m in episode["modes"][1:]] + [whole]
    for mode, end in zip(episode["modes"], ends):
        axes.barh(0, end - mode["at"], left=mode["at"], color=MODES.get(mode["mode"], "#cccccc"), edgecolor="white")
        if end - mode["at"] > 0.06 * whole:
            axes.text((mode["at"] + end) / 2, 0, mode["mode"], ha="center", va="center", fontsize=8)
    names = ["agent"]
    for k, f in enumerate(episode["faults"], 1):
        axes.barh(k, max(f["end"] - f["start"], 0.02), left=f["start"], color="#c0392b", height=0.4)
        names.append(f["name"].replace("_", " "))
    axes.set(xlim=(0, whole), xlabel="seconds", yticks=range(len(names)), yticklabels=names)
    axes.invert_yaxis()
    return fig


def _selftest(page: Page, result: Data | None) -> None:
    page.section("Self-test", "Each line with its number, its limit and what to do about it.")
    if result is None:
        return _nothing(page)
    columns = ("stage", "name", "verdict", "text", "limit", "advice")
    return page.table(["stage", "line", "verdict", "seen", "limit", "what to do"],
                      [[line[k] for k in columns] for line in result["lines"]])
