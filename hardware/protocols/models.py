"""Which servo models and wire formats there are."""

from __future__ import annotations

from hardware.protocols import dynamixel1, dynamixel_tables, feetech, lx16a
from hardware.protocols.dynamixel1 import Dynamixel1
from hardware.protocols.dynamixel2 import Dynamixel2
from hardware.protocols.lx16a import Lx16a
from hardware.protocols.messages import Codec
from hardware.protocols.tables import Table
from robot.errors import ConfigError

_ALL = (*feetech.TABLES, *dynamixel_tables.TABLES, *dynamixel1.TABLES, *lx16a.TABLES)
TABLES: dict[str, Table] = {t.model: t for t in _ALL}
CODECS: dict[str, Codec] = {c.name: c for c in (feetech.Feetech(), Dynamixel2(), Dynamixel1(), Lx16a())}


def table(model: str) -> Table:
    """The control table of servo `model`. Raises `ConfigError` that lists the models there are."""
    if model not in TABLES:
        raise ConfigError(f"there is no servo model {model!r}; there are: {', '.join(sorted(TABLES))}")
    return TABLES[model]


def codec(protocol: str) -> Codec:
    """The wire format of that name. Raises `ConfigError` that lists the names there are."""
    if protocol not in CODECS:
        raise ConfigError(f"there is no servo protocol {protocol!r}; there are: {', '.join(sorted(CODECS))}")
    return CODECS[protocol]


def model_of(number: int) -> str:
    """The servo model that calls itself `number`, or a description of the stranger."""
    for t in TABLES.values():
        if number == t.number or number in t.same:
            return t.model
    return f"of the unknown model {number}"
