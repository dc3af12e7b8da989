"""Make a recorded episode again: its actions must bring about the same states, its seed the same bytes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import yaml

from datagen.checks import values
from datagen.correct import Retraced
from datagen.episode import EXECUTED, STATE
from datagen.folder import Folder
from datagen.job import Demonstrator
from datagen.rollout import knock
from robot.errors import DataError
from robot.output import CONFIG

NEAR = 2e-3  # rad, more than an encoder's count and less than anyone would call another motion


def config_of(root: Path, row: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration that a manifest row was made with. Raises `DataError` when it is not there."""
    file = root / "sources" / row["source"] / CONFIG if row.get("source") else root / CONFIG
    try:
        config: dict[str, Any] = yaml.safe_load(file.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise DataError(f"{file} cannot be read, so nothing can be replayed ({error})") from error
    return config


class Replayer:
    """Makes episodes of one dataset again; one demonstrator for each configuration in it."""

    def __init__(self, folder: Folder) -> None:
        self.folder = folder
        self._makers: dict[str, Demonstrator] = {}

    def problems(self, row: Mapping[str, Any]) -> Iterator[str]:
        """What differs when the episode of manifest `row` is made again."""
        maker = self.maker(row)
        number, episode = row.get("number", row["episode"]), self.folder.episodes[row["index"]]
        yield from self._actions(maker, number, row, episode)
        if maker.renderer.name != row["renderer"]:
            return
        again, _ = maker.again(row, number)
        if again["sha256"] != row["sha256"]:
            yield f"episode {row['index']}: made again from its seed it has another hash"
        if again["outcome"] != row["outcome"]:
            yield f"episode {row['index']}: made again it is {again['outcome']!r}, recorded as {row['outcome']!r}"

    def maker(self, row: Mapping[str, Any]) -> Demonstrator:
        config = config_of(self.folder.root, row)
        key = json.dumps(config, sort_keys=True)
        if key not in self._makers:
            self._makers[key] = Demonstrator(config, {})
        return self._makers[key]

    def _actions(self, maker: Demonstrator, number: int, row: Mapping[str, Any],
                 episode: Mapping[str, Any]) -> Iterator[str]:
        table = pq.read_table(self.folder.data_file(dict(episode)), columns=["index", EXECUTED, STATE]).sort_by("index")
        own = table.slice(episode["dataset_from_index"] - int(table["index"][0].as_py()), episode["length"])
        executed, recorded = values(own, EXECUTED), values(own, STATE)
        world = maker.world(number)
        Retraced(row)(world, row["seed"], 0.0)
        for t, (action, state) in enumerate(zip(executed, recorded)):
            gap = float(np.abs(world.arm.read().q - state).max())
            if gap > NEAR:
                yield f"episode {row['index']}: replaying its actions is {gap:.4f} rad off its states at frame {t}"
                return
            for shift in (shift for at, shift in row["knocks"] if at == t):
                knock(world, shift)
            world.step(action.astype(np.float64))
        if world.success() != (row["outcome"] == "success"):
            yield f"episode {row['index']}: its actions end in {'success' if world.success() else 'failure'}, " \
                  f"recorded is {row['outcome']!r}"
