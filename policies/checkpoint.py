"""Checkpoints: a folder with `policy.json` (option, arguments, features) and `model.safetensors`; no pickles."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from policies import foreign, lerobot
from policies.base import ChunkPolicy
from policies.features import Features
from robot import registry
from robot.errors import ConfigError, DataError
from robot.interfaces import Policy
from robot.output import aside, write_text

POLICY, MODEL = "policy.json", "model.safetensors"
SHIPPED = Path(__file__).resolve().parent / "pretrained"  # what came with the package, one folder a name
FORMAT = 1


def save(policy: ChunkPolicy, option: str, folder: str | Path, weights: dict[str, Any] | None = None,
         **notes: Any) -> Path:
    """Write `policy` (or its averaged `weights`) to `folder`; each file appears whole or not at all."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {k: v.detach().cpu().contiguous() for k, v in (weights or policy.state_dict()).items()}
    with aside(folder / MODEL) as temporary:
        save_file(tensors, temporary)
    document = {"format": FORMAT, "policy": option, "arguments": policy.arguments,
                "features": policy.features.to_json(), **notes}
    write_text(folder / POLICY, json.dumps(document, indent=2) + "\n")
    return folder


def shipped() -> list[str]:
    """Names of the checkpoints that came with the package; `checkpoint=` takes them like a folder."""
    return sorted(p.parent.name for p in SHIPPED.glob(f"*/{POLICY}"))


def folder_of(path: str | Path) -> Path:
    """The folder of a checkpoint: `path` itself, or of the shipped one of that name where there is no such folder."""
    return SHIPPED / path if str(path) in shipped() and not Path(path).exists() else Path(path)


def describe(path: str | Path) -> dict[str, Any]:
    """The `policy.json` of a checkpoint. Raises `DataError` when there is none or it cannot be read."""
    file = folder_of(path) / POLICY
    if not file.is_file():
        known = "".join(f", or {name}, which came with the package" for name in shipped())
        raise DataError(f"there is no checkpoint in {path} (no {POLICY}); give a folder that `steadyhand train` made"
                        f"{known}")
    try:
        document = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise DataError(f"{file} cannot be read: {error}") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise DataError(f"{file} is not a checkpoint of format {FORMAT}")
    if lost := sorted({"policy", "arguments", "features"} - set(document)):
        raise DataError(f"{file} lacks {lost[0]!r}")
    return document


@registry.option("loader", "checkpoint")
def load(path: str, model: Mapping[str, Any] | str | None = None) -> Policy:
    """The policy in the folder `path` (ours, or LeRobot's), shipped by that name, or at an import path
    `package.module:name`.

    One of ours that was trained on several arms runs on `model`. Raises `DataError`, one line, when it cannot be used,
    or one of ours is of another arm than `model`.
    """
    if foreign.is_import(path):
        return foreign.imported(path)
    if not (folder_of(path) / POLICY).is_file() and lerobot.is_folder(Path(path)):
        return lerobot.LeRobotPolicy(Path(path))
    document, weights = describe(path), folder_of(path) / MODEL
    try:
        policy: ChunkPolicy = registry.build(
            "policy", {registry.OPTION_KEY: document["policy"], **document["arguments"]},
            features=Features.from_json(document["features"]))
    except (ConfigError, TypeError, ValueError) as error:
        raise DataError(f"{path} does not fit this version: {error}") from error
    try:
        policy.load_state_dict(load_file(weights))
    except (OSError, SafetensorError) as error:
        raise DataError(f"{weights} cannot be read: {error}") from error
    except RuntimeError as error:
        words = " ".join(str(error).split())[:160]
        raise DataError(f"{weights} does not fit {POLICY}: {words}") from error
    if model is not None:
        policy.settle(registry.build("model", model))
    return policy.finished()
