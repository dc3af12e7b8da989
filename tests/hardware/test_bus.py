"""The bus: deadlines, retries, late and doubled answers, echoes, scans and counters."""

from __future__ import annotations

import pytest

from hardware.bus import LATE, REFUSED, Bus
from hardware.latency import Counters, Latency
from hardware.port import LoopbackPort
from hardware.protocols import messages
from hardware.protocols.messages import Reply
from hardware.protocols.models import codec, table
from robot.clock import SimClock
from robot.errors import BusError
from tests.hardware.small_servos import SmallBus, SmallServo, so101_servos

STS = table("sts3215")


class Line(LoopbackPort):
    """A loop-back whose bytes can be tampered with, and whose answers can be late."""

    def __init__(self, servos, clock, baud=1_000_000):
        super().__init__(self.through, clock, baud, delay=100e-6)
        self.servos, self.true_baud = servos, baud
        self.lose_next = 0
        self.tamper = None
        self.overdue: list[tuple[float, bytes]] = []

    def through(self, data: bytes) -> bytes:
        if self.baud != self.true_baud:
            return b""
        reply = self.servos(data)
        if self.lose_next:
            self.lose_next -= 1
            return b""
        return self.tamper(data, reply) if self.tamper else reply

    def late(self, at: float, data: bytes) -> None:
        """Bytes that arrive at `at` (s), whatever is asked meanwhile."""
        self._queue += [(at + k * 1e-5, value) for k, value in enumerate(data)]
        self._queue.sort()


@pytest.fixture
def made():
    clock = SimClock()
    servos = so101_servos()
    line = Line(servos, clock)
    bus = Bus(line, codec("feetech"), clock)
    bus.end = STS.size
    for servo in range(1, 7):
        assert bus.ping(servo).ok
    bus.sync_read(range(1, 7), 56, 15)
    return bus, line, servos, clock


def test_a_request_is_tried_again_alone(made):
    bus, line, servos, _ = made
    line.lose_next = 1
    assert bus.read(3, 56, 2).data == b"\x00\x08"
    servos.heard.clear()
    servos.dead.add(2)
    results = bus.sync_read(range(1, 7), 56, 2, retries=1)
    assert [s for s, r in results.items() if r.ok] == [1, 3, 4, 5, 6]
    assert [type(op) for op in servos.heard] == [messages.SyncRead, messages.Read]
    assert results[2].problem == "silent"
    assert bus.servos[2].timed_out == 2


def test_the_time_spent_on_silence_is_wire_time_and_what_was_measured(made):
    bus, _, servos, clock = made
    for _ in range(50):
        bus.ping(1)
    servos.dead.add(1)
    start = clock.now()
    assert not bus.ping(1, retries=0).ok
    assert clock.now() - start < 1.5e-3


def test_a_missing_servo_in_the_middle_costs_no_waiting(made):
    bus, _, servos, clock = made
    for _ in range(20):
        bus.sync_read(range(1, 7), 56, 8)
    start = clock.now()
    bus.sync_read(range(1, 7), 56, 8)
    whole = clock.now() - start
    servos.dead.add(3)
    start = clock.now()
    results = bus.sync_read(range(1, 7), 56, 8)
    assert clock.now() - start <= whole
    assert [s for s, r in results.items() if not r.ok] == [3]


def test_a_late_answer_is_not_taken_for_the_next_ones(made):
    bus, line, servos, clock = made
    servos.dead.add(2)
    assert not bus.read(2, 63, 1, retries=0).ok  # a temperature, overdue
    servos.dead.clear()
    stale = codec("feetech").encode_reply(Reply(2, 0, b"\x63"))
    line.late(clock.now() + 20e-6, stale)  # while the next request is already on its way
    assert bus.read(2, 62, 1, retries=0).data == b"\x78"
    assert bus.read(2, 63, 1, retries=0).data == b"\x1e"


def test_a_late_answer_between_requests_is_dropped_and_counted(made):
    bus, line, servos, clock = made
    servos.dead.add(2)
    bus.read(2, 63, 1, retries=0)
    servos.dead.clear()
    line.late(clock.now() + 1e-4, codec("feetech").encode_reply(Reply(2, 0, b"\x63")))
    clock.wait(clock.now() + 1e-3)
    assert bus.read(2, 62, 1).data == b"\x78"
    assert bus.servos[2].late == 1
    clock.wait(clock.now() + 2 * LATE)
    servos.heard.clear()
    bus.read(2, 62, 1)
    assert servos.heard == [messages.Read(2, 62, 1)]


def test_damage_is_blamed_on_whom_it_comes_from(made):
    bus, _, servos, _ = made
    servos.corrupt.add(4)
    results = bus.sync_read(range(1, 7), 56, 15)
    assert results[4].problem == "corrupt"
    assert sum(r.ok for r in results.values()) == 5
    assert bus.servos[4].corrupt == 1
    assert bus.stats.corrupt == 1


def test_error_bytes_come_with_the_data(made):
    bus, _, servos, _ = made
    servos[5].error = 0x20
    results = bus.sync_read(range(1, 7), 56, 2)
    assert results[5].ok
    assert [r.error for r in results.values()] == [0, 0, 0, 0, 0x20, 0]
    assert bus.servos[5].flagged == 1


