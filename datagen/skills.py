"""How each kind of goal is brought about, one function a kind, one period at a time."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from datagen.hand import Hand, Phase, turned
from robot.interfaces import Array
from sim import goals as kinds
from sim.goals import ARM, JointAt, Lift, Place, Push, Reach
from sim.grasps import Grasp, grasps

Skill = Callable[[Hand, Any], None]
HOVER = 0.06  # m over what is approached
TIGHT = 0.008  # m, of tolerance: what is put there is lowered with care
MARGIN = 0.012  # m, between what is carried and what stands in between


def reach(hand: Hand, goal: Reach) -> None:
    """Straight there."""
    hand.phase = Phase.APPROACH
    point = goal.target(hand.scene)
    travel = max(point[2], hand.scene.height + HOVER)
    if hand.aside(point) > 0.03:
        point = np.array([point[0], point[1], travel])
    hand.go(point, None, hand.fast, hand.ref[-1])


def wait(hand: Hand, goal: object) -> None:
    """Stay where it is."""
    hand.rest()


def lift(hand: Hand, goal: Lift) -> None:
    """Take hold of it and rise."""
    if kinds.held(hand.scene, goal.item) and hand.closing >= 3:
        hand.phase = Phase.LIFT
        x, y, z = hand.tip[:3, 3]
        missing = goal.start + goal.height + 0.01 - goal.target(hand.scene)[2]
        hand.go(np.array([x, y, z + max(0.0, missing)]), None, hand.fast, hand.shut)
    else:
        fetch(hand, grasps(hand.scene, goal.item), _clear(hand, goal.item))


def place(hand: Hand, goal: Place) -> None:
    """Fetch it, carry it over its place, lower it, let go, take the hand away."""
    scene = hand.scene
    if kinds.held(scene, goal.item) and hand.closing >= 3:
        _carry(hand, goal)
    elif goal.there(scene) and (hand.released or scene.touch(ARM, goal.item) > 0):
        hand.leave()
    else:
        fetch(hand, grasps(scene, goal.item), _clear(hand, goal.item))


def push(hand: Hand, goal: Push) -> None:
    """Go behind it with the fingers side by side, and push it along, straight towards its place."""
    scene, gripper = hand.scene, hand.shut + hand.slack
    item, left = goal.target(scene), goal.place(scene) - goal.target(scene)
    distance = float(np.linalg.norm(left[:2]))
    ahead = np.array([left[0], left[1], 0.0]) / max(distance, 1e-6)
    closing = min((turned(ahead, math.pi / 2), turned(ahead, -math.pi / 2)), key=lambda c: _twist(hand, item, c))
    size = max(0.5 * float(np.hypot(*s.size[:2])) if s.kind == "box" else s.size[0] for s in scene.solids(goal.item))
    centre = -0.012 * closing if hand.still else np.zeros(3)
    level = scene.height + 0.017
    behind = item - (size + 0.022) * ahead + centre
    behind[2] = level
    tip = hand.tip[:3, 3]
    along, off = _along(tip - centre - item, ahead)
    low = tip[2] < level + 0.012
    if low and off < 0.011 and -0.08 < along < 0.0:
        hand.phase = Phase.CARRY
        contact = item - (0.5 * size + 0.008) * ahead + centre
        point = contact + min(distance + 0.01, 0.03) * ahead
        hand.go(np.array([point[0], point[1], level]), closing, hand.slow, gripper)
    elif hand.aside(behind) > 0.006 or not hand.aligned(closing):
        up = scene.height + HOVER + 0.02
        if hand.aside(behind) > 0.02 and tip[2] < up - 0.02:
            hand.phase = Phase.RETREAT
            hand.go(np.array([tip[0], tip[1], up]), None, hand.fast, gripper)
        else:  # nearly there it rises no more, so that being a little aside never means to begin anew
            hand.phase = Phase.APPROACH
            height = up if hand.aside(behind) > 0.02 else max(level + 0.01, min(tip[2], up))
            hand.go(np.array([behind[0], behind[1], height]), closing, hand.fast, gripper)
    else:
        hand.phase = Phase.DESCEND
        hand.go(behind, closing, hand.slow, gripper)


def joint(hand: Hand, goal: JointAt) -> None:
    """Take the handle and move it along the joint, or press on it."""
    if goal.closing is None:
        _press(hand, goal)
        return
    scene = hand.scene
    pose = scene.pose(goal.body, goal.joint)
    origin, axis, slides = scene.axis(goal.body, goal.joint)
    left = goal.aim - scene.joint(goal.body, goal.joint)
    axis_up = axis[2] * left
    handle, closing = goal.target(scene), pose.matrix @ np.asarray(goal.closing)
    if hand.closing >= 5 and scene.touch(ARM, goal.body) > 0:
        hand.phase = Phase.CARRY
        tip = hand.tip
        if slides:
            hand.go(tip[:3, 3] + np.clip(left, -0.016, 0.016) * axis, None, hand.slow, hand.shut)
        else:
            step = float(np.clip(left, -0.2, 0.2)) * math.copysign(1.0, axis[2])
            arm = turned(tip[:3, 3] - origin, step)
            hand.go(origin + arm, turned(np.array([tip[0, 0], tip[1, 0], 0.0]), step), hand.slow, hand.shut)
        return
    options = [Grasp(handle, sign * closing, goal.width) for sign in (1.0, -1.0)]
    fetch(hand, options, _clear(hand), 0.0 if slides else axis_up)


def _press(hand: Hand, goal: JointAt) -> None:
    point = goal.target(hand.scene)
    above, tip = point + (0, 0, 0.05), hand.tip[:3, 3]
    low = tip[2] < point[2] + 0.035  # about to press: the cap is wide enough
    if hand.aside(point) > (0.011 if low else 0.006):
        up = max(above[2], min(tip[2], above[2] + 0.03), _clear(hand) + 0.02)
        rise = hand.aside(point) > 0.025 and tip[2] < up - 0.02
        if hand.aside(point) < 0.02:
            up = max(point[2] + 0.03, min(tip[2], up))
        hand.phase = Phase.RETREAT if rise else Phase.APPROACH
        hand.go(np.array([*(tip if rise else point)[:2], up]), None, hand.fast, hand.shut)
    else:
        hand.phase = Phase.DESCEND
        z = max(tip[2] - 0.012, hand.scene.height - 0.01)
        hand.go(np.array([point[0], point[1], z]), None, hand.slow, hand.shut)


def fetch(hand: Hand, options: list[Grasp], clear: float, turn: float = 0.0) -> None:
    """Go above what is to be taken, over everything up to height `clear` (m), down to it, and close."""
    hand.released = 0
    grasp = hand.best(options, turn)
    point = hand.beside(grasp, hand.clearance)
    above = point.copy()
    above[2] = max(point[2] + HOVER, clear + 0.035)
    tip, aside = hand.tip, hand.aside(point)
    ready = hand.aligned(grasp.closing)
    if hand.closing or (aside < 0.008 and tip[2, 3] < point[2] + 0.006 and ready and hand.arrived(point)):
        if not hand.closing:
            hand.taken = float(grasp.position[2])
        hand.close()
    elif aside > 0.025 and tip[2, 3] < above[2] - 0.02:
        hand.phase = Phase.RETREAT
        hand.go(np.array([*tip[:2, 3], above[2]]), None, hand.fast, hand.wide)
    elif aside > 0.008 or not ready:
        hand.phase = Phase.APPROACH
        hand.go(above, grasp.closing, hand.fast, hand.wide)
    else:
        hand.phase = Phase.DESCEND
        hand.go(point, grasp.closing, hand.slow, hand.wide)


def _carry(hand: Hand, goal: Place) -> None:
    """Lift what is held, carry it over its place, lower it, let go."""
    scene = hand.scene
    tip = hand.tip
    now = scene.pose(ARM, hand.world.model.tcp)
    offset = now.matrix.T @ (goal.target(scene) - now.position)
    aim = goal.place(scene)
    spot = hand.bring(aim + (0, 0, 0.002), offset)
    below = goal.target(scene)[2] - kinds.bottom(scene, goal.item)
    lowest = max(aim[2] + 0.04, hand.taken + 0.03, scene.height + 0.055, _clear(hand, goal.item) + MARGIN + below)
    travel = lowest + (spot[2] - aim[2])
    aside, close = hand.aside(spot), min(0.006, 0.5 * goal.tolerance)
    low = tip[2, 3] < travel - 0.015
    if aside > (0.012 if low else close) and low:
        hand.phase = Phase.LIFT
        hand.go(np.array([*tip[:2, 3], travel]), None, hand.fast, hand.shut)
    elif aside > close or (not low and not _over(hand, goal, aim)):
        hand.phase = Phase.CARRY
        wait = goal.tolerance <= TIGHT and aside <= close  # the arm has yet to come to rest where its reference is
        hand.go(np.array([*spot[:2], tip[2, 3] if wait else travel]), None, hand.fast, hand.shut)
    elif tip[2, 3] > spot[2] + 0.003:
        hand.phase = Phase.LOWER
        level = spot[2]
        if goal.tolerance <= TIGHT:  # by small steps, and only while it hangs over the hole
            level = max(level, tip[2, 3] - 0.006) if _over(hand, goal, aim) else tip[2, 3]
        hand.go(np.array([*spot[:2], level]), None, hand.slow, hand.shut)
    else:
        hand.release()


def _over(hand: Hand, goal: Place, aim: Array) -> bool:
    """What is held hangs over its place, as precisely as the place is narrow."""
    gap = goal.target(hand.scene) - aim
    return math.hypot(gap[0], gap[1]) < (0.012 if goal.tolerance > TIGHT else 0.5 * goal.tolerance)


def _clear(hand: Hand, item: str = "") -> float:
    """m, the height over which nothing but the arm and `item` stands."""
    return hand.scene.top((ARM, "table", item))


def _twist(hand: Hand, point: Array, closing: Array) -> float:
    radial = point[:2] - hand.chain.pivot
    return abs(float(radial[0] * closing[1] - radial[1] * closing[0])) - float(radial @ closing[:2])


def _along(v: Array, ahead: Array) -> tuple[float, float]:
    along = float(v @ ahead)
    return along, float(np.hypot(*(v[:2] - along * ahead[:2])))
