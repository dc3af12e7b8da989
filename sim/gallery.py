"""`steadyhand simulate --config-name gallery`: a contact sheet with one row for each axis of randomisation."""

from __future__ import annotations

from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track

from robot import registry
from robot.errors import ConfigError
from robot.interfaces import Image
from robot.output import claim
from sim.film import PAPER, band_of, write_picture
from sim.randomization import AXES, Randomization
from sim.world import Tabletop

LABEL = 22  # px, height of a row's caption
GAP = 4  # px


def main(config: dict[str, Any]) -> int:
    """Draw the sheet: `columns` scenes from the train range, then `columns` held-out ones, of every axis."""
    axes = list(config["axes"]) or list(AXES)
    unknown = sorted(set(axes) - set(AXES))
    if unknown:
        raise ConfigError(f"there is no randomization axis {unknown[0]!r}; there are: {', '.join(AXES)}")
    out = claim(config["out"], "simulate", config)
    rows = [row(config, axis) for axis in track(axes, "drawing")]
    write_picture(out / "gallery.png", np.vstack(rows))
    Console().print(f"{len(axes)} axes in {out / 'gallery.png'}", soft_wrap=True)
    return 0


def row(config: dict[str, Any], axis: str) -> Image:
    """One axis alone: everything else at its nominal value, so that a person sees what it does."""
    pictures = []
    for randomization in (Randomization(frozenset({axis})), Randomization(held_out=frozenset({axis}))):
        shown = {**config, "task": AXES[axis].shown_by or config["task"]}
        world: Tabletop = registry.assemble(shown, "world", randomization=randomization)
        try:
            pictures += [cell(world, int(config["seed"]) + k, config, axis) for k in range(int(config["columns"]))]
        finally:
            world.close()
    gap = np.full((pictures[0].shape[0], GAP, 3), PAPER, dtype=np.uint8)
    middle = np.hstack([gap, gap])
    half = len(pictures) // 2
    cells = np.hstack([*pictures[:half], middle, *pictures[half:]])
    caption = f"{axis}: {AXES[axis].what}   (left: train, right: held out)"
    return np.vstack([band_of(cells.shape[1], caption, LABEL), cells])


def cell(world: Tabletop, seed: int, config: dict[str, Any], axis: str) -> Image:
    """The scene of `seed` as the configured camera sees it, over the axis' value: not all can be seen in a picture."""
    said = world.reset(seed)
    pictures = world.draw(world.poses(), int(config["pixels"]))
    shown = pictures[config["camera"]] if config["camera"] in pictures else np.hstack(list(pictures.values()))
    value = said if axis == "language" else words(world.randomization.draw(seed)(axis))
    return np.vstack([shown, band_of(shown.shape[1], value, LABEL)])


def words(value: Any) -> str:
    """A value of an axis as short text: numbers with two digits, names as they are."""
    if isinstance(value, str):
        return value or "plain"
    if isinstance(value, (tuple, np.ndarray)):
        return " ".join(words(part) for part in value)
    return f"{value:.2g}"
