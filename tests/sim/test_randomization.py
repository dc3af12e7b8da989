"""Axes: own streams, ranges that do not meet, clear refusals."""

from __future__ import annotations

import numpy as np
import pytest

from robot.errors import ConfigError
from sim.look import look_at, project, quaternion, rotation
from sim.randomization import AXES, Draw, none, sample_look, some, train, unseen
from sim.textures import TEXTURES


def values(draw: Draw, axis: str, count: int = 3) -> list:
    return [np.asarray(draw(axis)).tolist() if axis != "background" else str(draw(axis)) for _ in range(count)]


@pytest.mark.parametrize("axis", list(AXES))
def test_an_axis_moves_no_other(axis):
    every, less = train().draw(7), train(off=(axis,)).draw(7)
    for name in AXES:
        if name != axis:
            assert values(every, name) == values(less, name), name


@pytest.mark.parametrize("axis", list(AXES))
def test_off_is_nominal(axis):
    assert str(none().draw(3)(axis)) == str(AXES[axis].nominal)


@pytest.mark.parametrize("axis", list(AXES))
def test_held_out_values_never_occur_in_training(axis):
    def seen(randomization) -> list:
        draws = [randomization.draw(seed)(axis) for seed in range(150)]
        return [d if isinstance(d, (str, tuple)) else np.atleast_1d(np.asarray(d, float)) for d in draws]

    trained, held_out = seen(train()), seen(unseen())
    if isinstance(trained[0], np.ndarray):
        low, high = np.min(trained, 0), np.max(trained, 0)
        assert all(((v < low) | (v > high)).any() for v in held_out)
    else:
        assert not set(map(str, trained)) & set(map(str, held_out))


def test_same_seed_same_values_and_other_seed_other_values():
    a, b, c = train().draw(1), train().draw(1), train().draw(2)
    assert values(a, "table_colour") == values(b, "table_colour") != values(c, "table_colour")


def test_unknown_axis_lists_the_known():
    with pytest.raises(ConfigError, match=r"'colour'.*object_colour"):
        some(axes=("colour",))


def test_every_texture_named_can_be_drawn():
    for axis in AXES.values():
        for distribution in (axis.train, axis.held_out):
            if axis.name.endswith("texture"):
                assert set(distribution.values) - {""} <= set(TEXTURES)


def test_the_front_camera_sees_the_workspace():
    for seed in range(20):
        view = sample_look(train().draw(seed)).views["front"]
        for x, y in ((0.16, 0.0), (0.27, 0.0), (0.19, 0.17), (0.19, -0.17)):
            u, v, depth = project(view, (np.zeros(3), np.array([0, 0, 0, 1.0])), (x, y, 0.015))
            assert 0 < u < 1 and 0 < v < 1 and depth > 0.2


def test_quaternions_round_trip():
    rng = np.random.default_rng(0)
    for _ in range(50):
        q = rng.standard_normal(4)
        m = rotation(q / np.linalg.norm(q))
        assert np.allclose(rotation(quaternion(m)), m, atol=1e-9)
    assert np.allclose(rotation(look_at((1, 0, 0), (0, 0, 0)))[:, 2], [-1, 0, 0])
