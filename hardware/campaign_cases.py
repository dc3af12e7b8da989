"""The rows of the fault campaign: what is broken, what has to be noticed, by when, and what becomes of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

import numpy as np

from robot.errors import ConfigError

if TYPE_CHECKING:
    from hardware.lab import Lab


class End(Enum):
    """How a run with this fault should end."""

    GOES_ON = "goes on"  # work goes on while it lasts, slower or as if nothing were
    RECOVERS = "recovers"  # the arm stops, mends itself, and works on
    STOPS = "stops"  # the arm stops, and a person has to look


Exposure = Callable[["Lab", int], bool]  # whether the fault at that joint can be noticed by now


def always(lab: Lab, joint: int) -> bool:
    return True


def moving(lab: Lab, joint: int) -> bool:
    """The arm is in motion."""
    return bool(np.abs(lab.rig.state.dq).max() > 0.3)


def lagging(gap: float) -> Exposure:
    """The joint is told to be `gap` (rad) from where it says that it is; where it really is, nobody can see."""

    def exposed(lab: Lab, joint: int) -> bool:
        state = lab.last_state
        return bool(state is not None and abs(lab.guard.goal[joint] - state.q[joint]) > gap)

    return exposed


@dataclass(frozen=True)
class Case:
    """One row. `text` in the fault grammar, with {joint} and {camera} drawn by chance."""

    text: str
    notice: tuple[str, ...]  # rows of the catalogue, any of which counts; () must not disturb work
    deadline: float  # s from when it can be noticed
    end: End
    group: str
    exposed: Exposure = always
    joints: tuple[int, ...] = (0, 1, 2, 3, 4)
    seconds: float = 45.0  # of work at most
    shows: float = 0.0  # s on end that it must show before it can be noticed
    dies: bool = False  # a process dies or freezes: the arm must stand within half a second

    @property
    def stops(self) -> bool:
        """Whether the arm must come to rest."""
        return self.end is not End.GOES_ON


GO, RE, ST = End.GOES_ON, End.RECOVERS, End.STOPS
ANY = (0, 1, 2, 3, 4, 5)
STUCK = ("stuck_joint", "stalled", "overpowered", "blocked", "frozen_telemetry", "overload")
CASES: dict[str, Case] = {
    # communication
    "reply_off": Case("reply {joint} off for 1", ("lost_servo",), 0.3, RE, "communication", joints=ANY),
    "reply_garbage": Case("reply {joint} garbage for 1", ("lost_servo",), 0.3, RE, "communication", joints=ANY),
    "reply_slow": Case("reply {joint} slow 0.05 for 1", ("lost_servo",), 0.4, RE, "communication", joints=ANY),
    "bus_off": Case("bus off for 1", ("lost_bus",), 0.3, RE, "communication"),
    "bus_garbage": Case("bus garbage 0.1 for 4", ("noisy_bus",), 2.5, GO, "communication"),
    "bus_slow": Case("bus slow 0.004 for 2", (), 0.0, GO, "communication"),
    "adapter_off": Case("adapter off for 2", ("lost_bus",), 0.3, RE, "communication"),
    "adapter_echo": Case("adapter wrong for 2", (), 0.0, GO, "communication"),
    "adapter_slow": Case("adapter slow 0.016 for 2", (), 0.0, GO, "communication"),
    # power
    "servo_off": Case("servo {joint} off for 0.6", ("lost_servo", "rebooted", "limp_joint"), 0.3, RE, "power",
                      joints=ANY),
    "supply_off": Case("supply off for 0.5", ("lost_bus", "lost_torque", "rebooted"), 0.3, ST, "power"),
    "supply_low": Case("supply wrong 8 for 3", ("brownout",), 0.5, RE, "power"),
    "supply_sags": Case("supply wrong 10 for 3", ("sagging",), 0.4, GO, "power"),
    "supply_ripple": Case("supply garbage 1 for 3", (), 0.0, GO, "power"),
    "supply_soft": Case("supply slow 0.6 for 3", (), 0.0, GO, "power"),
    "config": Case("config {joint} wrong 4 for 0.3", ("drifted",), 1.0, RE, "power", joints=ANY),
    "torque_one": Case("torque {joint} off for 0.3", ("limp_joint",), 0.5, RE, "power", joints=ANY),
    "torque_all": Case("torque off for 0.5", ("lost_torque", "limp_joint"), 0.6, ST, "power"),
    # thermal
    "warm": Case("temperature {joint} wrong 57 for 3", ("warm",), 1.3, GO, "thermal", joints=ANY),
    "hot": Case("temperature {joint} wrong 66.5 for 3", ("overheated",), 0.8, RE, "thermal", joints=ANY,
                seconds=240.0),
    # mechanical
    "motor_stuck": Case("motor {joint} stuck for 3", STUCK, 0.8, RE, "mechanical", lagging(0.16), shows=0.4),
    "motor_stuck_for_good": Case("motor {joint} stuck", STUCK, 0.8, ST, "mechanical", lagging(0.16), shows=0.4),
    "motor_off": Case("motor {joint} off", STUCK, 0.8, ST, "mechanical", lagging(0.16), shows=0.4),
    "motor_weak": Case("motor {joint} slow 0.1", STUCK, 0.8, ST, "mechanical", lagging(0.16), (1, 2), shows=0.4),
    "encoder_off": Case("encoder {joint} off", ("encoder_lost", "encoder_jump", "out_of_range"), 0.3, ST,
                        "mechanical", joints=ANY),
    "encoder_slip": Case("encoder {joint} wrong 200", ("encoder_jump",), 0.2, ST, "mechanical"),
    "encoder_stuck": Case("encoder {joint} stuck", STUCK, 0.8, ST, "mechanical", lagging(0.16), shows=0.4),
    "encoder_noise": Case("encoder {joint} garbage 300", ("encoder_jump", "out_of_range"), 0.3, ST, "mechanical"),
    # sensing
    "servo_stuck": Case("servo {joint} stuck for 1.5", (*STUCK, "lost_servo"), 0.8, ST, "sensing",
                        lagging(0.16), shows=0.4),
    "camera_off": Case("camera {camera} off for 2", ("stale_camera",), 0.8, RE, "sensing"),
    "camera_stuck": Case("camera {camera} stuck for 3", ("frozen_camera",), 2.0, RE, "sensing", moving, shows=0.6),
    "camera_black": Case("camera {camera} wrong for 2", ("dark_camera",), 0.8, RE, "sensing"),
    "camera_noise": Case("camera {camera} garbage for 2", ("garbled_camera",), 0.8, RE, "sensing"),
    "camera_slow": Case("camera {camera} slow 1 for 2", ("stale_camera",), 0.8, RE, "sensing"),
    # software
    "policy_killed": Case("policy off", ("dead_policy",), 0.1, RE, "software", dies=True),
    "policy_hangs": Case("policy stuck", ("stale_action",), 2.3, RE, "software"),
    "policy_nan": Case("policy garbage", ("non_finite_action",), 0.4, RE, "software"),
    "policy_wild": Case("policy wrong", ("wild_action",), 0.6, RE, "software"),
    "policy_slow": Case("policy slow 2.5 for 6", ("stale_action",), 2.8, RE, "software"),
    "loop_stumbles": Case("loop stuck 0.15", ("frozen_loop",), 0.3, RE, "software"),
    "loop_slow": Case("loop slow 0.04 for 3", ("late_loop",), 0.6, GO, "software"),
    "loop_frozen": Case("loop stuck 1", ("watchdog",), 0.35, ST, "software", dies=True),
    "loop_killed": Case("loop off", ("watchdog",), 0.35, ST, "software", dies=True),
    "watchdog_killed": Case("watchdog off", ("quiet_watchdog", "lost_watchdog"), 0.35, ST, "software", dies=True),
    "disk_full": Case("disk off for 2", ("full_disk",), 0.1, GO, "software"),
}


def chosen(names: list[str]) -> Mapping[str, Case]:
    """The rows of those names, all for none. Raises `ConfigError` for an unknown one."""
    unknown = [n for n in names if n not in CASES]
    if unknown:
        raise ConfigError(f"the campaign has no row {unknown[0]!r}; it has: {', '.join(CASES)}")
    return {n: c for n, c in CASES.items() if not names or n in names}
