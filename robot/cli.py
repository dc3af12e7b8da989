"""The `steadyhand` command. Loads only the packages that the command needs: importing torch takes seconds."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence

from robot.errors import SteadyhandError

# command -> (module with `main(config) -> int`, what it is for)
COMMANDS: dict[str, tuple[str, str]] = {
    "simulate": ("sim.simulate", "run a scripted expert in randomised scenes and write a video"),
    "generate": ("datagen.generate", "make a dataset of verified demonstrations"),
    "audit": ("datagen.audit", "check a dataset: files, statistics, and a replay of some of its episodes"),
    "train": ("policies.train", "teach a policy from a dataset"),
    "evaluate": ("policies.evaluate", "measure a checkpoint on scenes it never saw"),
    "deploy": ("hardware.deploy", "run a checkpoint on an arm, with watchdog, guard and recovery"),
    "selftest": ("hardware.selftest", "check an arm, its bus, cameras and watchdog"),
    "calibrate": ("hardware.calibrate", "find where each joint of a real arm has its zero and its ends"),
    "campaign": ("hardware.campaign", "break everything on purpose in virtual time and report what came of it"),
    "work": ("hardware.work", "work a shift in virtual time, with faults by chance, and report what an employer asks"),
    "replay": ("hardware.replay", "judge every cycle of a flight record again and tell its story"),
    "emulate": ("hardware.virtual.emulate", "virtual servos on a pseudo-terminal until interrupted"),
    "demo": ("robot.demo", "the whole loop: simulate, generate, train, evaluate, deploy, selftest, report"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit status is 0 only on success."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_usage())
        return 0 if arguments else 2
    if arguments[0] == "--version":
        from robot.output import versions

        print(versions().get("steadyhand", "unknown"))
        return 0
    command, rest = arguments[0], arguments[1:]
    debug = bool(os.environ.get("STEADYHAND_DEBUG")) or "debug=true" in map(str.lower, rest)
    try:
        status = _run(command, rest)
        sys.stdout.flush()
        return status
    except BrokenPipeError:  # whoever read our output, as `head`, has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except SteadyhandError as error:
        if debug:
            raise
        return _fail(command, str(error), 2)
    except KeyboardInterrupt:
        _abandon()
        print(f"\nsteadyhand {command}: interrupted", file=sys.stderr)
        return 130
    except Exception as error:  # the last line of defence: one line for a person
        if debug:
            raise
        return _fail(command, f"unexpected {type(error).__name__}: {error} (debug=true shows where)", 1)


def _fail(command: str, what: str, status: int) -> int:
    """One line, whatever was raised; no folder stays that holds nothing."""
    _abandon()
    print(f"steadyhand {command}: {' '.join(what.split())}", file=sys.stderr)
    return status


def _abandon() -> None:
    from robot import output

    output.abandon()


def _run(command: str, rest: list[str]) -> int:
    from robot.errors import ConfigError

    if command not in COMMANDS:
        import difflib

        near = difflib.get_close_matches(command, COMMANDS, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(COMMANDS)}"
        raise ConfigError(f"there is no command {command!r}; {hint}")
    from robot import config

    preset, rest = _preset(rest)
    if any(a in ("-h", "--help") for a in rest):
        from robot import manual

        print(manual.page(command, COMMANDS[command][1], preset))
        return 0
    overrides = [a for a in rest if not a.startswith("debug=")]
    for a in overrides:
        if "=" not in a and not a.startswith("~"):
            raise ConfigError(f"{a!r} is not an override; write key=value")
    settings = config.resolve(command, overrides, preset)
    module = importlib.import_module(COMMANDS[command][0])
    return int(module.main(settings))


def _usage() -> str:
    width = max(map(len, COMMANDS))
    rows = "\n".join(f"  {name:<{width}}  {what}" for name, (_, what) in COMMANDS.items())
    closing = "`steadyhand COMMAND --help` lists its groups and defaults."
    return f"usage: steadyhand COMMAND key=value ...\n\n{rows}\n\n{closing}"


def _preset(rest: list[str]) -> tuple[str | None, list[str]]:
    """What stands after --config-name, and everything else."""
    from robot.errors import ConfigError

    joined = [f"{a}={b}" if a == "--config-name" else a for a, b in zip(rest, [*rest[1:], ""])]
    named = [a for a in joined if a.startswith("--config-name=")]
    if not named:
        return None, rest
    if named[0] == "--config-name=":
        raise ConfigError("--config-name wants a name after it")
    at = joined.index(named[0])
    return named[0].partition("=")[2], rest[:at] + rest[at + 1 + (rest[at] == "--config-name") :]


if __name__ == "__main__":
    raise SystemExit(main())
