"""Who is on the bus, and what to tell a person when it is not who it should be."""

from __future__ import annotations

from collections.abc import Sequence

from hardware.bus import Bus
from hardware.family import family
from hardware.protocols import messages
from hardware.protocols.models import TABLES, model_of, table
from robot.arms import ArmModel, Joint
from robot.errors import ArmError

BAUDS = (1_000_000, 500_000, 115_200, 57_600, 250_000, 128_000, 2_000_000, 3_000_000, 4_000_000, 38_400, 9600)
NEIGHBOURS = range(21)  # ids to look at when one that should be there is not


def check(bus: Bus, model: ArmModel) -> None:
    """Every servo of `model` answers, alone under its id, and is of the right kind.

    Raises `ArmError` that names the joint, and says what does answer.
    """
    for joint in model.joints:
        for servo in (joint.servo, *joint.shadow):
            _check_one(bus, model, joint, servo)


def recognise(bus: Bus, model: ArmModel) -> None:
    """After a reconnection: this is `model` again, though some of its servos may be missing.

    Raises `ArmError` when none answers or one is of another kind.
    """
    found = bus.who([joint.servo for joint in model.joints], retries=2)
    if not found:
        raise ArmError(f"no servo of {model.name} answers on {bus.port.name}: {instead(bus, model)}")
    for joint in model.joints:
        if joint.servo in found:
            _check_kind(bus, model, joint, joint.servo)


def _check_one(bus: Bus, model: ArmModel, joint: Joint, servo: int) -> None:
    where = f"joint {joint.name} (servo {servo}) on {bus.port.name}"
    if not bus.ping(servo, retries=4).ok:
        raise ArmError(f"{where} does not answer at {bus.port.baud} baud: {instead(bus, model)}")
    if twins(bus, servo, family(table(joint.model)).block):
        raise ArmError(f"{where}: two servos answer as id {servo}; unplug one and give it an id of its own")
    _check_kind(bus, model, joint, servo)


def _check_kind(bus: Bus, model: ArmModel, joint: Joint, servo: int) -> None:
    where = f"joint {joint.name} (servo {servo}) on {bus.port.name}"
    if "model_number" not in table(joint.model):
        return  # an LX-16A does not say what it is
    number = bus.get(servo, table(joint.model)["model_number"])
    if number is None:
        raise ArmError(f"{where} answers a ping but cannot be read: check its cable")
    if number not in (TABLES[joint.model].number, *TABLES[joint.model].same):
        raise ArmError(f"{where} is {model_of(number)}, not {joint.model}: is this a {model.name}?")


def twins(bus: Bus, servo: int, block: tuple[int, int]) -> bool:
    """Whether more than one servo answers as `servo`: two whole answers, or mostly damage, to one request.

    It is asked for its telemetry, which two servos hardly share: equal answers that overlap look like one.
    """
    twice = broken = 0
    for _ in range(3):
        problem = bus.linger(messages.Read(servo, *block))[servo].problem
        twice += problem == "duplicate"
        broken += problem == "corrupt"
    return twice >= 2 or broken == 3  # once may be an answer that came late


def instead(bus: Bus, model: ArmModel) -> str:
    """Who does answer when a servo of `model` does not, at this baud rate or another, and what to do about it."""
    found = bus.who(sorted({*NEIGHBOURS, *(j.servo for j in model.joints)}), retries=0)
    if found:
        return f"check its cable and power; servos that answer: {', '.join(map(str, found))}"
    others = [baud for baud in _bauds(model) if baud != bus.port.baud]
    for baud, ids in bus.scan(others, [j.servo for j in model.joints]).items():
        return f"no servo does, but {_list(ids)} answer at {baud} baud; set them to {bus.port.baud} baud"
    return "no servo does; check the power supply, the cable to the adapter, and that this is the right port"


def _bauds(model: ArmModel) -> Sequence[int]:
    known = table(model.joints[0].model).bauds.values()
    return [baud for baud in BAUDS if baud in known]


def _list(ids: Sequence[int]) -> str:
    return ", ".join(map(str, ids))
