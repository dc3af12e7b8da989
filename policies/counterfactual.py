"""The same picture under another instruction: what makes a policy listen instead of knowing scenes by heart.

A demonstration names one thing only, so a learner can do well by remembering what was right in that scene. The
labels of all named things let each picture be asked about any of them, as far as finding it goes.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from policies.data import TrainingData
from policies.features import Features, tokenize

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
        found = self.features.encode(name if beside.count(name) == 1 else "", rare=True)
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
            batch["words"][row] = torch.from_numpy(self.features.encode(text, rare=True))
            batch["pointed"][row, :, 0] = torch.from_numpy(self._within(text, self.names[episode][slot]))
            for camera in self.features.cameras:
                place = self.data.aux[f"things_px.{camera}"][index].reshape(-1, 3)[slot]
                batch[f"aux.target_px.{camera}"][row] = torch.from_numpy(place)
            changed += 1
        return changed

    def _other(self, index: int, names: list[str], text: str, rng: np.random.Generator) -> tuple[str, int] | None:
        """Another thing that could be asked for in frame `index`: the instruction, and the thing's slot."""
        own = self._own(index, names, text)
        others = [k for k, name in enumerate(names) if name and name not in text and names.count(name) == 1]
        if own is None or not others:
            return None
        slot = int(rng.choice(others))
        return text.replace(names[own], names[slot], 1), slot

    def _own(self, index: int, names: list[str], text: str) -> int | None:
        """The slot of the thing that frame `index` is asked for, where that is clear."""
        camera = self.features.cameras[0]
        places = self.data.aux[f"things_px.{camera}"][index].reshape(-1, 3)
        target = self.data.aux[f"target_px.{camera}"][index]
        own = [k for k, name in enumerate(names) if name and name in text
               and np.abs(places[k, :2] - target[:2]).max() < NEAR]
        return own[0] if len(own) == 1 else None

    def pointed(self) -> Tensor:
        """(E, L, 2) bool: which words of each episode's instruction name the target, and which the goal.

        The goal's are the name of the one other thing that is named, if there is one; none of either where it is not
        clear which they are.
        """
        out = np.zeros((self.data.episodes, self.features.limit, 2), bool)
        for episode, names in enumerate(self.names):
            text = self.data.instructions[episode]
            own = self._own(int(self.data.start[episode]), names, text)
            said = [k for k, name in enumerate(names) if name and names.count(name) == 1 and name in text]
            if own in said and len(said) <= 2:
                out[episode, :, 0] = self._within(text, names[own])
                for other in set(said) - {own}:
                    out[episode, :, 1] = self._within(text, names[other])
        return torch.from_numpy(out)

    def _within(self, text: str, name: str) -> np.ndarray:
        """(L,) bool: the words of `text` that are `name`, where it comes first."""
        said, words = tokenize(text)[: self.features.limit], tokenize(name)
        begin = next((k for k in range(len(said)) if said[k : k + len(words)] == words), len(said))
        place = np.arange(self.features.limit)
        return (begin <= place) & (place < min(begin + len(words), len(said)))
