"""The command line as people meet it: help, mistakes, exit statuses."""

from __future__ import annotations

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
        assert f"{group}=" in out


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
]


@pytest.mark.parametrize(("argv", "words"), MISTAKES, ids=[" ".join(a) for a, _ in MISTAKES])
def test_mistakes_are_one_clear_line(capsys, argv, words):
    status, _, err = run(capsys, *argv)
    assert status != 0
    assert words in err
    assert len(err.strip().splitlines()) == 1
    assert "Traceback" not in err


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
