import os
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from robot import recorder
from robot.errors import DataError
from robot.interfaces import Health
from robot.supervisor import Supervisor


@pytest.fixture
def flown(agent, arm, tmp_path):
    """A run with a silent servo and an overload on record."""
    path = tmp_path / "flight.mcap"
    agent.recorder = recorder.McapRecorder(path, arm.spec)

    def trouble():
        t = agent.result.seconds
        arm.silent[4] = 0.5 < t < 1.0
        if 2.5 < t < 2.52:
            arm.flags[1] = int(Health.OVERLOAD)
        return False

    result = agent.run("wave", 5.0, done=trouble)
    agent.recorder.close()
    return path, result


def replayed(records):
    supervisor = Supervisor()
    for record in records:
        if record.event is not None:
            if record.event["kind"] == "reset":
                supervisor.reset(record.event["names"])
        else:
            yield record, supervisor.update(record.snapshot)


def test_a_recording_brings_the_supervisor_to_the_same_verdicts(flown):
    path, result = flown
    pairs = list(replayed(recorder.read(path)))
    assert len(pairs) >= result.ticks
    assert all(record.verdict == verdict for record, verdict in pairs)
    assert {name for record, _ in pairs for name in record.verdict.active} == {"lost_servo", "overload"}


def test_snapshots_come_back_as_they_were(agent, arm, tmp_path):
    snapshot = agent._snapshot(1.25, arm.read(), 0.001)
    again = recorder.decode(recorder.encode(snapshot), snapshot.spec)
    assert again.now == snapshot.now and again.mode is snapshot.mode and again.chunk_age == np.inf
    assert np.array_equal(again.goal, snapshot.goal, equal_nan=True) and again.action is None
    for name in vars(snapshot.state):
        assert np.array_equal(getattr(again.state, name), getattr(snapshot.state, name), equal_nan=True)


def test_a_file_cut_anywhere_is_readable_up_to_there(flown, tmp_path):
    path, _ = flown
    data = path.read_bytes()
    whole = sum(1 for _ in recorder.read(path))
    counts = []
    cut = tmp_path / "cut.mcap"
    for size in np.linspace(len(data) * 0.3, len(data) - 1, 23).astype(int):
        cut.write_bytes(data[:size])
        counts.append(sum(1 for _ in recorder.read(cut)))
    assert 0 < counts[0] < counts[10] < counts[-1] <= whole
    assert counts == sorted(counts)


def test_a_killed_process_leaves_a_readable_file(tmp_path):
    path = tmp_path / "flight.mcap"
    script = textwrap.dedent(f"""
        import sys, pathlib, numpy as np
        from robot.arms.so101 import so101
        from robot.recorder import McapRecorder
        r = McapRecorder(pathlib.Path({str(path)!r}), so101().spec)
        for k in range(100000):
            r.event(k * 0.01, "step", number=k, pad="x" * 100)
            if k == 3000:
                print("ready", flush=True)
    """)
    child = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert child.stdout.readline() == b"ready\n"
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    child.stdout.close()
    numbers = [r.event["number"] for r in recorder.read(path)]
    assert numbers == list(range(len(numbers))) and len(numbers) > 2500


@pytest.mark.parametrize("content", [b"", b"no recording at all, but long enough to be one"])
def test_another_file_is_refused_by_name(tmp_path, content):
    path = tmp_path / "other.mcap"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"other\.mcap"):
        list(recorder.read(path))
    with pytest.raises(DataError, match="missing"):
        list(recorder.read(tmp_path / "missing"))


def test_a_folder_that_is_not_there_is_one_clear_error(tmp_path, arm):
    with pytest.raises(DataError, match="cannot write"):
        recorder.McapRecorder(tmp_path / "no" / "flight.mcap", arm.spec)
