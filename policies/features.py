"""What a policy was made for: the arm, cameras, words and scales of its training data, as plain JSON."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from policies.kinematics import read_chain
from robot.arms import ArmModel
from robot.errors import DataError
from robot.interfaces import Array

PAD, UNKNOWN = 0, 1
RARE = 500  # of as many instructions one at least must have a word, or it is rare
STEM = 4  # letters of a word by which longer ones are known
SAME = 1e-3  # m or of a rotation, by which two links are alike
WORD = re.compile(r"[a-z0-9]+")


@dataclass(frozen=True)
class Build:
    """What differs between the arms of one policy; for each as in `Features`."""

    name: str
    q_mean: tuple[float, ...]
    q_std: tuple[float, ...]
    chain: tuple[tuple[float, ...], ...]
    views: tuple[tuple[float, ...], ...]
    carried: tuple[bool, ...]

    def is_of(self, model: ArmModel) -> bool:
        """Whether `model` has the same links."""
        return self.links_as(read_chain(model.urdf, model.names, model.tcp))

    def links_as(self, chain: tuple[tuple[float, ...], ...]) -> bool:
        """Whether `chain` is of the same links."""
        mine, its = np.array(self.chain), np.array(chain)
        return mine.shape == its.shape and bool((np.abs(mine - its) <= SAME).all())


@dataclass(frozen=True)
class Features:
    """Metadata of the training data. J joints, gripper last."""

    joints: tuple[str, ...]  # (J,)
    cameras: tuple[str, ...]
    size: int  # px, square pictures
    fps: float  # Hz, rows of a chunk
    words: tuple[str, ...]  # the vocabulary; index 0 is padding, 1 an unknown word
    q_mean: tuple[float, ...]  # (J,) rad
    q_std: tuple[float, ...]  # (J,) rad
    phases: int = 1  # number of values that the phase label takes
    chain: tuple[tuple[float, ...], ...] = ()  # kinematics from base to tool, see `policies.kinematics`
    views: tuple[tuple[float, ...], ...] = ()  # by camera: a projection, see `policies.views`
    carried: tuple[bool, ...] = ()  # by camera: whether the tool carries it
    limit: int = 16  # words of an instruction that are read
    arms: tuple[Build, ...] = ()  # where there are several, all of them; the fields above are then the first one's
    rare: tuple[str, ...] | None = None  # of `words`, those that are unknown at work; None where nobody has looked

    @property
    def builds(self) -> tuple[Build, ...]:
        """Every arm that the data are of; one alone needs no name."""
        return self.arms or (Build("", self.q_mean, self.q_std, self.chain, self.views, self.carried),)

    @property
    def dt(self) -> float:
        """Seconds between two rows of a chunk."""
        return 1.0 / self.fps

    def encode(self, instruction: str, rare: bool = False) -> np.ndarray:
        """(limit,) int64 word numbers of an instruction; an unknown word is read as the longest known one that it
        begins with ("leftwards" as "left"), or else becomes `UNKNOWN`.

        What a word means cannot be learned from a few instructions, but that it means something can: so `rare` ones are
        known in training only, where they keep to themselves what they came with.
        """
        lost = set() if rare or self.rare is None else set(self.rare)
        index = {word: k for k, word in enumerate(self.words) if word not in lost}
        found = [index.get(stem(word, index), UNKNOWN) for word in tokenize(instruction)][: self.limit]
        return np.array(found + [PAD] * (self.limit - len(found)), dtype=np.int64)

    def to_json(self) -> dict[str, Any]:
        """Plain values; what is of one arm alone reads as it did before there could be several."""
        document = dataclasses.asdict(self)
        return document if self.arms else {k: v for k, v in document.items() if k != "arms"}

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Features:
        """Raises `DataError` when a field is missing or unknown."""
        known = {f.name for f in dataclasses.fields(cls)}
        if odd := sorted(set(document) - known):
            raise DataError(f"the checkpoint's features have an unknown field {odd[0]!r}")
        try:
            plain = {k: _frozen(v) for k, v in document.items() if k != "arms"}
            arms = (Build(**{k: _frozen(v) for k, v in arm.items()}) for arm in document.get("arms", ()))
            return cls(**plain, arms=tuple(arms))
        except TypeError as error:
            raise DataError(f"the checkpoint's features are incomplete: {error}") from error

    def check(self, joints: Iterable[str], cameras: Iterable[str]) -> None:
        """Raises `DataError` when an arm or its cameras do not fit what the policy was trained on."""
        joints, cameras = tuple(joints), tuple(cameras)
        if joints != self.joints:
            raise DataError(f"the policy was trained for joints {', '.join(self.joints)}; "
                            f"this arm has {', '.join(joints)}")
        if lost := sorted(set(self.cameras) - set(cameras)):
            raise DataError(f"the policy needs camera {lost[0]!r}; there are: {', '.join(cameras) or '(none)'}")

    def fits(self, model: ArmModel) -> int:
        """Which of `builds` the arm `model` is.

        Raises `DataError` when it is none that the training data are of: other joints, or other links.
        """
        self.check(model.names, self.cameras)
        for number, build in enumerate(self.builds):
            if not build.chain or build.is_of(model):
                return number
        known = f" ({', '.join(arm.name for arm in self.arms)})" if self.arms else ""
        raise DataError(f"the policy was trained on another arm than model={model.name}: their links differ; "
                        f"choose the model= that it was trained with{known}")


def tokenize(instruction: str) -> list[str]:
    """Lower-case words of an instruction."""
    return WORD.findall(instruction.lower())


def stem(word: str, known: Collection[str]) -> str:
    """`word`, or of the words of `known` with at least `STEM` letters the longest that it begins with, if any."""
    parts = (word[:n] for n in range(len(word), STEM - 1, -1))
    return next((part for part in parts if part in known), word)


def vocabulary(instructions: Iterable[str]) -> tuple[str, ...]:
    """Padding, unknown, then every word, in order."""
    return ("<pad>", "<unk>", *sorted(set().union(*map(tokenize, instructions))))


def seldom(instructions: Sequence[str]) -> tuple[str, ...]:
    """The words that fewer than one of `RARE` instructions have, in order."""
    counts = Counter(word for text in instructions for word in set(tokenize(text)))
    return tuple(sorted(word for word, n in counts.items() if n < len(instructions) // RARE))


def bare_name(joint: str) -> str:
    """`shoulder_pan` for the dataset's column `shoulder_pan.pos`."""
    return joint.removesuffix(".pos")


def scales(rows: np.ndarray) -> tuple[Array, Array]:
    """Mean and deviation (J,) of `rows` (N, J); a joint that never moves gets deviation 1."""
    std = rows.std(axis=0)
    return rows.mean(axis=0).astype(float), np.where(std > 1e-3, std, 1.0).astype(float)


def _frozen(value: Any) -> Any:
    """JSON's lists as tuples, however deep."""
    return tuple(_frozen(v) for v in value) if isinstance(value, list) else value
