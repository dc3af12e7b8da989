"""PyBullet's window: refused in one line where there is no display, and showing things in their colours."""

from __future__ import annotations

import sys

import pytest

from robot.arms.so101 import so101
from robot.errors import SceneError
from sim.bullet import pybullet
from sim.scene import Link, Material, Scene, Shape


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere a window needs no X server")
def test_without_a_display_it_says_so_instead_of_ending_the_process(monkeypatch):
    monkeypatch.setenv("DISPLAY", ":987")
    with pytest.raises(SceneError, match=r"no display answers.*gui=false"):
        Scene(gui=True)


def test_what_a_window_shows_has_the_colours_of_the_pictures():
    scene, grey = Scene(), Material((0.5, 0.5, 0.5, 1.0))
    box, red = (0.02, 0.02, 0.02), Material((1.0, 0.0, 0.0, 1.0))
    scene.add("cube", Shape("box", box), (0, 0, 0.01), mass=0.1, material=red)
    drawer = Link((Shape("box", box, material=red), Shape("box", box, (0.1, 0, 0))), 0.1, "prismatic", "drawer")
    scene.add("chest", [Link((Shape("box", box), Shape("sphere", (0.02,), visible=False))), drawer], (0.3, 0, 0),
              material=grey)
    scene.load("arm", so101().urdf)
    for name in ("cube", "chest", "arm"):
        shown = [row[7] for row in pybullet.getVisualShapeData(scene.body(name).id, physicsClientId=scene.client)]
        assert shown == [pytest.approx(p.material.rgba) for p in scene.parts if p.body == name], name
    scene.close()
