"""Output folders: claimed once, described, never half-written."""

from __future__ import annotations

import json
import os

import pytest
import yaml

from robot.errors import DataError
from robot.output import abandon, agree, aside, claim, free


def test_claim_describes_the_run(tmp_path):
    folder = claim(tmp_path / "a" / "run", "train", {"seed": 3})
    assert yaml.safe_load((folder / "config.yaml").read_text()) == {"command": "train", "seed": 3}
    assert "python" in json.loads((folder / "versions.json").read_text())


def test_a_folder_with_another_run_is_refused(tmp_path):
    claim(tmp_path / "run", "train", {})
    with pytest.raises(DataError, match="already holds a run"):
        claim(tmp_path / "run", "train", {})


def test_a_folder_with_foreign_files_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(DataError, match="is not empty"):
        claim(tmp_path, "train", {}, resume=True)


def test_resume_takes_the_folder_over_and_keeps_its_config(tmp_path):
    claim(tmp_path / "run", "train", {"seed": 1})
    folder = claim(tmp_path / "run", "train", {"seed": 2}, resume=True)
    assert yaml.safe_load((folder / "config.yaml").read_text())["seed"] == 1


def test_a_file_in_the_way_is_named(tmp_path):
    (tmp_path / "run").write_text("")
    with pytest.raises(DataError, match="is a file"):
        claim(tmp_path / "run", "train", {})


def test_what_is_written_aside_may_be_read_by_whom_the_umask_allows(tmp_path):
    before = os.umask(0o022)
    try:
        with aside(tmp_path / "shared.json") as temporary:
            temporary.write_text("whole")
    finally:
        os.umask(before)
    assert (tmp_path / "shared.json").stat().st_mode & 0o777 == 0o644


def test_aside_leaves_the_old_file_when_writing_fails(tmp_path):
    path = tmp_path / "x.json"
    path.write_text("old")
    with pytest.raises(ValueError, match="half"), aside(path) as temporary:
        temporary.write_text("ne")
        raise ValueError("half")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_run_that_never_began_leaves_its_folder_to_the_next(tmp_path):
    out = tmp_path / "run"
    claim(out, "deploy", {"port": "a"}, idle=("process",))
    (out / "process").mkdir()
    (out / "process" / "policy.log").write_text("it failed\n")
    claim(out, "deploy", {"port": "b"}, idle=("process",))
    assert not (out / "process").exists() and "port: b" in (out / "config.yaml").read_text()
    (out / "deploy.json").write_text("{}")
    with pytest.raises(DataError, match="already holds a run"):
        claim(out, "deploy", {"port": "c"}, idle=("process",))


def test_every_run_that_is_told_no_folder_has_a_new_one(tmp_path, monkeypatch):
    stem = str(tmp_path / "deploy")
    assert [claim(free(stem), "deploy", {}).name for _ in range(3)] == ["deploy", "deploy-2", "deploy-3"]
    monkeypatch.chdir(tmp_path)
    assert [str(claim(None, "deploy", {})) for _ in range(2)] == ["runs/deploy", "runs/deploy-2"]


def test_abandoned_folders_go_unless_something_is_in_them(tmp_path):
    empty, begun = claim(tmp_path / "a", "train", {}), claim(tmp_path / "b", "train", {})
    (begun / "curve.jsonl").write_text("{}")
    abandon()
    assert not empty.exists() and begun.exists()
    resumed = claim(begun, "train", {}, resume=True)
    (begun / "curve.jsonl").unlink()
    abandon()
    assert resumed.exists()  # it was not this run's claim


def test_a_run_is_gone_on_with_by_its_own_settings_only(tmp_path):
    with pytest.raises(DataError, match="no run to resume"):
        agree(tmp_path, {}, ())
    claim(tmp_path / "run", "evaluate", {"seed": 1, "episodes": 5})
    agree(tmp_path / "run", {"seed": 1, "episodes": 9}, free=("episodes",))
    with pytest.raises(DataError, match="had seed=1, not 2"):
        agree(tmp_path / "run", {"seed": 2, "episodes": 5}, free=("episodes",))
