"""Leave out of the pages the one script that could call another host: the loader of live code cells.

The theme adds sphinx-thebe whether or not live cells are wanted. Its loader names a content network and
fetches from it at a click. The book has no such button, so the loader has no use either.
"""

from __future__ import annotations

from typing import Any

from sphinx.application import Sphinx


def drop_live_code_loader(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: Any
) -> None:
    """Remove the loader's two scripts from the page's list of scripts."""
    context["script_files"] = [
        script
        for script in context["script_files"]
        if "thebe" not in str(getattr(script, "filename", script)).lower()
        and "THEBE" not in getattr(script, "attributes", {}).get("body", "")
    ]


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.connect("html-page-context", drop_live_code_loader, priority=900)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
