"""Instructions from a grammar: alternatives in braces, held-out phrasings apart from those for training.

`{a|b}` is one of its alternatives, an empty one allowed; `<object>` and the like are filled in last.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

import numpy as np

from robot.errors import ConfigError
from sim.tasks.phrasings import HELD_OUT, PLAIN, WIDER
from sim.tasks.props import COLOURS

__all__ = ["SPLITS", "colours", "phrase", "phrasings"]

SPLITS = ("plain", "train", "held_out")  # plain ones are those of training that are commands in the usual words


def phrase(task: str, rng: np.random.Generator, split: str = "plain", **words: str) -> str:
    """One phrasing for `task`, with `words` filled in. For training a quarter are plain ones, and of the others every
    rule is as likely. Raises `ConfigError` for a task without a grammar, or an unknown split."""
    if split == "train" and (rules := WIDER.get(task)) and rng.random() < 0.75:
        known = _expanded(rules[int(rng.integers(len(rules)))])
    else:
        known = phrasings(task, "plain" if split == "train" else split)
    text = known[int(rng.integers(len(known)))]
    for word, value in words.items():
        text = text.replace(f"<{word}>", value)
    return text


@lru_cache(maxsize=128)
def phrasings(task: str, split: str = "plain") -> tuple[str, ...]:
    """Every phrasing of `task`, without repeats, in a fixed order."""
    tables = {"plain": (PLAIN,), "train": (PLAIN, WIDER), "held_out": (HELD_OUT,)}.get(split)
    if tables is None:
        raise ConfigError(f"there are no {split!r} phrasings; there are: {', '.join(SPLITS)}")
    if task not in PLAIN:
        raise ConfigError(f"there is no grammar for {task!r}; there are: {', '.join(PLAIN)}")
    rules = [rule for table in tables for rule in table.get(task, ())]
    return tuple(dict.fromkeys(text for rule in rules for text in _expanded(rule)))


def colours(rng: np.random.Generator, count: int) -> list[str]:
    """`count` different colour words. Raises `ConfigError` when there are not as many."""
    if count > len(COLOURS):
        raise ConfigError(f"{count} different colours were asked for; there are {len(COLOURS)}: {', '.join(COLOURS)}")
    return [str(c) for c in rng.permutation(list(COLOURS))[:count]]


@lru_cache(maxsize=1024)
def _expanded(rule: str) -> tuple[str, ...]:
    return tuple(_expand(rule))


def _expand(rule: str) -> Iterator[str]:
    found = re.search(r"\{([^{}]*)\}", rule)
    if not found:
        yield rule
        return
    for choice in found.group(1).split("|"):
        yield from _expand(rule[: found.start()] + choice + rule[found.end() :])
