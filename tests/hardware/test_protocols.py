"""Wire formats against byte vectors, and against any bytes at all."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardware.protocols import dynamixel2, messages
from hardware.protocols.messages import Damage, Reply
from hardware.protocols.models import CODECS, codec
from robot.errors import BusError, ConfigError

VECTORS = json.loads((Path(__file__).parent.parent / "golden" / "servo_frames.json").read_text())
CASES = [pytest.param(name, row, id=f"{name}-{row['op'][0]}-{k}")
         for name, rows in VECTORS.items() for k, row in enumerate(rows)]
EVERY = sorted(CODECS)
SYNC = [name for name in EVERY if CODECS[name].sync]
LARGEST = {"lx16a": 13}  # data bytes of a frame


def tupled(value):
    """JSON's lists as tuples, its strings as bytes."""
    if isinstance(value, list):
        return tuple(tupled(v) for v in value)
    return bytes.fromhex(value) if isinstance(value, str) else value


def op_of(row):
    name, *fields = row["op"]
    return getattr(messages, name)(*(tupled(f) for f in fields))


@pytest.mark.parametrize("name,row", CASES)
def test_bytes_are_the_published_ones(name, row):
    made = codec(name)
    op = op_of(row)
    assert made.encode(op) == bytes.fromhex(row["bytes"])
    assert made.listener().feed(bytes.fromhex(row["bytes"])) == [op]
    if "reply" in row:
        reply = Reply(*(tupled(f) for f in row["reply"]))
        assert made.encode_reply(reply) == bytes.fromhex(row["reply_bytes"])
        assert made.reader(made.expected(op)).feed(bytes.fromhex(row["reply_bytes"])) == [reply]


# ---------------------------------------------------------------- round trips
ids = st.integers(0, 252)
datas = st.binary(min_size=1, max_size=24)
replies = st.builds(Reply, ids, st.integers(0, 255), datas)


def ops(name):
    address = st.integers(0, 100 if name != "dynamixel2" else 600)
    size = st.integers(1, 60)
    single = [st.builds(messages.Ping, ids), st.builds(messages.Read, ids, address, size),
              st.builds(messages.Write, ids, address, datas), st.builds(messages.RegWrite, ids, address, datas),
              st.builds(messages.Action, ids)]
    several = st.lists(ids, min_size=1, max_size=6, unique=True).map(tuple)
    fast = st.booleans() if name == "dynamixel2" else st.just(False)
    sync = [st.builds(messages.SyncRead, several, address, size, fast),
            several.flatmap(lambda who: st.binary(min_size=4, max_size=4).flatmap(lambda d: st.builds(
                messages.SyncWrite, address, st.just(tuple((i, d) for i in who)))))]
    rare = [st.builds(messages.Reboot, ids), st.builds(messages.Clear, ids),
            st.builds(messages.FactoryReset, ids, st.just(True), st.booleans()),
            st.lists(st.tuples(ids, address, size), min_size=1, max_size=5).map(
                lambda rows: messages.BulkRead(tuple(rows))),
            st.lists(st.tuples(ids, address, datas), min_size=1, max_size=5).map(
                lambda rows: messages.BulkWrite(tuple(rows)))]
    return st.one_of(single + sync + (rare if name == "dynamixel2" else []))


@pytest.mark.parametrize("name", SYNC)
@given(data=st.data())
def test_requests_round_trip_however_they_are_cut(name, data):
    made, wanted = codec(name), data.draw(st.lists(ops(name), min_size=1, max_size=4))
    stream = b"".join(map(made.encode, wanted))
    ear, heard = made.listener(), []
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=5)))
    for a, b in zip([0, *cuts], [*cuts, len(stream)]):
        heard += ear.feed(stream[a:b])
    assert heard == wanted
    assert ear.flush() == []


@pytest.mark.parametrize("name", SYNC)
@given(wanted=st.lists(replies, max_size=5), data=st.data())
def test_replies_round_trip_however_they_are_cut(name, wanted, data):
    made = codec(name)
    stream = b"".join(map(made.encode_reply, wanted))
    reader, heard = made.reader(), []
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=5)))
    for a, b in zip([0, *cuts], [*cuts, len(stream)]):
        heard += reader.feed(stream[a:b])
    assert heard == wanted


