"""Number the figures of each page from 1, so that a page added to the book renumbers no other.

Sphinx counts figures through the whole book. This runs after it and counts again, page by page; captions and
`{numref}` both read the numbers that it leaves. Tables and program listings are treated alike.
"""

from __future__ import annotations

from typing import Any

from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

Numbers = dict[str, dict[str, tuple[int, ...]]]  # kind of float -> its id on the page -> its number


def by_page(numbers: Numbers) -> Numbers:
    """The same floats of one page in the same order, counted from 1."""
    return {
        kind: {name: (place,) for place, name in enumerate(sorted(found, key=lambda n: found[n]), start=1)}
        for kind, found in numbers.items()
    }


def renumber(app: Sphinx, env: BuildEnvironment) -> list[str]:
    """Replace the numbers of every page; the pages whose numbers moved have to be written again."""
    moved = [page for page, numbers in env.toc_fignumbers.items() if by_page(numbers) != numbers]
    env.toc_fignumbers = {page: by_page(numbers) for page, numbers in env.toc_fignumbers.items()}
    return moved


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx, after its own counting."""
    app.connect("env-get-updated", renumber, priority=900)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
