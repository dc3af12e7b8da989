"""Who answers a request and with how many bytes, what a codec can, and requests that are whole but odd."""

from __future__ import annotations

import pytest

from hardware.protocols import dynamixel2, envelope, lx16a, messages
from hardware.protocols.dynamixel1 import AX12
from hardware.protocols.lx16a import LX16A
from hardware.protocols.messages import BROADCAST, Damage, Other, Reply
from hardware.protocols.models import codec
from robot.errors import BusError

READ, WRITE = messages.Read(1, 28, 2), messages.Write(1, 28, b"\0\0")
READ_ALL, WRITE_ALL = messages.Read(BROADCAST, 28, 2), messages.Write(BROADCAST, 28, b"\0\0")
SYNC, FAST = messages.SyncRead((1, 2), 56, 15), messages.SyncRead((1, 2), 56, 15, True)
BULK = messages.BulkRead(((1, 30, 2), (2, 36, 7)))
SYNC_WRITE = messages.SyncWrite(42, ((1, b"\0\0"), (2, b"\0\0")))

# name -> request -> (data bytes of each servo's answer, bytes on the wire); None: nobody knows who answers
ANSWERS = {
    "feetech": [
        (messages.Ping(1), {1: 0}, 6), (messages.Ping(BROADCAST), None, 6 * 253), (READ, {1: 2}, 8), (READ_ALL, {}, 0),
        (WRITE, {1: 0}, 6), (WRITE_ALL, {}, 0), (messages.RegWrite(1, 42, b"\0"), {1: 0}, 6),
        (messages.Action(1), {1: 0}, 6), (messages.Action(BROADCAST), {}, 0), (SYNC, {1: 15, 2: 15}, 42),
        (SYNC_WRITE, {}, 0)],
    "dynamixel1": [
        (messages.Ping(BROADCAST), None, 6 * 253), (READ, {1: 2}, 8), (WRITE, {1: 0}, 6), (WRITE_ALL, {}, 0),
        (BULK, {1: 2, 2: 7}, 21), (SYNC_WRITE, {}, 0)],
    "dynamixel2": [
        (messages.Ping(1), {1: 3}, 14), (messages.Ping(BROADCAST), None, 14 * 253), (READ, {1: 2}, 13),
        (READ_ALL, {}, 0), (WRITE, {1: 0}, 11), (WRITE_ALL, {}, 0), (messages.RegWrite(1, 42, b"\0"), {1: 0}, 11),
        (messages.Action(1), {1: 0}, 11), (messages.Action(BROADCAST), {}, 0), (messages.Reboot(1), {1: 0}, 11),
        (SYNC, {1: 15, 2: 15}, 52), (FAST, {1: 15, 2: 15}, 46), (BULK, {1: 2, 2: 7}, 31),
        (BULK._replace(fast=True), {1: 2, 2: 7}, 25), (SYNC_WRITE, {}, 0),
        (messages.BulkWrite(((1, 42, b"\0"),)), {}, 0)],
    "lx16a": [(messages.Ping(1), {1: 1}, 7), (READ, {1: 2}, 8), (WRITE, {}, 0), (Other(1, 12), {}, 0)],
}


@pytest.mark.parametrize("name, op, sizes, wire", [
    pytest.param(name, *row, id=f"{name}-{k}") for name, rows in ANSWERS.items() for k, row in enumerate(rows)])
def test_it_is_known_who_answers_and_with_how_much(name, op, sizes, wire):
    made = codec(name)
    found = made.expected(op)
    assert found == sizes
    assert list(found or ()) == list(sizes or ())  # in the order in which they answer
    assert made.wire(op) == wire
    if sizes and not getattr(op, "fast", False):
        assert wire == sum(len(made.encode_reply(Reply(i, 0, bytes(n)), op)) for i, n in sizes.items())


@pytest.mark.parametrize("name, sync, sync_write, fast, acknowledges", [
    ("feetech", True, True, False, True), ("dynamixel1", False, True, False, True),
    ("dynamixel2", True, True, True, True), ("lx16a", False, False, False, False)])