@pytest.mark.parametrize("name", SYNC)
@given(wanted=st.lists(replies, min_size=1, max_size=4, unique_by=lambda r: r.id), data=st.data())
def test_answers_that_come_at_once_are_read_as_those_that_come_byte_by_byte(name, wanted, data):
    made = codec(name)
    expected = {r.id: len(r.data) + data.draw(st.integers(0, 1)) for r in wanted}
    stream = bytearray(b"".join(map(made.encode_reply, wanted)))
    for at in data.draw(st.lists(st.integers(0, len(stream) - 1), max_size=2)):
        stream[at] = data.draw(st.integers(0, 255))
    stream = stream[: data.draw(st.sampled_from([len(stream), len(stream) - 1]))]
    whole, slow = made.reader(expected), made.reader(expected)
    one, other = whole.feed(bytes(stream)), [item for byte in stream for item in slow.feed(bytes((byte,)))]
    one, other = [*one, *whole.flush()], [*other, *slow.flush()]
    assert [x for x in one if isinstance(x, Reply)] == [x for x in other if isinstance(x, Reply)]
    assert sum(len(x.data) for x in one) == sum(len(x.data) for x in other)


@pytest.mark.parametrize("name", EVERY)
@given(reply=replies, noise=st.binary(max_size=30), after=st.binary(max_size=10))
def test_a_good_reply_survives_noise_before_and_after(name, reply, noise, after):
    made = codec(name)
    reply = reply._replace(data=reply.data[: LARGEST.get(name, 99)])
    reader = made.reader({reply.id: len(reply.data)})
    heard = [*reader.feed(noise + made.encode_reply(reply) + after), *reader.flush()]
    good = [item for item in heard if isinstance(item, Reply)]
    assert reply._replace(error=0 if name == "lx16a" else reply.error) in good


@pytest.mark.parametrize("name", ("feetech", "dynamixel1"))
def test_what_came_before_a_whole_answer_is_told_before_it(name):
    made, reply = codec(name), Reply(3, 0, b"\x01\x02")
    reader = made.reader({3: 2})
    assert reader.feed(b"\xff") == []
    assert reader.feed(made.encode_reply(reply)) == [Damage("noise", b"\xff"), reply]
    assert reader.flush() == []


# ---------------------------------------------------------------- damage
@pytest.mark.parametrize("name", EVERY)
@given(stream=st.lists(st.binary(max_size=40), max_size=6))
def test_any_bytes_are_accounted_for(name, stream):
    for sink in (codec(name).reader(), codec(name).listener()):
        items = [item for part in stream for item in sink.feed(part)] + sink.flush()
        lost = sum(len(item.data) for item in items if isinstance(item, Damage))
        assert lost <= sum(map(len, stream))


@pytest.mark.parametrize("name", EVERY)
def test_a_million_random_bytes_invent_nothing(name):
    rng = np.random.default_rng(1)
    reader = codec(name).reader({3: 15})
    for _ in range(250):
        noise = rng.integers(0, 256, 4000, dtype=np.uint8)
        noise[::17] = 0xFF if name != "lx16a" else 0x55  # headers are rare otherwise
        noise[1::17] = noise[::17][: len(noise[1::17])]
        assert not [item for item in reader.feed(noise.tobytes()) if isinstance(item, Reply)]


