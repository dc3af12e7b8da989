"""The self-test in virtual time: a well arm passes, and each fault shows in its own line and in no other."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from hardware.selftest import history, joints, page, pictures, still
from hardware.selftest.sheet import QUESTIONS, Sheet, Verdict
from hardware.virtual.bus import VirtualBus, VirtualPort
from hardware.virtual.faults import MEANING
from hardware.virtual.plant import JointPlant
from hardware.virtual.rig import Rig
from hardware.virtual.studio import Lens
from robot import registry
from robot.arms import ArmModel
from robot.arms.so101 import so101
from robot.clock import SimClock
from robot.injection import Kind, parse
from robot.interfaces import Frame
from tests.hardware.small_arm import small_arm

# fault -> the one line it must show in
WIRE = {
    "servo 3 off": "scan/answers",
    "servo 3 stuck": "configuration/writes",
    "servo 3 wrong": "scan/kind",
    "servo 3 slow": "communication/delay",
    "reply 2 off": "scan/answers",
    "reply 2 garbage 0.2": "communication/answers",
    "reply 2 slow": "communication/delay",
    "encoder 2 off": "sensors/flags",
    "encoder 2 garbage": "sensors/noise",
    "encoder 2 wrong -250": "sensors/position",
    "temperature 2 wrong": "sensors/temperature",
    "config 4 wrong": "configuration/registers",
    "bus off": "scan/answers",
    "bus garbage": "communication/answers",
    "bus slow": "port/latency",
    "adapter off": "port/open",
    "adapter wrong": "port/echo",
    "adapter slow": "port/latency",
    "supply off": "scan/answers",
    "supply wrong": "sensors/voltage",
    "supply wrong 9": "sensors/voltage",
    "supply garbage": "sensors/ripple",
}
MOTION = {
    "motor 3 off": "joints/follows",
    "motor 2 stuck": "joints/follows",
    "motor 3 slow": "joints/follows",
    "encoder 3 stuck": "joints/follows",
    "encoder 2 wrong 200 when speed 2 > 0.2": "joints/jumps",
    "supply slow": "joints/sag",
}
CAMERAS = {
    "camera wrist off": "camera/pictures",
    "camera wrist stuck": "camera/freeze",
    "camera wrist garbage": "camera/noise",
    "camera wrist wrong": "camera/exposure",
    "camera wrist slow": "camera/age",
}


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("STEADYHAND_HOME", str(tmp_path))
    return tmp_path


class Desk:
    """A virtual SO-101 with one fault."""

    def __init__(self, fault: str = "", period: float = 0.004, model: ArmModel | None = None) -> None:
        self.model = model or so101()
        plant = JointPlant(self.model)
        self.rig = Rig(self.model, plant, plant.q, period)
        self.bus = VirtualBus(self.rig, self.model.bus)
        self.clock = SimClock(self.rig.advance)
        if fault:
            self.rig.inject(fault)
        self.clock.wait(0.02)

    def connect(self) -> VirtualPort:
        return VirtualPort(self.bus, clock=self.clock)

    def wire(self) -> Sheet:
        sheet = Sheet()
        still.run(self.model, self.connect, self.clock, sheet)
        return sheet

    def motion(self) -> Sheet:
        sheet = Sheet()
        joints.run(self.model, self.connect, self.clock, sheet)
        return sheet


def test_every_fault_of_the_bench_is_in_the_tables():
    told = {(f.component, f.kind) for f in map(parse, (*WIRE, *MOTION, *CAMERAS))}
    assert told == {(component, kind) for component, kinds in MEANING.items() for kind in kinds}


@pytest.fixture(scope="module")
def well(tmp_path_factory) -> Sheet:
    """The sheet of an arm without a fault."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STEADYHAND_HOME", str(tmp_path_factory.mktemp("home")))
        desk = Desk()
        sheet = desk.wire()
        joints.run(desk.model, desk.connect, desk.clock, sheet)
        desk.clock.wait(desk.clock.now() + 0.02)
        assert not any(desk.rig.energised)
        return sheet


def test_a_well_arm_passes_every_line(well):
    stages = {"port", "scan", "configuration", "communication", "sensors", "joints", "gripper", "stop"}
    assert {line.key: line.verdict for line in well.lines} == {
        key: Verdict.PASS for key, q in QUESTIONS.items() if q.stage in stages}
    assert set(well.curves) == set(so101().names[:-1])


@pytest.mark.parametrize("fault, line", WIRE.items())
def test_a_fault_at_rest_shows_in_its_line_only(fault, line):
    assert Desk(fault, period=0.002).wire().troubled() == [line]


@pytest.mark.parametrize("fault, line", MOTION.items())
def test_a_fault_in_motion_shows_in_its_line_only(fault, line):
    desk = Desk(fault)
    assert desk.wire().troubled() == []
    assert desk.motion().troubled() == [line]
    desk.clock.wait(desk.clock.now() + 0.02)
    assert not any(desk.rig.energised)


