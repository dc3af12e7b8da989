"""What pictures show of light and surfaces: shadows, fill lights, exposure, gloss, patterns, in any number of views."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import sim.render as render
import sim.render_batch as batch
from sim.look import Lens, Light, Look, View, look_at
from sim.picture import instant
from sim.render_mesh import mesh_of
from sim.scene import Material, Scene, Shape

SIZE = 96
ABOVE = (0.0, 0.0, 1.0)
KEY, STEEP = Light(ABOVE), Light((np.sin(0.8), 0.0, np.cos(0.8)))


@pytest.fixture(scope="module")
def gl():
    made = render.GlRenderer()
    yield made
    made.release()


@pytest.fixture
def scene():
    """A table and a block that floats over its middle, seen from above."""
    made = Scene()
    made.add("table", Shape("box", (2.0, 2.0, 0.02)), (0, 0, -0.01), material=Material((0.5, 0.5, 0.5, 1.0)))
    made.add("block", Shape("box", (0.06, 0.06, 0.01)), (0, 0, 0.10), material=Material((0.5, 0.5, 0.5, 1.0)))
    yield made
    made.close()


def look(*lights: Light, **more) -> Look:
    eye = View((0.0, 0.0, 0.6), tuple(look_at((0, 0, 0.6), (0, 0, 0), up=(1, 0, 0))), 40.0)
    return Look({"above": eye}, lights or (KEY,), **more)


def drawn(gl, scene: Scene, seen: Look, size: int = SIZE) -> np.ndarray:
    gl.load(scene.parts, seen)
    return gl.draw(instant(scene, seen), size)["above"].rgb.astype(int)


def spot(picture: np.ndarray, x: float, y: float) -> float:
    """Mean grey around the table's point (x, y) m; x is up in the picture."""
    scale = SIZE / (2 * 0.6 * np.tan(np.radians(20)))
    row, column = round(SIZE / 2 - x * scale), round(SIZE / 2 - y * scale)
    return float(picture[row - 1 : row + 2, column - 1 : column + 2].mean())


def test_the_shadow_lies_where_the_key_light_throws_it(gl, scene):
    picture = drawn(gl, scene, look(STEEP))
    thrown = -0.10 * np.tan(0.8)  # m, away from the light
    assert spot(picture, thrown, 0.0) < 0.8 * spot(picture, -thrown, 0.0)
    assert spot(picture, thrown, 0.1) == pytest.approx(spot(picture, -thrown, 0.1), abs=3)


def test_fill_lights_brighten_the_shadow_and_cast_none(gl, scene):
    thrown = -0.10 * np.tan(0.8)
    alone, filled = drawn(gl, scene, look(STEEP)), drawn(gl, scene, look(STEEP, Light(ABOVE, (0.3,) * 3)))
    assert spot(filled, thrown, 0.0) > spot(alone, thrown, 0.0) + 5
    assert spot(filled, 0.0, 0.15) > spot(alone, 0.0, 0.15)


def test_the_light_has_a_colour(gl, scene):
    picture = drawn(gl, scene, look(Light(ABOVE, (1.0, 0.4, 0.2))))
    assert (np.diff(picture.mean(axis=(0, 1))) < -3).all()


@pytest.mark.parametrize("kind", ["gl", "tiny"])
def test_exposure_brightens(gl, scene, kind):
    made = gl if kind == "gl" else render.TinyRenderer()
    means = [drawn(made, scene, look(lens=Lens(exposure=e))).mean() for e in (0.5, 1.0, 1.5)]
    assert means[0] + 10 < means[1] < means[2] - 5
    if kind == "tiny":
        made.release()


def test_gloss_is_brighter_where_the_light_is_mirrored(gl):
    shine = []
    for roughness in (0.9, 0.25):
        scene, look_of_it = Scene(), Material((0.3, 0.3, 0.3, 1.0), "", roughness, 0.9)
        scene.add("ball", Shape("sphere", (0.1,)), (0, 0, 0), material=look_of_it)
        shine.append(drawn(gl, scene, look()).max())
        scene.close()
    assert shine[1] > shine[0] + 20


def test_a_pattern_is_drawn_to_scale(gl, scene):
    plain = drawn(gl, scene, look())[: SIZE // 4].std()
    scene.parts[:] = [replace(p, material=Material((0.5, 0.5, 0.5, 1.0), "checker")) for p in scene.parts]
    assert drawn(gl, scene, look())[: SIZE // 4].std() > plain + 5


def test_more_views_than_one_atlas_holds(gl, scene):
    one = look(STEEP)
    many = replace(one, views={f"view {k}": one.views["above"] for k in range(20)})
    gl.load(scene.parts, many)
    pictures = gl.draw(instant(scene, many), 32)
    gl.load(scene.parts, one)
    alone = gl.draw(instant(scene, one), 32)["above"].rgb
    assert len(pictures) == 20 and all(np.array_equal(p.rgb, alone) for p in pictures.values())


def test_a_cylinder_shades_as_the_mesh_it_is_drawn_with(gl, monkeypatch):
    """It casts the shadow of a coarser prism: the picture is the same but for a pixel here and there at its edge."""
    made = Scene()
    made.add("table", Shape("box", (1.0, 1.0, 0.1)), position=(0.0, 0.0, -0.05))
    made.add("can", Shape("cylinder", (0.03, 0.08)), position=(0.0, 0.0, 0.1))
    eye = (0.0, 0.3, 0.35)
    look = Look({"view": View(eye, tuple(look_at(eye, (-0.05, 0.0, 0.0))), 50.0)}, (STEEP,))
    gl.load(made.parts, look)
    prism = gl.draw(instant(made, look), SIZE)["view"].rgb.astype(int)
    monkeypatch.setattr(batch, "outline_of", lambda shape: (mesh_of(shape).corners[:, :3], mesh_of(shape).faces))
    gl.load(made.parts, look)
    whole = gl.draw(instant(made, look), SIZE)["view"].rgb.astype(int)
    monkeypatch.setattr(batch, "outline_of", lambda shape: (np.zeros((0, 3)), np.zeros((0, 3), np.uint32)))
    gl.load(made.parts, look)
    bare = gl.draw(instant(made, look), SIZE)["view"].rgb.astype(int)
    made.close()
    shaded = np.abs(whole - bare).max(axis=2) > 8
    assert shaded.sum() > 200 and (np.abs(prism - whole).max(axis=2) > 8).sum() < 0.1 * shaded.sum()
