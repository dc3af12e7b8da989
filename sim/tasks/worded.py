"""What all tasks share: the words of their instruction, and which of the askable things is asked for."""

from __future__ import annotations

import numpy as np

from sim.scene import Scene
from sim.tasks import language, props


class Worded:
    """Base of the tasks: `grammar` names the phrasings; `build` calls `ask` with what fills them."""

    grammar = ""
    seconds = 20.0
    twin = 0

    def __init__(self) -> None:
        self._words: dict[str, str] = {}
        self._split, self._rule = "plain", self.grammar

    def ask(self, scene: Scene, rule: str = "", **words: str) -> None:
        """Remember what the instruction is about, and from which phrasings its own is to be.

        `rule` names other phrasings than the task's own, for a twin that asks for something else.
        """
        self._words, self._split = words, props.vary(scene)("language")
        self._rule = rule or self.grammar

    def instruction(self, rng: np.random.Generator) -> str:
        """One phrasing of what is asked."""
        return language.phrase(self._rule, rng, self._split, **self._words)

    def turn(self, count: int) -> list[int]:
        """`0 .. count-1` from the asked one on: twin k asks for the k-th thing of the same scene."""
        return [(k + self.twin) % count for k in range(count)]
