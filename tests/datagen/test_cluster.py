"""The Ray engine: the same episodes as local workers make, also when a node dies. Skipped where Ray is missing."""

from __future__ import annotations

import importlib.util
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from datagen import generate
from datagen.cluster import RayEngine
from datagen.files import read_info, read_manifest
from datagen.job import Demonstrations
from policies.data import TrainingData
from robot import config
from robot.errors import ConfigError, DataError

RAY = importlib.util.find_spec("ray") is not None
with_ray = [pytest.mark.slow, pytest.mark.timeout(900),
            pytest.mark.skipif(not RAY, reason="Ray is not installed: pip install 'steadyhand[ray]'")]
SMALL = ["task=reach", "world.size=32", "workers=2", "mistakes=noise"]
EPISODES = 240


def command(out: Path, *overrides: str) -> list[str]:
    return [sys.executable, "-m", "robot.cli", "generate", f"out={out}", *SMALL, *overrides]


def started(out: Path, *overrides: str) -> subprocess.Popen:
    return subprocess.Popen(command(out, *overrides), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def hashes(out: Path) -> list[str]:
    return [row["sha256"] for row in read_manifest(out)]


def arrived(out: Path) -> int:
    """Episodes that came home so far, committed or waiting."""
    return len(hashes(out)) + len(list((out / ".staging").glob("episode-*")))


def until(out: Path, count: int, process: subprocess.Popen) -> None:
    for _ in range(1200):
        if arrived(out) >= count or process.poll() is not None:
            return
        time.sleep(0.05)


def end(process: subprocess.Popen) -> None:
    """Let it finish on an empty input; kill it when it does not."""
    try:
        process.communicate(timeout=30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def local(tmp_path_factory) -> list[str]:
    """What one machine makes."""
    out = tmp_path_factory.mktemp("local") / "set"
    assert generate.main(config.resolve("generate", [f"out={out}", *SMALL, f"episodes={EPISODES}"])) == 0
    return hashes(out)


@pytest.mark.skipif(RAY, reason="Ray is installed")
def test_without_ray_the_extra_is_named_before_anything_is_written(tmp_path):
    settings = config.resolve("generate", [f"out={tmp_path / 'set'}", *SMALL, "engine=ray"])
    with pytest.raises(ConfigError, match=r"pip install 'steadyhand\[ray\]'"):
        generate.main(settings)
    assert not (tmp_path / "set").exists()


def test_a_machine_of_other_versions_is_refused():
    settings = config.resolve("generate", ["out=x", *SMALL])
    with pytest.raises(DataError, match=r"has pybullet .*, the run was begun with 0\.0\.1"):
        Demonstrations(settings, {"pybullet": "0.0.1", "numpy": "1"}).open()


class TestCluster:
    pytestmark = with_ray

    def test_one_started_for_the_run_goes_on_with_what_local_workers_began(self, local, tmp_path):
        out = tmp_path / "set"
        subprocess.run(command(out, "episodes=5"), check=True, capture_output=True)
        done = subprocess.run(command(out, "episodes=20", "engine=ray"), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert hashes(out) == local[:20]
        assert done.stderr == ""

    def test_a_node_killed_mid_run_changes_nothing(self, local, tmp_path):
        out = tmp_path / "set"
        nodes = subprocess.Popen([sys.executable, str(Path(__file__).with_name("two_nodes.py"))], text=True,
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        process = None
        try:
            address = nodes.stdout.readline().strip()
            process = started(out, f"episodes={EPISODES}", "engine=ray", f"engine.address={address}")
            until(out, 5, process)
            nodes.stdin.write("kill\n")
            nodes.stdin.flush()
            said = next(line for line in nodes.stdout if line.startswith("both at work"))  # Ray talks as well
            assert said == "both at work: True, one left: True\n"
            assert arrived(out) < EPISODES
            _, error = process.communicate(timeout=200)
            assert process.returncode == 0, error
        finally:
            for each in filter(None, (process, nodes)):
                end(each)
        assert hashes(out) == local
        assert TrainingData.open(out).episodes == read_info(out)["total_episodes"] == EPISODES

    def test_ctrl_c_finishes_what_is_in_flight(self, local, tmp_path):
        out = tmp_path / "set"
        process = started(out, "episodes=5000", "engine=ray")
        until(out, 2, process)
        process.send_signal(signal.SIGINT)
        said, error = process.communicate(timeout=120)
        assert process.returncode == 130, error
        assert "Go on with the same command" in said
        made = hashes(out)
        assert made == local[: len(made)] if len(made) <= EPISODES else made[:EPISODES] == local

    def test_where_there_is_no_cluster_the_address_is_named(self, tmp_path):
        settings = config.resolve("generate", [f"out={tmp_path / 'set'}", *SMALL, "engine=ray",
                                               "engine.address=127.0.0.1:1"])
        with pytest.raises(ConfigError, match=r"engine.address=127.0.0.1:1: no Ray cluster there \(.*refused"):
            generate.main(settings)

    def test_an_episode_that_cannot_be_made_is_one_line(self):
        from tests.datagen.test_engine import Plan

        with pytest.raises(DataError, match="episode 1: ZeroDivisionError: never divide"):
            list(RayEngine().run(Plan(break_at=1), iter(range(3)), 1))
