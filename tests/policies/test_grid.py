import json

import pytest

from policies import grid
from policies.rollout import Outcome
from policies.statistics import paired
from robot import config as configs
from robot.errors import ConfigError
from sim.randomization import AXES


def settings(*more):
    return configs.resolve("evaluate", ["checkpoint=x", "grid=generalisation", "episodes=4", *more])


def outcome(cell, k, success, wrong=False, checkpoint="x"):
    return Outcome(k, k, "x", success, 0.5, 4.0, wrong, "done", 5.0, 6.0, (), cell, checkpoint)


def test_the_grid_has_every_axis_of_the_simulation():
    assert set(settings()["grid"]["axes"]) == set(AXES)


def test_every_task_gets_nominal_each_axis_and_all():
    cells = grid.cells(settings("grid.tasks=[pick_place,stack]", "grid.axes=[camera_pose,language]"))
    assert [c.condition for c in cells] == ["nominal", "swapped instruction", "camera_pose", "language", "all axes"] * 2
    assert cells[2].groups == {"task": "pick_place",
                               "randomization": {"_option_": "train", "held_out": ["camera_pose"]}}
    assert [c.twin for c in cells[:5]] == [0, 1, 0, 0, 0] and cells[0].groups == cells[1].groups
    assert len({c.name for c in cells}) == 10
    assert grid.SWAPPED not in [c.condition for c in grid.cells(settings("grid.swap=false"))]


def test_without_a_grid_there_is_one_cell_that_changes_nothing():
    assert grid.cells(configs.resolve("evaluate", ["checkpoint=x"])) == [grid.Cell()]


@pytest.mark.parametrize(("override", "words"), [
    ("grid.tasks=[juggle]", "no task 'juggle'"), ("grid.axes=[gravity]", "axis 'gravity'"),
    ("grid.tasks=[]", "names no task")])
def test_what_does_not_exist_is_refused(override, words):
    with pytest.raises(ConfigError, match=words):
        grid.cells(settings(override))


def test_the_page_shows_what_each_axis_costs(tmp_path):
    config = settings("grid.axes=[camera_pose]")
    cells = grid.cells(config)
    outcomes = [outcome(c.name, k, k < good) for c, good in zip(cells, (4, 2, 3, 1)) for k in range(4)]
    page = grid.write(tmp_path, config, cells, outcomes).read_text()
    found = json.loads((tmp_path / "results.json").read_text())
    assert found["drop_points"]["pick_place"] == {
        "nominal": 0.0, "swapped instruction": 50.0, "camera_pose": 25.0, "all axes": 75.0}
    assert "<b>75</b>" in page and "camera_pose" in page and "hsl(120" in page and "25 points" in page


def test_checkpoints_are_pooled_over_the_same_scenes(tmp_path):
    config = settings("grid.axes=[]", "grid.swap=true", "checkpoints=[a,b]", "grid.tasks=[pick_place,stack]")
    cells = grid.cells(config)
    outcomes = [outcome(c.name, k, k < 2 + 2 * (path == "a"), c.twin == 1 and k == 0, path)
                for c in cells for path in "ab" for k in range(4)]
    page = grid.write(tmp_path, config, cells, outcomes).read_text()
    found = json.loads((tmp_path / "results.json").read_text())
    assert {p: r["success_rate"] for p, r in found["checkpoints"].items()} == {"a": 1.0, "b": 0.5}
    assert found["cells"]["stack nominal"]["episodes"] == 8
    swapped = found["conditions"]["swapped instruction"]
    assert (swapped["episodes"], swapped["wrong_object_rate"], swapped["drop_points"]) == (16, 0.25, 0.0)
    assert "25.0%" in page and "checkpoints: 2" in page


def test_a_drop_in_the_same_scenes_has_an_interval_also_when_nothing_changed():
    mean, low, high = paired([True, True, True, False] * 25, [True, True, False, False] * 25)
    assert mean == 0.25 and low == pytest.approx(0.1594, abs=1e-3) and high == pytest.approx(0.3308, abs=1e-3)
    assert paired([True] * 6, [True] * 6) == (0.0, pytest.approx(-0.245, abs=1e-3), pytest.approx(0.245, abs=1e-3))
    with pytest.raises(ValueError, match="no pairs"):
        paired([True], [])