@pytest.mark.parametrize("protocol,model", [("feetech", "sts3215"), ("dynamixel2", "xl330-m288")])
def test_an_echo_is_found_and_stripped(protocol, model):
    clock = SimClock()
    servos = SmallBus(*(SmallServo(model, k) for k in (1, 2)))
    servos.echo = True
    bus = Bus(Line(servos, clock), codec(protocol), clock)
    assert bus.probe_echo()
    register = table(model)["present_position"]
    assert bus.get(1, register) == 2048
    bus.sync_write(table(model)["led" if protocol == "dynamixel2" else "torque_enable"].address,
                   [(1, b"\x01"), (2, b"\x01")])
    assert {k: r.ok for k, r in bus.sync_read([1, 2], register.address, register.size).items()} == {1: True, 2: True}
    servos.echo = False
    assert not bus.probe_echo()


def test_an_echo_that_begins_later_is_never_taken_for_an_answer(made):
    bus, _, servos, _ = made
    servos.echo = True
    for servo in (1, 2, 3):
        assert bus.read(servo, 56, 2).data == b"\x00\x08"
    assert bus.echo


def test_two_answers_to_one_request_are_noticed(made):
    bus, _, servos, _ = made
    servos.servos.append(SmallServo("sts3215", 5))
    assert bus.linger(messages.Ping(5))[5].problem == "duplicate"
    assert bus.linger(messages.Ping(4))[4].problem == ""


def test_put_verifies_by_reading_back(made):
    bus, _, servos, _ = made
    assert bus.put(1, STS["acceleration"], 200)
    assert servos[1].get("acceleration") == 200
    assert not bus.put(1, STS["present_temperature"], 99)  # acknowledged but ignored


def test_reg_write_and_action_are_sent_once(made):
    bus, _, servos, _ = made
    servos.heard.clear()
    assert not bus.reg_write(1, 42, b"\x00\x08").ok
    bus.action()
    assert servos.heard == [messages.RegWrite(1, 42, b"\x00\x08"), messages.Action(254)]


def test_scan_finds_another_baud_rate_and_leaves_the_port_as_it_was(made):
    bus, line, _, _ = made
    line.true_baud = 115_200
    assert not bus.ping(1, 0).ok
    assert bus.scan([1_000_000, 500_000, 115_200], [1, 2, 9]) == {115_200: [1, 2]}
    assert line.baud == 1_000_000


def test_the_bus_adds_up_its_counters(made):
    bus, _, servos, _ = made
    before = bus.stats
    servos.dead.add(6)
    bus.sync_read(range(1, 7), 56, 2)
    after = bus.stats
    assert after.sent - before.sent == 6
    assert after.answered - before.answered == 5
    assert after.timed_out - before.timed_out == 1
    assert 1e-4 < bus.servos[1].percentile(0.5) < 5e-3


def test_asking_everyone_with_a_request_is_refused(made):
    with pytest.raises(BusError, match="who"):
        made[0].request(messages.Ping(254))


# ---------------------------------------------------------------- latency
def test_the_bound_follows_what_is_measured():
    latency = Latency()
    assert latency.bound(6) >= 0.016  # an unknown adapter may have a 16 ms latency timer
    for _ in range(50):
        latency.learn(6, 2e-4)
    assert latency.bound(6) < 1.5e-3
    assert latency.bound(1) == pytest.approx(latency.bound(6))
    assert latency.bound(8) > latency.bound(6)
    tight = latency.bound(6)
    latency.back_off()
    assert latency.bound(6) == pytest.approx(2 * tight)
    latency.learn(6, 2e-4)
    assert latency.bound(6) < 1.5e-3
    for _ in range(20):
        latency.back_off()
    assert latency.bound(6) <= 0.025


def test_an_adapter_that_is_slow_is_learned():
    latency = Latency()
    for k in range(40):
        latency.learn(1, 16e-3 - (k % 2) * 1e-3)
    assert 16e-3 < latency.bound(1) <= 25e-3


def test_round_trips_are_counted_in_bins():
    counters = Counters()
    for _ in range(99):
        counters.took(180e-6)
    counters.took(1.0)
    assert counters.percentile(0.5) == pytest.approx(200e-6)
    assert counters.percentile(1.0) == float("inf")
    assert Counters().percentile(0.5) != Counters().percentile(0.5)


def test_a_servo_that_refuses_is_heard_and_says_why():
    """A Dynamixel answers a read that it cannot carry out with an error number and no data."""
    clock = SimClock()
    servos = SmallBus(*(SmallServo("xl330-m288", servo) for servo in (1, 2, 3)))
    line = Line(servos, clock)
    line.tamper = lambda data, reply: reply.replace(servos.codec.encode_reply(Reply(2, 0, bytes(4))),
                                                    servos.codec.encode_reply(Reply(2, 0x84, b"")))
    bus = Bus(line, codec("dynamixel2"), clock)
    for servo in (1, 2, 3):
        servos[servo].set("goal_velocity", 0)
    results = {servo: bus.read(servo, 104, 4, retries=0) for servo in (1, 2, 3)}
    assert [r.data for r in results.values()] == [bytes(4), None, bytes(4)]
    assert (results[2].error, results[2].problem) == (0x84, REFUSED)
    assert (bus.servos[2].answered, bus.servos[2].flagged, bus.servos[2].corrupt) == (1, 1, 0)
