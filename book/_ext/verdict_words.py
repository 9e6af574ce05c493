"""The directive `{verdict-words}`: the words of one kind of verdict with their definitions, from the code."""

from __future__ import annotations

from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from metarec.show import words


class VerdictWords(SphinxDirective):
    """`{verdict-words} A run`: a definition list of the words of that group, an anchor for each."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        """Build the list, and rebuild the page when the words change."""
        self.env.note_dependency(str(words.__file__))
        group = self.arguments[0]
        chosen = {name: word for name, word in words.WORDS.items() if word.group == group}
        if not chosen:
            known = ", ".join(dict.fromkeys(word.group for word in words.WORDS.values()))
            raise self.error(f"no word stands under {group!r}; the groups are {known}.")
        items = []
        for name, word in chosen.items():
            mark = nodes.inline(
                "", f"{word.sign} {name}", classes=["verdict", f"verdict-{words.anchor(name)}"]
            )
            term = nodes.term("", "", mark, ids=[words.anchor(name)])
            meaning = nodes.definition("", nodes.paragraph("", word.meaning))
            items.append(nodes.definition_list_item("", term, meaning))
        return [nodes.definition_list("", *items)]


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.add_directive("verdict-words", VerdictWords)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