def test_what_a_protocol_can(name, sync, sync_write, fast, acknowledges):
    made = codec(name)
    assert made.name == name
    assert (made.sync, made.sync_write, made.fast, made.acknowledges) == (sync, sync_write, fast, acknowledges)


# ---------------------------------------------------------------- whole, but odd
@pytest.mark.parametrize("frame, op", [
    ((1, 1, b"\1"), Other(1, 1, b"\1")), ((1, 2, b"\1"), Other(1, 2, b"\1")),
    ((1, 2, b"\1\2\3"), Other(1, 2, b"\1\2\3")), ((1, 3, b""), Other(1, 3)), ((1, 3, b"\7"), messages.Write(1, 7, b"")),
    ((1, 4, b""), Other(1, 4)), ((1, 4, b"\7"), messages.RegWrite(1, 7, b"")), ((1, 5, b"\1"), Other(1, 5, b"\1")),
    ((254, 0x82, b"\x38"), Other(254, 0x82, b"\x38")), ((254, 0x82, b"\x38\2"), messages.SyncRead((), 0x38, 2)),
    ((254, 0x83, b"\x2a"), Other(254, 0x83, b"\x2a")), ((254, 0x83, b"\x2a\2"), messages.SyncWrite(42, ())),
    ((254, 0x83, b"\x2a\2\1\0"), Damage("sync write of uneven rows", b"\x2a\2\1\0", 254)),
    ((1, 0x77, b""), Other(1, 0x77)), ((1, 0x77, b"\1\2"), Other(1, 0x77, b"\1\2")),
    ((1, 0x77, b"\1\2\3"), Other(1, 0x77, b"\1\2\3"))])
@pytest.mark.parametrize("name", ["feetech", "dynamixel1"])
def test_a_frame_of_the_older_kind_is_what_its_instruction_and_length_say(name, frame, op):
    assert codec(name).listener().feed(envelope.pack(*frame)) == [op]


@pytest.mark.parametrize("frame, op", [
    ((1, 1, b"\1"), Other(1, 1, b"\1")), ((1, 2, b"\1\0\2"), Other(1, 2, b"\1\0\2")),
    ((1, 2, b"\1\0\2\0\0"), Other(1, 2, b"\1\0\2\0\0")), ((1, 3, b"\1\0"), Other(1, 3, b"\1\0")),
    ((1, 4, b"\1\0"), Other(1, 4, b"\1\0")), ((1, 5, b"\1"), Other(1, 5, b"\1")), ((1, 6, b"\3"), Other(1, 6, b"\3")),
    ((1, 6, b""), Other(1, 6)), ((1, 8, b"\1"), Other(1, 8, b"\1")),
    ((1, 0x10, b"\1\0\0\0\0"), Other(1, 0x10, b"\1\0\0\0\0")),
    ((254, 0x82, b"\x84\0\4"), Other(254, 0x82, b"\x84\0\4")),
    ((254, 0x82, b"\x84\0\4\0"), messages.SyncRead((), 0x84, 4)),
    ((254, 0x83, b"\x84\0\4"), Other(254, 0x83, b"\x84\0\4")),
    ((254, 0x83, b"\x84\0\4\0"), messages.SyncWrite(0x84, ())),
    ((254, 0x83, b"\x84\0\2\0\1\0"), Damage("sync write of uneven rows", b"\x84\0\2\0\1\0", 254)),
    ((254, 0x92, b""), messages.BulkRead(())), ((254, 0x92, b"\1\2\0\3"), Other(254, 0x92, b"\1\2\0\3")),
    ((254, 0x93, b""), messages.BulkWrite(())), ((254, 0x93, b"\1\2\0\1\0\7"), messages.BulkWrite(((1, 2, b"\7"),))),
    ((254, 0x93, b"\1\2\0\0\0"), messages.BulkWrite(((1, 2, b""),))),
    ((254, 0x93, b"\1\2\0\1\0"), Damage("bulk write of uneven rows", b"\1\2\0\1\0", 254)),
    ((254, 0x93, b"\1\2\0\1\0\7\7"), Damage("bulk write of uneven rows", b"\1\2\0\1\0\7\7", 254)),
    ((1, 0x77, b"\1\2\3\4\5"), Other(1, 0x77, b"\1\2\3\4\5"))])
