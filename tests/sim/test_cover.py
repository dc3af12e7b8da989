"""The bands of a picture that a table fills, beside what is drawn there."""

from __future__ import annotations

from unittest import mock

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import sim.render as render
from robot import registry
from sim.look import Light, Look, View, look_at, rotation
from sim.picture import NOTHING, clip, instant
from sim.render_cover import BANDS, EVERYWHERE, Cover
from sim.render_gl import _view_blocks, _viewing
from sim.scene import Material, Part, Scene, Shape

TABLE = Part(0, "table", "root", Shape("box", (0.8, 1.2, 0.04)), Material())
WORLD = np.eye(4)[None]


def spans(parts, eye, target, fov=60.0, world=WORLD, near=0.01, far=3.0):
    """Of one view from `eye` to `target` (m)."""
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = rotation(look_at(eye, target)), eye
    view = View(tuple(eye), (0.0, 0.0, 0.0, 1.0), fov, near=near, far=far)
    _, rays = _view_blocks(_viewing(clip(view)[None], 1.0), pose[None])
    return Cover(parts).spans(world, np.array([eye]), rays, [(near, far)])[0]


def test_a_table_seen_from_close_above_fills_the_picture():
    assert spans([TABLE], (0.0, 0.1, 0.4), (0.0, 0.0, 0.0)) is None


def test_the_sky_is_at_the_top_and_the_table_at_the_bottom():
    first, last = spans([TABLE], (-0.3, 0.0, 0.3), (0.4, 0.0, 0.1))
    assert first == 0 and 0 < last < BANDS


@pytest.mark.parametrize("eye, target, near, far", [
    ((0.0, 0.1, 0.01), (0.0, 0.0, 0.0), 0.01, 3.0),  # inside the box
    ((0.0, 0.1, 0.4), (0.0, 0.0, 0.8), 0.01, 3.0),  # it is behind the camera
    ((0.0, 0.1, 0.4), (0.0, 0.0, 0.0), 0.01, 0.3),  # beyond what the camera sees
    ((0.0, 0.1, 0.4), (0.0, 0.0, 0.0), 0.5, 3.0),  # nearer than what it sees
])
def test_where_the_table_is_not_seen_the_backdrop_may_be(eye, target, near, far):
    assert spans([TABLE], eye, target, near=near, far=far) == EVERYWHERE


def test_without_a_box_the_backdrop_may_be_everywhere():
    ball = Part(0, "ball", "root", Shape("sphere", (0.5,)), Material())
    assert spans([ball], (0.0, 0.1, 0.7), (0.0, 0.0, 0.0)) == spans([], (0.0, 0.1, 0.7), (0.0, 0.0, 0.0)) == EVERYWHERE


def test_what_is_known_of_a_view_is_forgotten_when_something_moves():
    cover, eyes = Cover([TABLE]), np.array([[0.0, 0.1, 0.4]])
    pose = np.eye(4)
    pose[:3, :3] = rotation(look_at(eyes[0], (0.0, 0.0, 0.0)))
    view = View((0.0, 0.1, 0.4), (0.0, 0.0, 0.0, 1.0), 60.0)
    _, rays = _view_blocks(_viewing(clip(view)[None], 1.0), pose[None])
    away = WORLD.copy()
    away[0, 0, 3] = 5.0
    told = [cover.spans(world, eyes + shift, rays, [(0.01, 3.0)])[0]
            for world, shift in ((WORLD, 0.0), (WORLD, 0.0), (away, 0.0), (WORLD, 0.0), (WORLD, 5.0))]
    assert told == [None, None, EVERYWHERE, None, EVERYWHERE]


@pytest.fixture(scope="module")
def slab():
    """A renderer and a scene of one tilted slab."""
    scene, gl = Scene(), render.GlRenderer()
    scene.add("slab", Shape("box", (0.8, 1.2, 0.1)), position=(0.1, 0.0, 0.05),
              quaternion=(0.0, float(np.sin(0.2)), 0.0, float(np.cos(0.2))))
    yield gl, scene
    gl.release()
    scene.close()


@settings(max_examples=150, deadline=None)
@given(st.tuples(st.floats(-1.2, 1.2), st.floats(-1.2, 1.2), st.floats(-0.2, 1.0)),
       st.tuples(st.floats(-0.5, 0.5), st.floats(-0.5, 0.5)), st.floats(20.0, 100.0), st.sampled_from([16, 33, 128]))
def test_no_pixel_is_left_without_its_backdrop(slab, eye, target, fov, size):
    """Beside the same picture with its backdrop drawn everywhere."""
    gl, scene = slab
    assume(np.hypot(eye[0] - target[0], eye[1] - target[1]) > 0.02)
    look = Look({"view": View(eye, tuple(look_at(eye, (*target, 0.03))), fov)}, (Light((0.0, 0.0, 1.0)),))
    now = instant(scene, look)
    gl.load(scene.parts, look)
    thrifty = gl.draw(now, size, geometry=True)["view"]
    with mock.patch.object(Cover, "spans", lambda self, world, eyes, *more: [EVERYWHERE] * len(eyes)):
        whole = gl.draw(now, size, geometry=True)["view"]
    for what in ("rgb", "depth", "segmentation"):
        assert np.array_equal(getattr(thrifty, what), getattr(whole, what)), what


def test_the_backdrop_of_a_randomised_scene_is_where_it_was():
    """In worlds as they are used, with several views: half of them need little of it."""
    world = registry.assemble({"world": {"_option_": "tabletop", "size": 64}, "model": "so101", "task": "kitting",
                               "randomization": "train", "renderer": "gl"}, "world")
    little = 0
    for seed in range(12):
        world.reset(seed)
        thrifty = world.renderer.draw(world.poses(), 64, geometry=True)
        with mock.patch.object(Cover, "spans", lambda self, frames, eyes, *more: [EVERYWHERE] * len(eyes)):
            whole = world.renderer.draw(world.poses(), 64, geometry=True)
        for view, picture in thrifty.items():
            assert np.array_equal(picture.rgb, whole[view].rgb)
            little += (picture.segmentation == NOTHING).mean() < 0.1
    world.close()
    assert little >= 12
