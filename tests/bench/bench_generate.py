"""Making demonstrations: how many an hour, beside a plain `getCameraImage` loop, with two workers, in how much memory.

`make bench`, or one of them: `pytest tests/bench/bench_generate.py -m bench -s -k memory`. The job is the issue's:
SO-101 pick-and-place, two cameras of 128 px at 10 Hz, everything randomised, encoded on disk. Core hours are
processor time, of the command and all its workers, so that a busy machine changes them little.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pybullet
import pytest

os.environ.setdefault("LP_NUM_THREADS", "0")  # one core, as a worker process has

from datagen import manifest, staging
from datagen.dataset import Writer
from datagen.episode import ACTION, IMAGE, STATE, Episode, Schema
from datagen.expert import Expert
from datagen.files import read_info
from datagen.job import Demonstrator
from robot import config
from sim.picture import matrices
from sim.render_tiny import projection_matrix, view_matrix
from sim.world import PERIOD, Tabletop

pytestmark = [pytest.mark.bench, pytest.mark.timeout(3600)]
EPISODES, ROUNDS = 30, 3
MANY = int(os.environ.get("STEADYHAND_BENCH_EPISODES", "5000"))  # of the memory run
CHEAP = ["task=reach", "world.size=32", "mistakes=none", "randomization=none"]
# A process that steps boxes in Bullet, for 3 s from when it is told to: what two cores are worth beside one.
STEPPING = """
import pybullet as p, sys, time
p.connect(p.DIRECT)
p.setGravity(0, 0, -9.8)
p.createMultiBody(0, p.createCollisionShape(p.GEOM_PLANE))
box = p.createCollisionShape(p.GEOM_BOX, halfExtents=[0.02] * 3)
for k in range(40):
    p.createMultiBody(0.1, box, basePosition=[0, 0.05 * k, 0.02])
sys.stdin.readline()
end, steps = time.monotonic() + 3, 0
while time.monotonic() < end:
    p.stepSimulation()
    steps += 1