def test_a_line_names_the_joint_and_says_what_to_do():
    sheet = Desk("servo 3 off").wire()
    line = next(row for row in sheet.lines if row.key == "scan/answers")
    assert "elbow_flex (servo 3)" in line.text and "cable" in line.advice


def test_servos_at_another_baud_rate_are_found():
    desk = Desk()
    for unit in desk.rig.units:
        unit.firmware.memory.put("baud_code", 1)
    sheet = desk.wire()
    assert sheet.troubled() == ["scan/answers"]
    (line,) = [line for line in sheet.lines if line.key == "scan/answers"]
    assert "0 of 6" in line.text and "1, 2, 3, 4, 5, 6 answer at 500000 baud" in line.text


def test_motion_ends_at_once_when_a_joint_resists():
    desk = Desk("motor 2 stuck")
    began = desk.clock.now()
    sheet = desk.motion()
    assert desk.clock.now() - began < 8.0
    verdicts = {line.key: line.verdict for line in sheet.lines}
    assert verdicts["joints/backlash"] is verdicts["gripper/opens and closes"] is Verdict.SKIP


def test_a_servo_that_dies_in_motion_is_named():
    sheet = Desk("servo 4 off when speed 1 > 0.2").motion()
    line = next(row for row in sheet.lines if row.key == "joints/follows")
    assert line.verdict is Verdict.FAIL and "wrist_flex" in line.text


# ---------------------------------------------------------------- another family of servos
@pytest.fixture
def dynamixels(tmp_path, monkeypatch) -> ArmModel:
    made = small_arm(tmp_path, gripper="xl430-w250")
    registry.load("model")
    monkeypatch.setitem(registry._OPTIONS["model"], "small", lambda: made)
    return made


def test_an_arm_of_dynamixels_passes(dynamixels):
    desk = Desk(model=dynamixels)
    assert desk.wire().troubled() == []
    sheet = desk.motion()
    assert sheet.troubled() == []
    assert {line.key for line in sheet.lines if line.verdict is Verdict.SKIP} == set()


@pytest.mark.parametrize("fault, line", [
    ("servo 3 off", "scan/answers"), ("encoder 1 off", "sensors/flags"),
    ("temperature 2 wrong 90", "sensors/temperature"), ("config 4 wrong", "configuration/registers"),
    ("supply wrong 9.8", "sensors/voltage"),
    ("servo 2 stuck", "configuration/writes"), ("reply 1 slow", "communication/delay")])
def test_faults_of_dynamixels_show_in_their_line_only(dynamixels, fault, line):
    assert Desk(fault, 0.002, dynamixels).wire().troubled() == [line]


# ---------------------------------------------------------------- cameras
class FaultyCamera:
    """Pictures of a moving pattern, 12.5 a second, through the bench's own lens."""

    def __init__(self, name: str, clock: SimClock, faults) -> None:
        self.name, self._clock, self._faults = name, clock, faults
        self._lens, self._shot, self._frame = Lens(0), -1, None
        self._rng = np.random.default_rng(0)

    def read(self, max_age: float) -> Frame:
        for shot in range(self._shot + 1, int(self._clock.now() * 12.5) + 1):
            x = np.linspace(0, 6, 32) + shot * 0.1
            rgb = (128 + 100 * np.sin(x)[None, :, None] * np.ones((32, 1, 3))).astype(np.uint8)
            seen = self._lens.through(self.name, rgb, shot / 12.5, self._faults)
            self._shot = shot
            if seen is not None:
                self._frame = Frame(seen[1], seen[0])
        if self._frame is None or self._clock.now() - self._frame.stamp > max_age:
            raise TimeoutError
        return self._frame


def look(fault: str = "", moved: bool = True) -> Sheet:
    clock, sheet, faults = SimClock(), Sheet(), {}
    if fault:
        parsed = parse(fault)
        value = MEANING["camera"][parsed.kind][1]
        faults = {parsed.instance: (parsed.kind, value)}
    clock.wait(1.0)
    watch = pictures.Watch({n: FaultyCamera(n, clock, faults) for n in ("front", "wrist")}, clock)
    for _ in range(150):
        watch.look()
        clock.wait(clock.now() + 0.02)
    watch.judge(sheet, moved)
    return sheet


def test_well_cameras_pass():
    assert [line.verdict for line in look().lines] == [Verdict.PASS] * 5
    assert next(row for row in look(moved=False).lines if row.name == "freeze").verdict is Verdict.SKIP


@pytest.mark.parametrize("fault, line", CAMERAS.items())
def test_a_camera_fault_shows_in_its_line_only(fault, line):
    sheet = look(fault)
    assert sheet.troubled() == [line]
    assert "wrist" in next(row for row in sheet.lines if row.key == line).text


def test_a_joint_that_stands_still_for_its_gain_is_told_of_once():
    desk = Desk("config 2 wrong")
    sheet = desk.wire()
    joints.run(desk.model, desk.connect, desk.clock, sheet)
    assert sheet.troubled() == ["configuration/registers"]
    told = next(line for line in sheet.lines if line.key == "joints/follows")
    assert told.verdict is Verdict.SKIP and "its registers were changed" in told.text


