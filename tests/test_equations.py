"""Book and code name each other's equations: no label without an equation, no equation without a word."""

from __future__ import annotations

from pathlib import Path

import equation_code
import pytest

ROOT = Path(__file__).resolve().parents[1]
# Papers whose page is still to come, with the numbers of their equations; code may name these already.
PAGES_TO_COME: dict[str, range] = {}


def test_every_equation_named_in_code_stands_in_the_book() -> None:
    labels = set(equation_code.book_labels())
    labels |= {f"eq-{paper}-{number}" for paper, numbers in PAGES_TO_COME.items() for number in numbers}
    unknown = [
        f"{one.path}:{one.line}: {one.label}"
        for one in equation_code.implementations()
        if one.label not in labels
    ]
    assert not unknown, "\n".join(unknown)


def test_no_page_is_to_come_that_is_already_there() -> None:
    assert [paper for paper in PAGES_TO_COME if (ROOT / "book" / f"{paper}.md").exists()] == []


def test_every_equation_of_the_book_is_computed_or_listed_as_not_code() -> None:
    implemented = {one.label for one in equation_code.implementations()}
    without = [
        label
        for label in equation_code.book_labels()
        if label not in implemented | set(equation_code.not_code())
    ]
    assert not without, (
        f"no docstring says `Implements` these, and book/equations.md does not excuse them: {without}"
    )


def test_nothing_is_both_computed_and_excused() -> None:
    implemented = {one.label for one in equation_code.implementations()}
    assert not implemented & set(equation_code.not_code())


def test_labels_are_unique() -> None:
    labels = equation_code.book_labels()
    assert len(labels) == len(set(labels))


@pytest.mark.parametrize(("paper", "last"), [("tanp", 19), ("pnmta", 15), ("cmml", 13)])
def test_equations_of_a_paper_are_all_there_in_its_order(paper: str, last: int) -> None:
    """Equation 16 of PNMTA is lost from its text."""
    labels = [label for label in equation_code.book_labels() if label.startswith(f"eq-{paper}-")]
    assert labels == [f"eq-{paper}-{number}" for number in range(1, last + 1)]


@pytest.mark.parametrize(
    ("docstring", "labels"),
    [
        ("Implements eq-tanp-11.", ["eq-tanp-11"]),
        ("Norm of t. Implements eq-tanp-11 and eq-tanp-12.", ["eq-tanp-11", "eq-tanp-12"]),
        (
            "Implements eq-tanp-7, eq-tanp-8, and eq-tanp-9: the encoder.",
            ["eq-tanp-7", "eq-tanp-8", "eq-tanp-9"],
        ),
        ("See eq-tanp-11.", []),
    ],
)
def test_docstring_reader(tmp_path: Path, docstring: str, labels: list[str]) -> None:
    package = tmp_path / "metarec"
    package.mkdir()
    (package / "part.py").write_text(
        f'class A:\n    def f(self):\n        """{docstring}"""\n', encoding="utf-8"
    )
    found = equation_code.implementations(tmp_path)
    assert [one.label for one in found] == labels
    assert {one.name for one in found} <= {"metarec.part.A.f"}
