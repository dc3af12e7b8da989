"""The watchdog in virtual time: when it takes over, what the arm does then, and its process from start to end."""

import json
import os
import signal
import tty

import numpy as np
import pytest

from hardware import watchdog
from hardware.heartbeat import SharedPort, Stage, Word, Words
from hardware.rescue import Servos
from hardware.virtual.bus import VirtualBus, VirtualPort
from hardware.virtual.plant import JointPlant
from hardware.virtual.rig import Rig
from hardware.watchdog import Judge, Kennel, Terms, Watchdog, main, terms_from
from robot.arms.so101 import so101
from robot.clock import WallClock
from robot.errors import ArmError, BusError

MODEL = so101()
PARK = tuple(int(2048 + joint.park * joint.sign * 4096 / (2 * np.pi)) for joint in MODEL.joints)
SERVOS = Servos("feetech", tuple(j.model for j in MODEL.joints), tuple(j.servo for j in MODEL.joints), PARK)


class Table:
    """An arm with torque at home, and a watchdog beside it; time is virtual."""

    def __init__(self, folder, **terms):
        plant = JointPlant(MODEL)
        plant.place(MODEL.spec.home)
        self.rig = Rig(MODEL, plant, plant.q, 0.002)
        port = VirtualPort(VirtualBus(self.rig, "feetech"))
        self.clock, self.alive = port.clock, True
        self.words = Words(folder / "heartbeat", create=True)
        terms = Terms("virtual", 1_000_000, SERVOS, **{"hold": 0.3, **terms})
        self.dog = Watchdog(terms, self.words, port, self.clock, lambda: self.alive)
        self.dog.rescue.stop()  # a goal write turns torque on
        self.clock.wait(0.5)
        assert all(self.rig.energised)

    def look(self, seconds, beats=0.0):
        """Look every 5 ms; the first reason, if there was one."""
        end, due = self.clock.now() + seconds, self.clock.now()
        while self.clock.now() < end:
            while beats and self.clock.now() >= due:
                self.words[Word.BEAT] += 1
                due += beats
            reason = self.dog.look()
            if reason is not None:
                return reason
            self.clock.wait(self.clock.now() + watchdog.LOOK)
        return None


@pytest.fixture
def table(tmp_path):
    return Table(tmp_path)


def arm(table):
    table.words[Word.ARMED] = 1


# ---------------------------------------------------------------- when
def test_beats_keep_it_quiet_and_it_shows_itself(table):
    arm(table)
    assert table.look(1.0, beats=0.01) is None
    assert table.words[Word.WATCH] > 100


def test_without_torque_nobody_needs_to_beat(table):
    assert table.look(1.0) is None


def test_a_missing_beat_counts_from_the_last_one(table):
    arm(table)
    table.look(0.3, beats=0.01)
    began = table.clock.now()
    assert "no heartbeat for 0.2" in table.look(1.0)
    assert 0.19 <= table.clock.now() - began <= 0.22


def test_grace_is_bounded(table):
    arm(table)
    table.look(0.1, beats=0.01)
    table.words[Word.GRACE] = 1
    assert table.look(2.9) is None
    assert "no heartbeat for 3.0" in table.look(1.0)


def test_too_many_beats_are_as_wrong_as_none(table):
    arm(table)
    assert "the loop races" in table.look(1.5, beats=0.002)


def test_beats_that_go_back_are_wrong(table):
    arm(table)
    table.look(0.1, beats=0.01)
    table.words[Word.BEAT] = 0
    assert "went backwards, from" in table.look(0.1)


@pytest.mark.parametrize(("rate", "races"), [(300.0, None), (303.0, "races")])
def test_three_times_the_rate_is_the_limit(rate, races):
    judge, reason = Judge(0.2, 100.0), None
    judge.see(0.0, 0, True)
    judge.see(0.0, 0, True)
    for k in range(1, 11):
        reason = reason or judge.see(k * 0.05, int(k * 0.05 * rate), True)
    assert (reason is None) if races is None else races in reason


def test_a_timeout_is_more_than_the_time(table):
    judge = Judge(0.2, 100.0)
    judge.see(0.0, 1, True)
    assert judge.see(0.2, 1, True) is None
    assert judge.see(0.2001, 1, True) == "no heartbeat for 0.200 s"
    assert Judge(0.2, 100.0).see(9.0, 5, False) is None


