"""The report as one HTML file: no network, no script, everything from the document that it carries."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from veracity_gateway.report import figures, plain
from veracity_gateway.report.document import Report
from veracity_gateway.report.limits import layer_words
from veracity_gateway.report.pictures import pictures_of

EMBEDDED = '<script type="application/json" id="veracity-report">'
STYLE = Path(__file__).parent / "templates" / "report.css"
FILTERS = ("clock", "looked_at", "moment", "percent", "score", "sentence", "signed", "visible", "why")


def to_html(report: Report) -> str:
    """Return the page. The same report gives the same text."""
    style = STYLE.read_text("utf-8")
    template = _environment().get_template("report.html.jinja")
    return template.render(
        report=report,
        evidence=report.evidence,
        verdict=report.evidence.verdict,
        pictures=(*report.evidence.pictures, *pictures_of(report.evidence.verdict)),
        style=Markup(style),  # noqa: S704 - a file of ours
        style_sha256=base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
        embedded=Markup(embeddable(report.to_json()).decode()),  # noqa: S704 - it has no < in it
    )


def embeddable(document: bytes) -> bytes:
    """Return JSON that no HTML parser can take for markup: < stands in texts only, where an escape says the same."""
    return document.replace(b"<", b"\\u003c")


@cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("veracity_gateway.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters.update({name: getattr(plain, name) for name in FILTERS})
    made.filters["base64"] = lambda content: base64.b64encode(content).decode()
    made.tests["object"] = plain.is_object
    made.globals.update(plain=plain, figures=figures, layer_words=layer_words)
    return made
