"""Policies that were not made here: any object that fits the `Policy` protocol, by its import path."""

from __future__ import annotations

import importlib
import inspect
import re

from robot.errors import DataError
from robot.interfaces import Policy

IMPORT = re.compile(r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")


def is_import(checkpoint: str) -> bool:
    """Whether `checkpoint` reads like `package.module:name`."""
    return bool(IMPORT.match(checkpoint))


def imported(checkpoint: str) -> Policy:
    """The policy at `package.module:name`: an object, or a class or function that makes one.

    Raises `DataError`, one line, when there is none or when it is no policy.
    """
    module, name = checkpoint.split(":")
    try:
        found = getattr(importlib.import_module(module), name)
    except ImportError as error:
        raise DataError(f"checkpoint={checkpoint}: cannot import {module}: {error}") from error
    except AttributeError as error:
        raise DataError(f"checkpoint={checkpoint}: {module} has no {name!r}") from error
    made = found() if inspect.isclass(found) or inspect.isfunction(found) else found
    if not isinstance(made, Policy):
        raise DataError(f"checkpoint={checkpoint} has no reset(instruction) and act(observation); "
                        "see robot.interfaces.Policy")
    return made
