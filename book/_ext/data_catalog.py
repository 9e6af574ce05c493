"""The directive `{data-catalog}`: the data sets of `metarec.data.catalog`, so that no page repeats them."""

from __future__ import annotations

from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from metarec.data import catalog, catalog_scenarios


def as_myst(source: catalog.Source) -> list[str]:
    """One data set as MyST text: what it is, how to get it, and on what terms."""
    official = f"`metarec data fetch {source.name}`" if source.url else f"By hand: {source.by_hand}."
    files = ", ".join(f"`{name}`" for name in source.files[:3]) + (", …" if len(source.files) > 3 else "")
    return [
        f"**{source.title}** {{cite:p}}`{source.cite}`",
        f": Name `{source.name}`. Folder `{source.folder}/`: {files}. [Official page]({source.page}).",
        "",
        f"  *To get it.* {official}",
        "",
        f"  *Terms.* {source.licence}",
        "",
    ]


class DataCatalog(SphinxDirective):
    """Every data set of the catalogue, in its order."""

    def run(self) -> list[nodes.Node]:
        """Build the list, and rebuild the page when the catalogue changes."""
        for module in (catalog, catalog_scenarios):
            self.env.note_dependency(str(module.__file__))
        lines = [line for source in catalog.SOURCES.values() for line in as_myst(source)]
        container = nodes.container()
        self.state.nested_parse(StringList(lines, "catalog"), self.content_offset, container)
        return container.children


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.add_directive("data-catalog", DataCatalog)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
