"""`steadyhand selftest` as a person or a CI job runs it, against virtual servos in real time."""

import json
import os
import subprocess
import sys

import pytest

from hardware.selftest import freeze
from hardware.selftest.sheet import Sheet, Verdict
from hardware.virtual.client import Bench
from robot.arms.so101 import so101


def selftest(home, *overrides: str) -> subprocess.CompletedProcess:
    environment = {**os.environ, "STEADYHAND_HOME": str(home)}
    return subprocess.run([sys.executable, "-m", "robot.cli", "selftest", "arm=so101", *overrides],
                          capture_output=True, text=True, timeout=120, check=False, env=environment,
                          stdin=subprocess.DEVNULL)


def test_a_well_arm_without_motion(tmp_path):
    done = selftest(tmp_path, "port=virtual", "plant=joints", "motion=false", f"out={tmp_path / 'out'}")
    assert done.returncode == 0, done.stdout + done.stderr
    sheet = json.loads((tmp_path / "out" / "selftest.json").read_text())
    verdicts = {f"{line['stage']}/{line['name']}": line["verdict"] for line in sheet["lines"]}
    assert verdicts["scan/answers"] == verdicts["sensors/voltage"] == verdicts["configuration/writes"] == "pass"
    assert verdicts["joints/follows"] == verdicts["watchdog/takes over"] == "skip"
    assert {"config.yaml", "versions.json", "selftest.html"} <= {p.name for p in (tmp_path / "out").iterdir()}
    assert str(tmp_path / "out" / "selftest.html") in done.stdout
    assert (tmp_path / "selftest" / "so101" / "virtual-default.jsonl").read_text().count("\n") == 1


def test_a_broken_servo_fails_by_name_and_nothing_moves(tmp_path):
    done = selftest(tmp_path, "port=virtual", "plant=joints", "yes=true", "faults=servo 3 off", f"out={tmp_path / 'o'}")
    assert done.returncode == 1
    assert "elbow_flex" in done.stdout and "cable" in done.stdout
    lines = json.loads((tmp_path / "o" / "selftest.json").read_text())["lines"]
    assert [f"{x['stage']}/{x['name']}" for x in lines if x["verdict"] == "fail"] == ["scan/answers"]
    assert all(x["verdict"] == "skip" for x in lines if x["stage"] in ("joints", "watchdog"))


def test_without_a_person_to_ask_nothing_moves(tmp_path):
    done = selftest(tmp_path, "port=virtual", "plant=joints", f"out={tmp_path / 'out'}")
    assert done.returncode == 0 and "yes=true" in done.stdout
    assert '"skip"' in (tmp_path / "out" / "selftest.json").read_text()


def test_a_port_that_does_not_exist(tmp_path):
    done = selftest(tmp_path, "port=/dev/no-such-port", f"out={tmp_path / 'out'}")
    assert done.returncode == 1
    assert "does not exist" in " ".join(done.stdout.split()) and "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize("overrides, words", [
    (("port=/dev/ttyACM0", "faults=servo 3 off"), "breaks virtual servos only"),
    (("port=virtual", "faults=servo 3 melts"), "no kind"),
    (("port=virtual", "arm=nobody"), "nobody"),
])
def test_what_cannot_be_started_is_one_line(tmp_path, overrides, words):
    done = selftest(tmp_path, "plant=joints", f"out={tmp_path / 'out'}", *overrides)
    assert done.returncode == 2 and words in done.stderr and done.stderr.count("\n") == 1


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    with Bench.start({"model": "so101", "plant": "joints"}) as running:
        yield running


@pytest.mark.realtime
def test_the_watchdog_is_proved(bench, tmp_path, monkeypatch):
    monkeypatch.setenv("STEADYHAND_HOME", str(tmp_path))
    sheet = Sheet()
    freeze.prove(so101(), bench.port, tmp_path / "proof", sheet)
    lines = {line.name: line for line in sheet.lines}
    assert lines.keys() == {"takes over", "stops the arm"}
    assert lines["takes over"].value >= 150, lines  # ms; how much more depends on what else this computer does
    assert lines["stops the arm"].value < 25, lines  # of the 40 degrees that were left to go
    assert not any(bench.status()["energised"])


@pytest.mark.realtime
def test_a_watchdog_that_sleeps_is_found_out(bench, tmp_path, monkeypatch):
    monkeypatch.setenv("STEADYHAND_HOME", str(tmp_path))
    sheet = Sheet()
    freeze.prove(so101(), bench.port, tmp_path / "proof", sheet, timeout=60.0)
    assert [line.verdict for line in sheet.lines] == [Verdict.FAIL, Verdict.FAIL]
    assert not any(bench.status()["energised"])
