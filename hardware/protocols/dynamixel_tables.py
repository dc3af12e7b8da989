"""Control tables of the Dynamixel X servos that cheap arms use (ROBOTIS e-manual).

The models share one layout; what a model lacks or has another default for is stated beside it.
"""

from __future__ import annotations

import math

from hardware.protocols.tables import RAD_PER_COUNT, Area, Register, Sign, Table, build

RPM = 2 * math.pi / 60
VELOCITY = 0.229 * RPM  # rad/s a count
ACCELERATION = 214.577 * 2 * math.pi / 3600  # rad/s² a count, from rev/min²
PWM = 0.00113  # fraction of full a count
ROM, TWOS = Area.ROM, Sign.TWOS
BAUDS = {0: 9600, 1: 57_600, 2: 115_200, 3: 1_000_000, 4: 2_000_000, 5: 3_000_000, 6: 4_000_000}
ALARMS = {0: "input voltage", 2: "overheating", 3: "motor encoder", 4: "electrical shock", 5: "overload"}
ERRORS = {1: "result fail", 2: "instruction", 3: "CRC", 4: "data range", 5: "data length",
          6: "data limit", 7: "access"}
_R = Register


def _rom(d: dict[str, int]) -> list[Register]:
    return [
        _R(0, 2, "model_number", writable=False, area=ROM, default=d["model_number"]),
        _R(2, 4, "model_information", writable=False, area=ROM),
        _R(6, 1, "firmware_version", writable=False, area=ROM, default=48),
        _R(7, 1, "id", area=ROM, default=1),
        _R(8, 1, "baud_code", area=ROM, default=1),
        _R(9, 1, "return_delay", "s", 2e-6, area=ROM, default=250),
        _R(10, 1, "drive_mode", area=ROM),
        _R(11, 1, "operating_mode", area=ROM, default=3),
        _R(12, 1, "shadow_id", area=ROM, default=255),
        _R(13, 1, "protocol_type", area=ROM, default=2),
        _R(20, 4, "homing_offset", "rad", RAD_PER_COUNT, area=ROM, sign=TWOS),
        _R(24, 4, "moving_threshold", "rad/s", VELOCITY, area=ROM, default=10),
        _R(31, 1, "max_temperature", "°C", area=ROM, default=d["max_temperature"]),
        _R(32, 2, "max_voltage", "V", 0.1, area=ROM, default=d["max_voltage"]),
        _R(34, 2, "min_voltage", "V", 0.1, area=ROM, default=d["min_voltage"]),
        _R(36, 2, "pwm_limit", "1", PWM, area=ROM, default=885),
        _R(44, 4, "velocity_limit", "rad/s", VELOCITY, area=ROM, default=d["velocity_limit"]),
        _R(48, 4, "max_position", "rad", RAD_PER_COUNT, area=ROM, default=4095),
        _R(52, 4, "min_position", "rad", RAD_PER_COUNT, area=ROM),
        _R(63, 1, "shutdown_mask", area=ROM, default=d["shutdown_mask"]),
    ]


def _ram(d: dict[str, int]) -> list[Register]:
    return [
        _R(64, 1, "torque_enable"),
        _R(65, 1, "led"),
        _R(68, 1, "response_level", default=2),
        _R(69, 1, "registered", writable=False),
        _R(70, 1, "status", writable=False),
        _R(76, 2, "velocity_i", default=d["velocity_i"]),
        _R(78, 2, "velocity_p", default=d["velocity_p"]),
        _R(80, 2, "position_d", default=d["position_d"]),
        _R(82, 2, "position_i"),
        _R(84, 2, "position_p", default=d["position_p"]),
        _R(88, 2, "feedforward_2"),
        _R(90, 2, "feedforward_1"),
        _R(98, 1, "bus_watchdog", "s", 0.02, sign=TWOS),
        _R(100, 2, "goal_pwm", "1", PWM, sign=TWOS, default=885),
        _R(104, 4, "goal_velocity", "rad/s", VELOCITY, sign=TWOS),
        _R(108, 4, "profile_acceleration", "rad/s²", ACCELERATION),
        _R(112, 4, "profile_velocity", "rad/s", VELOCITY),
        _R(116, 4, "goal_position", "rad", RAD_PER_COUNT, sign=TWOS),
        _R(120, 2, "realtime_tick", "s", 1e-3, writable=False),
        _R(122, 1, "moving", writable=False),
        _R(123, 1, "moving_status", writable=False),
        _R(124, 2, "present_pwm", "1", PWM, writable=False, sign=TWOS),
        _R(128, 4, "present_velocity", "rad/s", VELOCITY, writable=False, sign=TWOS),
        _R(132, 4, "present_position", "rad", RAD_PER_COUNT, writable=False, sign=TWOS),
        _R(136, 4, "velocity_trajectory", "rad/s", VELOCITY, writable=False, sign=TWOS),
        _R(140, 4, "position_trajectory", "rad", RAD_PER_COUNT, writable=False, sign=TWOS),
        _R(144, 2, "present_voltage", "V", 0.1, writable=False),
        _R(146, 1, "present_temperature", "°C", writable=False),
        _R(147, 1, "backup_ready", writable=False),
    ]