print(steps)
"""


@dataclass
class Run:
    """A finished `steadyhand generate`."""

    wall: float  # s from its first episode's arrival to its last one's
    between: int  # episodes in that time
    core: float  # s of processor time, all of it: start, workers, committing
    episodes: int
    peaks: dict[int, float] = field(default_factory=dict)  # MiB of the largest process when so many had arrived

    @property
    def pace(self) -> float:
        return 3600 * self.between / self.wall


def generate(out: Path, *overrides: str) -> Run:
    """Run the real command in a process of its own and look at it from outside."""
    command = [sys.executable, "-m", "robot.cli", "generate", f"out={out}", *overrides]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    arrivals: list[tuple[float, int]] = []
    peaks: dict[int, float] = {}
    while True:
        pid, status, used = os.wait4(process.pid, os.WNOHANG)
        count = arrived(out)
        if count and (not arrivals or arrivals[-1][1] != count):
            arrivals.append((time.monotonic(), count))
        peaks[count] = max(map(high_water, [process.pid, *children(process.pid)]), default=0.0)
        if pid:
            break
        time.sleep(0.05)
    process.returncode = os.waitstatus_to_exitcode(status)
    error = process.communicate()[1]
    assert process.returncode == 0, error
    done = int(read_info(out)["total_episodes"])
    return Run(arrivals[-1][0] - arrivals[0][0], arrivals[-1][1] - arrivals[0][1], used.ru_utime + used.ru_stime, done,
               {n: p for n, p in peaks.items() if p})


def arrived(out: Path) -> int:
    try:
        with (out / "manifest.jsonl").open("rb") as file:
            rows = sum(1 for _ in file)
    except FileNotFoundError:
        rows = 0
    waiting = [f.name for f in (out / ".staging").glob("episode-*")]
    return max([rows, *(int(name.rpartition("-")[2]) + 1 for name in waiting)])


def children(pid: int) -> list[int]:
    return [int(c) for f in Path(f"/proc/{pid}/task").glob("*/children") for c in text(f).split()]


def high_water(pid: int) -> float:
    """MiB, the most memory that a process ever held."""
    line = next((row for row in text(Path(f"/proc/{pid}/status")).splitlines() if row.startswith("VmHWM")), "")
    return int(line.split()[1]) / 1024 if line else 0.0


def text(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:
        return ""


def stepped(processes: int) -> int:
    """Steps that so many bare Bullet processes make together in the same 3 s."""
    started = [subprocess.Popen([sys.executable, "-c", STEPPING], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                text=True) for _ in range(processes)]
    time.sleep(3)  # all have loaded
    for process in started:
        process.stdin.write("\n")
        process.stdin.flush()
    return sum(int(process.communicate()[0].split()[-1]) for process in started)


def test_demonstrations_an_hour_and_scaling(tmp_path):
    runs: dict[int, list[Run]] = {1: [], 2: []}
    machine = []
    for k in range(ROUNDS):
        machine.append(stepped(2) / stepped(1))
        for workers, done in runs.items():
            episodes = EPISODES * workers
            done.append(generate(tmp_path / f"{workers}-{k}", f"episodes={episodes}", f"workers={workers}"))
    print()
    for workers, done in runs.items():
        core = statistics.median(3600 * r.episodes / r.core for r in done)
        print(f"{workers} workers: {statistics.median(r.pace for r in done):>8,.0f} episodes/h "
              f"(best {max(r.pace for r in done):,.0f}), {core:>7,.0f} a core hour")
    ratios = [b.pace / a.pace for a, b in zip(*runs.values())]
    print(f"two workers are {statistics.median(ratios):.2f} times one (rounds: "
          f"{', '.join(f'{r:.2f}' for r in ratios)}; best of each "
          f"{max(r.pace for r in runs[2]) / max(r.pace for r in runs[1]):.2f})")
    print(f"on this machine two bare Bullet processes make {statistics.median(machine):.2f} times the steps of one "
          f"(rounds: {', '.join(f'{m:.2f}' for m in machine)})")
    assert all(r.episodes == EPISODES * n for n, done in runs.items() for r in done)


def test_beside_a_plain_loop(tmp_path):
    """Both in this process, in turns, to the same encoder and the same writer."""
    maker = Demonstrator(config.resolve("generate", [f"out={tmp_path}"]), {})
    loops: dict[str, Callable[[int], dict[str, bytes]]] = {
        "steadyhand": maker.make, "plain getCameraImage loop": lambda number: plain(maker, number)}
    spent: dict[str, list[float]] = {name: [] for name in loops}
    writers = {name: Writer(made(tmp_path / name.split()[0])) for name in loops}
    for number in range(13):
        for name, make in loops.items():
            start = time.process_time()
            root = writers[name].root
            writers[name].commit([staging.read(staging.put(root, number, make(number)))])
            spent[name].append(time.process_time() - start)
    print()
    took = {name: statistics.mean(times[1:]) for name, times in spent.items()}
    for name, seconds in took.items():
        print(f"{name:<26}{3600 / seconds:>8,.0f} episodes a core hour")
    print(f"steadyhand is {took['plain getCameraImage loop'] / took['steadyhand']:.1f} times the plain loop")
    assert writers["plain getCameraImage loop"].episodes >= 10


def plain(maker: Demonstrator, number: int) -> dict[str, bytes]:
    """What most scripts do: one world, a picture of each camera every period of every attempt, failed ones too."""
    world, expert = maker.world(number), Expert()
    for attempt in range(20):
        instruction = world.reset(manifest.seed_of(0, number, attempt))
        disturbance = maker.mistakes.draw(np.random.default_rng([number, attempt]), world.arm.spec)
        expert.reset(world)
        rows: dict[str, list[np.ndarray]] = {}
        for _ in range(round(world.task.seconds / PERIOD)):
            shots = shoot(world)
            q, wanted = world.arm.read().q, expert.act()
            for name, value in ((STATE, q), (ACTION, wanted), *((IMAGE + c, s) for c, s in shots.items())):
                rows.setdefault(name, []).append(value)
            world.step(disturbance.act(wanted, q, world.labels()))
            if world.success():
                break
        if world.success():
            columns = {k: np.asarray(rows[k], np.float32) for k in (STATE, ACTION)}
            frames = {k: np.stack(v) for k, v in rows.items() if k.startswith(IMAGE)}
            episode = Episode(instruction, columns, frames)
            schema = Schema.of(episode, "so101", world.arm.spec.names, 10, "libx264", "yuv444p")
            return staging.pack({}, episode, schema)
    return staging.pack({}, None, None)


def shoot(world: Tabletop) -> dict[str, np.ndarray]:
    """(128, 128, 3) by camera, of the physics client itself."""
    views, out = world.look.views, {}
    for (name, view), pose in zip(views.items(), matrices(world.poses()[-len(views):])):
        rgba = pybullet.getCameraImage(128, 128, view_matrix(pose), projection_matrix(view, 128), shadow=1,
                                       lightDirection=world.look.lights[0].direction, lightDistance=2.0,
                                       renderer=pybullet.ER_TINY_RENDERER, physicsClientId=world.scene.client)[2]
        out[name] = np.ascontiguousarray(np.reshape(rgba, (128, 128, 4))[..., :3], np.uint8)
    return out


def made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def test_memory_stays_flat(tmp_path):
    """The largest process of a run, when 100 episodes had arrived and at the end; short episodes, one worker a core."""
    print()
    runs = {"cheap": (MANY, CHEAP), "full": (200, [])}
    for name, (episodes, overrides) in runs.items():
        done = generate(tmp_path / name, f"episodes={episodes}", "workers=2", *overrides)
        early = next(peak for count, peak in sorted(done.peaks.items()) if count >= 100)
        late = max(done.peaks.values())
        print(f"{name:<6} {episodes:>6,} episodes: {early:.0f} MiB at 100, {late:.0f} MiB at the end, "
              f"{1024 * (late - early) / (episodes - 100):+.1f} KiB an episode; "
              f"{3600 * done.episodes / done.core:,.0f} a core hour")
        assert done.episodes == episodes
