"""Hooks of the documentation site."""

import re
from typing import Any

ROLE = re.compile(r":(?:attr|class|data|func|meth|mod):(<code>)~?")


def on_page_content(html: str, **_: Any) -> str:
    """Show the docstrings' :class:`Name` as code, as Sphinx would."""
    return ROLE.sub(r"\1", html)