def test_a_packet_of_the_newer_kind_is_what_its_instruction_and_length_say(frame, op):
    assert codec("dynamixel2").listener().feed(dynamixel2.pack(*frame)) == [op]


def test_a_sync_write_to_nobody_names_no_length():
    assert codec("feetech").encode(messages.SyncWrite(42, ()))[5:7] == bytes((42, 0))
    assert codec("dynamixel2").encode(messages.SyncWrite(42, ()))[8:12] == bytes((42, 0, 0, 0))


def test_servos_do_not_take_each_others_answers_for_requests():
    made = codec("dynamixel2")
    stream = made.encode_reply(Reply(1, 0, b"\1\2")) + made.encode(messages.Ping(2))
    assert made.listener().feed(stream) == [messages.Ping(2)]
    assert made.listener().flush() == []


def test_what_is_no_status_packet_is_no_reply():
    for code, body in ((0x03, b"\0\1"), (0x55, b"")):
        made = codec("dynamixel2").reader()
        assert made.feed(dynamixel2.pack(3, code, body)) == [Damage("no status packet", body, 3)]


def test_an_lx16a_answers_by_the_command_that_it_was_asked():
    made, op = codec("lx16a"), messages.Read(1, 1, 4)
    late = made.encode_reply(Reply(1, 0, bytes(4)), messages.Read(1, 20, 4))
    reader = made.reader({1: 4}, op)
    assert reader.feed(late) == [Damage("not what was asked for", bytes(4), 1)]
    assert reader.feed(made.encode_reply(Reply(1, 0, b"\1\2\3\4"), op)) == [Reply(1, 0, b"\1\2\3\4")]
    ping = made.encode_reply(Reply(1, 0, b"\1"), messages.Ping(1))
    assert ping[4] == made.encode(messages.Ping(1))[4] == 14
    assert made.reader({1: 1}, messages.Ping(1)).feed(ping) == [Reply(1, 0, b"\1")]
    assert made.encode_reply(Reply(1, 0, b"\1\0"))[4] == 28


@pytest.mark.parametrize("address, command, size", [
    (1, 2, 4), (7, 8, 4), (13, 14, 1), (17, 19, 1), (20, 21, 4), (22, 23, 4), (24, 25, 1), (26, 26, 1), (27, 27, 2),
    (28, 28, 2), (29, 30, 4), (31, 32, 1), (33, 34, 1), (35, 36, 1)])
def test_an_lx16a_reads_each_value_by_the_published_command(address, command, size):
    made, data = codec("lx16a"), lx16a.pack(9, command)
    assert made.encode(messages.Read(9, address, size)) == data
    assert made.listener().feed(data) == [messages.Read(9, address, size)]


@pytest.mark.parametrize("address, size", [(99, 0), (99, 1), (28, 0), (28, 1)])
def test_an_lx16a_has_no_other_readings(address, size):
    with pytest.raises(BusError, match="no command"):
        codec("lx16a").encode(messages.Read(1, address, size))


def test_a_dynamixel_clears_by_the_published_key():
    assert codec("dynamixel2").encode(messages.Clear(1))[8:13] == b"\x01DXL\x22"


# ---------------------------------------------------------------- a frame's edges
GOOD = Reply(3, 0, b"\1\2\3\4")


@pytest.mark.parametrize("name", sorted(ANSWERS))
def test_a_stray_byte_of_a_header_costs_no_frame(name):
    made = codec(name)
    frame = made.encode_reply(GOOD)
    assert [x for x in made.reader({3: 4}).feed(frame[:1] + frame) if isinstance(x, Reply)] == [GOOD]
    ask = made.encode(messages.Ping(3))
    assert made.listener().feed(ask[:1] + ask + ask)[-1] == made.listener().feed(ask)[0]


