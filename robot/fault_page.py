"""`python -m robot.fault_page > docs/faults.md`: the fault catalogue as a page, made from the catalogue itself."""

from __future__ import annotations

import sys
from itertools import groupby

from robot.fault_row import Fault
from robot.faults import CATALOGUE
from robot.interfaces import Clears, Response
from robot.recovery import RECOVERIES

MEANS = {
    Response.NOTE: "Work goes on; the record says it.",
    Response.SLOW: "Work goes on at two fifths of the speed.",
    Response.HOLD: "The arm brakes within its limits and holds, with torque.",
    Response.RETREAT: "The arm goes back along the way it came, then holds.",
    Response.PARK: "The arm goes slowly to its parking pose, where it may lose torque without falling.",
    Response.RELAX: "Torque off at once, wherever the arm is.",
}
CLEARING = {
    Clears.WHEN_GONE: "when gone for {lasts:g} s",
    Clears.ON_RESET: "after its recovery, or a person's reset",
    Clears.NEVER: "never in this run",
}


def page() -> str:
    """The whole page as Markdown."""
    rows = list(CATALOGUE.values())
    out = [
        "# Faults", "",
        f"The {len(rows)} rows of `robot/faults.py`, which are checked before torque comes on and in every cycle "
        "after that. The worst response of those in force decides. A row at *hold* or worse also forbids torque. This "
        "page is made by `python -m robot.fault_page > docs/faults.md`.", "",
        "## Responses", "", "| response | what the arm does |", "| --- | --- |",
        *(f"| {response.name.lower()} | {words} |" for response, words in MEANS.items()),
    ]
    for group, members in groupby(rows, key=lambda f: f.group):
        out += ["", f"## {group.capitalize()}", "",
                "| fault | what it means | counts after | response | clears | recovery | tries |",
                "| --- | --- | --- | --- | --- | --- | --- |", *map(_line, members)]
    out += ["", "## Recoveries", "",
            "Each is bounded in time and counted. One that fails as often as its row allows makes the response one "
            "step worse. None leads straight back to motion: the fault must be gone, goals become the present pose, "
            "and speed comes back within a second.",
            "", "| recovery | what it does | gives up after |", "| --- | --- | --- |",
            *(f"| {r.name} | {r.words} | {r.limit:g} s |" for r in RECOVERIES.values()), ""]
    return "\n".join(out)


def _line(f: Fault) -> str:
    person = f.recover is None and f.response >= Response.HOLD
    tries = f"{f.budget.count} within {f.budget.within:g} s" if f.recover else ("a person's" if person else "")
    cells = (f"`{f.name}`", f.words, f"{f.after:g} s", f.response.name.lower(),
             CLEARING[f.clears].format(lasts=f.lasts), f.recover or "", tries)
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.stdout.write(page())