# ---------------------------------------------------------------- the sheet, trends, the page
@pytest.mark.parametrize("degrees, verdict", [(1.0, Verdict.PASS), (3.0, Verdict.WARN), (6.0, Verdict.FAIL),
                                              (float("nan"), Verdict.FAIL)])
def test_the_worst_joint_decides(degrees, verdict):
    sheet = Sheet()
    line = sheet.number("joints/backlash", {"pan": 0.0, "lift": np.radians(degrees)})
    assert line.verdict is verdict is sheet.verdict()
    assert ("lift" in line.text) and bool(line.advice) == (verdict is not Verdict.PASS)


def test_every_question_says_what_to_do():
    assert all(len(q.advice) > 15 for q in QUESTIONS.values())


def test_skipped_lines_never_fail():
    sheet = Sheet()
    sheet.skip_rest("nothing there", ("joints", "camera"))
    assert sheet.verdict() is Verdict.PASS and sheet.troubled() == []
    assert {line.stage for line in sheet.lines} == {"joints", "camera"}


def run_with(play: float) -> Sheet:
    sheet = Sheet()
    sheet.number("joints/backlash", {"elbow_flex": np.radians(play), "wrist_flex": np.radians(0.3)})
    return sheet


def test_wear_shows_before_it_fails(tmp_path):
    path = tmp_path / "runs.jsonl"
    for play in (0.30, 0.32, 0.29, 0.31):
        sheet = run_with(play)
        history.compare(history.load(path), sheet)
        assert sheet.troubled() == []
        history.append(path, sheet)
    worn = run_with(1.2)
    history.compare(history.load(path), worn)
    assert worn.troubled() == ["trend/wear"]
    assert "elbow_flex: 1.2" in worn.lines[-1].text and "wrist_flex" not in worn.lines[-1].text


def test_one_count_of_an_encoder_is_no_wear(tmp_path):
    path = tmp_path / "runs.jsonl"
    for counts in (0, 0, 0, 1):
        sheet = Sheet()
        sheet.number("sensors/noise", {"gripper": counts * 2.0 * np.pi / 4096})
        history.compare(history.load(path), sheet)
        assert sheet.troubled() == []
        history.append(path, sheet)


def test_a_damaged_history_is_read_as_far_as_it_goes(tmp_path):
    path = tmp_path / "runs.jsonl"
    history.append(path, run_with(0.3))
    with path.open("a") as file:
        file.write('{"half a li')
    assert len(history.load(path)) == 1


def test_the_page_and_the_document_hold_everything(well, tmp_path):
    runs = [history.append(tmp_path / "runs.jsonl", well) for _ in range(3)]
    text = page.write(tmp_path / "page.html", "Self-test", "here", well, runs).read_text()
    assert all(line.name in text for line in well.lines)
    assert text.count("<svg") == 3 and "Trends" in text
    document = json.loads(json.dumps(well.document()))
    assert document["verdict"] == "pass" and len(document["lines"]) == len(well.lines)


def test_lens_delays_by_what_was_asked():
    lens = Lens(0)
    seen = [lens.through("front", np.full((2, 2, 3), k, np.uint8), k * 0.1, {"": (Kind.SLOW, 0.3)}) for k in range(8)]
    assert [None if s is None else int(s[0][0, 0, 0]) for s in seen] == [None, None, None, 0, 1, 2, 3, 4]


@pytest.mark.parametrize("lead", [0, 3, 12])
def test_figures_of_a_swing(lead):
    swing = np.sin(np.linspace(0, np.pi, 40)) * 0.15
    leg = np.concatenate([np.zeros(20), swing[:20], np.full(20, 0.15), swing[20:], np.zeros(20)])
    goal = np.concatenate([np.zeros(lead), leg, -leg, leg])
    q = np.roll(goal, 3)
    q[:3] = 0.0
    effort = 0.1 * np.sign(np.diff(goal, append=goal[-1]))
    figures = joints._figures(goal, q, effort)
    assert figures["follow"] == pytest.approx(1.0)
    assert 0.02 < figures["track"] < 0.06 and figures["hold"] < 0.01
    assert figures["play"] == pytest.approx(0.0, abs=1e-9)
    assert figures["friction"] == pytest.approx(0.1, abs=0.02)


def test_figures_of_an_arm_that_was_never_told_to_move():
    still = np.zeros(30)
    assert joints._figures(still, still, still)["over"] == 0.0


def test_the_manual_lists_every_fault_and_every_line():
    docs = Path(__file__).parents[2] / "docs"
    rows = dict(re.findall(r"^\| (\w+) \| (.+) \|$", (docs / "virtual-servos.md").read_text(), re.MULTILINE))
    for component, kinds in MEANING.items():
        assert [k.value for k in kinds if not re.search(rf"\b{k.value}\b", rows[component])] == []
    text = (docs / "self-test.md").read_text()
    assert [q.stage for q in QUESTIONS.values() if f"| {q.stage} |" not in text] == []
