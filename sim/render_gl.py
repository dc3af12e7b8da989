"""The fast renderer: poses from Bullet, two or three draws a view, all views in one atlas, one read-back."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import cv2
import moderngl
import numpy as np
from numpy.typing import NDArray

from robot.interfaces import Array
from sim.look import Look
from sim.picture import NOTHING, Instant, Picture, clip, matrices
from sim.render_batch import Batch
from sim.render_cover import BANDS, Cover, Span
from sim.render_device import Device, device
from sim.render_lens import develop
from sim.render_shaders import FILLS, STRIDE, VIEWS
from sim.scene import Material, Part
from sim.textures import SIDE, texture

LAYERS = 24  # textures a scene may use at once; layer 0 stays unused and means plain
LARGEST = 0.5  # m, half diagonal of the largest part that casts a shadow
MARGIN = 3  # px of the shadow map kept empty around what casts
LIFT = 1.5  # px of the shadow map that surfaces are lifted off it, lest they shade themselves


class GlRenderer:
    """ModernGL over EGL: on a GPU, or on Mesa's llvmpipe where there is none.

    One renderer serves one thread. Raises `NoGlError` when no context can be had.
    """

    def __init__(self, shadow_size: int = 128) -> None:
        """`shadow_size` px of the shadow map, whose edges are as soft as one of those is wide."""
        self._device: Device = device()
        ctx = self._device.context
        self._views = ctx.buffer(reserve=VIEWS * STRIDE)
        self._lights = ctx.buffer(reserve=16 * (9 + 2 * FILLS))
        self._patterns = ctx.texture_array((SIDE, SIDE, LAYERS), 1)
        self._patterns.filter = (moderngl.LINEAR_MIPMAP_LINEAR, moderngl.LINEAR)
        self._map = ctx.depth_texture((shadow_size, shadow_size))
        self._map.compare_func, self._map.filter = "<=", (moderngl.LINEAR, moderngl.LINEAR)
        self._map.repeat_x = self._map.repeat_y = False
        self._map_target = ctx.framebuffer(depth_attachment=self._map)
        self._targets: dict[tuple[int, int, bool], moderngl.Framebuffer] = {}
        self._backdrops = {key: ctx.vertex_array(program, []) for key, program in self._device.backdrop.items()}
        self._layers: dict[str, int] = {}
        self._batch = Batch(self._device)
        self._look: Look | None = None

    @property
    def name(self) -> str:
        """`gl:` and the driver's name of itself."""
        return f"gl:{self._device.name}"

    # ------------------------------------------------------------ scene
    def load(self, parts: Sequence[Part], look: Look) -> None:
        """See `Renderer.load`."""
        layers = self._upload([*(part.material for part in parts), look.background])
        self._batch.load(parts, layers, LARGEST)
        self._cover = Cover(parts)
        self._pattern = layers[-1] > 0  # behind everything
        key = np.array(look.lights[0].direction) / np.linalg.norm(look.lights[0].direction)
        self._lights.write(_light_block(look, key, layers[-1]), offset=80)
        self._shade = _seen_from(key)
        self._viewing = _viewing(np.array([clip(view) for view in look.views.values()]), look.lens.exposure)
        self._reach = [(view.near, view.far) for view in look.views.values()]
        self._look = look

    def _upload(self, materials: list[Material]) -> list[int]:
        """Layer of each material's texture; those not there yet are made and sent."""
        wanted = {m.texture for m in materials if m.texture}
        new = sorted(wanted - set(self._layers))
        if len(self._layers) + len(new) > LAYERS - 1:
            self._layers = {key: layer for key, layer in self._layers.items() if key in wanted}
        free = [n for n in range(1, LAYERS) if n not in self._layers.values()]
        for key, layer in zip(new, free):
            self._patterns.write(texture(key), viewport=(0, 0, layer, SIDE, SIDE, 1))
            self._layers[key] = layer
        if new:
            self._patterns.build_mipmaps()
        return [self._layers.get(m.texture, 0) for m in materials]

    # ------------------------------------------------------------ pictures
    def draw(self, instant: Instant, size: int, seed: int = 0, geometry: bool = False) -> dict[str, Picture]:
        """See `Renderer.draw`. Raises `RuntimeError` before `load`."""
        if self._look is None:
            raise RuntimeError("no scene has been loaded")
        names, world = list(self._look.views), matrices(instant)
        frames = len(world) - len(names)
        self._cast_shadows(self._batch.place(world[:frames]))
        blocks, rays = _view_blocks(self._viewing, world[frames:])
        spans = self._cover.spans(world[:frames], world[frames:, :3, 3], rays, self._reach)
        out: dict[str, Picture] = {}
        for start in range(0, len(names), VIEWS):
            part = slice(start, start + VIEWS)
            out |= self._atlas(names[part], blocks[part], spans[part], size, seed + start, geometry)
        return out

    def _cast_shadows(self, casters: tuple[Array, Array]) -> None:
        """Draw the shadow map, fitted to the spheres (centres (C, 3), radii (C,)) that cast."""
        ctx, texel = self._device.context, 1.0 / self._map.size[0]
        self._lights.write(_shade_block(self._shade, *casters, 1 - 2 * MARGIN * texel, LIFT * texel))
        self._lights.bind_to_uniform_block(1)
        ctx.enable_only(moderngl.DEPTH_TEST | moderngl.CULL_FACE)
        ctx.front_face = "cw"
        self._map_target.use()
        self._map_target.clear(depth=1.0)
        self._batch.shadow()

    def _atlas(self, names: Sequence[str], blocks: NDArray[np.float32], spans: Sequence[Span],
               size: int, seed: int, geometry: bool) -> dict[str, Picture]:
        """Views below each other in one target, read back at once; `spans` are `Cover`'s."""
        ctx = self._device.context
        target = self._target(size, size * len(names), geometry)
        self._views.write(blocks)
        self._lights.bind_to_uniform_block(1)
        self._patterns.use(0)
        self._map.use(1)
        target.use()
        target.clear(depth=1.0)
        ctx.depth_func = "<="
        for k, span in enumerate(spans):
            target.viewport = (0, k * size, size, size)
            self._views.bind_to_uniform_block(0, offset=k * STRIDE, size=144)
            self._batch.surfaces(geometry)
            if span is not None:
                first, last = span[0] * size // BANDS, -(-span[1] * size // BANDS)
                target.scissor = (0, k * size + first, size, last - first)
                self._backdrops[geometry, self._pattern].render(moderngl.TRIANGLES, vertices=3)
                target.scissor = None
        target.viewport = (0, 0, size, size * len(names))
        return self._collect(target, names, size, seed, geometry)

    def _collect(self, target: moderngl.Framebuffer, names: Sequence[str], size: int, seed: int,
                 geometry: bool) -> dict[str, Picture]:
        assert self._look is not None
        rgba = np.frombuffer(target.read(components=4, alignment=1), dtype=np.uint8).reshape(-1, size, size, 4)
        out = {}
        for k, name in enumerate(names):
            rgb = develop(cv2.cvtColor(rgba[k], cv2.COLOR_RGBA2RGB), self._look.lens, seed + k)
            out[name] = Picture(rgb)
        if geometry:
            raw = target.read(components=2, attachment=1, dtype="f4", alignment=1)
            measured = np.frombuffer(raw, dtype=np.float32).reshape(-1, size, size, 2)
            for k, name in enumerate(names):
                frame = measured[k, :, :, 1].astype(np.int32)
                depth = np.where(frame == NOTHING, np.float32(np.inf), measured[k, :, :, 0])
                out[name] = Picture(out[name].rgb, depth, frame)
        return out

    def _target(self, width: int, height: int, geometry: bool) -> moderngl.Framebuffer:
        key = (width, height, geometry)
        if key not in self._targets:
            if len(self._targets) >= 4:
                _drop(self._targets.pop(next(iter(self._targets))))
            ctx = self._device.context
            colors = [ctx.renderbuffer((width, height), 4)]
            if geometry:
                colors.append(ctx.renderbuffer((width, height), 2, dtype="f4"))
            self._targets[key] = ctx.framebuffer(colors, ctx.depth_renderbuffer((width, height)))
        return self._targets[key]

    def release(self) -> None:
        """Give back every GL object; may be called twice, and nothing may be drawn after it."""
        self._batch.release()
        for target in self._targets.values():
            _drop(target)
        self._targets.clear()
        held = (self._map_target, self._map, self._patterns, self._lights, self._views)
        for thing in (*self._backdrops.values(), *held):
            thing.release()
        self._look = None