def _current(unit: float, limit: int) -> list[Register]:
    return [
        _R(38, 2, "current_limit", "A", unit, area=ROM, default=limit),
        _R(102, 2, "goal_current", "A", unit, sign=TWOS, default=limit),
        _R(126, 2, "present_current", "A", unit, writable=False, sign=TWOS),
    ]


LOAD = _R(126, 2, "present_load", "1", 1e-3, writable=False, sign=TWOS)
STARTUP = _R(60, 1, "startup_configuration", area=ROM)
SLOPE = _R(62, 1, "pwm_slope", area=ROM, default=140)


def _indirect(addresses: int, data: int, size: int, first: int = 1) -> list[Register]:
    """`addresses` first indirect address, `data` first indirect byte, `size` how many, numbered from `first`."""
    return [
        row
        for k in range(size)
        for row in (
            _R(addresses + 2 * k, 2, f"indirect_address_{first + k}", default=data + k),
            _R(data + k, 1, f"indirect_data_{first + k}"),
        )
    ]


INDIRECT = [*_indirect(168, 224, 28), *_indirect(578, 634, 28, first=29)]


def _model(model: str, size: int, rows: list[Register], defaults: dict[str, int], same: tuple[int, ...] = (),
           bauds: dict[int, int] = BAUDS) -> Table:
    return Table(
        model=model, number=defaults["model_number"], protocol="dynamixel2", size=size,
        source=f"ROBOTIS e-manual, {model}", registers=build(_rom(defaults) + _ram(defaults) + rows),
        bauds=bauds, alarms=ALARMS, same=same,
    )


XL330 = _model(
    "xl330-m288", 228, [*_current(1e-3, 1750), STARTUP, SLOPE, *_indirect(168, 208, 20)],
    {"model_number": 1200, "max_temperature": 70, "max_voltage": 70, "min_voltage": 35,
     "velocity_limit": 445, "shutdown_mask": 53,
     "velocity_i": 1600, "velocity_p": 180, "position_d": 0, "position_p": 400},
    same=(1190,),  # XL330-M077
)
XL430 = _model(
    "xl430-w250", 662, [LOAD, STARTUP, *INDIRECT],
    {"model_number": 1060, "max_temperature": 72, "max_voltage": 140, "min_voltage": 60,
     "velocity_limit": 265, "shutdown_mask": 52,
     "velocity_i": 1000, "velocity_p": 100, "position_d": 4000, "position_p": 640},
    bauds={**BAUDS, 7: 4_500_000},
)
XM430 = _model(
    "xm430-w350", 662, [*_current(2.69e-3, 1193), *INDIRECT],
    {"model_number": 1020, "max_temperature": 80, "max_voltage": 160, "min_voltage": 95,
     "velocity_limit": 350, "shutdown_mask": 52,
     "velocity_i": 1920, "velocity_p": 100, "position_d": 0, "position_p": 800},
    same=(1030,),  # XM430-W210
    bauds={**BAUDS, 7: 4_500_000},
)
TABLES = (XL330, XL430, XM430)
