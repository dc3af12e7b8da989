"""`steadyhand selftest`: is this arm well? Every line says pass, warn or fail, with a number and what to do."""

from hardware.selftest.command import main

__all__ = ["main"]