def test_arming_anew_forgets_what_was_before():
    judge = Judge(0.2, 100.0)
    judge.see(0.0, 5, True)
    judge.see(0.1, 5, False)
    assert judge.see(9.0, 2, True) is None  # neither late nor backwards
    assert judge.see(9.1, 2, True) is None


def test_a_loop_that_has_worked_for_long_is_judged_by_its_last_half_second():
    judge = Judge(0.2, 100.0)
    for k in range(400):  # two beats come at once now and then, as after a moment's delay
        assert judge.see(7200.0 + 0.01 * k, 720_000 + k + k % 2, True) is None
    reasons = [judge.see(7204.0 + 0.005 * k, 720_400 + 2 * k, True) for k in range(120)]
    assert next(r for r in reasons if r) == "200 heartbeats in 0.50 s: the loop races"


# ---------------------------------------------------------------- watching
def test_it_ends_with_the_work(table):
    table.words[Word.GOODBYE] = 1
    assert table.dog.watch() is None
    assert table.words[Word.STAGE] == Stage.WATCHING


def test_a_parent_that_died_limp_needs_no_rescue(table):
    table.alive = False
    assert table.dog.watch() is None


@pytest.mark.parametrize(("word", "words"), [(Word.SURRENDER, "gave the arm up"), (Word.ARMED, "no heartbeat")])
def test_it_watches_until_there_is_a_reason(table, word, words):
    table.words[word] = 1
    assert words in table.dog.watch()


def test_a_parent_that_died_with_torque_is_a_reason(table):
    arm(table)
    table.alive = False
    assert table.dog.watch() == "the control process died"


# ---------------------------------------------------------------- what then
def test_it_stops_holds_parks_and_lets_go(table):
    assert table.dog.take_over("a test") is Stage.LIMP
    assert table.words[Word.FENCE] == 1 and table.words[Word.STAGE] == Stage.LIMP
    assert [name for _, name in table.dog.story.stages] == ["holding", "parking", "limp"]
    assert table.dog.story.reason == "a test" and table.dog.story.held == 6
    assert table.dog.story.stages[1][0] == pytest.approx(0.3, abs=0.1)
    assert not any(table.rig.energised)
    assert np.allclose(table.rig.state.q, MODEL.spec.park, atol=0.2)


def test_it_can_be_told_to_hold_for_ever(tmp_path):
    table = Table(tmp_path, park=False)
    assert table.dog.take_over("a test") is Stage.STUCK
    assert all(table.rig.energised)


def test_a_joint_that_is_held_back_is_not_forced(table, caplog):
    table.rig.inject("motor 2 stuck")
    assert table.dog.take_over("a test") is Stage.STUCK
    assert "does not follow" in table.dog.story.note and all(table.rig.energised)


def test_a_mute_servo_leaves_the_others_in_good_hands(table, caplog):
    table.dog.rescue.goals.clear()
    table.rig.inject("reply 3 off")
    table.clock.wait(table.clock.now() + 0.1)
    assert table.dog.take_over("a test") is Stage.LIMP
    assert table.dog.story.held == 5 and "only 5 of 6" in caplog.text


def test_five_attempts_are_made_to_stop_every_servo(table, monkeypatch):
    answers = [2, 3, 4, 5, 6]
    monkeypatch.setattr(table.dog.rescue, "stop", lambda: answers.pop(0))
    table.dog._stop()
    assert table.dog.story.held == 6 and not answers
    answers[:] = [1, 1, 1, 1, 1, 6]
    table.dog._stop()
    assert table.dog.story.held == 1 and answers == [6]


def test_unless_told_otherwise_it_holds_for_two_seconds_and_expects_a_hundred_beats():
    terms = Terms("virtual", 1_000_000, SERVOS)
    assert (terms.timeout, terms.rate, terms.hold, terms.park) == (0.2, 100.0, 2.0, True)


def test_a_line_that_is_gone_is_said(table):
    table.rig.inject("adapter off")
    table.clock.wait(table.clock.now() + 0.1)
    assert table.dog.take_over("a test") is Stage.STUCK
    assert "is gone" in table.dog.story.note


