"""docs/faults.md says what the catalogue says."""

from pathlib import Path

from robot.fault_page import page
from robot.faults import CATALOGUE
from robot.recovery import RECOVERIES

DOCUMENT = Path(__file__).parents[2] / "docs" / "faults.md"


def test_the_page_is_up_to_date():
    assert DOCUMENT.read_text() == page(), "run: python -m robot.fault_page > docs/faults.md"


def test_every_row_and_recovery_has_words():
    assert all(len(f.words) > 20 for f in CATALOGUE.values())
    assert all(len(r.words) > 20 for r in RECOVERIES.values())
    assert {f.recover for f in CATALOGUE.values()} - {None} <= set(RECOVERIES)
