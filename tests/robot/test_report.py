"""Pages: self-contained, escaped, written whole."""

from __future__ import annotations

import cv2
import numpy as np

from robot.report import Page, figure


def test_a_page_holds_everything_itself(tmp_path):
    picture = tmp_path / "p.png"
    cv2.imwrite(str(picture), np.zeros((4, 4, 3), np.uint8))
    fig, axes = figure()
    axes.plot([0, 1], [1, 2])
    page = Page("Report <1>", "sub")
    page.section("Part", "a & b")
    page.cards([("87 %", "success")])
    page.table(["check", "result"], [["port", "pass"], ["servo", "fail"]])
    page.media({picture: "a picture"})
    page.plot(fig, "a curve")
    text = page.write(tmp_path / "report.html").read_text()
    assert "Report &lt;1&gt;" in text and "a &amp; b" in text
    assert '<td class="fail">' in text and "data:image/png;base64," in text and "<svg" in text
    assert 'src="http' not in text and 'href="http' not in text.replace("http://www.w3.org", "")
