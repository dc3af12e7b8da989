"""`steadyhand simulate --config-name gallery`: a contact sheet with one row for each axis of randomisation."""

from __future__ import annotations

from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track

from robot import registry
from robot.errors import ConfigError
from robot.interfaces import Image
from robot.output import claim, free
from sim.film import PAPER, band_of, lines_of, write_picture
from sim.randomization import AXES, Randomization
from sim.world import PERIOD, Tabletop

LABEL, LINE = 22, 18  # px, height of a row's caption and of a line under a picture
LINES = 3  # under a picture, at most
GAP = 4  # px
SWING, TURN = 2, 0.5  # periods; rad, by which the first joint is turned in each


def main(config: dict[str, Any]) -> int:
    """Draw the sheet: `columns` scenes from the train range, then `columns` held-out ones, of every axis."""
    axes = list(config["axes"]) or list(AXES)
    unknown = sorted(set(axes) - set(AXES))
    if unknown:
        raise ConfigError(f"there is no randomization axis {unknown[0]!r}; there are: {', '.join(AXES)}")
    out = claim(config["out"] or free("runs/gallery"), "simulate", config)
    rows = [row(config, axis) for axis in track(axes, "drawing")]
    write_picture(out / "gallery.png", np.vstack(rows))
    Console().print(f"{len(axes)} axes in {out / 'gallery.png'}", soft_wrap=True)
    return 0


def row(config: dict[str, Any], axis: str) -> Image:
    """One axis alone: everything else at its nominal value, so that a person sees what it does."""
    told = {**config, "task": AXES[axis].shown_by or config["task"],
            "world": {**config["world"], "size": int(config["pixels"])}}
    pictures, captions = [], []
    for randomization in (Randomization(frozenset({axis})), Randomization(held_out=frozenset({axis}))):
        world: Tabletop = registry.assemble(told, "world", randomization=randomization)
        try:
            for k in range(int(config["columns"])):
                pictures.append(seen(world, int(config["seed"]) + k, config, axis))
                captions.append(world.instruction if axis == "language" else values(world, axis))
        finally:
            world.close()
    cells = _captioned(pictures, captions)
    gap = np.full((cells[0].shape[0], 2 * GAP, 3), PAPER, dtype=np.uint8)
    half = len(cells) // 2
    sheet = np.hstack([*cells[:half], gap, *cells[half:]])
    when = f", {SWING * PERIOD:.1f} s into a swing" if AXES[axis].moving else ""
    caption = f"{axis}: {AXES[axis].what}   (left: train, right: held out{when})"
    return np.vstack([band_of(sheet.shape[1], caption, LABEL), sheet])


def seen(world: Tabletop, seed: int, config: dict[str, Any], axis: str) -> Image:
    """The scene of `seed` as the configured camera gives it, where need be while the arm swings to the side."""
    world.reset(seed)
    q = world.arm.spec.home.copy()
    for _ in range(SWING if AXES[axis].moving else 0):
        q[0] += TURN
        world.step(q)
    pictures = {name: frame.rgb for name, frame in world.observe().frames.items()}
    return pictures[config["camera"]] if config["camera"] in pictures else np.hstack(list(pictures.values()))


def values(world: Tabletop, axis: str) -> str:
    """What the axis gave to this scene: one value for each object, light or camera. Not all show in a picture."""
    return ", ".join(dict.fromkeys(words(value) for value in world.values.given[axis]))


def _captioned(pictures: list[Image], captions: list[str]) -> list[Image]:
    """Every picture over its caption, in as many lines as the longest of them takes."""
    width = pictures[0].shape[1]
    texts = [lines_of(width, caption, LINES) for caption in captions]
    count = max(map(len, texts))
    return [np.vstack([picture, *(band_of(width, line, LINE) for line in [*text, *[""] * (count - len(text))])])
            for picture, text in zip(pictures, texts)]


def words(value: Any) -> str:
    """A value of an axis as short text: numbers with two digits, names as they are."""
    if isinstance(value, str):
        return value or "plain"
    if isinstance(value, (tuple, np.ndarray)):
        return " ".join(words(part) for part in value)
    return f"{value:.2g}"
