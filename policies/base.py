"""What every trained policy shares: losses over batches for training, observations to chunks for running."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from policies.features import Features
from robot.arms import ArmModel
from robot.errors import DataError
from robot.interfaces import Chunk, Observation

Batch = Mapping[str, Tensor]
Inputs = dict[str, Tensor]


class ChunkPolicy(nn.Module):
    """A network that is a `robot.interfaces.Policy`. Subclasses write `forward` (losses) and `predict`.

    `arguments` are the constructor's plain parameters, kept for the checkpoint.
    """

    features: Features
    horizon: int

    def __init__(self, features: Features, horizon: int, arguments: dict[str, Any]) -> None:
        super().__init__()
        self.features, self.horizon, self.arguments = features, horizon, arguments
        self.meaning = ""  # of the weights, where shapes do not tell: one meaning's are of no use to another
        self.apart = 0.0  # share of a picture batch, its first part, that may be asked for other things
        self.arm: int | None = None if features.arms else 0  # which of the features' arms it is on, once that is known
        self.bf16 = False  # pictures in bfloat16; metres and radians never
        self._instruction = ""
        self._last = False  # whether the weights stay as they are
        self._traced: Callable[[Inputs], Any] | None = None
        self._heard: Inputs | None = None  # what the instruction comes to

    # ------------------------------------------------------------ training
    def forward(self, frames: Batch, rows: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """Named losses (scalars, already weighted) of picture samples `frames` and pictureless `rows`.

        Keys are those of `TrainingData.batch`, plus `words` (B, L) int64, which of them are `pointed` at target and
        goal (B, L, 2) bool, `tool` (B, H, 3) m, the actions' places, for pictures `names` (B, S, L) int64 where data
        have them, and `arm` (B,) int64 where there are several.
        Whatever is random comes from `generator` alone: shares of a batch may run side by side.
        """
        raise NotImplementedError

    def measure(self, frames: Batch) -> dict[str, Tensor]:
        """Errors a person can read, each (B,), nan where it does not apply: `xyz_mm`, `px`, `chunk_mrad`."""
        raise NotImplementedError

    # ------------------------------------------------------------ running
    def predict(self, inputs: Inputs) -> tuple[Tensor, Tensor, dict[str, Any]]:
        """Chunks (B, H, J) rad, confidence (B,) and what a person may look at."""
        raise NotImplementedError

    def hear(self, words: Tensor) -> Inputs:
        """What `infer` is told of instructions (B, L) int64; of an episode's it is reckoned once."""
        return {"words": words}

    def infer(self, inputs: Inputs) -> Any:
        """What `predict` makes its answer of: tensors, in tuples or dictionaries, of `inputs` alone."""
        raise NotImplementedError

    def finished(self) -> ChunkPolicy:
        """Say that the weights stay as they are, so that running them can be made quick; returns this policy."""
        self._last = True
        return self.eval().requires_grad_(False)

    def inferred(self, inputs: Inputs) -> Any:
        """What `infer` gives, for a batch of one and finished weights without Python between the sums."""
        return self.infer(inputs) if self._traced is None else self._traced(inputs)

    def settle(self, model: ArmModel) -> None:
        """Run on the arm `model` from now on. Raises `DataError` when it was not trained on that one."""
        self.arm = self.features.fits(model)
        self._traced = None

    def reset(self, instruction: str) -> None:
        """Begin an episode. The first one of finished weights takes a second longer."""
        self._instruction = instruction
        self._heard = self._told(instruction)
        if self._last and self._traced is None and self.arm is not None:
            self._traced = self._trace()

    @torch.no_grad()
    def _told(self, instruction: str) -> Inputs:
        words = torch.from_numpy(self.features.encode(instruction))[None]
        return self.hear(words.to(next(self.parameters()).device))

    def _trace(self) -> Callable[[Inputs], Any]:
        blank = {k: v.to(next(self.parameters()).device) for k, v in self._blank().items()}
        with torch.no_grad(), warnings.catch_warnings():
            # TorchScript is to go some day; it is what needs no compiler on the user's computer.
            warnings.simplefilter("ignore")
            traced: Callable[[Inputs], Any] = torch.jit.trace(
                lambda inputs: self.infer(inputs), (blank,), strict=False, check_trace=False)
            for _ in range(2):  # the first runs look how to be quick
                traced(blank)
        return traced

    def _blank(self) -> Inputs:
        """Inputs of the kind that `inputs` makes: nothing seen, every joint at its mean."""
        picture = torch.zeros((1, self.features.size, self.features.size, 3), dtype=torch.uint8)
        state = torch.tensor([self.features.q_mean], dtype=torch.float32)
        return {"state": state, "effort": torch.zeros_like(state), **self._told(""),
                **{f"images.{name}": picture for name in self.features.cameras}}

    @torch.inference_mode()
    def act(self, obs: Observation) -> Chunk:
        """The next chunk. Raises `DataError` when the arm or its cameras are not those of the training data."""
        if self.training:  # to ask costs nothing, to tell every part of it a millisecond
            self.eval()
        chunk, confidence, info = self.predict(self.inputs(obs))
        dt = self.features.dt
        return Chunk(obs.stamp + dt, dt, chunk[0].double().cpu().numpy(), float(confidence[0]), info)

    @property
    def needs(self) -> Mapping[str, str]:
        """Labels of the data, without `aux.`, that it learns from beyond those that every dataset must have; and of
        each the setting by which it does without."""
        return {}

    @property
    def spare(self) -> tuple[str, ...]:
        """Cameras that it was trained to do without: then it is shown black."""
        return ()

    def inputs(self, obs: Observation) -> Inputs:
        """An observation as a batch of one, on this policy's device."""
        if self.arm is None:
            raise DataError(f"the policy was trained on {', '.join(arm.name for arm in self.features.arms)}; "
                            "load it with the model= that it is to move")
        q = np.asarray(obs.state.q, np.float32)
        if q.shape != (len(self.features.joints),):
            raise DataError(f"the policy was trained for {len(self.features.joints)} joints "
                            f"({', '.join(self.features.joints)}); this arm has {q.shape[0]}")
        effort = np.nan_to_num(np.asarray(obs.state.effort, np.float32))
        out = {"state": torch.from_numpy(q)[None], "effort": torch.from_numpy(effort)[None],
               **(self._told("") if self._heard is None else self._heard)}
        for name in self.features.cameras:
            if name not in obs.frames and name in self.spare:
                out[f"images.{name}"] = torch.zeros((1, self.features.size, self.features.size, 3), dtype=torch.uint8)
                continue
            if name not in obs.frames:
                raise DataError(f"the policy needs camera {name!r}; "
                                f"there are: {', '.join(obs.frames) or '(none)'}")
            rgb = _fit(obs.frames[name].rgb, self.features.size)
            out[f"images.{name}"] = torch.from_numpy(rgb)[None]
        device = next(self.parameters()).device
        return {k: v.to(device) for k, v in out.items()}


def pictures(batch: Batch, camera: str) -> Tensor:
    """(B, 3, H, W) float in [0, 1], channels last, from uint8 (B, H, W, 3)."""
    return batch[f"images.{camera}"].permute(0, 3, 1, 2).float().div_(255.0)


def _fit(rgb: np.ndarray, size: int) -> np.ndarray:
    """A picture as (size, size, 3) uint8; a wider one is cut at its sides, like the training cameras are square."""
    height, width = rgb.shape[:2]
    if (height, width) == (size, size):
        return np.ascontiguousarray(rgb)
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return cv2.resize(rgb[top : top + side, left : left + side], (size, size), interpolation=cv2.INTER_AREA)
