"""Procedural textures by name and seed, as grey patterns that a material's colour is multiplied with."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from robot.errors import ConfigError

SIDE = 256  # px
Pattern = NDArray[np.float32]  # (SIDE, SIDE) in [0, 1], repeats seamlessly


def fractal(rng: np.random.Generator, octaves: int = 5, first: int = 4, stretch: int = 1) -> Pattern:
    """Seamless cloud noise; `stretch` draws it out along x."""
    total = np.zeros((SIDE, SIDE), dtype=np.float32)
    for octave in range(octaves):
        cells = first * 2**octave
        grid = rng.random((cells, max(cells // stretch, 1)), dtype=np.float32)
        grid = np.pad(grid, 2, mode="wrap")
        height, width = (SIDE * n // (n - 4) for n in grid.shape)
        smooth = cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
        top, left = (height - SIDE) // 2, (width - SIDE) // 2
        total += smooth[top : top + SIDE, left : left + SIDE] / 2**octave
    low, high = float(total.min()), float(total.max())
    return (total - low) / max(high - low, 1e-6)


def _grid() -> tuple[Pattern, Pattern]:
    line = (np.arange(SIDE, dtype=np.float32) + 0.5) / SIDE
    return np.meshgrid(line, line)  # type: ignore[return-value]


def checker(rng: np.random.Generator) -> Pattern:
    """Squares, 2 to 5 pairs a side."""
    x, y = _grid()
    n = int(rng.integers(2, 6)) * 2
    return ((np.floor(x * n) + np.floor(y * n)) % 2).astype(np.float32)


def stripes(rng: np.random.Generator) -> Pattern:
    """Soft parallel bands along x, y or a diagonal."""
    x, y = _grid()
    n, way = int(rng.integers(3, 10)), int(rng.integers(3))
    phase = (x, y, x + y)[way] * n + rng.random()
    return (0.5 + 0.5 * np.tanh(6 * np.sin(2 * np.pi * phase))).astype(np.float32)


def noise(rng: np.random.Generator) -> Pattern:
    """Clouds, as on stone or plaster."""
    return fractal(rng)


def speckle(rng: np.random.Generator) -> Pattern:
    """Fine grains, as on granite or terrazzo."""
    grain = fractal(rng, octaves=3, first=24)
    return np.clip((grain - 0.35) * 3, 0, 1).astype(np.float32)


def wood(rng: np.random.Generator) -> Pattern:
    """Planks with grain along x."""
    y = _grid()[1]
    planks = int(rng.integers(2, 5))
    index = np.floor(y * planks).astype(int)
    shade = rng.random(planks, dtype=np.float32)[index]
    warp = fractal(rng, octaves=4, first=8, stretch=8)
    rings = 0.5 + 0.5 * np.sin(2 * np.pi * (y * planks * 5 + warp * 4 + shade * 7))
    gap = np.abs((y * planks) % 1 - 0.5) > 0.485
    return np.where(gap, 0.0, np.clip(0.45 + 0.2 * shade + 0.2 * rings + 0.25 * (warp - 0.5), 0, 1)).astype(np.float32)


def dots(rng: np.random.Generator) -> Pattern:
    """Round spots on a regular lattice."""
    x, y = _grid()
    n, radius = int(rng.integers(3, 8)), rng.uniform(0.15, 0.38)
    away = np.hypot((x * n) % 1 - 0.5, (y * n) % 1 - 0.5)
    return (1 - np.clip((away - radius) * 20 + 0.5, 0, 1)).astype(np.float32)


def tiles(rng: np.random.Generator) -> Pattern:
    """Square tiles of slightly different shade with dark joints."""
    x, y = _grid()
    n = int(rng.integers(3, 6))
    shade = rng.random((n, n), dtype=np.float32)[np.floor(y * n).astype(int), np.floor(x * n).astype(int)]
    joint = (np.abs((x * n) % 1 - 0.5) > 0.47) | (np.abs((y * n) % 1 - 0.5) > 0.47)
    return np.where(joint, 0.0, 0.6 + 0.4 * shade).astype(np.float32)


def weave(rng: np.random.Generator) -> Pattern:
    """Cloth of crossing threads."""
    x, y = _grid()
    n = int(rng.integers(12, 28)) * 2
    over = (np.floor(x * n) + np.floor(y * n)) % 2
    thread = np.where(over > 0, np.sin(np.pi * ((x * n) % 1)), np.sin(np.pi * ((y * n) % 1)))
    return (0.35 + 0.65 * thread * (0.75 + 0.25 * fractal(rng, 3))).astype(np.float32)


def grid(rng: np.random.Generator) -> Pattern:
    """Thin dark lines in a square lattice."""
    x, y = _grid()
    n, width = int(rng.integers(4, 9)), rng.uniform(0.06, 0.16)
    line = (np.abs((x * n) % 1 - 0.5) > 0.5 - width / 2) | (np.abs((y * n) % 1 - 0.5) > 0.5 - width / 2)
    return (1.0 - line).astype(np.float32)


def marble(rng: np.random.Generator) -> Pattern:
    """Dark veins that wander across light stone."""
    x, y = _grid()
    a, b = (int(k) for k in rng.integers(1, 4, 2))
    vein = np.abs(np.sin(np.pi * (a * x + b * y) + 5 * fractal(rng, 5, 3)))
    return np.clip(vein * 2.2, 0, 1).astype(np.float32)


TEXTURES: dict[str, Callable[[np.random.Generator], Pattern]] = {
    f.__name__: f for f in (checker, dots, grid, marble, noise, speckle, stripes, tiles, weave, wood)
}
CONTRAST = {"checker": 0.6, "dots": 0.55, "grid": 0.6, "marble": 0.45, "noise": 0.45, "speckle": 0.4,
            "stripes": 0.5, "tiles": 0.35, "weave": 0.35, "wood": 0.55}  # how dark the pattern's zero gets


@lru_cache(maxsize=128)
def texture(name: str) -> NDArray[np.uint8]:
    """(SIDE, SIDE) grey of `name` or `name:seed`, where 255 is the material's own colour.

    Raises `ConfigError` for an unknown name.
    """
    kind, _, seed = name.partition(":")
    if kind not in TEXTURES or not (seed or "0").isdecimal():
        known = ", ".join(TEXTURES)
        raise ConfigError(f"there is no texture {name!r}; choose one of: {known}; or one with a seed, like wood:7")
    pattern = TEXTURES[kind](np.random.default_rng(int(seed or 0)))
    return np.round(255 * (1 - CONTRAST[kind] * (1 - pattern))).astype(np.uint8)
