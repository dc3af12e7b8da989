"""An audit finds what is wrong with a dataset, whatever it is, and nothing in a sound one."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from datagen import audit, generate
from datagen.checks import problems
from datagen.coverage import coverage
from datagen.files import SUMS, hash_of
from datagen.folder import Folder
from datagen.replay import Replayer, config_of
from robot import config
from robot.errors import DataError
from sim.randomization import AXES


@pytest.fixture(scope="module")
def sound(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("sound") / "set"
    overrides = [f"out={out}", "episodes=5", "block=2", "workers=1", "tasks=[reach,pick_place]", "mistakes=mix",
                 "mistakes.dropped=1", "mistakes.displaced=1", "world.size=32"]
    assert generate.main(config.resolve("generate", overrides)) == 0
    return out


@pytest.fixture
def copy(sound, tmp_path) -> Path:
    return Path(shutil.copytree(sound, tmp_path / "set"))


def run(root: Path, out: Path, *overrides: str) -> tuple[int, dict]:
    status = audit.main(config.resolve("audit", [f"data={root}", f"out={out}", *overrides]))
    return status, json.loads((out / "report.json").read_text())


def test_a_sound_dataset_passes_and_its_contents_are_shown(sound, tmp_path, capsys):
    status, report = run(sound, tmp_path / "audit", "replay=5")
    shown = capsys.readouterr().out
    assert (status, report["problems"]) == (0, [])
    assert report["tasks"]["pick_place"]["episodes"] == 2
    assert report["mistakes"]["dropped"] == 2
    assert "sound" in shown
    assert "replayed 5 of 5" in shown
    assert "shoulder_pan.pos" in shown
    assert {c["axis"] for c in report["coverage"]} == set(AXES)
    assert (tmp_path / "audit" / "contact.jpg").stat().st_size > 2000


def one(root: Path, pattern: str, number: int = 0) -> Path:
    return sorted(root.glob(pattern))[number]


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size * 2 // 3])


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0x10
    file.write_bytes(bytes(content))


def rewrite(file: Path, change) -> None:
    file.write_text(json.dumps(change(json.loads(file.read_text()))))


def wrong_mean(stats: dict) -> dict:
    stats["action"]["mean"][2] += 0.01
    return stats


DATA, VIDEO, EPISODES = "data/*/*.parquet", "videos/*front/*/*.mp4", "meta/episodes/*/*.parquet"
HARM = {
    "truncated data": (lambda r: truncate(one(r, DATA)), "frames: Arrow"),
    "truncated video": (lambda r: truncate(one(r, VIDEO)), "cannot be decoded|of its"),
    "truncated metadata": (lambda r: truncate(one(r, EPISODES)), "counts: Arrow"),
    "data gone": (lambda r: one(r, DATA, 1).unlink(), r"file-001.parquet is missing"),
    "video gone": (lambda r: one(r, VIDEO).unlink(), r"file-000.mp4 is missing"),
    "block gone": (lambda r: one(r, EPISODES, 1).unlink(), "episode 1 is missing"),
    "wrong statistics": (lambda r: rewrite(r / "meta/stats.json", wrong_mean), "action mean is not that"),
    "wrong count": (lambda r: rewrite(r / "meta/info.json", lambda i: {**i, "total_frames": 7}), "info.json counts 7"),
    "manifest row gone": (lambda r: (r / "manifest.jsonl").write_text(
        "".join((r / "manifest.jsonl").read_text().splitlines(True)[:-1])), "has 4 rows, info.json counts 5"),
    "info damaged": (lambda r: truncate(r / "meta/info.json"), "info.json is damaged"),
}


@pytest.mark.parametrize("harm", HARM, ids=str)
@pytest.mark.parametrize("hashes", [True, False], ids=["with hashes", "without hashes"])
def test_what_is_wrong_is_found_with_and_without_recorded_hashes(copy, harm, hashes):
    if not hashes:
        (copy / SUMS).unlink()
    spoil, text = HARM[harm]
    spoil(copy)
    found = list(problems(Folder(copy)))
    assert any(re.search(text, p) for p in found), found


@pytest.mark.parametrize("pattern", [DATA, VIDEO, EPISODES, "meta/stats.json", "meta/tasks.parquet",
                                     "meta/info.json", "manifest.jsonl", "config.yaml"])
def test_a_flipped_byte_is_found_wherever_it_is(copy, pattern):
    file = one(copy, pattern)
    flip(file)
    assert any(p.startswith(f"{file.relative_to(copy)} has changed") for p in problems(Folder(copy)))


def test_missing_hashes_are_a_problem_themselves(copy):
    (copy / SUMS).unlink()
    assert list(problems(Folder(copy))) == ["checksums.json is missing, so a changed byte may go unseen"]


def test_on_a_full_disk_the_report_goes_elsewhere(sound, tiny_disk, tmp_path):
    (tiny_disk / "ballast").write_bytes(bytes(600 * 1024))
    with pytest.raises(DataError, match=f"cannot write the report to {tiny_disk / 'audit'}: No space left"):
        run(sound, tiny_disk / "audit", "replay=0")
    assert run(sound, tmp_path / "audit", "replay=0")[0] == 0


def test_a_stranger_among_the_files_is_named(copy):
    (copy / "data" / "chunk-000" / "file-077.parquet").write_bytes(b"")
    assert any("file-077.parquet was not written by steadyhand" in p for p in problems(Folder(copy)))


def test_a_changed_action_is_found_by_its_statistics_and_by_replaying(copy):
    file = one(copy, DATA)
    table = pq.read_table(file)
    column = table["aux.executed"].combine_chunks()
    changed = column.flatten().to_numpy(zero_copy_only=False).copy().reshape(-1, 6)
    changed[2] += 0.1
    at = table.column_names.index("aux.executed")
    again = pa.FixedSizeListArray.from_arrays(pa.array(changed.ravel()), 6)
    pq.write_table(table.set_column(at, "aux.executed", again), file)
    sums = json.loads((copy / SUMS).read_text())
    sums[file.relative_to(copy).as_posix()] = hash_of(file)
    (copy / SUMS).write_text(json.dumps(sums))
    assert any("statistics of aux.executed" in p for p in problems(Folder(copy)))
    row = json.loads((copy / "manifest.jsonl").read_text().splitlines()[0])
    assert any("rad off its states" in p for p in Replayer(Folder(copy)).problems(row))


@pytest.mark.parametrize("codec", ["libx264", "png"])
def test_statistics_that_are_not_the_pictures_are_found(dataset, codec):
    root = dataset(2, 2, codec=codec)
    assert not [p for p in problems(Folder(root)) if "front" in p]
    brighten(one(root, EPISODES), "stats/observation.images.front/mean")
    found = list(problems(Folder(root)))
    assert any(re.search(r"episode 0: the mean of observation.images.front is 0\.2\d* off", p) for p in found), found


def brighten(file: Path, column: str) -> None:
    table = pq.read_table(file)
    values = [(np.asarray(v) + 0.2).tolist() for v in table[column].to_pylist()]
    at = table.column_names.index(column)
    pq.write_table(table.set_column(at, column, pa.array(values, table[column].type)), file)


def test_pictures_kept_as_images_are_checked_and_shown(dataset, tmp_path, capsys):
    root = dataset(3, codec="png")
    run(root, tmp_path / "audit", "replay=0")
    assert (tmp_path / "audit" / "contact.jpg").stat().st_size > 1000
    file = one(root, DATA)
    table = pq.read_table(file)
    cells = table["observation.images.wrist"].to_pylist()
    cells[1]["bytes"] = b"no picture"
    at = table.column_names.index("observation.images.wrist")
    spoiled = pa.array(cells, table["observation.images.wrist"].type)
    pq.write_table(table.set_column(at, "observation.images.wrist", spoiled), file)
    assert any("1 pictures of observation.images.wrist are damaged" in p for p in problems(Folder(root)))


def test_an_episode_that_is_not_its_seeds_is_found(copy):
    row = json.loads((copy / "manifest.jsonl").read_text().splitlines()[0])
    found = list(Replayer(Folder(copy)).problems({**row, "sha256": "0" * 64}))
    assert found == ["episode 0: made again from its seed it has another hash"]


def test_the_command_fails_on_a_damaged_dataset_and_says_so(copy, tmp_path, capsys):
    flip(one(copy, VIDEO))
    status, report = run(copy, tmp_path / "audit", "replay=0")
    assert status == 1
    assert "problem" in capsys.readouterr().out
    assert any("has changed" in p for p in report["problems"])


def test_a_missing_dataset_is_one_line(tmp_path):
    with pytest.raises(DataError, match="there is no dataset"):
        run(tmp_path / "nothing", tmp_path / "audit")


def test_a_folder_that_is_no_dataset_is_refused_and_stays_as_it_is(tmp_path):
    (tmp_path / "letter.txt").write_text("dear reader")
    with pytest.raises(DataError, match="there is no dataset"):
        audit.main(config.resolve("audit", [f"data={tmp_path}"]))
    assert [p.name for p in tmp_path.iterdir()] == ["letter.txt"]


def test_coverage_grows_with_episodes_and_knows_what_is_off(sound):
    settings = config_of(sound, {})
    few = {c.axis: c for c in coverage(settings, range(3))}
    many = {c.axis: c for c in coverage(settings, range(300))}
    assert few["table_colour"].share <= 0.3
    things = many.pop("object_model")  # among hundreds of them, of which every third scene takes one
    assert few["object_model"].share < 0.01 < 0.05 < things.share < 0.3
    assert all(c.share > 0.95 for c in many.values())
    settings["randomization"] = {"_option_": "none"}
    assert all(c.split == "off" and c.share == 0 for c in coverage(settings, range(3)))
    settings["randomization"] = {"_option_": "held_out"}
    held = {c.axis: c for c in coverage(settings, np.arange(300))}
    assert held["object_size"].split == "held out"
    assert held["object_size"].share > 0.95
