"""Which frames a training step sees: a pure function of (seed, step), so a resumed run continues as it was."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from policies.base import Batch
from policies.counterfactual import Things
from policies.data import TrainingData
from policies.features import Build, Features, bare_name, scales, seldom, tokenize, vocabulary
from policies.kinematics import Chain, read_chain
from policies.views import Matrix, fit
from robot.arms import ArmModel
from robot.errors import DataError


class Sampler:
    """Batches of some episodes of a dataset; `batch` picture samples and `rows` pictureless ones a step."""

    def __init__(self, data: TrainingData, features: Features, episodes: NDArray[np.int64], horizon: int, seed: int,
                 batch: int, rows: int, rank: int = 0, swap: float = 0.0) -> None:
        """`rank` is of this process, when several train together; `swap` the share of the pictures, the first ones,
        that get another instruction."""
        self.data, self.features, self.horizon = data, features, horizon
        self.seed, self.rank, self.batch, self.rows, self.swap = seed, rank, batch, rows, swap
        self.things = Things(data, features)
        self._pointed = self.things.pointed()
        self._words = torch.from_numpy(np.stack([features.encode(text, rare=True) for text in data.instructions]))
        self._frames = data.frames(episodes)
        arms = [arm.name for arm in features.arms]
        arm = np.array([arms.index(name) for name in data.robots] if arms else [0] * data.episodes, np.int64)
        self._arm = arm[data.episode]
        self._odds, tool = np.zeros(len(self._frames)), np.zeros((*data.action.shape[:-1], 3), np.float32)
        for number, build in enumerate(features.builds):
            chain, every = Chain(build.chain), self._arm == number
            own = every[self._frames]
            tip = chain(torch.from_numpy(data.state[self._frames[own]]))[1].numpy()
            far = np.linalg.norm(data.aux["target_xyz"][self._frames[own]] - tip, axis=1)
            if own.any():
                self._odds[own] = balanced(far) * own.mean()  # an arm is drawn as often as it has frames
            tool[every] = chain(torch.from_numpy(data.action[every]))[1].numpy()
        self._tool = dataclasses.replace(data, action=tool)

    def step(self, step: int) -> tuple[Batch, Batch]:
        """The picture batch and the row batch of training step `step`."""
        rng = np.random.default_rng((self.seed, step, self.rank))
        seen = self.gather(rng.choice(self._frames, self.batch, p=self._odds))
        self.things.swap(seen, int(self.swap * self.batch), rng)
        return seen, self.gather(rng.choice(self._frames, self.rows, p=self._odds), pictures=False)

    def gather(self, index: NDArray[np.int64], pictures: bool = True) -> Batch:
        """Frames `index` as a batch, with the words of their instructions, which of them are `pointed` at target and
        goal (B, L, 2), bool, and the tool's places (B, H, 3) m.

        Of several arms, `arm` (B,) is the number of each frame's one. Pictures come with the names (B, S, L) of the S
        things that `aux.things_px` points at, where data have them.
        """
        data = self.data
        if pictures:
            out = data.batch(index, self.horizon)
            if self.things.names:
                out["names"] = self.things.tokens[torch.from_numpy(data.episode[index])]
        else:
            action, mask = data.chunks(index, self.horizon)
            columns = {"state": data.state[index], "effort": data.effort[index], "action": action, "mask": mask,
                       **{f"aux.{k}": v[index] for k, v in data.aux.items()}}
            out = {k: torch.from_numpy(v) for k, v in columns.items()}
        if self.features.arms:
            out["arm"] = torch.from_numpy(self._arm[index])
        out["index"] = torch.from_numpy(np.asarray(index, np.int64))
        out["tool"] = torch.from_numpy(self._tool.chunks(index, self.horizon)[0])
        out["words"] = self._words[torch.from_numpy(data.episode[index])]
        out["pointed"] = self._pointed[torch.from_numpy(data.episode[index])]
        return out

    def sweep(self, count: int) -> list[Batch]:
        """About `count` frames evenly over the episodes, in batches: what validation measures on."""
        chosen = self._frames[np.unique(np.linspace(0, len(self._frames) - 1, count).astype(int))]
        return [self.gather(part) for part in np.array_split(chosen, max(1, len(chosen) // 64))]


def balanced(far: np.ndarray, edges: tuple[float, ...] = (0.015, 0.03, 0.06, 0.12), share: float = 0.6) -> np.ndarray:
    """Odds (N,) of drawing each frame, given how `far` (m) the tool is from its target.

    Most of a demonstration happens at the object, but what is decided from afar decides the rest: a `share` of
    the draws goes evenly to the ranges of distance between `edges`, the rest to all frames alike.
    """
    group = np.digitize(far, edges)
    counts = np.bincount(group, minlength=len(edges) + 1)
    even = 1.0 / (counts[group] * np.count_nonzero(counts))
    return share * even + (1 - share) / len(far)


def describe(data: TrainingData, cameras: tuple[str, ...], episodes: NDArray[np.int64], model: ArmModel) -> Features:
    """What a policy for this data of `model` must know. Raises `DataError` for data it could not learn from."""
    check(data, cameras)
    joints = tuple(bare_name(n) for n in data.joint_names)
    if joints != model.names:
        raise DataError(f"{data.path} is of joints {', '.join(joints)}, but model={model.name} has "
                        f"{', '.join(model.names)}")
    frames = data.frames(episodes)
    mean, std = scales(data.state[frames])
    chain = read_chain(model.urdf, model.names, model.tcp)
    said = [data.instructions[e] for e in episodes]
    views = [calibrate(data, frames, camera, Chain(chain)) for camera in cameras]
    return Features(
        joints=joints, cameras=cameras,
        size=int(data.images[cameras[0]].shape[1]), fps=float(data.fps),
        words=vocabulary(said), rare=seldom(said),
        q_mean=tuple(mean), q_std=tuple(std), phases=int(data.aux["phase"].max()) + 1,
        chain=chain, views=tuple(matrix for matrix, _ in views), carried=tuple(carried for _, carried in views),
    )


def describe_all(data: TrainingData, cameras: tuple[str, ...], episodes: NDArray[np.int64],
                 models: Mapping[str, ArmModel]) -> Features:
    """As `describe`, of data of several arms too: `models` by the names that the data give them, in order."""
    if len(models) == 1:
        return describe(data, cameras, episodes, next(iter(models.values())))
    names = np.array(data.robots)[episodes]
    each = [describe(data, cameras, episodes[names == name], model) for name, model in models.items()]
    arms = (Build(n, f.q_mean, f.q_std, f.chain, f.views, f.carried) for n, f in zip(models, each))
    said = [data.instructions[e] for e in episodes]
    return dataclasses.replace(each[0], words=vocabulary(said), rare=seldom(said), arms=tuple(arms))


def calibrate(data: TrainingData, frames: NDArray[np.int64], camera: str, chain: Chain) -> tuple[Matrix, bool]:
    """A camera's mean projection, and whether the tool carries it: whichever explains the labels better."""
    seen = frames[data.aux[f"target_px.{camera}"][frames, 2] > 0.5]
    if len(seen) < 12:
        raise DataError(f"{data.path}: the target is seen by camera {camera!r} in {len(seen)} frames; 12 are needed")
    places, pixels = data.aux["target_xyz"][seen].astype(float), data.aux[f"target_px.{camera}"][seen, :2].astype(float)
    turn, tip = (x.double().numpy() for x in chain(torch.from_numpy(data.state[seen])))
    local = np.einsum("nji,nj->ni", turn, places - tip)
    (still, error), (moving, other) = fit(places, pixels), fit(local, pixels)
    return (moving, True) if other < error else (still, False)


