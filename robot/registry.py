"""One registry: `@option(group, name)` makes a class or function selectable by name on the command line.

A constructor's parameters of plain type (bool, int, float, str, enums, tuples and lists of these) are its
configuration. Parameters of any other type are runtime objects and are handed in by `build`.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import pkgutil
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from robot.errors import ConfigError

T = TypeVar("T", bound=Callable[..., Any])
OPTION_KEY = "_option_"

# Where the options of a group live. A package listed here is searched module by module.
PROVIDERS: dict[str, tuple[str, ...]] = {
    "arm": ("sim.arm", "hardware.servo_arm"),
    "camera": ("sim.camera", "hardware.camera", "hardware.virtual.camera"),
    "engine": ("datagen.engine", "datagen.cluster"),
    "expert": ("datagen.expert",),
    "mistakes": ("datagen.perturb",),
    "model": ("robot.arms",),
    "plant": ("sim.plant", "hardware.virtual.plant"),
    "policy": ("policies",),
    "randomization": ("sim.randomization",),
    "renderer": ("sim.render",),
    "loader": ("policies.checkpoint",),
    "task": ("sim.tasks",),
    "world": ("sim.world",),
}

_OPTIONS: dict[str, dict[str, Callable[..., Any]]] = {}
_LOADED: set[str] = set()


def option(group: str, name: str) -> Callable[[T], T]:
    """Register what it decorates under `group/name`. Raises `ConfigError` when that name is taken."""

    def register(factory: T) -> T:
        known = _OPTIONS.setdefault(group, {})
        if name in known and _identity(known[name]) != _identity(factory):
            raise ConfigError(f"option {group}/{name} is registered twice: {known[name]} and {factory}")
        known[name] = factory
        return factory

    return register


def _identity(factory: Callable[..., Any]) -> tuple[str, str]:
    return factory.__module__, getattr(factory, "__qualname__", repr(factory))


def load(group: str) -> dict[str, Callable[..., Any]]:
    """Import whatever provides `group` and return its options by name."""
    if group not in _LOADED:
        for provider in PROVIDERS.get(group, ()):
            module = importlib.import_module(provider)
            for sub in pkgutil.iter_modules(getattr(module, "__path__", ())):
                importlib.import_module(f"{provider}.{sub.name}")
        _LOADED.add(group)
    return dict(sorted(_OPTIONS.get(group, {}).items()))


def get(group: str, name: str) -> Callable[..., Any]:
    """The factory of `group/name`. Raises `ConfigError` that lists the names there are."""
    known = load(group)
    if name not in known:
        raise ConfigError(f"there is no {group} {name!r}; choose one of: {', '.join(known) or '(none)'}")
    return known[name]


def build(group: str, node: Mapping[str, Any] | str, /, **runtime: Any) -> Any:
    """Make the object that `node` (`{_option_: name, ...}` or a bare name) describes.

    `runtime` holds the objects that no configuration can: ports, clocks, scenes. Those that the
    constructor does not take are left out, so one call site serves every option of a group.
    """
    settings = {OPTION_KEY: node} if isinstance(node, str) else dict(node)
    name = settings.pop(OPTION_KEY)
    factory = get(group, name)
    parameters = inspect.signature(factory).parameters
    unknown = sorted(set(settings) - set(parameters))
    if unknown:
        raise ConfigError(f"{group} {name!r} has no key {unknown[0]!r}; it has: {', '.join(fields(group, name))}")
    return factory(**settings, **{k: v for k, v in runtime.items() if k in parameters})


@dataclasses.dataclass(frozen=True)
class Setting:
    """One configurable parameter of an option."""

    name: str
    type: Any
    default: Any  # dataclasses.MISSING where a value must be given


def fields(group: str, name: str) -> dict[str, Setting]:
    """The configurable parameters of `group/name`, by name."""
    factory = get(group, name)
    target = factory.__init__ if inspect.isclass(factory) else factory
    hints = _hints(target)
    out = {}
    for p in inspect.signature(factory).parameters.values():
        kind = hints.get(p.name, str)
        if p.kind in (p.VAR_KEYWORD, p.VAR_POSITIONAL) or not _plain(kind):
            continue
        default = dataclasses.MISSING if p.default is p.empty else p.default
        out[p.name] = Setting(p.name, kind, default)
    return out


def _hints(target: Any) -> dict[str, Any]:
    """Annotations by name; one that cannot be resolved (imported for type checking only) counts as an object."""
    try:
        return get_type_hints(target)
    except NameError:
        scope = getattr(target, "__globals__", {})
        out: dict[str, Any] = {}
        for name, text in getattr(target, "__annotations__", {}).items():
            try:
                out[name] = eval(text, scope) if isinstance(text, str) else text
            except NameError:
                out[name] = object
        return out


def _plain(kind: Any) -> bool:
    if kind in (bool, int, float, str, type(None)):
        return True
    if inspect.isclass(kind) and issubclass(kind, Enum):
        return True
    if get_origin(kind) is not None:
        return all(_plain(a) for a in get_args(kind) if a is not Ellipsis)
    return False


def assemble(config: Mapping[str, Any], group: str, /, **runtime: Any) -> Any:
    """Build `config[group]`, and first whatever groups its constructor asks for by parameter name.

    A constructor `def __init__(self, task: Task, renderer: Renderer, size: int = 128)` takes `size` from its
    own node, and `task` and `renderer` from the groups of that name in `config`, each built the same way.
    `runtime` comes before both. This is the only wiring there is.
    """
    node = config[group]
    name = node if isinstance(node, str) else node[OPTION_KEY]
    settings = {} if isinstance(node, str) else {k: v for k, v in node.items() if k != OPTION_KEY}
    needs = dict(runtime)
    for parameter, what in inspect.signature(get(group, name)).parameters.items():
        if parameter in needs or parameter in settings or parameter not in PROVIDERS:
            continue
        if config.get(parameter) is not None:
            needs[parameter] = assemble(config, parameter, **runtime)
        elif what.default is what.empty and parameter not in config:
            raise ConfigError(f"{group} {name!r} needs a {parameter}; give {parameter}= one of: "
                              f"{', '.join(load(parameter))}")
    return build(group, {OPTION_KEY: name, **settings}, **needs)
