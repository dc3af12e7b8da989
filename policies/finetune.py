"""Begin a training run where a checkpoint ended: new words and phases are added, what was learned stays."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from policies import checkpoint
from policies.base import ChunkPolicy
from policies.features import Features
from robot.errors import DataError


def trained(path: str) -> ChunkPolicy:
    """The policy of ours at `path`, a folder or the name of one that ships. Raises `DataError` for any other kind."""
    checkpoint.describe(path)
    policy = checkpoint.load(path)
    assert isinstance(policy, ChunkPolicy)
    return policy


def widen(old: Features, new: Features) -> Features:
    """`new` data's features with the `old` checkpoint's words first and its scales, so that its weights mean the same.

    A word that was not rare before stays so.

    Raises `DataError` when the two are of different arms or cameras.
    """
    for name, one, two in (("joints", old.joints, new.joints), ("cameras", old.cameras, new.cameras),
                           ("size of pictures", old.size, new.size), ("rate", old.fps, new.fps)):
        if one != two:
            raise DataError(f"init= was trained with {name} {_shown(one)}, this dataset has {_shown(two)}; "
                            "train from the start, or choose other data")
    if [arm.name for arm in old.arms] != [arm.name for arm in new.arms]:
        raise DataError(f"init= was trained on {_arms(old)}, this dataset is of {_arms(new)}; "
                        "train from the start, or choose other data")
    for one, two in zip(old.builds, new.builds):
        if not one.links_as(two.chain):
            raise DataError(f"init= was trained on {one.name or 'an arm'} with other links than this dataset's; "
                            "train from the start, or choose other data")
    fresh = tuple(word for word in new.words if word not in set(old.words))
    rare = set(new.rare or ())
    if old.rare is not None:
        rare = rare & {*old.rare, *fresh} | set(old.rare) - set(new.words)
    arms = tuple(dataclasses.replace(b, q_mean=a.q_mean, q_std=a.q_std) for a, b in zip(old.arms, new.arms))
    return dataclasses.replace(new, words=old.words + fresh, rare=tuple(sorted(rare)), q_mean=old.q_mean,
                               q_std=old.q_std, arms=arms, phases=max(old.phases, new.phases), limit=old.limit)


@torch.no_grad()
def graft(policy: ChunkPolicy, old: ChunkPolicy) -> None:
    """Give `policy` the weights of `old`; what `old` has not, rows of new words and phases or whole parts, stays.

    Inputs that `old` has not come last, and count for nothing at first.

    Raises `DataError` when `old` has something that `policy` has not, or has in another size, or means otherwise.
    """
    mine, theirs = policy.state_dict(), old.state_dict()
    lost = [old.meaning] if old.meaning != policy.meaning else []
    lost += [name for name in theirs if name not in mine or not _fits(theirs[name], mine[name])]
    if lost:
        raise DataError(f"init= is built differently ({lost[0]}); train with the policy= that it was trained with: "
                        + ", ".join(f"{k}={v}" for k, v in old.arguments.items()))
    for name, old_part in theirs.items():
        part = mine[name][: len(old_part)] if old_part.ndim else mine[name]
        if old_part.ndim > 1 and part.shape[1] > old_part.shape[1]:
            part[:, old_part.shape[1] :] = 0.0
            part = part[:, : old_part.shape[1]]
        part.copy_(old_part)


def _fits(old: Tensor, new: Tensor) -> bool:
    """Equal shapes, or `new` has some rows more, or takes some inputs more for as many rows."""
    if old.ndim == new.ndim == 2 and old.shape[0] == new.shape[0]:
        return old.shape[1] <= new.shape[1]
    return old.shape == new.shape or (old.ndim > 0 and old.shape[1:] == new.shape[1:] and old.shape[0] < new.shape[0])


def _arms(features: Features) -> str:
    return "the arms " + ", ".join(arm.name for arm in features.arms) if features.arms else "one arm"


def _shown(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
