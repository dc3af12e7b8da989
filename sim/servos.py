"""How servos move the joints of a simulated arm: counts, speed, torque, sag under load, dead band, backlash."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from robot.arms import ArmModel
from robot.errors import ArmError
from robot.interfaces import Array
from sim.bullet import pybullet
from sim.scene import Scene

GRIP = 0.2  # fraction of its stall torque that a gripper squeezes with; more of it ejects what is held
PINCH = 8.0  # N, the most between fingers on a rack, for the same reason
RACK = 4.0  # times the driven finger's force: what goes along must stay level with it, or the pair drifts sideways
SLACK = 0.01  # rad, by which an end stop gives
SOFT = 0.05  # rad (or m), the error at which a motor without figures of its own gives all it has


@dataclass(frozen=True)
class Servo:
    """How a position servo moves a joint. Defaults describe an STS3215 with its stock gains, but for its `lead`."""

    gain: float = 30.0  # 1/s, speed asked for a rad of error
    stiffness: float = 25.0  # N·m/rad: torque grows with the error, so a loaded joint sags; 0 is stall over `SOFT`
    friction: float = 0.12  # N·m that the gears hold by themselves
    damping: float = 0.04  # N·m·s/rad
    dead_band: float = 0.002  # rad, smaller errors are left alone
    backlash: float = 0.004  # rad, play between motor and joint
    lead: float = 0.0  # s: at speed w the motor pulls as if the error were smaller by lead * w
    counts: int = 4096  # a turn of the encoder


# Stiffness of a Dynamixel: stall torque over the error at which its P gain asks for full PWM (ROBOTIS e-Manual:
# KpP = P/128, in 0.113 % a count): P 800 on the XM430; 1500 on XL430 and XL330, as LeRobot sets it. Lead: stall torque
# over no-load speed, the motor's own brake, over the stiffness; for the STS3215 (0.62 N·m·s/rad by its data sheet)
# the 0.60 that the Open Duck Mini project identified on real ones.
SERVOS: dict[str, Servo] = {
    "": Servo(stiffness=0.0, friction=0.0, dead_band=0.0, backlash=0.0, lead=0.02, counts=2**20),
    "sts3215": Servo(lead=0.024),
    "xl330-m288": Servo(stiffness=4.5, friction=0.04, dead_band=0.0015, backlash=0.006, lead=0.011),
    "xl430-w250": Servo(stiffness=12.0, friction=0.08, dead_band=0.0015, backlash=0.004, lead=0.018),
    "xm430-w350": Servo(15.0, 19.0, friction=0.15, dead_band=0.0015, backlash=0.003, lead=0.045),
}


@dataclass(frozen=True)
class Wear:
    """Factors on what every servo of an arm does: no two are alike."""

    stiffness: float = 1.0
    speed: float = 1.0
    dead_band: float = 1.0
    backlash: float = 1.0


class Servos:
    """Drives the joints of one arm body, one physics step at a time.

    A joint that others follow (fingers on a rack, driven by one servo) is driven at the first of these, so that what
    the fingers hold stops the servo as well; the joint itself and the others go along.
    """

    def __init__(self, scene: Scene, model: ArmModel, wear: Wear = Wear(), body: str = "arm") -> None:
        """Raises `ArmError` for a joint that the URDF lacks and for a servo model without figures."""
        self.scene, self.model = scene, model
        loaded = scene.body(body)
        driver = {of: (joint, ratio) for joint, of, ratio in reversed(model.follow)}
        driven = [driver.get(name, (name, 1.0)) for name in model.names]
        missing = [n for n in (*model.names, *(f[0] for f in model.follow)) if n not in loaded.joints]
        if missing:
            raise ArmError(f"{model.urdf.name} has no joint {missing[0]!r}; it has: {', '.join(loaded.joints)}")
        self.id = loaded.id
        self.index = [loaded.joints[name] for name, _ in driven]
        self.ratio = np.array([ratio for _, ratio in driven])
        along = [*model.follow, *((name, name, 1.0) for name in model.names if name in driver)]
        self.follow = [(loaded.joints[j], model.names.index(of), ratio) for j, of, ratio in along
                       if loaded.joints[j] not in self.index]
        self.stall = np.array([j.torque for j in model.joints])
        self.speed = np.array([j.speed for j in model.joints]) * 1.6  # what the servo can, over what may be asked
        self.limit = self.stall.copy()
        self.limit[-1] *= GRIP
        if driver:
            self.limit[-1] = min(self.limit[-1], PINCH * self.ratio[-1])
        self._figures([_servo(model, j.model) for j in model.joints], wear)
        self.recall([0.0] * len(self.index), [0.0] * len(self.index))

    def _figures(self, servos: list[Servo], wear: Wear) -> None:
        def row(key: str) -> Array:
            return np.array([getattr(s, key) for s in servos], dtype=np.float64)

        stiffness = row("stiffness") * np.array([1 + len(j.shadow) for j in self.model.joints])
        self.gain, self.friction = row("gain"), row("friction")
        self.stiffness = np.where(stiffness > 0, stiffness, self.stall / SOFT) * wear.stiffness
        self.dead_band, self.play = row("dead_band") * wear.dead_band, 0.5 * (row("backlash") * wear.backlash)
        self.lead = row("lead")
        self.top, self.count = self.speed * wear.speed, 2 * np.pi / row("counts")
        # What `drive` needs of each joint, in the units of the joint that Bullet drives: a rack's are not the model's.
        spec, ratio = self.model.spec, self.ratio
        self._play = (self.play * ratio).tolist()
        columns = (ratio, self.lead, self.dead_band * ratio, self.gain, self.top * ratio, self.friction / ratio,
                   self.stiffness / ratio**2, (spec.lower - SLACK) * ratio, (spec.upper + SLACK) * ratio)
        self._rows = np.column_stack(columns).tolist()
        damping = row("damping")
        for k, value in [*zip(self.index, damping), *((f[0], damping[f[1]]) for f in self.follow)]:
            pybullet.changeDynamics(self.id, k, jointDamping=float(value), maxJointVelocity=20.0,
                                    physicsClientId=self.scene.client)

    def read(self) -> tuple[Array, Array, Array]:
        """Angles, speeds and motor torques (J,), exact."""
        q, dq, _, torque = zip(*pybullet.getJointStates(self.id, self.index, self.scene.client))
        return np.array(q) / self.ratio, np.array(dq) / self.ratio, np.array(torque) * self.ratio

    def place(self, q: Array) -> None:
        """Teleport the joints to `q` (J,) rad, at rest."""
        for k, angle in zip(self.index, np.asarray(q, dtype=float) * self.ratio):
            pybullet.resetJointState(self.id, k, float(angle), physicsClientId=self.scene.client)
        for k, of, ratio in self.follow:
            pybullet.resetJointState(self.id, k, float(q[of]) * ratio, physicsClientId=self.scene.client)
        self.recall([0.0] * len(self.index), np.asarray(q, dtype=float).tolist())

    def recall(self, side: list[float], last: list[float]) -> None:
        """Lie on these sides of the play (-1, 0 or 1), after these goals (rad)."""
        self.side, self.last = side, last
        self._shift = [which * play for which, play in zip(side, self._play)]  # in the driven joints' units

    def drive(self, goal: Array, limit: Array) -> None:
        """Set the motors for one physics step towards `goal` (J,) rad; `limit` (J,) N·m, 0 is limp.

        End stops hold: Bullet's own limits halt a joint that moves into them, but a contact may creep it past them, and
        no torque of ours brings it back while the contact lasts.
        """
        # Floats and comparisons, not arrays, `min` and `max`: for half a dozen joints they are several times as fast,
        # and this runs 240 times a second.
        states = pybullet.getJointStates(self.id, self.index, self.scene.client)
        wanted = goal.tolist()
        if wanted != self.last:
            self._turn(wanted)
        speeds, forces = [], []
        for state, there, shift, most, row in zip(states, wanted, self._shift, limit.tolist(), self._rows):
            ratio, lead, dead_band, gain, top, friction, stiffness, lower, upper = row
            angle = state[0]
            if not lower <= angle <= upper:
                angle = min(max(angle, lower), upper)
                pybullet.resetJointState(self.id, self.index[len(forces)], angle, 0.0,
                                         physicsClientId=self.scene.client)
            error = there * ratio - angle - shift - lead * state[1]
            size = abs(error)
            speed, force, most = gain * error, friction + stiffness * size, most / ratio
            if size <= dead_band:
                speed = 0.0
            elif speed > top:
                speed = top
            elif speed < -top:
                speed = -top
            speeds.append(speed)
            forces.append(most if force > most else force)
        pybullet.setJointMotorControlArray(self.id, self.index, pybullet.VELOCITY_CONTROL, targetVelocities=speeds,
                                           forces=forces, physicsClientId=self.scene.client)
        for k, of, ratio in self.follow:
            there = states[of][0] / self._rows[of][0] * ratio
            pybullet.setJointMotorControl2(self.id, k, pybullet.POSITION_CONTROL, targetPosition=there,
                                           force=RACK * float(limit[of]) / ratio, physicsClientId=self.scene.client)

    def _turn(self, wanted: list[float]) -> None:
        """Goals moved to `wanted`: joints cross their play where they turned round."""
        side = self.side
        for k, (there, before) in enumerate(zip(wanted, self.last)):
            if there - before > 1e-6:
                side[k] = 1.0
            elif there - before < -1e-6:
                side[k] = -1.0
        self.recall(side, wanted)


def _servo(model: ArmModel, name: str) -> Servo:
    try:
        return SERVOS[name]
    except KeyError:
        known = ", ".join(repr(key) for key in SERVOS)
        raise ArmError(f"{model.name}: nothing is known of the servo {name!r}; there are: {known}") from None
