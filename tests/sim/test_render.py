"""Both renderers draw the same scene; where there is no GL the plain one takes over and says so."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import moderngl
import numpy as np
import pytest

import sim.render as render
from robot import registry
from robot.errors import ConfigError
from sim.picture import NOTHING, clip, matrices
from sim.render_device import NoGlError
from sim.render_gl import _seen_from, _shade_block, _view_blocks, _viewing
from sim.scene import Material

GLS = ("gl", "tiny")


def world_of(task, randomization="train", renderer="none", size=128):
    """A tabletop that draws nothing itself unless `renderer` is given."""
    config = {"world": {"_option_": "tabletop", "size": size}, "model": "so101", "task": task,
              "randomization": randomization}
    return registry.assemble(config if renderer == "none" else {**config, "renderer": renderer}, "world")


@pytest.fixture(params=GLS)
def renderer(request):
    made = registry.build("renderer", request.param)
    yield made
    made.release()


@pytest.fixture(scope="module")
def scene():
    """Parts, look and instant of one randomised scene."""
    world = world_of("pick_place", renderer="tiny")
    world.reset(3)
    yield world.scene.parts, world.look, world.poses()
    world.close()


# ------------------------------------------------------------ correct
def overlaps(task, seeds):
    """(IoU, what) of all bodies over 100 px as both renderers draw them, and the median depth error of each picture."""
    gl, tiny = render.GlRenderer(), render.TinyRenderer()
    world, shared, errors = world_of(task, renderer="tiny"), [], []
    for seed in seeds:
        world.reset(seed)
        for made in (gl, tiny):
            made.load(world.scene.parts, world.look)
        ours, theirs = (made.draw(world.poses(), 256, geometry=True) for made in (gl, tiny))
        bodies = {part.frame: part.body for part in world.scene.parts}
        for view in ours:
            a, b = ours[view], theirs[view]
            for body in sorted(set(bodies.values())):
                frames = [f for f, name in bodies.items() if name == body]
                mine, its = np.isin(a.segmentation, frames), np.isin(b.segmentation, frames)
                if max(mine.sum(), its.sum()) > 100:
                    shared.append(((mine & its).sum() / (mine | its).sum(), f"{task} {seed}: {body} in {view}"))
            both = (a.segmentation == b.segmentation) & (a.segmentation != NOTHING)
            errors.append(float(np.median(np.abs(a.depth[both] - b.depth[both]))))
            assert np.isinf(a.depth[a.segmentation == NOTHING]).all()
    for made in (world, gl, tiny):
        (made.close if made is world else made.release)()
    return shared, errors


@pytest.mark.parametrize("task", ["pick_place", "put_in_drawer", "kitting"])
def test_depth_and_segmentation_agree(task):
    """IoU of at least 0.98 for everything of more than 100 px, median depth error of at most 2 mm."""
    shared, errors = overlaps(task, range(4))
    assert len(shared) > 20 and min(shared)[0] >= 0.98, min(shared)
    assert max(errors) <= 0.002


@pytest.mark.slow
def test_depth_and_segmentation_agree_in_every_task():
    """All of a thousand bodies overlap by 0.98."""
    every = [overlaps(task, range(5)) for task in sorted(registry.load("task"))]
    shared = sorted(row for rows, _ in every for row in rows)
    missed, worst = [row for row in shared if row[0] < 0.98], max(error for _, errors in every for error in errors)
    mean = np.mean([row[0] for row in shared])
    print(f"\n{len(shared)} bodies, mean overlap {mean:.4f}, below 0.98: {missed}; depth within {worst * 1e3:.4f} mm")
    assert len(shared) > 800 and not missed
    assert worst <= 0.002


def met(boxes, now, view, eye, size):
    """(size, size) frame of the box that a ray through each pixel's centre meets first, by formula."""
    side = (2 * (np.arange(size) + 0.5) / size - 1) * np.tan(np.radians(view.fov) / 2)
    rays = np.stack([*np.meshgrid(side, side), np.ones((size, size))], axis=-1) @ eye[:3, :3].T
    first, seen = np.full((size, size), view.far), np.full((size, size), NOTHING)
    for part in boxes:
        frame = matrices(now)[part.frame] @ matrices(np.array([[*part.shape.position, *part.shape.quaternion]]))[0]
        start, ray, half = frame[:3, :3].T @ (eye[:3, 3] - frame[:3, 3]), rays @ frame[:3, :3], part.shape.size
        ends = np.sort([(sign * np.divide(half, 2) - start) / ray for sign in (-1, 1)], axis=0)
        enter, leave = ends[0].max(axis=-1), ends[1].min(axis=-1)
        hit = (enter < leave) & (enter > view.near) & (enter < first)
        first[hit], seen[hit] = enter[hit], part.frame
    return seen