def _drop(target: moderngl.Framebuffer) -> None:
    for attachment in (*target.color_attachments, target.depth_attachment):
        attachment.release()
    target.release()


def linear(rgba: Sequence[float]) -> NDArray[np.float64]:
    """(3,) linear light of a display colour, by the shaders' gamma of 2."""
    return np.clip(np.asarray(rgba[:3], dtype=np.float64), 0.0, 1.0) ** 2


def _viewing(clips: Array, exposure: float) -> Array:
    """(V, 9, 4, 16): what `View` of the shaders has of a pose, for (V, 4, 4) clip matrices; see `_view_blocks`.

    Clip space has y down, so that row 0 read back is the picture's top.
    """
    out = np.zeros((len(clips), 9, 4, 16))  # columns of matrices below each other
    for axis, other in itertools.product(range(3), repeat=2):
        out[:, axis, :, 3 * axis + other] = clips[:, :, other]
        out[:, 4 + axis, other, 3 * other + axis] = 1.0 / (clips[:, axis, axis] if axis < 2 else 1.0)
    for axis in range(3):
        out[:, 3, :, 9 + axis] = -clips[:, :, axis]
        out[:, 8, axis, 12 + axis] = 1.0
    out[:, 3, :, 15], out[:, 7, 3, 15], out[:, 8, 3, 15] = clips[:, :, 3], 1.0, exposure
    return out.reshape(len(clips), 36, 16)


