"""Links from outputs of notebooks to pages: `href="book:reading#near"` becomes the right relative address.

Outputs are stored once and shown on pages at different depths, so they name a page and not a path:
`book:reading` is the page `book/reading`, and `book:notebooks/tanp/table4-lastfm` a notebook. A page that is
not in the book stops the build.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

_LINK = re.compile(r'href="book:([^"#]+)(#[^"]*)?"')


def resolved(html: str, page: str, known: set[str], relative: Callable[[str], str]) -> str:
    """The HTML with its `book:` links made relative; `relative` gives the address of a page.

    `ExtensionError` for a page that is not in `known`.
    """

    def address(match: re.Match[str]) -> str:
        name, anchor = match.group(1), match.group(2) or ""
        target = next((t for t in (f"book/{name}", name) if t in known), None)
        if target is None:
            raise ExtensionError(f"{page} links to book:{name}, which is no page of the book; mend the link.")
        return f'href="{relative(target)}{anchor}"'

    return _LINK.sub(address, html)


def resolve_links(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Mend every link of this kind in the raw HTML of a page."""
    known = set(app.env.found_docs)

    def relative(target: str) -> str:
        return str(app.builder.get_relative_uri(docname, target))

    for raw in list(doctree.findall(nodes.raw)):
        text = raw.astext()
        if "book:" in text and "html" in raw.get("format", "").split():
            raw.replace_self(nodes.raw("", resolved(text, docname, known, relative), format="html"))


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.connect("doctree-resolved", resolve_links)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
