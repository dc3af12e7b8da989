"""Checkpoints that LeRobot trained, as policies here: ACT, with LeRobot's units, cameras and normalisation.

LeRobot itself is not needed. Its folder says neither how fast the actions follow one another nor what units they are
in; where its dataset is not at hand or leaves room for doubt, a note beside it does (`steadyhand.json`).
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from policies.act import ACTIVATIONS, BLOCKS, Act, Shape
from robot import registry
from robot.arms import ArmModel
from robot.errors import ConfigError, DataError
from robot.interfaces import Array, Chunk, Image, Observation

CONFIG, MODEL, NOTE = "config.json", "model.safetensors", "steadyhand.json"
STATE, ACTION, IMAGE = "observation.state", "action", "observation.images."
TURN = 4096  # counts of every servo that LeRobot's arms are built of
STEPS = {"rename_observations_processor", "to_batch_processor", "device_processor", "normalizer_processor",
         "unnormalizer_processor"}
EXAMPLE = '{"fps": 30, "units": "degrees"}'


def is_folder(path: Path) -> bool:
    """Whether `path` is a checkpoint of LeRobot's, or holds one as its training leaves it."""
    return (_inside(path) / CONFIG).is_file()


def _inside(path: Path) -> Path:
    return path / "pretrained_model" if (path / "pretrained_model" / CONFIG).is_file() else path


@dataclass(frozen=True)
class Note:
    """What LeRobot's folder does not say. `units`: degrees, percent (-100..100) or rad; the gripper is 0..100."""

    fps: float = 0.0  # Hz, of the data it learned from
    units: str = ""
    arm: str = "so101"
    cameras: Mapping[str, str] = dataclasses.field(default_factory=dict)  # ours by LeRobot's name: {"top": "front"}
    calibration: str = ""  # LeRobot's file of the arm the data came from, for percent and grippers


class LeRobotPolicy:
    """A `robot.interfaces.Policy` out of LeRobot's folder; the instruction is not used, as ACT takes none."""

    def __init__(self, folder: Path) -> None:
        """Raises `DataError`, one line, for what cannot be read, or does not fit the arm."""
        self.folder = folder = _inside(folder)
        config = _json(folder / CONFIG)
        self.sizes = _pictures(folder, config)  # LeRobot's camera name -> (height, width) px
        self.stats, self.modes = _normaliser(folder, config)
        self.note = note = _note(folder, self.stats[STATE if STATE in self.stats else ACTION])
        self.cameras = {name: note.cameras.get(name, name) for name in self.sizes}
        if odd := sorted(set(note.cameras) - set(self.sizes)):
            raise DataError(f"{folder / NOTE} names camera {odd[0]!r}; the checkpoint has: {', '.join(self.sizes)}")
        self.model = _arm(folder, note.arm)
        self.scale, self.zero = units(self.model, note.units, _spans(folder, note, self.model))
        self.dt = 1.0 / note.fps
        self.network = _network(folder, config, len(self.model.names))
        self._check_range()

    def reset(self, instruction: str) -> None:
        """Begin an episode."""

    @torch.inference_mode()
    def act(self, obs: Observation) -> Chunk:
        """The next chunk. Raises `DataError` when the arm or its cameras are not those of the training data."""
        device = next(self.network.parameters()).device
        q = np.asarray(obs.state.q, np.float64)
        if q.shape != self.scale.shape:
            raise DataError(f"the checkpoint is for {len(self.scale)} joints ({', '.join(self.model.names)}); "
                            f"this arm has {q.shape[0]}")
        state = torch.from_numpy(((q - self.zero) / self.scale).astype(np.float32))[None].to(device)
        pictures = []
        for name, (height, width) in self.sizes.items():
            rgb = np.ascontiguousarray(self._picture(obs, name, height, width))
            whole = torch.from_numpy(rgb).to(device).permute(2, 0, 1)[None].float() / 255.0
            pictures.append(self._normal(whole, IMAGE + name, "VISUAL"))
        out = self._raw(self.network(self._normal(state, STATE, "STATE"), pictures))
        # A target of our own data is for the end of its period; LeRobot's was sent as the picture was taken.
        first = obs.stamp + (self.dt if self.note.units == "rad" else 0.0)
        return Chunk(first, self.dt, out[0].double().cpu().numpy() * self.scale + self.zero)

    # ------------------------------------------------------------ inside
    def _picture(self, obs: Observation, name: str, height: int, width: int) -> Image:
        ours = self.cameras[name]
        if ours not in obs.frames:
            raise DataError(f"the checkpoint needs camera {ours!r}; there are: {', '.join(obs.frames) or '(none)'}; "
                            f'name one in {self.folder / NOTE}: {{"cameras": {{"{name}": "..."}}}}')
        rgb = obs.frames[ours].rgb
        if rgb.shape[:2] == (height, width):
            return rgb
        if abs(rgb.shape[1] / rgb.shape[0] - width / height) > 0.02:
            raise DataError(f"camera {ours!r} gives pictures of {rgb.shape[1]}x{rgb.shape[0]}; the checkpoint was "
                            f"trained on {width}x{height}, which has other proportions")
        return np.asarray(cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA))

    def _normal(self, values: Tensor, key: str, kind: str) -> Tensor:
        if key not in self.stats:
            return values
        middle, spread = _linear(self.stats[key], self.modes.get(kind, "IDENTITY"), values.device)
        return (values - middle) / spread

    def _raw(self, values: Tensor) -> Tensor:
        if ACTION not in self.stats:
            return values
        middle, spread = _linear(self.stats[ACTION], self.modes.get("ACTION", "IDENTITY"), values.device)
        return values * spread + middle

    def _check_range(self) -> None:
        """The data's average posture must be one the arm can have: else the units are not what was said."""
        mean = self.stats.get(STATE, {}).get("mean")
        if mean is None:
            return
        for joint, raw, q in zip(self.model.joints, mean.tolist(), mean.numpy() * self.scale + self.zero):
            if not joint.lower - 0.35 <= q <= joint.upper + 0.35:
                raise DataError(f"{self.folder}: {joint.name} is {raw:.1f} on average, which as {self.note.units} is "
                                f"{math.degrees(q):.0f}°, beyond {self.model.name}'s {math.degrees(joint.lower):.0f}° "
                                f"to {math.degrees(joint.upper):.0f}°; are its units right?")


