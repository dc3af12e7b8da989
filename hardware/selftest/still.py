"""Self-test: every stage in which nothing moves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from hardware.selftest import configuration, scan, sensors, traffic
from hardware.selftest.sheet import Sheet, Verdict
from hardware.selftest.wire import Wire
from robot.arms import ArmModel
from robot.errors import BusError
from robot.interfaces import Clock, Port


@contextmanager
def connected(model: ArmModel, connect: Callable[[], Port], clock: Clock, sheet: Sheet) -> Iterator[Wire | None]:
    """A `Wire` for the block, None when the port cannot be opened; a port that goes away is a failed line."""
    try:
        port = connect()
    except BusError as error:
        sheet.state("port/open", False, str(error))
        yield None
        return
    try:
        yield Wire(model, port, clock, sheet)
        sheet.state("port/open", True, port.name)
    except BusError as error:
        sheet.state("port/open", False, str(error))
    finally:
        port.close()


def run(model: ArmModel, connect: Callable[[], Port], clock: Clock, sheet: Sheet) -> None:
    """Every stage that needs no motion."""
    with connected(model, connect, clock, sheet) as wire:
        if wire is not None:
            scan.scan(wire)
            if wire.there:
                configuration.check(wire)
                sensors.check(wire, traffic.load(wire))
    why = "no servo answers" if sheet.verdict("port") is not Verdict.FAIL else "the port cannot be used"
    sheet.skip_rest(why, ("port", "scan", "configuration", "communication", "sensors"))
