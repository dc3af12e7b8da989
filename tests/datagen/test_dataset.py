"""The dataset on disk: what is written comes back, and a crash at any moment leaves a folder that loads."""

from __future__ import annotations

import json
from pathlib import Path

import av
import numpy as np
import pyarrow.parquet as pq
import pytest

from datagen import staging
from datagen.dataset import Writer
from datagen.files import read_info, read_manifest, read_tasks
from robot.errors import DataError


def frames_of(file: Path) -> tuple[list[float], np.ndarray]:
    with av.open(str(file)) as container:
        decoded = [(float(f.pts * f.time_base), f.to_ndarray(format="rgb24")) for f in container.decode(video=0)]
    return [t for t, _ in decoded], np.stack([rgb for _, rgb in decoded])


def test_columns_survive_exactly_and_indices_run_through(dataset, made):
    root = dataset(3, 2)
    table = pq.read_table(root / "data").sort_by("index")
    raw = np.concatenate([made.synthetic(k).columns["action"] for k in range(5)])
    assert np.array_equal(np.stack(table["action"].to_numpy()), raw)
    assert table["index"].to_pylist() == list(range(len(raw)))
    assert read_info(root)["total_frames"] == len(raw)
    rows = pq.read_table(root / "meta" / "episodes").sort_by("episode_index").to_pylist()
    for row in rows:
        own = table.slice(row["dataset_from_index"], row["length"])
        assert set(own["episode_index"].to_pylist()) == {row["episode_index"]}
        assert own["timestamp"].to_pylist() == pytest.approx([k / 10 for k in range(row["length"])])


def test_video_frames_sit_on_the_period_and_keep_their_colours(dataset, made):
    root = dataset(3)
    row = pq.read_table(root / "meta" / "episodes").sort_by("episode_index").to_pylist()[1]
    key = "observation.images.front"
    times, decoded = frames_of(root / "videos" / key / "chunk-000" / "file-000.mp4")
    assert times == pytest.approx([k / 10 for k in range(len(times))], abs=1e-6)
    first = round(row[f"videos/{key}/from_timestamp"] * 10)
    raw = made.synthetic(1).frames[key].astype(int)
    assert np.abs(decoded[first : first + row["length"]].astype(int) - raw).mean() < 3


def test_tasks_have_the_text_as_pandas_index(dataset):
    root = dataset(2, task="stack the cubes")
    note = json.loads(pq.read_schema(root / "meta" / "tasks.parquet").metadata[b"pandas"])
    assert note["index_columns"] == ["__index_level_0__"]
    assert read_tasks(root) == ["stack the cubes"]


def test_dataset_statistics_are_those_of_all_rows(dataset, made):
    root = dataset(2, 3)
    stored = json.loads((root / "meta" / "stats.json").read_text())
    values = np.concatenate([made.synthetic(k).columns["action"] for k in range(5)]).astype(float)
    assert stored["action"]["mean"] == pytest.approx(values.mean(0))
    assert stored["action"]["std"] == pytest.approx(values.std(0))
    assert stored["action"]["max"] == pytest.approx(values.max(0))
    assert stored["action"]["count"] == [len(values)]
    assert np.shape(stored["observation.images.front"]["q50"]) == (3, 1, 1)


def test_images_instead_of_videos(dataset, made):
    root = dataset(2, codec="png")
    assert read_info(root)["video_path"] is None
    assert not (root / "videos").exists()
    cell = pq.read_table(root / "data").sort_by("index")["observation.images.front"][0].as_py()
    import cv2

    decoded = cv2.imdecode(np.frombuffer(cell["bytes"], np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    assert np.array_equal(decoded, made.synthetic(0).frames["observation.images.front"][0])


def test_an_episode_given_up_has_a_row_and_no_data(dataset, made):
    root = dataset(1)
    writer = Writer(root)
    lost = staging.put(root, 1, staging.pack({"outcome": "dropped"}, None, None))
    writer.commit([staging.read(lost), *made.stage(root, range(2, 3))])
    assert [(r["episode"], r["index"]) for r in read_manifest(root)] == [(0, 0), (1, None), (2, 1)]
    assert read_info(root)["total_episodes"] == 2


def test_episodes_out_of_order_are_refused(dataset, made):
    root = dataset(1)
    with pytest.raises(DataError, match="do not follow episode 0"):
        Writer(root).commit(made.stage(root, range(2, 3)))


STEPS = ["before the block", "amid its files", "before info.json", "before the manifest", "amid the manifest"]


@pytest.mark.parametrize("step", STEPS)
def test_a_crash_during_a_commit_loses_nothing(dataset, made, monkeypatch, step):
    root = dataset(2)
    writer = Writer(root)
    block = made.stage(root, range(2, 4))
    break_at(step, writer, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        writer.commit(block)
    monkeypatch.undo()
    again = Writer(root)
    rest = [s for n, s in sorted(staging.found(root).items()) if n >= again.attempted]
    again.commit(rest)
    assert read_info(root)["total_episodes"] == 4
    assert [r["sha256"] for r in read_manifest(root)] == [made.synthetic(k).digest() for k in range(4)]
    table = pq.read_table(root / "data").sort_by("index")
    assert table["index"].to_pylist() == list(range(read_info(root)["total_frames"]))
    stored = json.loads((root / "meta" / "stats.json").read_text())
    assert stored["action"]["count"] == [table.num_rows]


def break_at(step: str, writer: Writer, monkeypatch) -> None:
    """Make `commit` stop as a kill would at this step."""
    def stop(*_, **__):
        raise KeyboardInterrupt

    if step == "before the block":
        monkeypatch.setattr(writer, "_write_block", stop)
    elif step == "amid its files":
        import os

        replace, done = os.replace, []

        def some(source, target):
            if len(done) == 2:
                stop()
            done.append(target)
            replace(source, target)

        monkeypatch.setattr("datagen.dataset.os.replace", some)
    elif step == "before info.json":
        monkeypatch.setattr("datagen.dataset.write_text", stop)
    elif step == "before the manifest":
        monkeypatch.setattr(writer, "_log", stop)
    else:
        log = writer._log

        def torn(block):
            log(block)
            manifest = writer.root / "manifest.jsonl"
            manifest.write_bytes(manifest.read_bytes()[:-20])
            stop()

        monkeypatch.setattr(writer, "_log", torn)


def test_a_half_staged_episode_is_forgotten(tmp_path, made):
    made.stage(tmp_path, range(1))
    half = tmp_path / ".staging" / ".episode-0000001.77"
    half.mkdir()
    (half / "front.mp4").write_bytes(b"half")
    assert list(staging.found(tmp_path)) == [0]
    assert not half.exists()


def test_another_layout_is_refused(dataset, made):
    root = dataset(1)
    with pytest.raises(DataError, match="another layout"):
        Writer(root).commit(made.stage(root, range(1, 2), codec="png"))
