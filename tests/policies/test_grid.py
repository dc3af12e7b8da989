import json

import pytest

from policies import grid
from policies.rollout import Outcome
from robot import config as configs
from robot.errors import ConfigError
from sim.randomization import AXES


def settings(*more):
    return configs.resolve("evaluate", ["checkpoint=x", "grid=generalisation", "episodes=4", *more])


def outcome(cell, k, success):
    return Outcome(k, k, "x", success, 0.5, 4.0, False, "done", 5.0, 6.0, (), cell)


def test_the_grid_has_every_axis_of_the_simulation():
    assert set(settings()["grid"]["axes"]) == set(AXES)


def test_every_task_gets_nominal_each_axis_and_all():
    cells = grid.cells(settings("grid.tasks=[pick_place,stack]", "grid.axes=[camera_pose,language]"))
    assert [c.condition for c in cells] == ["nominal", "camera_pose", "language", "all axes"] * 2
    assert cells[1].groups == {"task": "pick_place",
                               "randomization": {"_option_": "train", "held_out": ["camera_pose"]}}
    assert len({c.name for c in cells}) == 8


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
    outcomes = [outcome(c.name, k, k < good) for c, good in zip(cells, (4, 3, 1)) for k in range(4)]
    page = grid.write(tmp_path, config, cells, outcomes).read_text()
    found = json.loads((tmp_path / "results.json").read_text())
    assert found["drop_points"]["pick_place"] == {"nominal": 0.0, "camera_pose": 25.0, "all axes": 75.0}
    assert ">75</td>" in page and "camera_pose" in page and "hsl(120" in page
