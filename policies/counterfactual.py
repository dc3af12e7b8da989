"""The same picture under another instruction: what makes a policy listen instead of knowing scenes by heart.

A demonstration names one thing only, so a learner can do well by remembering what was right in that scene. The
labels of all named things let each picture be asked about any of them, as far as finding it goes.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from policies.data import TrainingData
from policies.features import Features

WORDS, NEAR = "things_words", 0.02
LONGEST = 4  # words of a name


class Things:
    """The named things of a dataset's frames; does nothing for a dataset without such labels."""

    def __init__(self, data: TrainingData, features: Features) -> None:
        self.data, self.features = data, features
        self.names = self._read() if WORDS in data.aux else []
        self.tokens = torch.from_numpy(np.array([[self._encode(name, row) for name in row] for row in self.names]))

    def _encode(self, name: str, beside: list[str]) -> np.ndarray:
        """Word numbers of a `name`; none where it could be meant for another thing `beside` it as well."""
        found = self.features.encode(name if beside.count(name) == 1 else "")
        return found[:LONGEST]

    def _read(self) -> list[list[str]]:
        """Names of the things in each episode, as its first frame has them; "" where there is none."""
        first = self.data.aux[WORDS][self.data.start].astype(np.uint8)
        slots = self.data.aux[f"things_px.{self.features.cameras[0]}"].shape[1] // 3
        return [[bytes(row).rstrip(b"\0").decode("ascii") for row in np.split(codes, slots)] for codes in first]

    def swap(self, batch: dict[str, Tensor], count: int, rng: np.random.Generator) -> int:
        """Ask the first `count` samples for another thing, in place: their words and target pixels change.

        Where nothing else could be asked for, a sample stays as it is. Returns how many were changed.
        """
        if not self.names:
            return 0
        changed = 0
        for row, index in enumerate(batch["index"][:count].tolist()):
            episode = int(self.data.episode[index])
            asked = self._other(index, self.names[episode], self.data.instructions[episode], rng)
            if asked is None:
                continue
            text, slot = asked
            batch["words"][row] = torch.from_numpy(self.features.encode(text))
            for camera in self.features.cameras:
                place = self.data.aux[f"things_px.{camera}"][index].reshape(-1, 3)[slot]
                batch[f"aux.target_px.{camera}"][row] = torch.from_numpy(place)
            changed += 1
        return changed

    def _other(self, index: int, names: list[str], text: str, rng: np.random.Generator) -> tuple[str, int] | None:
        """Another thing that could be asked for in frame `index`: the instruction, and the thing's slot."""
        camera = self.features.cameras[0]
        places = self.data.aux[f"things_px.{camera}"][index].reshape(-1, 3)
        target = self.data.aux[f"target_px.{camera}"][index]
        own = [k for k, name in enumerate(names) if name and name in text
               and np.abs(places[k, :2] - target[:2]).max() < NEAR]
        others = [k for k, name in enumerate(names) if name and name not in text and names.count(name) == 1]
        if len(own) != 1 or not others:
            return None
        slot = int(rng.choice(others))
        return text.replace(names[own[0]], names[slot], 1), slot