def test_torque_that_stays_on_is_said(table, monkeypatch):
    monkeypatch.setattr(table.dog.rescue, "release", lambda: False)
    assert table.dog.take_over("a test") is Stage.STUCK
    assert "does not confirm" in table.dog.story.note


# ---------------------------------------------------------------- the process
@pytest.fixture
def process(tmp_path):
    """A folder for `main`, with a line at which nobody answers; signal handlers are put back."""
    before = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    master, slave = os.openpty()
    words = Words(tmp_path / "heartbeat", create=True)
    terms = Terms(os.ttyname(slave), 1_000_000, SERVOS, timeout=0.05, hold=0.05)
    (tmp_path / "watchdog.json").write_text(json.dumps(watchdog.asdict(terms)))
    yield tmp_path, words, terms
    os.close(master)
    os.close(slave)
    for number, handler in before.items():
        signal.signal(number, handler)


def test_the_terms_survive_the_way_to_the_process(process):
    folder, _, terms = process
    assert terms_from(json.loads((folder / "watchdog.json").read_text())) == terms


def test_a_line_that_was_unplugged_is_opened_again(tmp_path, monkeypatch):
    link = tmp_path / "line"

    def plug(path):
        master, slave = os.openpty()
        tty.setraw(slave)
        path.unlink(missing_ok=True)
        path.symlink_to(os.ttyname(slave))
        return master, slave

    first = plug(link)
    port = SharedPort(str(link), 1_000_000, usb="A50285BI")
    port.write(b"one")
    assert os.read(first[0], 9) == b"one"
    for end in first:
        os.close(end)
    second = plug(link)
    port.write(b"two")
    assert os.read(second[0], 9) == b"two"
    for end in second:
        os.close(end)
    link.unlink()
    with pytest.raises(BusError, match="A50285BI"):
        port.write(b"three")
    third = plug(tmp_path / "elsewhere")
    monkeypatch.setattr("hardware.heartbeat.find_port", lambda usb: str(tmp_path / "elsewhere"))
    port.write(b"four")
    assert os.read(third[0], 9) == b"four" and port.name.endswith("elsewhere")
    for end in third:
        os.close(end)
    with pytest.raises(BusError):
        port.write(b"five")
    port.close()
    port.close()


def test_the_process_ends_well_with_the_work_and_needs_no_priority(process, monkeypatch):
    def forbidden(change):
        raise PermissionError(change)

    monkeypatch.setattr(os, "nice", forbidden)  # as for anybody but root
    folder, words, _ = process
    words[Word.GOODBYE] = 1
    assert main([str(folder)]) == 0
    assert not (folder / watchdog.REPORT).exists()


def test_the_process_tells_what_it_had_to_do(process):
    folder, words, _ = process
    words[Word.SURRENDER] = 1
    assert main([str(folder)]) == 1
    report = json.loads((folder / watchdog.REPORT).read_text())
    assert report["reason"] == "the control loop gave the arm up" and report["held"] == 0


def test_a_process_that_cannot_watch_says_why(tmp_path, process, caplog):
    (tmp_path / "watchdog.json").unlink()
    assert main([str(tmp_path)]) == 2
    assert "watchdog.json" in caplog.text


def test_the_kennel_starts_and_ends_a_process(process):
    folder, words, terms = process
    clock = WallClock()
    Kennel(folder, terms).end()  # never started
    kennel = Kennel(folder, terms)
    kennel.start(words, clock)
    assert words[Word.STAGE] == Stage.WATCHING and kennel.process.poll() is None
    words[Word.GOODBYE] = 1
    kennel.end()
    assert kennel.process.returncode == 0


def test_a_process_that_stays_is_ended(process):
    folder, words, terms = process
    kennel = Kennel(folder, terms)
    kennel.start(words, WallClock())
    kennel.end()
    assert kennel.process.returncode == -signal.SIGKILL


def test_without_a_watchdog_there_is_no_torque(process):
    folder, words, _ = process
    with pytest.raises(ArmError, match=r"the watchdog does not start: .*nowhere"):
        Kennel(folder, Terms(str(folder / "nowhere"), 1_000_000, SERVOS)).start(words, WallClock())
