"""A derivation page outside Jupyter: its cells, its steps, its answers, and wrong edits to its code.

A page is a notebook. Each `## Step` has hidden lines (an admonition of class `dropdown`) and a **Check.**;
the code of an exercise's answer is a cell tagged `answer`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Cell:
    """One cell of a notebook."""

    kind: str
    source: str
    tags: tuple[str, ...] = ()

    @property
    def is_answer(self) -> bool:
        """Whether it is the code of an answer to an exercise."""
        return self.kind == "code" and "answer" in self.tags


@dataclass(frozen=True)
class Edit:
    """A wrong edit that the page's checks must catch: in `file`, `wrong` in place of `right`."""

    file: str  # below the root: a module of the package, or the page's own notebook
    right: str
    wrong: str

    def apply(self, text: str) -> str:
        """The text with the edit; `right` must stand in it once, else the list of edits is out of date."""
        if (n := text.count(self.right)) != 1:
            raise LookupError(f"{self.file} holds {self.right!r} {n} times, it should be once.")
        return text.replace(self.right, self.wrong)


def cells(notebook: Path) -> list[Cell]:
    """The cells of a stored notebook, in order."""
    stored = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return [Cell(c["cell_type"], "".join(c["source"]), tuple(c["metadata"].get("tags", ()))) for c in stored]


def steps(page: Sequence[Cell]) -> dict[str, list[Cell]]:
    """The cells of each `## Step`, by its heading; prose is cut at the headings, code is whole."""
    found: dict[str, list[Cell]] = {}
    heading = ""
    for cell in page:
        parts = cell.source.split("\n## ") if cell.kind == "markdown" else [cell.source]
        for n, part in enumerate(parts):
            if cell.kind == "markdown" and (n or part.startswith("## ")):
                heading = part.removeprefix("## ").partition("\n")[0]
            if heading.startswith("Step "):
                found.setdefault(heading, []).append(replace(cell, source=part))
    return found


def run(page: Sequence[Cell], parameters: dict[str, Any], *, answers: bool = True) -> dict[str, Any]:
    """Run the code cells in order and return their names; `parameters` replace those of the page.

    A check that fails raises `metarec.derivations.check.CheckFailed`.
    """
    names: dict[str, Any] = {"__name__": "__page__"}
    for n, cell in enumerate(page):
        if cell.kind != "code" or (cell.is_answer and not answers):
            continue
        run_cell(cell, names, f"cell {n}")
        if "parameters" in cell.tags:
            if unknown := set(parameters) - set(names):
                raise LookupError(f"The page has no parameter {', '.join(sorted(unknown))}.")
            names |= parameters
    return names


def run_cell(cell: Cell, names: dict[str, Any], label: str = "cell") -> None:
    """Run one code cell in the page's names."""
    exec(compile(cell.source, f"<{label}>", "exec"), names)


def with_edit(page: Sequence[Cell], edit: Edit) -> list[Cell]:
    """The page with an edit to its own code."""
    code = [cell for cell in page if cell.kind == "code" and edit.right in cell.source]
    if len(code) != 1:
        raise LookupError(f"{edit.right!r} stands in {len(code)} code cells, it should be in one.")
    return [replace(c, source=edit.apply(c.source)) if c is code[0] else c for c in page]
