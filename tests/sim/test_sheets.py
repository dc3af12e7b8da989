"""The gallery and the table: a row for each axis, a row for each task, and a table that can be gone on with."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from robot import config
from robot.errors import ConfigError
from sim import gallery, trials
from sim.film import lines_of
from sim.randomization import AXES
from sim.trials import BEGIN, END, Trial


def test_a_gallery_has_a_row_an_axis_with_its_values(tmp_path):
    told = [f"out={tmp_path / 'g'}", "axes=[table_colour,language]", "columns=2", "pixels=48", "renderer=tiny"]
    gallery.main(config.resolve("simulate", told, preset="gallery"))
    sheet = cv2.imread(str(tmp_path / "g" / "gallery.png"))
    row = gallery.LABEL + 48 + gallery.LINES * gallery.LINE  # narrow cells: every caption fills its lines
    assert sheet.shape == (2 * row, 4 * 48 + 2 * gallery.GAP, 3)
    table, words = sheet[gallery.LABEL : gallery.LABEL + 48], sheet[row + gallery.LABEL : row + gallery.LABEL + 48]
    assert np.abs(table[40, 5].astype(int) - table[40, 53]).max() > 5, "tables of two colours"
    assert np.abs(words[40, 5].astype(int) - words[40, 53]).max() < 5, "words change no picture"


@pytest.mark.parametrize("axis", [axis for axis in AXES if AXES[axis].moving])
def test_what_only_motion_shows_is_shown_in_motion(axis):
    told = config.resolve("simulate", [f"axes=[{axis}]", "columns=1", "pixels=64", "renderer=tiny"], preset="gallery")
    train, held_out = np.hsplit(gallery.row(told, axis)[gallery.LABEL : gallery.LABEL + 64], 2)
    same = gallery.row({**told, "axes": ["object_mass"]}, "object_mass")[gallery.LABEL : gallery.LABEL + 64]
    still, heavy = np.hsplit(same, 2)
    apart = [np.abs(a[:, :64].astype(int) - b[:, -64:]).mean() for a, b in ((train, held_out), (still, heavy))]
    assert apart[0] > 1.0 > apart[1], f"the arm is elsewhere; nothing else is: {apart}"


def test_captions_are_broken_into_lines_that_fit():
    lines = lines_of(192, "please put the green cube into the blue tray for me now", 3)
    assert 2 <= len(lines) <= 3 and " ".join(lines) == "please put the green cube into the blue tray for me now"
    assert lines_of(60, "a few words too many to be shown here", 2)[1].startswith("words") and not lines_of(60, "", 2)


@pytest.mark.parametrize(("value", "text"), [("", "plain"), (0.123456, "0.12"), ((0.5, (1.0, "dots")), "0.5 1 dots"),
                                             (np.array([1.0, 2.0]), "1 2"), (3, "3")])
def test_values_in_words(value, text):
    assert gallery.words(value) == text


def test_unknown_axes_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="'colour'"):
        gallery.main({"axes": ["colour"], "out": str(tmp_path)})


def test_a_table_is_made_gone_on_with_and_put_into_a_page(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    for count in (1, 2):
        told = [f"out={tmp_path / 't'}", "tasks=[reach]", "randomizations=[none]", f"episodes={count}", "workers=1",
                f"page={page}"]
        trials.main(config.resolve("simulate", told, preset="table"))
    rows = trials.read(tmp_path / "t")
    assert [(t.task, t.seed, t.success) for t in rows] == [("reach", 0, True), ("reach", 1, True)]
    text = page.read_text()
    assert "| reach | 2 of 2 (100.0%) |" in text and "old" not in text
    assert text.startswith("before\n") and text.endswith("after\n")


def test_failures_count_and_have_no_time():
    rows = [Trial("a", "none", 0, True, 1.0, 3.0), Trial("a", "none", 1, False, 0.4, 20.0),
            Trial("b", "none", 0, False, 0.0, 5.0, "no room")]
    assert trials.table(rows, ["a", "b"], ["none"]).splitlines()[2:] == [
        "| a | 1 of 2 (50.0%) | 3.0 s |", "| b | 0 of 1 (0.0%) | - |"]


def test_a_page_without_the_marks_and_a_broken_line_are_refused(tmp_path):
    told = [f"out={tmp_path / 'u'}", f"page={tmp_path / 'none.md'}"]
    with pytest.raises(ConfigError, match="table: begin"):
        trials.main(config.resolve("simulate", told, preset="table"))
    (tmp_path / trials.TRIALS).write_text(json.dumps({"task": "a"}) + "\n")
    with pytest.raises(ConfigError, match="holds a line that is no trial"):
        trials.read(tmp_path)