def test_what_shaders_are_told_of_a_camera_is_its_projection(scene):
    _, look, now = scene
    poses, clips = matrices(now)[-len(look.views) :], np.array([clip(view) for view in look.views.values()])
    told, rays = _view_blocks(_viewing(clips, 0.8), poses)
    rng = np.random.default_rng(0)
    for block, ray, pose, lens in zip(told.reshape(len(poses), -1, 4), rays, poses, clips):
        place = np.append(rng.uniform(-0.5, 0.5, 3), 1.0)
        seen = place @ block[:4]
        assert np.allclose(seen, lens @ np.linalg.inv(pose) @ place, atol=1e-5)
        x, y, depth = *(seen[:2] / seen[3]), seen[3]
        assert np.allclose(pose[:3, 3] + depth * ray @ (x, y, 1.0), place[:3], atol=1e-5)
        assert np.allclose((x, y, 1.0, 0.0) @ block[4:8], np.append(ray @ (x, y, 1.0), 0.0), atol=1e-5)
        assert np.allclose(block[8], [*pose[:3, 3], 0.8]) and block[7, 3] == 1.0 and not block[9:].any()


def test_the_shadow_map_holds_all_that_casts_and_lifts_by_its_width():
    rng = np.random.default_rng(1)
    turn = _seen_from(np.array([0.36, -0.48, 0.8]))
    middles, radii = rng.uniform(-1, 1, (9, 3)), rng.uniform(0.01, 0.2, 9)
    block = _shade_block(turn, middles, radii, 0.9, 0.5)
    edges = np.concatenate([middles + sign * radii[:, None] * turn[k] for k in range(3) for sign in (-1, 1)])
    seen = np.abs(np.column_stack([edges, np.ones(len(edges))]) @ block[:4])
    assert np.allclose(seen.max(0), [0.9, 0.9, 1.0, 1.0], atol=1e-5)
    wide = np.ptp(edges @ turn.T, axis=0)[:2].max() / 0.9
    assert np.allclose(block[4], [0.5 * wide, 0, 0, 0], atol=1e-5)
    assert np.isfinite(_shade_block(turn, middles[:0], radii[:0], 0.9, 0.5)).all()


def test_boxes_are_where_rays_meet_them():
    """A third opinion, of no renderer. Boxes only: cylinders are drawn with the margin of Bullet's own cameras."""
    gl, world = render.GlRenderer(), world_of("kitting", renderer="tiny")
    world.reset(1)
    gl.load(world.scene.parts, world.look)
    now, shared = world.poses(), []
    boxes = [part for part in world.scene.parts if part.shape.kind == "box"]
    frames = {part.frame for part in boxes} - {part.frame for part in world.scene.parts if part not in boxes}
    for (name, view), eye in zip(world.look.views.items(), matrices(now)[-len(world.look.views) :]):
        ours, rays = gl.draw(now, 256, geometry=True)[name].segmentation, met(boxes, now, view, eye, 256)
        free = np.isin(ours, [*frames, NOTHING])  # of cylinders, which may hide a box
        pairs = [((ours == frame) & free, (rays == frame) & free) for frame in frames]
        shared += [(mine & its).sum() / (mine | its).sum() for mine, its in pairs if its.sum() > 100]
    gl.release()
    world.close()
    assert len(shared) > 10 and min(shared) >= 0.99, shared


