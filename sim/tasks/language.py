"""Instructions from a grammar: alternatives in braces, held-out phrasings apart from those for training.

`{a|b}` is one of its alternatives, an empty one allowed; `<object>` and the like are filled in last.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

import numpy as np

from robot.errors import ConfigError
from sim.tasks.props import COLOURS

__all__ = ["GRAMMAR", "HELD_OUT", "colours", "phrase", "phrasings"]

POLITE = "{|please |now |could you |can you please |robot, |go ahead and |I want you to }"
END = "{| for me| now|, please}"
GRAMMAR: dict[str, tuple[str, ...]] = {
    "reach": (POLITE + "{touch|reach|reach for|go to|move to|point at} {the|that} <object>" + END,
              "{bring|move} the {gripper|hand|fingertips} to the <object>" + END),
    "pick_lift": (POLITE + "{pick up|lift|lift up|raise|grab|take} {the|that} <object>" + END,),
    "pick_place": (POLITE + "{put|place|set|lay} the <object> {in|into|in} the <receiver>" + END,
                   POLITE + "{pick up|grab|take} the <object> and {put|place|drop} it {in|into} the <receiver>",
                   "{move|bring|transfer} the <object> {to|over to|into} the <receiver>" + END),
    "stack": (POLITE + "{stack|put|place|set} the <object> {on|on top of|onto} the <receiver>" + END,
              "{pick up|grab|take} the <object> and {stack|put|place} it {on|on top of} the <receiver>"),
    "unstack": (POLITE + "{take|lift|move} the <object> off the tower and {put|place|set} it on the <receiver>",
                POLITE + "{unstack|take down|bring down} the <object> {to|onto} the <receiver>" + END),
    "push": (POLITE + "{push|slide|shove|nudge} the <object> {to|onto|over to} the <receiver>" + END,),
    "sort": (POLITE + "{sort|tidy|separate|arrange} the {blocks|cubes|objects} {by colour|into their trays}" + END,
             POLITE + "{put|place} {each|every} {block|cube} {in|into} the tray of its {own colour|colour}" + END),
    "sort_apart": (POLITE + "{put|place|set} {each|every} {block|cube} {in|into} the tray of the {other|wrong} colour"
                   + END,),
    "line_up": (POLITE + "{line up|arrange|put|place} the blocks {in a row|on the marks}: <order>" + END,
                POLITE + "make a {row|line} {of|with} <order>{| from left to right}" + END),
    "kitting": (POLITE + "{fill|complete|pack|load} the {kit|plate}{| with its blocks}" + END,
                POLITE + "{put|place} {each|every} block {on|into} the slot of its colour" + END),
    "kitting_one": (POLITE + "{fill|load|complete} {only|just} the <object> slot{| of the kit| of the plate}" + END,
                    POLITE + "{put|place} {only|just} the <object> block {on|into} the {kit|plate}" + END),
    "open_drawer": (POLITE + "{open|pull open|pull out|slide open} the {drawer|little drawer}" + END,
                    POLITE + "{pull|get} the drawer {open|out}" + END),
    "close_drawer": (POLITE + "{close|shut|push in|slide shut} the {drawer|little drawer}" + END,
                     POLITE + "{push|get} the drawer {closed|shut}" + END),
    "put_in_drawer": (POLITE + "{put|place|drop} the <object> {in|into} the drawer{| and close it}" + END,
                      POLITE + "{store|keep|hide} the <object> in the drawer" + END),
    "press_button": (POLITE + "{press|push|hit|press down} the <object>" + END,
                     POLITE + "{press|push} {down on|on} the <object>" + END),
    "turn_knob": (POLITE + "{turn|rotate|twist|swing} the {knob|dial} {to the|towards the} <object>" + END,),
    "insert_peg": (POLITE + "{insert|put|push|stick|place} the <object> {into|in} the {hole|<receiver>}" + END,),
    "put_back": (POLITE + "{move|take|bring} the <object> to the <receiver> and {back|back again|return it}" + END,
                 POLITE + "{put|place|set} the <object> on the <receiver>, then back where it {was|came from|stood}",
                 POLITE + "visit the <receiver> with the <object> and {return it|put it back}" + END),
    "shell_game": (POLITE + "{lift|raise|pick up|take} the cup {with|that hides|that covers} the <object>" + END,
                   POLITE + "{find|show me|uncover} the <object>" + END),
    "cue_then_act": (POLITE + "{lift|pick up|take|raise} the {block|cube} that {was marked|was pointed out}" + END,),
    "count": (POLITE + "{put|drop|place} <number> {cubes|blocks} in the bin{, then|, and then| and} press the button",
              POLITE + "{load|fill in|deliver} <number> {cubes|blocks} and {press|push} the button" + END),
    "order_replay": (POLITE + "{touch|visit|tap|go to} the pads in the order {shown|they were shown}" + END,
                     POLITE + "{repeat|replay} the {order|sequence} of the pads" + END),
}
HELD_OUT: dict[str, tuple[str, ...]] = {
    "reach": ("{make|let} the gripper meet the <object>{| now}",),
    "pick_lift": ("{hoist|hold up} the <object>{| now}", "get the <object> off the table"),
    "pick_place": ("the <object> {belongs|should end up} {in|inside} the <receiver>{| now}",
                   "{drop off|deposit} the <object> inside the <receiver>"),
    "stack": ("{balance|rest} the <object> atop the <receiver>{| now}",),
    "unstack": ("the <object> {should leave the tower for|goes down to} the <receiver>",),
    "push": ("{shift|move along} the <object> until it covers the <receiver>",),
    "sort": ("{colours|every colour} to {its|their} own place", "clear up by matching colours"),
    "sort_apart": ("colours {must not|should not} match their trays", "mix blocks and trays"),
    "line_up": ("{queue|sequence} from the left: <order>",),
    "kitting": ("the kit {misses|lacks} its blocks, add them", "match blocks and slots"),
    "kitting_one": ("nothing but <object> {on|in} the kit",),
    "open_drawer": ("I need to {see|get} into the drawer", "draw it out"),
    "close_drawer": ("the drawer {should not|must not} stay open", "back in with the drawer"),
    "put_in_drawer": ("the <object> {belongs|lives} inside the drawer",),
    "press_button": ("{trigger|activate} the <object>{| now}",),
    "turn_knob": ("{set|point} the dial <object>wards",),
    "insert_peg": ("the <object> {fits|goes} inside the <receiver>",),
    "put_back": ("a round trip for the <object>: <receiver> and home",),
    "shell_game": ("where is the <object>? {raise its cover|show it}",),
    "cue_then_act": ("the {hinted|indicated} one, {up|lift it}",),
    "count": ("exactly <number> into the bin, button afterwards",),
    "order_replay": ("{copy|imitate} what the light did",),
}


def phrase(task: str, rng: np.random.Generator, held_out: bool = False, **words: str) -> str:
    """One phrasing for `task`, with `words` filled in. Raises `ConfigError` for a task without a grammar."""
    known = phrasings(task, held_out)
    text = known[int(rng.integers(len(known)))]
    for word, value in words.items():
        text = text.replace(f"<{word}>", value)
    return text


@lru_cache(maxsize=128)
def phrasings(task: str, held_out: bool = False) -> tuple[str, ...]:
    """Every phrasing of `task`, without repeats, in a fixed order."""
    rules = (HELD_OUT if held_out else GRAMMAR).get(task)
    if rules is None:
        raise ConfigError(f"there is no grammar for {task!r}; there are: {', '.join(GRAMMAR)}")
    return tuple(dict.fromkeys(text for rule in rules for text in _expand(rule)))


def colours(rng: np.random.Generator, count: int) -> list[str]:
    """`count` different colour words. Raises `ConfigError` when there are not as many."""
    if count > len(COLOURS):
        raise ConfigError(f"{count} different colours were asked for; there are {len(COLOURS)}: {', '.join(COLOURS)}")
    return [str(c) for c in rng.permutation(list(COLOURS))[:count]]


def _expand(rule: str) -> Iterator[str]:
    found = re.search(r"\{([^{}]*)\}", rule)
    if not found:
        yield rule
        return
    for choice in found.group(1).split("|"):
        yield from _expand(rule[: found.start()] + choice + rule[found.end() :])
