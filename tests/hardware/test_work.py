"""A shift that is killed goes on as if it had not been; a campaign likewise, and its table adds up."""

import json
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hardware import campaign, work
from hardware.campaign_cases import CASES
from hardware.campaign_table import summary
from hardware.lab import Workshop
from robot import config
from robot.errors import ConfigError, DataError


@pytest.fixture(autouse=True)
def quiet():
    yield
    logging.getLogger().setLevel(logging.WARNING)


SHIFT = ("job=reach", "hours=0.002", "seconds=3", "faults_per_hour=2000", "faults=[policy_nan,disk_full]")


def shift(out, *more):
    return work._with_job(config.resolve("work", [*SHIFT, f"out={out}", *more]))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A short shift that nobody disturbed."""
    out = tmp_path_factory.mktemp("shift") / "whole"
    assert work.main(shift(out)) == 0
    return out


def test_a_shift_that_was_cut_off_ends_as_it_would_have(tmp_path, whole):
    lines = (whole / work.LOG_FILE).read_text().splitlines(keepends=True)
    assert [json.loads(line)["number"] for line in lines] == list(range(len(lines))) and len(lines) > 1
    cut = tmp_path / "cut"
    cut.mkdir()
    for name in ("config.yaml", "versions.json"):
        (cut / name).write_text((whole / name).read_text())
    (cut / work.LOG_FILE).write_text(lines[0] + lines[1][:20])  # what a kill may leave
    assert work.main(shift(cut)) == 0
    assert (cut / work.LOG_FILE).read_text() == "".join(lines)
    result = json.loads((cut / work.RESULT).read_text())
    assert result == json.loads((whole / work.RESULT).read_text())
    assert result["pieces"] == len(lines) and result["energy_kwh"] > 0.0 and result["injected"] > 0
    with pytest.raises(DataError, match=r"had hours=.*another out="):
        work.main(shift(cut, "hours=1"))


def test_a_shift_that_was_killed_repeats_and_forgets_no_piece(tmp_path, whole):
    out = tmp_path / "killed"
    command = [sys.executable, "-m", "robot.cli", "work", *SHIFT, f"out={out}"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    kills = 0
    while not (out / work.RESULT).exists():
        before = (out / work.LOG_FILE).stat().st_size if (out / work.LOG_FILE).exists() else 0
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT, env=environment) as process:
            while kills < 2 and process.poll() is None:
                if (out / work.LOG_FILE).exists() and (out / work.LOG_FILE).stat().st_size > before:
                    process.send_signal(signal.SIGKILL)  # in the middle of the next piece
                    kills += 1
                    break
                time.sleep(0.01)
    assert kills == 2
    assert (out / work.LOG_FILE).read_text() == (whole / work.LOG_FILE).read_text()
    assert (out / work.RESULT).read_text() == (whole / work.RESULT).read_text()


@pytest.mark.parametrize("number", [1, 7])  # long carries, and a wrist that turns round at full speed
def test_a_kit_is_filled_where_nothing_fails(tmp_path, number):
    settings = work._with_job(config.resolve("work", ["job=kitting", "faults_per_hour=0", "renderer=tiny"]))
    piece = work.work(Workshop.of(settings, tmp_path), number, 0.0, [])
    assert piece.success and piece.outcome == "done" and not piece.seen and piece.ended < 45.0


def test_only_faults_that_came_before_a_piece_was_done_count(whole):
    for line in (whole / work.LOG_FILE).read_text().splitlines():
        piece = json.loads(line)
        took = piece["ended"] - piece["began"]
        assert all(float(f.rsplit(" ", 1)[1]) < took for f in piece["faults"])


def test_a_campaign_goes_on_and_adds_up(tmp_path):
    settings = config.resolve("campaign", ["faults=[policy_nan,disk_full]", "runs=1", f"out={tmp_path / 'out'}"])
    campaign.main(settings)
    result = json.loads((tmp_path / "out" / campaign.RESULT).read_text())
    assert [r["name"] for r in result["rows"]] == ["policy_nan", "disk_full"]
    assert all(r["detected"] == 1.0 and r["limits_exceeded"] == 0 for r in result["rows"])
    assert (tmp_path / "out" / campaign.PAGE).stat().st_size > 10_000
    table = (tmp_path / "out" / campaign.TABLE).read_text()
    assert "| `policy garbage` | 1 | 100% of 1 |" in table and table.count("| yes |") == 4
    before = (tmp_path / "out" / campaign.RUNS).read_bytes()
    campaign.main(settings)
    assert (tmp_path / "out" / campaign.RUNS).read_bytes() == before


def test_the_plan_depends_on_its_seed_alone():
    settings = config.resolve("campaign", ["runs=2", "pairs=5", "hours=1"])
    first, again = campaign.plan(settings), campaign.plan(settings)
    assert first == again and len(first) == 2 * len(CASES) + 5 + 4
    assert campaign.plan({**settings, "seed": 1}) != first
    with pytest.raises(ConfigError, match="no row 'gearbox'"):
        campaign.plan({**settings, "faults": ["gearbox"]})


def test_every_row_of_the_campaign_can_be_asked_for():
    from hardware.lab import SUPPORTED
    from robot.faults import CATALOGUE
    from robot.injection import parse

    for case in CASES.values():
        parse(case.text.format(joint="gripper", camera="front"), SUPPORTED)
        assert set(case.notice) <= {*CATALOGUE, "watchdog"}


def test_targets_count_what_went_wrong():
    blow = {"case": "policy_nan", "onset": 1.0, "exposed": 1.0, "noticed": 1.1, "at_rest": 1.2, "working": 4.0}
    good = {"kind": "row", "name": "policy_nan", "number": 0, "seed": 0, "blows": [blow], "outcome": "done",
            "success": True, "seconds": 5.0, "false_alarms": [], "over": [], "peaks": {}, "when": {},
            "still_within": None}
    bad = {**good, "number": 1, "outcome": "limp", "over": ["force"], "success": False,
           "blows": [{**blow, "text": "policy garbage", "noticed": None, "working": None, "at_rest": None}]}
    result = summary([good, bad], {"seed": 0, "limits": {"force": 50.0}})
    row = result["rows"][0]
    assert (row["detected"], row["recovered"], row["success"], row["limits_exceeded"]) == (0.5, 0.5, 0.5, 1)
    assert row["latency_median"] == pytest.approx(0.1) and row["safe_median"] == pytest.approx(0.2)
    assert row["back_median"] == pytest.approx(3.0)
    early = summary([good, {**good, "number": 1, "false_alarms": ["warm: no"]}], {"seed": 0, "limits": {"force": 50.0}})
    assert early["rows"][0]["false_alarms_per_hour"] == pytest.approx(1800.0)  # one in two seconds before a fault
    assert not any(t["met"] for t in result["targets"] if "before a fault" not in t["target"])
    assert result["unsafe"][0]["run"] == "row/policy_nan/1"