def units(model: ArmModel, kind: str, spans: Sequence[float | None]) -> tuple[Array, Array]:
    """(J,) rad a unit and (J,) rad at 0, of LeRobot's joint values; `spans` (rad) are calibrated ranges, where known.

    0 degrees, or percent, is the middle of a joint's range, as it is in a calibration here; a gripper's 0 is closed.
    """
    scale, zero = np.ones(len(model.joints)), np.zeros(len(model.joints))
    if kind == "rad":
        return scale, zero
    for k, (joint, known) in enumerate(zip(model.joints, spans)):
        span = known or joint.upper - joint.lower
        if k == len(model.joints) - 1:
            scale[k], zero[k] = joint.sign * span / 100, joint.lower + (span if joint.sign < 0 else 0.0)
        else:
            scale[k] = joint.sign * (math.radians(1.0) if kind == "degrees" else span / 200)
    return scale, zero


def _linear(stats: Mapping[str, Tensor], mode: str, device: torch.device) -> tuple[Tensor, Tensor]:
    """What is taken off and divided by. Statistics that a mode needs were seen to be there."""
    if mode == "MEAN_STD":
        middle, spread = stats["mean"], stats["std"]
    elif mode == "MIN_MAX":
        middle, spread = (stats["max"] + stats["min"]) / 2, (stats["max"] - stats["min"]) / 2
    else:
        return torch.zeros(1, device=device), torch.ones(1, device=device)
    return middle.to(device), spread.clamp(min=1e-8).to(device)


