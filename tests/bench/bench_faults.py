"""The campaign's faults on an emulated SO-101, in real time: what Steadyhand does about them, and what LeRobot does.

    STEADYHAND_PEERS=... python -m pytest -q -s -m bench tests/bench/bench_faults.py

`steadyhand deploy` and LeRobot's robot class (its loop, defaults and all: `peers/lerobot_robot.py`) swing the same arm
in the same way; whoever drives it, what it did is read from the emulator. The table comes at the end. Nothing here
asserts a time, and a busy computer shows in both columns.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from hardware.campaign_cases import CASES
from hardware.virtual.client import Bench
from robot.arms.so101 import so101
from robot.recorder import read
from tests.hardware.test_deploy_killed import Deployed, settings

pytestmark = pytest.mark.bench
SPEC, WAVE = so101().spec, 1.2  # rad/s, of the fastest joint at work
JOINT = {"reply_off": "gripper", "servo_off": "wrist_flex", "encoder_slip": "shoulder_pan"}  # the others: shoulder_lift
BENCH = ("reply_off", "reply_garbage", "reply_slow", "bus_off", "bus_garbage", "adapter_off", "servo_off", "supply_off",
         "supply_low", "config", "hot", "motor_stuck", "motor_off", "encoder_slip", "encoder_noise", "servo_stuck")
PROCESS = {"policy_nan": "nan", "policy_wild": "wild", "policy_slow": "slow", "loop_frozen": "", "loop_killed": ""}
WORDS = {"policy_nan": "policy asks for what is not a number, 1 s", "policy_wild": "policy asks for 2 rad more, 1 s",
         "policy_slow": "policy takes 2.5 s for an answer", "loop_frozen": "control process stopped (SIGSTOP), 1 s",
         "loop_killed": "control process killed (SIGKILL)"}
LONG = {"supply_low": 16.0, "hot": 16.0, "policy_nan": 10.0, "policy_wild": 10.0, "policy_slow": 12.0}  # s to look on
PATIENCE = 8.0  # s, otherwise


@dataclass
class Seen:
    """What became of one fault."""

    noticed: float | None = None  # s after the blow
    by: str = ""
    back: float | None = None  # s, until work went on
    rest: float | None = None  # s, until every joint stood still for a tenth of a second
    fastest: float = 0.0  # rad/s
    end: str = ""
    mode: str = "active"  # of the agent, at the end

    def words(self) -> str:
        notice = f"{self.by}, {self.noticed:.2f} s" if self.noticed is not None else self.by or "not noticed"
        back = f", at work after {self.back:.1f} s" if self.back is not None else ""
        return f"{notice} | {self.end}{back} | {self.fastest:.1f}"


@dataclass
class Watch:
    """Samples the true arm from a thread of its own."""

    bench: Bench
    rows: list[tuple[float, list[float], list[float], list[bool]]] = field(default_factory=list)

    def __enter__(self) -> Watch:
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(0.01):
            s = self.bench.status()
            self.rows.append((time.monotonic(), s["q"], s["dq"], s["energised"]))

    def judge(self, seen: Seen, blow: float, alive: bool) -> None:
        """Fill in what the arm did from `blow` (s) on."""
        rows = [r for r in self.rows if r[0] >= blow]
        stamps = np.array([r[0] for r in rows])
        speed = np.abs([r[2] for r in rows])[:, :5].max(axis=1)
        seen.fastest = float(speed.max())
        still = [t - blow for t in stamps if (speed[(stamps >= t) & (stamps < t + 0.1)] < 0.05).all()]
        seen.rest = still[0] if still else None
        on, late = sum(rows[-1][3]), speed[stamps > stamps[-1] - 1.5].max()
        if on == 6:
            works = late > 0.2 and seen.mode == "active"  # a joint whose encoder lies shakes, held or not
            seen.end = ("works" if works else "holds") if alive else "torque on, nobody at the controls"
        elif on:
            seen.end = f"{6 - on} of 6 joints limp"
        else:
            let_go = next(np.array(r[1]) for r in rows if not any(r[3]))
            parked = np.abs(let_go - SPEC.park)[:5].max() < 0.25
            seen.end = "parked, then limp" if parked else "limp in mid-air"


class Peer(Deployed):
    """LeRobot at work on the same bench."""

    def __init__(self, bench: Bench, out: Path, python: Path) -> None:
        self.bench, self.out, self.wrong = bench, out, out / "wrong"
        out.mkdir()
        self.log = (out / "said.txt").open("w")
        script = Path(__file__).parent / "peers" / "lerobot_robot.py"
        self.process = subprocess.Popen(
            [str(python), str(script), bench.port, "60", str(self.wrong), json.dumps(SPEC.home.tolist())],
            stdout=self.log, stderr=subprocess.STDOUT, start_new_session=True)

    def notice(self, seen: Seen, blow: float) -> None:
        for line in self.said().splitlines():
            if line.startswith("{"):
                row = json.loads(line)
                if row["what"] == "raised":
                    seen.noticed, seen.by = row["at"] - blow, row["error"].split(":")[0]
                if row["what"] == "disconnect raised":
                    seen.by += ", and again in disconnect()"


class Ours(Deployed):
    """`steadyhand deploy` at work."""

    @property
    def wrong(self) -> Path:
        return Path(os.environ["WAVER"])

    def notice(self, seen: Seen, blow: float) -> None:
        for record in read(self.out / "flight.mcap"):
            event = record.event or {}
            if record.stamp < blow:
                continue
            if event.get("kind") == "fault" and seen.noticed is None:
                seen.noticed, seen.by = record.stamp - blow, event["name"]
            if event.get("kind") == "mode":
                seen.mode = event["mode"]
                seen.back = record.stamp - blow if seen.mode == "active" else None
        if (self.out / "process" / "watchdog-report.json").exists():
            seen.by, seen.noticed = "the watchdog", None


@pytest.fixture(scope="module")
def table() -> Iterator[dict[str, dict[str, Seen]]]:
    rows: dict[str, dict[str, Seen]] = {}
    yield rows
    head = ("fault", *("Steadyhand noticed", "and then", "fastest, rad/s"), *("LeRobot noticed", "and then", "fastest"))
    print(f"\n| {' | '.join(head)} |\n|{' --- |' * 7}")
    for name, row in rows.items():
        print(f"| {text(name)} | {row['ours'].words()} | {row['peer'].words()} |")


def text(name: str) -> str:
    """The fault in the words of the grammar, or what happens to policy and process."""
    return WORDS[name] if name in WORDS else CASES[name].text.format(joint=JOINT.get(name, "shoulder_lift"))


def strike(name: str, bench: Bench, running: Ours | Peer) -> None:
    """Do to the arm, the policy or the process what the row says."""
    if name in BENCH:
        bench.fault(text(name))
    elif name == "loop_killed":
        os.kill(running.process.pid, signal.SIGKILL)
        running.process.wait()
    elif name == "loop_frozen":
        os.kill(running.process.pid, signal.SIGSTOP)
        time.sleep(1.0)
        os.kill(running.process.pid, signal.SIGCONT)
    else:
        running.wrong.write_text(PROCESS[name])


def suffer(name: str, start: Callable[[Bench], Ours | Peer]) -> Seen:
    """The fault while the arm swings, and what is seen of it."""
    seen = Seen()
    with Bench.start(settings()) as bench:
        running = start(bench)
        try:
            running.wait_until_moving()
            with Watch(bench) as watch:
                blow = time.monotonic()
                strike(name, bench, running)
                time.sleep(max(0.0, blow + 1.0 - time.monotonic()))
                running.wrong.unlink(missing_ok=True)  # a policy that is started anew is well
                time.sleep(LONG.get(name, PATIENCE) - 1.0)
                alive = running.process.poll() is None
            running.notice(seen, blow)
            watch.judge(seen, blow, alive)
        finally:
            running.end()
    return seen


@pytest.mark.parametrize("name", [*BENCH, *PROCESS])
def test_one_fault_two_drivers(name, tmp_path, monkeypatch, table):
    python = Path(os.environ.get("STEADYHAND_PEERS", "nowhere")) / "lerobot" / "bin" / "python"
    if not python.exists():
        pytest.skip("STEADYHAND_PEERS names no folder with lerobot in it; docs/peers.md says how to make it")
    monkeypatch.setenv("WAVER", str(tmp_path / "wrong"))
    starts = {"ours": lambda bench: Ours(bench, tmp_path / "ours"),
              "peer": lambda bench: Peer(bench, tmp_path / "peer", python)}
    with ThreadPoolExecutor(2) as pool:  # side by side, each on an arm of its own
        table[name] = dict(zip(starts, pool.map(lambda start: suffer(name, start), starts.values())))
    print(f"\n{name}: {table[name]['ours'].words()} | {table[name]['peer'].words()}")
