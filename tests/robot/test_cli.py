"""The command line as people meet it: help, mistakes, exit statuses."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from robot import cli, config
from robot.errors import ConfigError


def run(capsys, *argv):
    status = cli.main(argv)
    out, err = capsys.readouterr()
    return status, out, err


def test_without_arguments_it_prints_usage_and_fails(capsys):
    status, out, _ = run(capsys)
    assert status == 2
    assert all(command in out for command in cli.COMMANDS)


@pytest.mark.parametrize("command", sorted(cli.COMMANDS))
def test_every_command_has_help_with_its_groups_and_defaults(capsys, command):
    status, out, _ = run(capsys, command, "--help")
    assert status == 0
    for group in config.default_groups(command):
        assert f"\n  {group}=" in out and all(name in out for name in config.options(group))
    for key in config.own(command):
        assert re.search(rf'^  "?{key}"?: ', out, re.M) or isinstance(config.own(command)[key], dict)
    for preset in config.presets_of(command):
        assert f"--config-name {preset}" in out
        assert run(capsys, command, "--help", "--config-name", preset)[1].startswith(f"steadyhand {command}")


def test_a_correct_value_of_another_notation_is_taken():
    told = config.resolve("deploy", ["seconds=30", "text=5", "watchdog.hold=1", "checkpoint=007"])
    assert (told["seconds"], told["text"], told["watchdog"]["hold"]) == (30.0, "5", 1.0)
    assert isinstance(told["seconds"], float) and isinstance(told["checkpoint"], str)


def test_a_mistake_leaves_no_folder_that_stands_in_the_way(capsys, tmp_path):
    out = tmp_path / "run"
    status, _, err = run(capsys, "deploy", "arm=sim", "view=none", "checkpoint=/nowhere", f"out={out}")
    assert status == 2 and "/nowhere" in err
    assert not out.exists()


MISTAKES = [
    (["simulat"], "did you mean 'simulate'"),
    (["simulate", "episodes"], "write key=value"),
    (["simulate", "task=stakc"], "stack"),
    (["simulate", "taks=stack"], "no key 'taks'"),
    (["simulate", "epsiodes=3"], "no key 'epsiodes'"),
    (["simulate", "world.sizes=3"], "'sizes'"),
    (["generate"], "out= must be given"),
    (["train", "data=/nowhere/at/all", "out=/tmp/never-made"], "/nowhere/at/all"),
    (["evaluate", "checkpoint=/nowhere/at/all", "out=/tmp/never-made"], "/nowhere/at/all"),
    (["simulate", "task="], "there is no task ''"),
    (["simulate", "task=[reach,stack]"], "task= takes one name"),
    (["simulate", "~task"], "needs a task"),
    (["simulate", "task.cubes=many"], "task.cubes=many: give a whole number"),
    (["simulate", "episodes=abc"], "episodes=abc: give a whole number"),
    (["simulate", "episodes=1.5"], "episodes=1.5: give a whole number"),
    (["simulate", "episodes=0"], "episodes=0: give at least 1"),
    (["simulate", "seed=-1"], "seed=-1: give at least 0"),
    (["simulate", "seconds=nan"], "seconds=nan: give a number"),
    (["simulate", "gui=maybe"], "gui=maybe: give true or false"),
    (["evaluate", "resume=true"], "say with out= which evaluation"),
    (["simulate", "out="], "out=: give a value"),
    (["work", "out=null"], "out=null: give text"),
    (["simulate", "out=a,b"], """'out="a,b"'"""),
    (["simulate", "out=a(b"], """'out="a(b"'"""),
    (["generate", "out=x", "tasks=reach"], "tasks=reach: give a list, as in 'tasks=[reach]'"),
    (["deploy", "watchdog=3"], "set one of its keys: watchdog.timeout"),
    (["deploy", "watchdog.timout=3"], "did you mean 'watchdog.timeout'"),
    (["deploy", "rate=0"], "rate=0.0: give at least 1"),
    (["train", "data=x", "out=x", "validation=3"], "validation=3.0: give at most 1"),
    (["train", "data=[]", "out=x"], "data=[]: give at least one"),
    (["train", "data=[a,1.5]", "out=x"], "data=1.5: give text"),
    (["train", "data=[a,b,a]", "out=x"], "data=[a,b,a] names one twice"),
    (["audit", "data=[a,b]"], "give text"),
    (["simulate", "--config-name"], "wants a name"),
    (["simulate", "--config-name", "galery"], "did you mean 'gallery'"),
    (["simulate", "--config-name=train"], "has no configuration 'train'"),
]


@pytest.mark.parametrize(("argv", "words"), MISTAKES, ids=[" ".join(a) for a, _ in MISTAKES])
def test_mistakes_are_one_clear_line(capsys, argv, words):
    status, _, err = run(capsys, *argv)
    assert status != 0
    assert words in err
    assert len(err.strip().splitlines()) == 1
    assert "Traceback" not in err


def test_the_demo_says_a_mistake_before_it_begins(tmp_path):
    command = [sys.executable, "-m", "robot.cli", "demo", "task=stakc", f"out={tmp_path / 'demo'}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and not done.stdout and not (tmp_path / "demo").exists()
    assert "did you mean 'stack'" in done.stderr and len(done.stderr.splitlines()) == 1


def test_debug_shows_the_traceback(monkeypatch):
    with pytest.raises(ConfigError):
        cli.main(["simulate", "task=stakc", "debug=true"])


def test_importing_the_command_line_loads_nothing_heavy():
    code = "import sys, robot.cli; print([m for m in ('torch', 'pybullet', 'cv2', 'hydra') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_reader_that_has_had_enough_is_no_error():
    command = f"{sys.executable} -m robot.cli generate --help | head -1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("steadyhand generate") and done.stderr == ""
