"""Pages for people: one self-contained HTML file with tables, plots, pictures and videos inside it."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from robot.output import write_text

STYLE = """
:root{--ink:#1c2733;--soft:#5b6b7b;--line:#dfe5ea;--good:#1f8a4c;--bad:#c0392b;--warn:#b9770e;--paper:#fbfcfd}
*{box-sizing:border-box}body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);
margin:0 auto;padding:2rem 1.5rem 4rem;max-width:68rem}h1{font-size:1.9rem;margin:0 0 .2rem}
h2{margin:2.4rem 0 .6rem;font-size:1.3rem;border-bottom:1px solid var(--line);padding-bottom:.3rem}
p.note{color:var(--soft);margin:.2rem 0 1rem}table{border-collapse:collapse;width:100%;font-size:.92rem;margin:.6rem 0}
th,td{text-align:left;padding:.35rem .7rem;border-bottom:1px solid var(--line);vertical-align:top}th{color:var(--soft);
font-weight:600}td.pass,td.yes{color:var(--good);font-weight:600}td.fail,td.no{color:var(--bad);font-weight:600}
td.warn{color:var(--warn);font-weight:600}.cards{display:flex;flex-wrap:wrap;gap:1rem;margin:1rem 0}
.card{flex:1 1 9rem;border:1px solid var(--line);border-radius:.6rem;padding:.8rem 1rem;background:#fff}
.card b{display:block;font-size:1.7rem}.card span{color:var(--soft);font-size:.88rem}
.row{display:grid;grid-template-columns:repeat(auto-fit,minmax(22rem,1fr));gap:1rem}
figure{margin:0}figure img,figure video,figure svg{width:100%;height:auto;border-radius:.4rem}
figcaption{color:var(--soft);font-size:.86rem;
margin-top:.25rem}code{background:#eef2f5;padding:.1rem .3rem;border-radius:.25rem;font-size:.88em}
pre{background:#eef2f5;padding:.8rem;border-radius:.4rem;overflow:auto;font-size:.84rem}
"""
TYPES = {".png": "image/png", ".jpg": "image/jpeg", ".mp4": "video/mp4"}


class Page:
    """Collects sections and writes them as one HTML file that needs nothing beside it."""

    def __init__(self, title: str, subtitle: str = "") -> None:
        self.title = title
        self.parts = [f"<h1>{html.escape(title)}</h1>", f'<p class="note">{html.escape(subtitle)}</p>']

    def section(self, title: str, note: str = "") -> None:
        self.parts.append(f"<h2>{html.escape(title)}</h2>")
        if note:
            self.text(note)

    def text(self, text: str) -> None:
        self.parts.append(f'<p class="note">{html.escape(text)}</p>')

    def code(self, text: str) -> None:
        self.parts.append(f"<pre>{html.escape(text)}</pre>")

    def cards(self, cards: Sequence[tuple[str, str]]) -> None:
        """Big numbers: (value, what it is)."""
        card = '<div class="card"><b>{}</b><span>{}</span></div>'
        inner = "".join(card.format(html.escape(value), html.escape(what)) for value, what in cards)
        self.parts.append(f'<div class="cards">{inner}</div>')

    def table(self, head: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """A table; cells that read pass, warn, fail, yes or no are coloured."""

        def cell(value: Any) -> str:
            text = str(value)
            mark = f' class="{text.lower()}"' if text.lower() in ("pass", "warn", "fail", "yes", "no") else ""
            return f"<td{mark}>{html.escape(text)}</td>"

        body = "".join("<tr>" + "".join(map(cell, row)) + "</tr>" for row in rows)
        top = "".join(f"<th>{html.escape(h)}</th>" for h in head)
        self.parts.append(f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>")

    def media(self, files: Mapping[str | Path, str]) -> None:
        """Pictures and videos side by side, embedded: path -> caption."""
        figures = []
        for path, caption in files.items():
            data = base64.b64encode(Path(path).read_bytes()).decode()
            kind = TYPES[Path(path).suffix]
            source = f'src="data:{kind};base64,{data}"'
            tag = f'<img alt="{html.escape(caption)}" {source}>'
            if kind.startswith("video"):
                tag = f"<video controls loop muted autoplay playsinline {source}></video>"
            figures.append(f"<figure>{tag}<figcaption>{html.escape(caption)}</figcaption></figure>")
        self.parts.append(f'<div class="row">{"".join(figures)}</div>')

    def plot(self, figure: Any, caption: str = "") -> None:
        """Embed a matplotlib figure as SVG."""
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", bbox_inches="tight", metadata={"Date": None})
        svg = buffer.getvalue()
        self.parts.append(f"<figure>{svg[svg.index('<svg'):]}<figcaption>{html.escape(caption)}</figcaption></figure>")

    def write(self, path: Path) -> Path:
        """Write the page aside, then rename it into place; returns its path."""
        write_text(path, "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport "
                   f'content="width=device-width,initial-scale=1"><title>{html.escape(self.title)}</title>'
                   f"<style>{STYLE}</style><body>{''.join(self.parts)}</body></html>\n")
        return path


def figure(width: float = 7.0, height: float = 3.0) -> tuple[Any, Any]:
    """A matplotlib figure and axes in the house style; needs no display."""
    from matplotlib.figure import Figure

    fig = Figure(figsize=(width, height), layout="constrained")
    axes = fig.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    return fig, axes
