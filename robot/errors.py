"""The errors that reach a person: one line that says what is wrong and what to do."""

from __future__ import annotations


class SteadyhandError(Exception):
    """A failure a person can act on. The command line prints it as one line, without a traceback."""


class ConfigError(SteadyhandError):
    """An option, key or value that cannot be used; names what is available."""


class DataError(SteadyhandError):
    """A dataset, checkpoint or output folder that is missing, damaged or already in use."""


class BusError(SteadyhandError):
    """A port or servo bus that cannot be opened or used; carries the port's name."""


class ArmError(SteadyhandError):
    """The arm refuses: a joint out of range, a fault latched, a servo missing; names the joint."""


class SceneError(SteadyhandError):
    """A scene that cannot be built, such as objects that do not fit in the reachable region."""