def test_pictures_show_what_the_segmentation_says(scene):
    parts, look, now = scene
    paint = {True: Material((1.0, 0.0, 0.0, 1.0)), False: Material((0.1, 0.1, 0.1, 1.0))}
    painted = [replace(part, material=paint[part.body == "cube 0"]) for part in parts]
    gl = render.GlRenderer()
    gl.load(painted, look)
    picture = gl.draw(now, 128, geometry=True)["front"]
    gl.release()
    cube = [p.frame for p in parts if p.body == "cube 0"]
    red = np.isin(picture.segmentation, cube)
    inside = picture.rgb[red].astype(int)
    assert red.sum() > 20
    assert (inside[:, 0] - inside[:, 1] > 20).mean() > 0.8


def test_the_same_instant_and_seed_are_the_same_bytes(renderer, scene):
    parts, look, now = scene
    renderer.load(parts, look)
    first, again, noisy = (renderer.draw(now, 96, seed=s) for s in (5, 5, 6))
    assert list(first) == list(look.views)
    for view in first:
        assert first[view].rgb.shape == (96, 96, 3) and first[view].depth is None
        assert np.array_equal(first[view].rgb, again[view].rgb)
        assert look.lens.noise == 0 or not np.array_equal(first[view].rgb, noisy[view].rgb)


def test_textures_that_come_and_go_change_no_picture():
    """A renderer holds few textures at once; what it drew before has no say in what it draws now."""
    world, old, new = world_of("pick_place", renderer="tiny"), render.GlRenderer(), render.GlRenderer()
    for seed in range(30):
        world.reset(seed)
        old.load(world.scene.parts, world.look)
        old.draw(world.poses(), 32)
    new.load(world.scene.parts, world.look)
    one, other = old.draw(world.poses(), 64), new.draw(world.poses(), 64)
    assert all(np.array_equal(one[v].rgb, other[v].rgb) for v in one)
    for made in (old, new):
        made.release()
    world.close()


# ------------------------------------------------------------ misuse
def test_what_cannot_be_drawn_is_said(renderer, scene):
    parts, look, now = scene
    with pytest.raises(RuntimeError, match="no scene"):
        renderer.draw(now, 32)
    odd = replace(parts[-1], material=Material((1.0, 1.0, 1.0, 1.0), "tartan 3"))
    with pytest.raises(ConfigError, match="tartan"):
        renderer.load([*parts, odd], look)


def test_releasing_twice_is_no_error(renderer, scene):
    parts, look, _ = scene
    renderer.load(parts, look)
    renderer.release()
    renderer.release()


# ------------------------------------------------------------ no GL
@pytest.fixture
def no_gl(monkeypatch):
    import sim.render_device as device

    def refuse(**_):
        raise Exception("libEGL.so not loaded")

    monkeypatch.setattr(device, "_devices", {})
    monkeypatch.setattr(moderngl, "create_context", refuse)
    monkeypatch.setattr(render, "_told", False)


def test_without_gl_the_plain_renderer_takes_over_and_says_so_once(no_gl, caplog):
    with caplog.at_level(logging.WARNING):
        first, second = render.auto(), render.auto()
    assert first.name == second.name == "tiny"
    said = [r.getMessage() for r in caplog.records]
    assert len(said) == 1 and "apt install libegl1" in said[0] and "TinyRenderer" in said[0]
    for made in (first, second):
        made.release()


def test_asked_for_by_name_gl_is_not_replaced(no_gl):
    with pytest.raises(NoGlError, match="apt install"):
        render.GlRenderer()


def test_a_world_without_gl_has_pictures(no_gl):
    world = world_of("pick_place", renderer="auto", size=48)
    world.reset(1)
    frame = world.cameras["front"].read(1.0)
    world.close()
    assert frame.rgb.shape == (48, 48, 3) and frame.rgb.std() > 5


@pytest.mark.slow
def test_memory_stays_flat_over_two_thousand_scenes():
    """Every reset brings new textures; the process grows by less than 50 MB."""
    world = world_of("pick_place", renderer="gl", size=64)
    resident = []
    for seed in range(2200):
        world.reset(seed)
        world.cameras["front"].read(1.0)
        if seed in (200, 2199):
            resident.append(int(Path("/proc/self/statm").read_text().split()[1]) * 4096)
    world.close()
    print(f"\n{resident[0] / 1e6:.1f} MB, after 2,000 more scenes {resident[1] / 1e6:.1f} MB")
    assert resident[1] - resident[0] < 50e6, f"{(resident[1] - resident[0]) / 1e6:.0f} MB"