# ---------------------------------------------------------------- reading
def _json(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise DataError(f"{file} cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise DataError(f"{file} holds no table")
    return found


def _tensors(file: Path) -> dict[str, Tensor]:
    try:
        return load_file(file)
    except (OSError, SafetensorError) as error:
        raise DataError(f"{file} cannot be read: {error}") from error


def _pictures(folder: Path, config: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
    """Sizes of the pictures it takes. Raises `DataError` for a policy or an input that is not known here."""
    kind = config.get("type")
    if kind != "act":
        raise DataError(f"{folder} is a LeRobot policy of type {kind!r}; of those only 'act' can be read. "
                        "checkpoint=package.module:object takes any object with reset and act")
    known = {"vision_backbone": BLOCKS, "feedforward_activation": ACTIVATIONS, "n_obs_steps": (1,),
             "replace_final_stride_with_dilation": (False, 0)}
    for key, values in known.items():
        if key in config and config[key] not in values:
            raise DataError(f"{folder}: {key}={config[key]} cannot be read; it can be: {', '.join(map(str, values))}")
    inputs = config.get("input_features") or {}
    if "observation.environment_state" in inputs:
        raise DataError(f"{folder} takes observation.environment_state, which no robot has")
    sizes = {name.removeprefix(IMAGE): (int(f["shape"][1]), int(f["shape"][2]))
             for name, f in inputs.items() if f.get("type") == "VISUAL"}
    if not sizes:
        raise DataError(f"{folder} takes no pictures")
    return sizes


def _normaliser(folder: Path, config: Mapping[str, Any]) -> tuple[dict[str, dict[str, Tensor]], dict[str, str]]:
    """Statistics by feature and modes by kind of feature, from the processors that LeRobot keeps beside the weights."""
    stats: dict[str, dict[str, Tensor]] = {}
    modes: dict[str, str] = dict(config.get("normalization_mapping") or {})
    for name in ("policy_preprocessor.json", "policy_postprocessor.json"):
        if not (folder / name).is_file():
            raise DataError(f"{folder} has no {name}: it was saved by LeRobot before 0.4; bring it up to date with "
                            "`python -m lerobot.processor.migrate_policy_normalization`")
        for step in _json(folder / name).get("steps", []):
            kind, settings = step.get("registry_name"), step.get("config") or {}
            if kind not in STEPS or settings.get("rename_map"):
                raise DataError(f"{folder / name} has a step {kind!r} that is not known here")
            if "state_file" not in step:
                continue
            modes |= settings.get("norm_map", {})
            for key, value in _tensors(folder / step["state_file"]).items():
                feature, _, which = key.rpartition(".")
                if (feature == ACTION) == (kind == "unnormalizer_processor"):
                    stats.setdefault(feature, {})[which] = value.float()
    for feature, found in stats.items():
        mode = modes.get("ACTION" if feature == ACTION else "VISUAL" if feature.startswith(IMAGE) else "STATE")
        wanted = {"MEAN_STD": ("mean", "std"), "MIN_MAX": ("min", "max"), "IDENTITY": ()}.get(str(mode))
        if wanted is None or set(wanted) - set(found):
            raise DataError(f"{folder}: {feature} is normalised by {mode}, which cannot be done here")
    if ACTION not in stats:
        raise DataError(f"{folder} has no statistics of {ACTION}")
    return stats, modes


def _note(folder: Path, stats: Mapping[str, Tensor]) -> Note:
    """What the note says, and otherwise what LeRobot's dataset and statistics leave no doubt about."""
    content = _json(folder / NOTE) if (folder / NOTE).is_file() else {}
    known = [f.name for f in dataclasses.fields(Note)]
    if odd := sorted(set(content) - set(known)):
        raise DataError(f"{folder / NOTE} has a key {odd[0]!r}; it may have: {', '.join(known)}")
    content = {"fps": _rate(folder), "units": _units(stats), **content}
    if lost := [key for key in ("fps", "units") if not content[key]]:
        raise DataError(f"{folder} does not say {' and '.join(lost)} of its data; write them into {folder / NOTE}, "
                        f"such as {EXAMPLE}; units: degrees, percent (-100..100) or rad")
    if content["units"] not in ("degrees", "percent", "rad"):
        raise DataError(f"{folder / NOTE}: units={content['units']!r}; choose degrees, percent (-100..100) or rad")
    if not isinstance(content["fps"], int | float) or not 1 <= content["fps"] <= 240:
        raise DataError(f"{folder / NOTE}: fps={content['fps']!r} is outside 1 to 240 Hz")
    return Note(**content)


def _rate(folder: Path) -> float:
    """Hz, of the dataset that it was trained on, where that is still on this machine; 0 where it is not."""
    try:
        root = json.loads((folder / "train_config.json").read_text())["dataset"]["root"]
        return float(json.loads((Path(root) / "meta" / "info.json").read_text())["fps"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0.0


def _units(stats: Mapping[str, Tensor]) -> str:
    """`rad` or `degrees` when the data's range can be nothing else; "" when it can."""
    if "min" not in stats or "max" not in stats:
        return ""
    most = torch.maximum(stats["min"].abs(), stats["max"].abs())
    if float(most.max()) < 3.5:
        return "rad"
    return "degrees" if float(most[:-1].max()) > 100.5 else ""


def _arm(folder: Path, name: str) -> ArmModel:
    try:
        model: ArmModel = registry.build("model", name)
    except (ConfigError, TypeError) as error:
        raise DataError(f"{folder / NOTE}: {error}") from error
    return model


def _spans(folder: Path, note: Note, model: ArmModel) -> list[float | None]:
    """(J,) rad, how far each joint was calibrated to turn; None where that is not known."""
    if not note.calibration:
        return [None] * len(model.joints)
    file = folder / note.calibration
    rows = _json(file)
    try:
        return [(rows[j.name]["range_max"] - rows[j.name]["range_min"]) * 2 * math.pi / TURN for j in model.joints]
    except (KeyError, TypeError) as error:
        raise DataError(f"{file} is no calibration of {model.name}: {error} is missing") from error


def _network(folder: Path, config: Mapping[str, Any], joints: int) -> Act:
    widths = {}
    for side, key in (("input_features", STATE), ("output_features", ACTION)):
        shape = ((config.get(side) or {}).get(key) or {}).get("shape", [0])
        widths[key] = int(shape[0])
        if widths[key] not in ((0, joints) if key == STATE else (joints,)):
            raise DataError(f"{folder}: {key} has {widths[key]} values, the arm {joints} joints; "
                            f"name another arm in {folder / NOTE}")
    names = {f.name for f in dataclasses.fields(Shape)}
    with torch.device("meta"):  # every weight comes from the file
        network = Act(Shape(widths[STATE], widths[ACTION], **{k: v for k, v in config.items() if k in names}))
    weights = {k.removeprefix("model."): v for k, v in _tensors(folder / MODEL).items()
               if not k.startswith(("model.vae_encoder", "normalize_", "unnormalize_"))}
    try:
        network.load_state_dict(weights, assign=True)
    except RuntimeError as error:
        raise DataError(f"{folder / MODEL} does not fit {CONFIG}: {' '.join(str(error).split())[:160]}") from error
    return network.eval().to("cuda" if torch.cuda.is_available() else "cpu")
