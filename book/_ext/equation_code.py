"""Tie equations to code: `Implements eq-tanp-11.` in metarec's docstrings, the labels in the book's pages.

The directive `{equation-code} tanp` makes the table "Equation to code" of one paper; tests/test_equations.py
uses the same two readers to hold book and code to each other.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

ROOT = Path(__file__).resolve().parents[2]
LABEL = r"eq-[a-z0-9]+-[a-z0-9]+(?:-[a-z0-9]+)*"
_IMPLEMENTS = re.compile(rf"\bImplements\s+({LABEL}(?:(?:,\s*(?:and\s+)?|\s+and\s+){LABEL})*)")
_LABELLED = re.compile(rf"^\$\$\s*\(({LABEL})\)\s*$|^:label:\s*({LABEL})\s*$", re.M)
_NOT_CODE = re.compile(rf"^- \{{eq\}}`({LABEL})`: \S", re.M)


@dataclass(frozen=True)
class Implementation:
    """One function, class or module whose docstring says that it computes an equation."""

    label: str
    name: str
    path: Path
    line: int


def _documented(tree: ast.Module, module: str) -> Iterator[tuple[str, int, str]]:
    """Dotted name, line and docstring of the module and of everything defined in it."""

    def visit(node: ast.AST, name: str) -> Iterator[tuple[str, int, str]]:
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield name, getattr(node, "lineno", 1), ast.get_docstring(node) or ""
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                yield from visit(child, f"{name}.{child.name}")

    return visit(tree, module)


def implementations(root: Path = ROOT) -> list[Implementation]:
    """Every `Implements <label>` in the docstrings under metarec/, in the order of files and lines."""
    found = []
    for path in sorted((root / "metarec").rglob("*.py")):
        relative = path.relative_to(root)
        module = ".".join(relative.with_suffix("").parts).removesuffix(".__init__")
        for name, line, docstring in _documented(ast.parse(path.read_text(encoding="utf-8")), module):
            for sentence in _IMPLEMENTS.finditer(docstring):
                labels = re.findall(LABEL, sentence.group(1))
                found += [Implementation(label, name, relative, line) for label in labels]
    return found


def book_labels(root: Path = ROOT) -> list[str]:
    """Every equation label of a paper in the book's pages, in the order of pages and places."""
    labels = []
    for page in sorted((root / "book").glob("*.md")):
        for match in _LABELLED.finditer(page.read_text(encoding="utf-8")):
            labels.append(match.group(1) or match.group(2))
    return labels


def not_code(root: Path = ROOT) -> list[str]:
    """The labels that the page "Equation to code" lists as having nothing to compute."""
    return _NOT_CODE.findall((root / "book" / "equations.md").read_text(encoding="utf-8"))


def _cell(*children: nodes.Node) -> nodes.entry:
    return nodes.entry("", nodes.paragraph("", "", *children))


class EquationCode(SphinxDirective):
    """`{equation-code} tanp`: a table of the paper's equations and of what computes each."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Build the table, and rebuild the page when a source file changes."""
        prefix = f"eq-{self.arguments[0]}-"
        for path in (ROOT / "metarec").rglob("*.py"):
            self.env.note_dependency(str(path))
        by_label: dict[str, list[Implementation]] = {}
        for found in implementations():
            if found.label.startswith(prefix):
                by_label.setdefault(found.label, []).append(found)
        order = {label: place for place, label in enumerate(book_labels())}
        rows = [
            self._row(label, by_label[label])
            for label in sorted(by_label, key=lambda x: (order.get(x, -1), x))
        ]
        if not rows:
            return [nodes.paragraph("", "No function is tied to this paper's equations yet.")]
        header = nodes.row("", _cell(nodes.Text("Equation")), _cell(nodes.Text("Computed by")))
        group = nodes.tgroup("", cols=2)
        group += [nodes.colspec(colwidth=1), nodes.colspec(colwidth=6)]
        group += [nodes.thead("", header), nodes.tbody("", *rows)]
        return [nodes.table("", group, classes=["equation-code"])]

    def _row(self, label: str, found: list[Implementation]) -> nodes.row:
        reference, messages = self.parse_inline(f"{{eq}}`{label}`")
        names: list[nodes.Node] = []
        for one in found:
            if names:
                names.append(nodes.Text(", "))
            names.append(nodes.literal("", one.name, classes=["code-name"]))
        return nodes.row("", _cell(*reference, *messages), _cell(*names))


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.add_directive("equation-code", EquationCode)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
