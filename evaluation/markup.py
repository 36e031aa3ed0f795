"""HTML without anything to fetch, that can be read in light and dark, on wide screens and narrow ones."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

STYLE = """
:root { color-scheme: light dark; --real: #2a78c8; --fake: #d1541f; --faint: #767676; --line: #8886; }
@media (prefers-color-scheme: dark) { :root { --real: #6db3ff; --fake: #ff8f5c; --faint: #999; } }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 80rem; margin: 2rem auto; padding: 0 1rem;
  background: Canvas; color: CanvasText; overflow-wrap: break-word; }
h2 { margin-top: 2.4rem; }
.wide { overflow-x: auto; margin: .6rem 0 1.4rem; }
table { border-collapse: collapse; font-size: 13px; }
th, td { text-align: left; padding: .25rem .8rem .25rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
th[scope=row] { position: sticky; left: 0; background: Canvas; font-weight: 500; min-width: 6rem; max-width: 22rem; }
.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
thead .n { white-space: normal; }
small { display: block; font-size: 11px; opacity: .75; }
abbr { text-decoration: underline dotted; cursor: help; }
.panels { display: grid; grid-template-columns: repeat(auto-fit, minmax(16rem, 1fr)); gap: 1rem; margin: 1rem 0; }
figure { margin: 0; max-width: 24rem; }
figcaption { font-size: 13px; min-height: 4.5em; }
figcaption b { display: block; }
svg { width: 100%; height: auto; }
summary { cursor: pointer; margin: .3rem 0; }
code { font-size: 12px; }
"""
Cell = str | tuple[str, ...]  # later strings are shown small below the first, in a header as its explanation
WORDS = 99  # columns before the first figure, in a table that has none


def page(title: str, body: Iterable[str]) -> str:
    """A whole page around its parts."""
    head = (
        "<meta charset='utf-8'><meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<title>{escape(title)}</title><style>{STYLE}</style>"
    )
    main = f"<main><h1>{escape(title)}</h1>{''.join(body)}</main>"
    return f"<!doctype html><html lang='en'><head>{head}</head><body>{main}</body></html>\n"


def table(about: str, head: Sequence[Cell], rows: Iterable[Sequence[Cell]], number_from: int = WORDS) -> str:
    """A table, ``about`` is its caption for screen readers; columns from ``number_from`` on hold figures."""
    top = "".join(f"<th scope='col'{_kind(at, number_from)}>{_head(cell)}</th>" for at, cell in enumerate(head))
    lines = "".join(f"<tr>{_line(row, number_from)}</tr>" for row in rows)
    whole = f"<table><thead><tr>{top}</tr></thead><tbody>{lines}</tbody></table>"
    return f"<div class='wide' role='region' tabindex='0' aria-label='{escape(about)}'>{whole}</div>"


def facts(rows: Iterable[tuple[str, str]]) -> str:
    """A table of names and values, the values in HTML."""
    lines = "".join(f"<tr><th scope='row'>{escape(name)}</th><td>{value}</td></tr>" for name, value in rows)
    return f"<div class='wide'><table>{lines}</table></div>"


def details(summary: str, body: str) -> str:
    """Collapsed content."""
    return f"<details><summary>{escape(summary)}</summary>{body}</details>"


def _line(cells: Sequence[Cell], number_from: int) -> str:
    first, *rest = cells
    row = "".join(f"<td{_kind(at, number_from)}>{_cell(cell)}</td>" for at, cell in enumerate(rest, start=1))
    return f"<th scope='row'>{_cell(first)}</th>{row}"


def _kind(at: int, number_from: int) -> str:
    return " class='n'" if at >= number_from else ""


def _head(cell: Cell) -> str:
    return escape(cell) if isinstance(cell, str) else f"<abbr title='{escape(cell[1])}'>{escape(cell[0])}</abbr>"


def _cell(cell: Cell) -> str:
    first, *small = (cell,) if isinstance(cell, str) else cell
    return escape(first) + "".join(f"<small>{escape(words)}</small>" for words in small if words)