def _view_blocks(viewing: Array, poses: Array) -> tuple[NDArray[np.float32], Array]:
    """(V, STRIDE / 4) `View` of the shaders, of (V, 4, 4) poses of optical frames; and (V, 3, 3) what turns (x, y, 1)
    of a picture into a direction.

    All of it is linear in a pose's rotation, its place, and this in the camera's frame: one product instead of a
    dozen, which took longer than any of what they say.
    """
    turn, eyes, known = poses[:, :3, :3], poses[:, :3, 3], np.empty((len(poses), 16))
    known[:, :9], known[:, 12:15], known[:, 15] = turn.reshape(-1, 9), eyes, 1.0
    known[:, 9:12] = (eyes[:, None] @ turn)[:, 0]
    out, block = np.zeros((len(poses), STRIDE // 4), np.float32), (viewing @ known[:, :, None])[:, :, 0]
    out[:, :36] = block
    return out, block.reshape(-1, 9, 4)[:, 4:7, :3].transpose(0, 2, 1)


def _light_block(look: Look, direction: Array, backdrop_layer: int) -> bytes:
    """What `Lights` of the shaders says after the shadow map's part."""
    rows = np.zeros((4 + 2 * FILLS, 4), dtype=np.float32)
    rows[0, :3], rows[1, :3] = direction, look.lights[0].colour
    fills = look.lights[1 : 1 + FILLS]
    for k, fill in enumerate(fills):
        rows[2 + k, :3] = np.array(fill.direction) / np.linalg.norm(fill.direction)
        rows[2 + FILLS + k, :3] = fill.colour
    rows[2 + 2 * FILLS] = *(3 * (look.ambient,)), len(fills)
    rows[3 + 2 * FILLS] = *linear(look.background.rgba), backdrop_layer
    return rows.tobytes()


def _seen_from(direction: Array) -> Array:
    """(3, 3) rotation into a frame that looks along a light of unit `direction` (towards it)."""
    side = np.cross(direction, (0.0, 0.0, 1.0) if abs(direction[2]) < 0.99 else (1.0, 0.0, 0.0))
    side /= np.linalg.norm(side)
    return np.stack([side, np.cross(side, direction), -direction])


def _shade_block(turn: Array, centers: Array, radii: Array, fill: float, lift: float) -> NDArray[np.float32]:
    """(5, 4) what `Lights` begins with: world to the shadow map's clip space, an orthographic look from the light at
    some spheres, by columns; and what lifts surfaces, the share `lift` of how much of the world the map's width spans.

    The spheres fill the share `fill` of the map.
    """
    if not len(centers):
        return np.eye(5, 4, dtype=np.float32)
    local, reach = centers @ turn.T, radii[:, None]
    low, high = np.minimum.reduce(local - reach).tolist(), np.maximum.reduce(local + reach).tolist()
    # Floats, not arrays, which take longer for three numbers.
    half = [max((b - a) / 2, 0.01) / full for a, b, full in zip(low, high, (fill, fill, 1.0))]
    columns = [[along / size for along, size in zip(column, half)] + [0.0] for column in turn.T.tolist()]
    middle = [-(a + b) / 2 / size for a, b, size in zip(low, high, half)]
    return np.array([*columns, [*middle, 1.0], [2 * max(half[:2]) * lift, 0.0, 0.0, 0.0]], np.float32)
