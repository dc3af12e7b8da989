"""Whatever a client sends, virtual servos live on: any frame, any bytes, in any order."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardware.protocols import dynamixel2, envelope, lx16a
from hardware.protocols.messages import Damage, Reply
from hardware.protocols.models import codec, table
from hardware.virtual.bus import VirtualBus
from hardware.virtual.plant import JointPlant
from hardware.virtual.rig import Rig
from tests.hardware.small_arm import plain_arm

PACK = {"feetech": envelope.pack, "dynamixel1": envelope.pack, "dynamixel2": dynamixel2.pack, "lx16a": lx16a.pack}
CODES = [1, 2, 3, 4, 5, 6, 8, 0x10, 0x20, 0x55, 0x82, 0x83, 0x8A, 0x92, 0x93, 0x9A]
ids = st.sampled_from([1, 2, 3, 254]) | st.integers(0, 253)
codes = st.sampled_from(CODES) | st.integers(0, 255)
# addresses that exist more often than not: bodies of small numbers as well as of any
bodies = st.binary(max_size=13) | st.lists(st.integers(0, 70), max_size=13).map(bytes)
frames = st.lists(st.tuples(ids, codes, bodies), max_size=12)


@pytest.fixture(scope="module")
def arms(tmp_path_factory):
    models = ("sts3215", "xl330-m288", "xl430-w250", "ax-12a", "lx-16a")
    return {name: plain_arm(tmp_path_factory.mktemp(name), name) for name in models}


@pytest.mark.parametrize("servo", ["sts3215", "xl330-m288", "xl430-w250", "ax-12a", "lx-16a"])
@given(sent=frames, noise=st.lists(st.binary(max_size=20), max_size=12))
@settings(max_examples=60)
def test_any_frame_is_survived(arms, servo, sent, noise):
    model, made = arms[servo], codec(table(servo).protocol)
    plant = JointPlant(model)
    rig = Rig(model, plant, plant.q, 0.004)
    bus, now = VirtualBus(rig, model.bus), 0.0
    for k, (to, code, body) in enumerate(sent):
        data = PACK[model.bus](to, code, body) + (noise[k] if k < len(noise) else b"")
        heard = bus.receive(data, now, model.baud)
        assert all(now <= b.start <= b.end < now + 0.6 for b in heard)
        if len(heard) == 1 and to != 254 and not noise:  # one servo was asked: it answers whole or not at all
            items = made.reader().feed(heard[0].data)
            assert [type(item) for item in items] == [Reply] and not isinstance(items[0], Damage)
        now += 0.02
        rig.advance(now)
    assert np.isfinite(rig.state.q).all() and np.isfinite(rig.supply.voltage)
    for unit in rig.units:
        unit.firmware.boot()
    rig.advance(now + 0.5)