LABELS = {"target_xyz": 3, "goal_xyz": 3, "yaw": 2, "held": 1, "phase": 1, "progress": 1, "success": 1}


def check(data: TrainingData, cameras: tuple[str, ...]) -> None:
    """Early, clear answers on bad data: shapes, labels, units, not-a-numbers, an empty set."""
    where = data.path
    if len(data) == 0:
        raise DataError(f"{where} has no frames")
    for camera in cameras:
        shape = data.images[camera].shape
        if shape[1] != shape[2] or shape[1] % 16:
            raise DataError(f"{where}: camera {camera!r} is {shape[2]}x{shape[1]}; "
                            "pictures must be square, a multiple of 16 px")
    wanted = LABELS | {f"{t}_px.{c}": 3 for t in ("target", "goal") for c in cameras}
    for name, width in wanted.items():
        if name not in data.aux:
            raise DataError(f"{where} has no column aux.{name}, which this policy learns from")
        if data.aux[name].shape[1] != width:
            raise DataError(f"{where}: aux.{name} has {data.aux[name].shape[1]} columns, not {width}")
    columns = {"observation.state": data.state, "observation.effort": data.effort, "action": data.action,
               **{f"aux.{n}": data.aux[n] for n in wanted}}
    for name, values in columns.items():
        if not np.isfinite(values).all():
            row = int(np.flatnonzero(~np.isfinite(values).all(axis=1))[0])
            raise DataError(f"{where}: {name} is not finite at frame {row} of episode {int(data.episode[row])}")
    for name, values in (("observation.state", data.state), ("action", data.action)):
        worst = float(np.abs(values).max())
        if worst > 8.0:
            raise DataError(f"{where}: {name} reaches {worst:.0f}; joint values must be radians")
    if data.state.shape != data.action.shape:
        raise DataError(f"{where}: observation.state has {data.state.shape[1]} values, action {data.action.shape[1]}")
    mute = [e for e, text in enumerate(data.instructions) if not tokenize(text)]
    if mute:
        raise DataError(f"{where}: the task of episode {mute[0]} is {data.instructions[mute[0]]!r}, no words; "
                        "a policy learns from what it was asked")
    reach = float(np.abs(data.aux["target_xyz"]).max())
    if reach > 5.0:
        raise DataError(f"{where}: aux.target_xyz reaches {reach:.0f}; places must be metres")
