"""One grammar for faults on purpose, whoever carries them out: virtual servos, a simulator, a live driver.

    COMPONENT [INSTANCE] KIND [VALUE] [at T] [for D] [when QUANTITY [INSTANCE] <|> NUMBER]

`servo 3 off`, `bus garbage 0.02 for 5`, `temperature 2 wrong 80 at 10`, `reply gripper slow 0.02`,
`supply wrong 6.5 when time > 30`. KIND is one of off, stuck, garbage, wrong, slow. T and D are seconds:
T from when the fault was asked for (or its condition came true), D how long it lasts (for ever without it).
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from robot.errors import ConfigError


class Kind(Enum):
    """What is wrong with a component."""

    OFF = "off"  # not there at all
    STUCK = "stuck"  # does not change any more
    GARBAGE = "garbage"  # changes without meaning
    WRONG = "wrong"  # means something else
    SLOW = "slow"  # comes too late


@dataclass(frozen=True)
class Condition:
    """`when QUANTITY [INSTANCE] <|> NUMBER`: true once, true until the fault ends."""

    quantity: str
    instance: str
    sign: str
    number: float

    def holds(self, measure: Callable[[str, str], float]) -> bool:
        """`measure(quantity, instance)` says how things stand; raises `ConfigError` for what it cannot."""
        compare = operator.gt if self.sign == ">" else operator.lt
        return bool(compare(measure(self.quantity, self.instance), self.number))


@dataclass(frozen=True)
class Injection:
    """One parsed fault."""

    component: str
    instance: str  # "" means the only one, or all of them
    kind: Kind
    value: float | None = None  # its meaning belongs to (component, kind)
    start: float = 0.0  # s
    lasts: float | None = None  # s
    condition: Condition | None = None
    text: str = field(default="", compare=False)


Supported = Mapping[str, Sequence[Kind]]


def parse(text: str, supported: Supported | None = None) -> Injection:
    """Read one fault. Raises `ConfigError` that says what is wrong and what can be written there.

    `supported`: component -> kinds of whoever will carry it out; anything else is refused.
    """
    words = text.split()
    if not words:
        raise ConfigError("an empty fault; write for example: servo 3 off")
    kinds = [k.value for k in Kind]
    at = next((i for i, word in enumerate(words[:3]) if word in kinds), -1)
    if at < 1:
        raise ConfigError(f"fault {text!r} has no kind; write COMPONENT [INSTANCE] KIND, kind being one of: "
                          f"{', '.join(kinds)}")
    component, instance = words[0], words[1] if at == 2 else ""
    kind, rest = Kind(words[at]), words[at + 1 :]
    value = _number(rest.pop(0), text) if rest and rest[0] not in ("at", "for", "when") else None
    start, lasts, condition = 0.0, None, None
    while rest:
        word = rest.pop(0)
        if word == "at" and rest:
            start = _number(rest.pop(0), text)
        elif word == "for" and rest:
            lasts = _number(rest.pop(0), text)
        elif word == "when" and condition is None:
            condition, rest = _condition(rest, text)
        else:
            raise ConfigError(f"fault {text!r}: cannot read {word!r}; after the kind come VALUE, at T, for D, "
                              f"when QUANTITY > NUMBER")
    if start < 0 or (lasts is not None and lasts <= 0):
        raise ConfigError(f"fault {text!r}: at must be 0 or more and for more than 0 seconds")
    fault = Injection(component, instance, kind, value, start, lasts, condition, " ".join(words))
    if supported is not None:
        refuse(fault, supported)
    return fault


def refuse(fault: Injection, supported: Supported) -> None:
    """Raise `ConfigError` when `fault` is not among `supported`; an injector must never ignore one."""
    if fault.component not in supported:
        raise ConfigError(f"fault {fault.text!r}: there is no component {fault.component!r} here; "
                          f"there are: {', '.join(sorted(supported))}")
    kinds = supported[fault.component]
    if fault.kind not in kinds:
        raise ConfigError(f"fault {fault.text!r}: {fault.component} cannot be {fault.kind.value} here; "
                          f"it can be: {', '.join(k.value for k in kinds)}")


def parse_all(text: str, supported: Supported | None = None) -> list[Injection]:
    """Several faults, separated by semicolons."""
    return [parse(part, supported) for part in text.split(";") if part.strip()]


class Schedule:
    """The faults that were asked for, and which of them are in force."""

    def __init__(self, supported: Supported) -> None:
        self.supported = supported
        self._waiting: list[tuple[Injection, float | None]] = []  # with the time it counts from, if known

    def add(self, fault: Injection | str, now: float) -> Injection:
        """Ask for a fault at `now` (s). Raises `ConfigError` for what is not supported."""
        parsed = parse(fault, self.supported) if isinstance(fault, str) else fault
        refuse(parsed, self.supported)
        self._waiting.append((parsed, now if parsed.condition is None else None))
        return parsed

    def shift(self, seconds: float) -> None:
        """The clock was set forward by `seconds`: what was asked for keeps its distance."""
        self._waiting = [(fault, None if since is None else since + seconds) for fault, since in self._waiting]

    def clear(self) -> None:
        """Forget every fault."""
        self._waiting.clear()

    def __len__(self) -> int:
        return len(self._waiting)

    def pending(self) -> tuple[Injection, ...]:
        """Every fault that was asked for and is not over."""
        return tuple(fault for fault, _ in self._waiting)

    def active(self, now: float, measure: Callable[[str, str], float]) -> tuple[Injection, ...]:
        """The faults in force at `now`; those whose time is over are forgotten."""
        out, kept = [], []
        for fault, since in self._waiting:
            if since is None and fault.condition is not None and fault.condition.holds(measure):
                since = now
            begin = None if since is None else since + fault.start
            over = begin is not None and fault.lasts is not None and now >= begin + fault.lasts
            if not over:
                kept.append((fault, since))
                if begin is not None and now >= begin:
                    out.append(fault)
        self._waiting = kept
        return tuple(out)


def instances(fault: Injection, names: Iterable[str], ids: Iterable[int] = ()) -> list[int]:
    """Which of `names` the fault means, as indices: by name, by id, or all when it names none."""
    known, numbers = list(names), [str(i) for i in ids]
    if fault.instance in ("", "*", "all"):
        return list(range(len(known)))
    for candidates in (numbers, known):
        if fault.instance in candidates:
            return [candidates.index(fault.instance)]
    raise ConfigError(f"fault {fault.text!r}: there is no {fault.component} {fault.instance!r}; "
                      f"there are: {', '.join((*numbers, *known))}")


def _condition(words: list[str], text: str) -> tuple[Condition, list[str]]:
    sign = next((i for i, word in enumerate(words[:3]) if word in "<>"), -1)
    if sign < 1 or len(words) < sign + 2:
        raise ConfigError(f"fault {text!r}: write when QUANTITY [INSTANCE] > NUMBER, for example when time > 5")
    instance = words[1] if sign == 2 else ""
    return Condition(words[0], instance, words[sign], _number(words[sign + 1], text)), words[sign + 2 :]


def _number(word: str, text: str) -> float:
    try:
        return float(word)
    except ValueError:
        raise ConfigError(f"fault {text!r}: {word!r} is not a number") from None