@pytest.mark.parametrize("name", sorted(ANSWERS))
def test_what_breaks_off_is_blamed_on_whoever_can_be_told(name):
    frame, at = codec(name).encode(messages.Ping(7)), 4 if name == "dynamixel2" else 2
    for cut in range(1, len(frame)):
        ear = codec(name).listener()
        assert ear.feed(frame[:cut]) == []
        (lost,) = ear.flush()
        assert lost.data == frame[:cut] and lost.id == (7 if cut > at else -1)


def test_an_lx16as_frame_is_as_long_as_it_may_be_and_no_longer():
    longest, too_long = lx16a.pack(1, 1, bytes(13)), lx16a.pack(1, 1, bytes(14))
    assert codec("lx16a").listener().feed(longest) == [messages.Write(1, 1, bytes(13))]
    for false in (too_long, bytes.fromhex("5555 01 02 fc"), bytes.fromhex("5555 ff 03 01 fc")):
        heard = codec("lx16a").listener().feed(false + longest)
        assert heard == [Damage("noise", false), messages.Write(1, 1, bytes(13))]


@pytest.mark.parametrize("false", ["ff ff fd 07", "ff ff fd 00 fd", "ff ff fd 00 03 02 00",
                                   "ff ff fd 00 03 01 10"])
def test_a_false_header_of_a_dynamixel_is_told_by_its_last_byte(false):
    data, reader = bytes.fromhex(false), codec("dynamixel2").reader()
    assert reader.feed(data[:-1]) == []
    assert reader.feed(data[-1:]) == [Damage("noise", data)]


def test_no_dynamixel_has_the_id_that_is_reserved():
    for servo in (0xFD, 0xFF):
        data = bytes((0xFF, 0xFF, 0xFD, 0x00, servo, 0x00))
        assert [x.data for x in codec("dynamixel2").reader().feed(data)] == [data]


@pytest.mark.parametrize("true", ["ff ff fd 00 fc", "ff ff fd 00 fe", "ff ff fd 00 03 03 00", "ff ff fd 00 03 00 10"])
def test_what_may_be_a_dynamixels_header_is_waited_for(true):
    assert codec("dynamixel2").listener().feed(bytes.fromhex(true)) == []


@pytest.mark.parametrize("size", [0, 6])
@pytest.mark.parametrize("whole", [0, 1, 2, 3])
def test_a_joint_packet_that_ends_between_two_servos_gives_up_all_that_were_whole(size, whole):
    wanted = [Reply(k, 0, bytes((k,)) * size) for k in range(1, 5)]
    reader = codec("dynamixel2").reader(dict.fromkeys(range(1, 5), size))
    torn = dynamixel2.encode_fast(wanted)[: 8 + whole * (size + 4)]
    assert [x for x in [*reader.feed(torn), *reader.flush()] if isinstance(x, Reply)] == wanted[:whole]


def test_a_joint_packet_for_whom_nothing_is_known_is_one_servos():
    packet = dynamixel2.encode_fast([Reply(1, 0, b"\1\2\3")])
    assert codec("dynamixel2").reader().feed(packet) == [Reply(1, 0, b"\1\2\3")]


# ---------------------------------------------------------------- what counts mean
def test_the_older_families_scales_are_the_published_ones():
    """ROBOTIS e-manual: 300 degrees over 1023, 0.111 rpm. LX-16A: 240 degrees over 1000."""
    position, velocity = AX12["present_position"], AX12["present_velocity"]
    assert 1023 * position.scale == pytest.approx(5.235987755982989)
    assert 1023 * AX12.resolution == pytest.approx(5.235987755982989)
    assert 1000 * velocity.scale == pytest.approx(11.623892818282235)
    assert 1000 * LX16A["present_position"].scale == pytest.approx(4.1887902047863905)
    assert 1000 * LX16A.resolution == pytest.approx(4.1887902047863905)