@pytest.mark.parametrize("name", EVERY)
@given(reply=replies)
@settings(max_examples=40)
def test_no_single_bit_flip_makes_a_wrong_reply(name, reply):
    made = codec(name)
    reply = reply._replace(data=reply.data[: LARGEST.get(name, 99)])
    frame = made.encode_reply(reply)
    for bit in range(8 * len(frame)):
        broken = bytearray(frame)
        broken[bit // 8] ^= 1 << bit % 8
        reader = made.reader({reply.id: len(reply.data)})
        items = [*reader.feed(bytes(broken)), *reader.flush()]
        assert not [item for item in items if isinstance(item, Reply)], bit
        assert [item for item in items if isinstance(item, Damage)]


@pytest.mark.parametrize("name", SYNC)
def test_a_bit_flip_costs_no_other_servo_its_reply(name):
    made = codec(name)
    wanted = [Reply(k, 0, bytes(range(k, k + 15))) for k in range(1, 7)]
    frames = [made.encode_reply(r) for r in wanted]
    for bit in range(8 * len(frames[2])):
        broken = bytearray(frames[2])
        broken[bit // 8] ^= 1 << bit % 8
        reader = made.reader(dict.fromkeys(range(1, 7), 15))
        items = [*reader.feed(b"".join([*frames[:2], bytes(broken), *frames[3:]])), *reader.flush()]
        assert [r for r in items if isinstance(r, Reply)] == wanted[:2] + wanted[3:], bit


# ---------------------------------------------------------------- what must not be sent
@pytest.mark.parametrize("op", [
    messages.Reboot(1), messages.Other(1, 0x08), messages.Other(254, 0x08, b"\x00"), messages.FactoryReset(1),
    messages.Clear(1), messages.BulkRead(((1, 56, 2),)),
])
def test_an_sts_bus_never_hears_the_boot_loader_instruction(op):
    with pytest.raises(BusError, match="must not be sent"):
        codec("feetech").encode(op)


@pytest.mark.parametrize("name", SYNC)
def test_uneven_sync_writes_are_refused(name):
    with pytest.raises(BusError, match="one length"):
        codec(name).encode(messages.SyncWrite(42, ((1, b"\0\0"), (2, b"\0"))))


def test_an_unknown_protocol_lists_the_known_ones():
    with pytest.raises(ConfigError, match=r"dynamixel1, dynamixel2, feetech, lx16a"):
        codec("rs485")


# ---------------------------------------------------------------- fast reads
@given(data=st.lists(st.binary(min_size=6, max_size=6), min_size=1, max_size=6))
def test_a_fast_packet_gives_each_servo_its_reply(data):
    wanted = [Reply(k + 1, k, d) for k, d in enumerate(data)]
    reader = codec("dynamixel2").reader({r.id: 6 for r in wanted})
    assert reader.feed(dynamixel2.encode_fast(wanted)) == wanted


def test_a_torn_fast_packet_gives_up_its_whole_parts():
    wanted = [Reply(k, 0, bytes((k,)) * 6) for k in range(1, 5)]
    packet = dynamixel2.encode_fast(wanted)
    reader = codec("dynamixel2").reader(dict.fromkeys(range(1, 5), 6))
    items = [*reader.feed(packet[:-14]), *reader.flush()]
    assert [r for r in items if isinstance(r, Reply)] == wanted[:2]


def test_the_header_inside_data_is_stuffed():
    packet = codec("dynamixel2").encode(messages.Write(1, 0, b"\xff\xff\xfd\x01"))
    assert b"\xff\xff\xfd\xfd\x01" in packet
    assert packet.count(b"\xff\xff\xfd\x00") == 1
    assert codec("dynamixel2").listener().feed(packet) == [messages.Write(1, 0, b"\xff\xff\xfd\x01")]


@pytest.mark.parametrize("data", [b"\xff\xff\xfd", b"\xff\xff\xfd\xfd", b"\1\xff\xff\xfd\xff\xff\xfd\2"])
def test_stuffing_is_taken_out_of_an_answer(data):
    reply = Reply(3, 0, data)
    packet = codec("dynamixel2").encode_reply(reply)
    assert codec("dynamixel2").reader({3: len(data)}).feed(packet) == [reply]


# ---------------------------------------------------------------- older families
def test_lx16a_commands():
    made = codec("lx16a")
    assert made.encode(messages.Read(1, 28, 2)) == bytes.fromhex("55 55 01 03 1c df")
    move = messages.Write(1, 1, bytes.fromhex("f401 e803"))
    assert made.encode(move) == bytes.fromhex("55 55 01 07 01 f4 01 e8 03 16")
    assert made.reader({1: 2}).feed(bytes.fromhex("55 55 01 05 1c f4 01 e8")) == [Reply(1, 0, b"\xf4\x01")]
    assert made.encode(messages.Read(1, 31, 1)) == bytes.fromhex("55 55 01 03 20 db")
    wanted = [messages.Read(1, 26, 1), messages.Write(3, 31, b"\x00"), messages.Other(254, 12)]
    stream = made.encode(wanted[0]) + made.encode(wanted[1]) + bytes.fromhex("55 55 fe 03 0c f2")
    assert made.listener().feed(stream) == wanted
    for op in (messages.SyncRead((1,), 28, 2), messages.Read(1, 28, 3), messages.Read(1, 14, 1), messages.Ping(254),
               messages.Reboot(1)):
        with pytest.raises(BusError, match="no command"):
            made.encode(op)
    assert made.expected(messages.Write(1, 1, b"")) == {}


def test_dynamixel_1_reads_in_bulk_but_not_in_sync():
    made = codec("dynamixel1")
    assert made.encode(messages.Ping(1)) == bytes.fromhex("ff ff 01 02 01 fb")
    assert made.encode(messages.BulkRead(((1, 30, 2), (2, 36, 2)))) == bytes.fromhex(
        "ff ff fe 09 92 00 02 01 1e 02 02 24 1d")
    assert made.expected(messages.BulkRead(((1, 30, 2), (2, 36, 2)))) == {1: 2, 2: 2}
    for op in (messages.SyncRead((1,), 36, 2), messages.Reboot(1)):
        with pytest.raises(BusError, match="no instruction"):
            made.encode(op)


# ---------------------------------------------------------------- the frame's edges
ENVELOPES = ["feetech", "dynamixel1"]


@pytest.mark.parametrize("name", ENVELOPES)
def test_nobody_answers_as_broadcast_or_with_a_reserved_id(name):
    made = codec(name)
    for servo in (0xFE, 0xFF):
        frame = made.encode_reply(Reply(servo, 0, b"\x01"))
        reader = made.reader()
        assert not [x for x in [*reader.feed(frame), *reader.flush()] if isinstance(x, Reply)]
    last = Reply(0xFD, 0, b"\x01")
    assert made.reader().feed(made.encode_reply(last)) == [last]
    ear = made.listener()
    request = bytes.fromhex("ff ff ff 02 01 fd")  # a ping to id 255
    assert not [x for x in [*ear.feed(request), *ear.flush()] if not isinstance(x, Damage)]


@pytest.mark.parametrize("name", EVERY)
def test_a_reply_hidden_behind_a_false_beginning_comes_out_when_the_line_falls_silent(name):
    made = codec(name)
    wanted = Reply(3, 0, b"\x01\x02")
    false = made.encode_reply(Reply(5, 0, bytes(13)))[:7]
    reader = made.reader()
    assert reader.feed(false + made.encode_reply(wanted)) == []
    assert reader.flush() == [Damage("incomplete", false, 5), wanted]
    assert reader.flush() == []


@pytest.mark.parametrize("name", EVERY)
def test_damage_is_exactly_the_bytes_that_are_no_frame(name):
    made = codec(name)
    good = made.encode_reply(Reply(3, 0, b"\x01\x02\x03\x04"))
    reader = made.reader({3: 4})
    wanted = Reply(3, 0, b"\x01\x02\x03\x04")
    assert reader.feed(b"\x07\x08" + good + b"\x09") == [Damage("noise", b"\x07\x08"), wanted, Damage("noise", b"\x09")]
    assert reader.feed(good + good[:1]) == [wanted]
    assert reader.flush() == [Damage("noise", good[:1])]
    assert reader.feed(good[:1]) == []
    assert reader.feed(good[1:]) == [wanted]
    torn = good[:-2]
    assert reader.feed(torn) == []
    assert reader.flush() == [Damage("incomplete", torn, 3)]
    spoilt = good[:-1] + bytes((good[-1] ^ 1,))
    assert reader.feed(spoilt + good) == [Damage("CRC" if name == "dynamixel2" else "checksum", spoilt, 3), wanted]


def test_what_looks_like_stuffing_inside_a_joint_packet_is_data():
    wanted = [Reply(k, 0, b"\xff\xff\xfd\xfd\x00" + bytes((k,))) for k in range(1, 4)]
    reader = codec("dynamixel2").reader({r.id: 6 for r in wanted})
    assert reader.feed(dynamixel2.encode_fast(wanted)) == wanted


@given(data=st.binary(max_size=60), cut=st.integers(0, 60))
def test_the_crc_carries_on_and_is_the_plain_one(data, cut):
    plain = 0
    for byte in data:
        plain ^= byte << 8
        for _ in range(8):
            plain = (plain << 1 ^ 0x8005 if plain & 0x8000 else plain << 1) & 0xFFFF
    assert dynamixel2.crc(data) == plain == dynamixel2.crc(data[cut:], dynamixel2.crc(data[:cut]))


@pytest.mark.parametrize("name, at, codes", [
    ("feetech", 4, {"Ping": 1, "Read": 2, "Write": 3, "RegWrite": 4, "Action": 5, "SyncRead": 0x82, "SyncWrite": 0x83}),
    ("dynamixel1", 4, {"Ping": 1, "Read": 2, "Write": 3, "RegWrite": 4, "Action": 5, "SyncWrite": 0x83,
                       "BulkRead": 0x92}),
    ("dynamixel2", 7, {"Ping": 1, "Read": 2, "Write": 3, "RegWrite": 4, "Action": 5, "FactoryReset": 6, "Reboot": 8,
                       "Clear": 0x10, "SyncRead": 0x82, "SyncWrite": 0x83, "BulkRead": 0x92, "BulkWrite": 0x93}),
])
def test_instructions_have_the_published_numbers(name, at, codes):
    ops = [messages.Ping(1), messages.Read(1, 36, 2), messages.Write(1, 30, b"\0"), messages.RegWrite(1, 30, b"\0"),
           messages.Action(1), messages.FactoryReset(1), messages.Reboot(1), messages.Clear(1),
           messages.SyncRead((1,), 36, 2), messages.SyncWrite(30, ((1, b"\0"),)), messages.BulkRead(((1, 36, 2),)),
           messages.BulkWrite(((1, 30, b"\0"),))]
    by_name = {type(op).__name__: op for op in ops}
    assert {kind: codec(name).encode(by_name[kind])[at] for kind in codes} == codes
    for kind in by_name.keys() - codes.keys():
        with pytest.raises(BusError):
            codec(name).encode(by_name[kind])


def test_fast_reads_have_numbers_of_their_own():
    made = codec("dynamixel2")
    assert made.encode(messages.SyncRead((1,), 132, 4, True))[7] == 0x8A
    assert made.encode(messages.BulkRead(((1, 132, 4),), True))[7] == 0x9A


def test_a_joint_packet_may_carry_no_data_at_all():
    wanted = [Reply(1, 0, b""), Reply(2, 4, b"")]
    assert codec("dynamixel2").reader({1: 0, 2: 0}).feed(dynamixel2.encode_fast(wanted)) == wanted


@given(reply=st.lists(st.binary(min_size=6, max_size=6), min_size=2, max_size=4), bit=st.integers(0, 8 * 40))
def test_no_bit_flip_in_a_joint_packet_makes_a_wrong_reply(reply, bit):
    wanted = [Reply(k + 1, 0, data) for k, data in enumerate(reply)]
    packet = bytearray(dynamixel2.encode_fast(wanted))
    packet[bit // 8 % len(packet)] ^= 1 << bit % 8
    reader = codec("dynamixel2").reader({r.id: 6 for r in wanted})
    heard = [*reader.feed(bytes(packet)), *reader.flush()]
    assert [r for r in heard if isinstance(r, Reply) and r not in wanted] == []


def test_a_dynamixel_may_refuse_instead_of_answering():
    reader = codec("dynamixel2").reader({3: 4})
    refusal, empty = Reply(3, 0x87, b""), Reply(3, 0x80, b"")
    assert reader.feed(codec("dynamixel2").encode_reply(refusal)) == [refusal]
    for wrong in (empty, Reply(4, 0x07, b""), Reply(3, 0x07, b"\x01")):
        assert [type(x) for x in reader.feed(codec("dynamixel2").encode_reply(wrong))] == [Damage]


@pytest.mark.parametrize("op", [
    messages.FactoryReset(1, False, False), messages.FactoryReset(1, True, False), messages.FactoryReset(1),
    messages.Read(1, 600, 300), messages.Write(1, 600, bytes(300)), messages.SyncRead((1, 2), 600, 300, True),
    messages.SyncWrite(600, ((1, bytes(300)), (2, bytes(300)))), messages.BulkRead(((1, 600, 300), (2, 300, 600))),
    messages.BulkWrite(((1, 600, bytes(300)), (2, 300, b"\1")))])
def test_dynamixels_take_long_blocks_and_every_kind_of_reset(op):
    made = codec("dynamixel2")
    assert made.listener().feed(made.encode(op)) == [op]


@pytest.mark.parametrize("name", EVERY)
def test_a_request_that_comes_byte_by_byte_is_heard_once(name):
    data, ear = codec(name).encode(messages.Ping(3)), codec(name).listener()
    whole = codec(name).listener().feed(data)
    assert len(whole) == 1 and not isinstance(whole[0], Damage)
    assert [op for byte in data for op in ear.feed(bytes((byte,)))] == whole


@pytest.mark.parametrize("false", ["ff ff fd 07", "ff ff fd 00 fd", "ff ff fd 00 03 02 00", "ff ff fd 00 03 ff ff"])
def test_a_dynamixel_header_that_cannot_be_one_delays_nothing(false):
    good = Reply(3, 0, b"\x01\x02")
    stream = bytes.fromhex(false) + codec("dynamixel2").encode_reply(good)
    assert codec("dynamixel2").reader().feed(stream) == [Damage("noise", bytes.fromhex(false)), good]
