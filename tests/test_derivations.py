"""Every derivation page follows the pattern, its answers run, and its checks catch every wrong edit."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from contextlib import nullcontext
from itertools import pairwise
from pathlib import Path
from typing import Any

import derivation_page as page
import matplotlib as mpl
import pytest
import torch
from changed_module import changed
from derivation_page import Cell, Edit
from wrong_edits import WRONG

from metarec.derivations import check, verdict
from metarec.derivations.check import CheckFailed

PAGES = sorted(
    path.relative_to(page.ROOT).as_posix()
    for path in (page.ROOT / "notebooks").rglob("*.ipynb")
    if any(page.steps(page.cells(path)))
)
LINES = re.compile(r"^:::\{admonition\} .+\n:class: dropdown\n(?:(?!^:::).*\n)*?\$\$\n", re.M)
CHECKS = {"equal", "covers", "ordered", "apart", "within", "same"}
each_page = pytest.mark.parametrize("name", PAGES)


@pytest.fixture(autouse=True)
def own_figures(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Figures are drawn into nothing, and the book's style does not outlive the test."""
    with mpl.rc_context():
        mpl.use("Agg")
        yield
    import matplotlib.pyplot as plt

    plt.close("all")


def cells(name: str) -> list[Cell]:
    return page.cells(page.ROOT / name)


def checks_in(source: str) -> int:
    """Calls of a function of `check` that refuses what does not hold."""
    return sum(
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "check"
        and node.func.attr in CHECKS
        for node in ast.walk(ast.parse(source))
    )


def test_the_pages_are_found() -> None:
    models = {"tanp/elbo", "pnmta/bilevel", "cmml/modulation"}
    assert {f"notebooks/{name}.ipynb" for name in models} <= set(PAGES)
    assert set(WRONG) == set(PAGES), "every derivation page has a list of wrong edits"


@each_page
def test_a_step_says_what_is_to_show_hides_its_lines_and_checks_them(name: str) -> None:
    for heading, parts in page.steps(cells(name)).items():
        prose = "\n".join(part.source for part in parts if part.kind == "markdown")
        assert "**To show.**" in prose, heading
        assert LINES.search(prose), f"{heading}: its lines do not wait in an admonition of class dropdown"
        outside = re.sub(r"^:::.*?^:::$", "", prose, flags=re.M | re.S)
        assert "$$" not in outside, f"{heading}: a displayed line stands outside the dropdown"
        assert "**Check.**" in prose, heading


@each_page
def test_after_the_word_check_comes_code_that_asserts(name: str) -> None:
    page_cells = cells(name)
    for cell, following in pairwise(page_cells):
        if cell.kind == "markdown" and "**Check.**" in cell.source.rpartition("\n## ")[2]:
            after = page_cells[page_cells.index(following) :]
            until_prose = []
            for one in after:
                if one.kind == "markdown":
                    break
                until_prose.append(one)
            assert sum(checks_in(c.source) for c in until_prose), (
                f"nothing asserts after: {cell.source[-200:]}"
            )
    assert not re.search(r"\bcheck\.values\(", "".join(c.source for c in page_cells if c.kind == "code"))


@each_page
def test_verdict_words_are_computed_never_typed(name: str) -> None:
    for cell in cells(name):
        if cell.kind == "code":
            typed = [
                node.value
                for node in ast.walk(ast.parse(cell.source))
                if isinstance(node, ast.Constant) and node.value in (*verdict.WORDS, "tight", "not tight")
            ]
            assert typed == []
    assert any("verdict.Verdicts(" in cell.source for cell in cells(name))


@each_page
def test_answers_are_hidden_and_run_in_the_names_of_the_page(name: str) -> None:
    """An answer that fails here fails the test, whatever its notebook has stored."""
    page_cells = cells(name)
    exercises = re.findall(r"^:::\{admonition\} Exercise (\d+)", _prose(page_cells), re.M)
    answers = [cell for cell in page_cells if cell.is_answer]
    assert exercises and len(answers) >= len(exercises)
    names = page.run(page_cells, {"profile": "quick"}, answers=False)
    for cell in answers:
        assert "hide-cell" in cell.tags
        assert checks_in(cell.source), f"an answer that checks nothing:\n{cell.source}"
        page.run_cell(cell, names)


def _prose(page_cells: list[Cell]) -> str:
    return "\n".join(cell.source for cell in page_cells if cell.kind == "markdown")


@each_page
def test_a_broken_answer_fails(name: str) -> None:
    broken = Cell("code", "check.equal({'left | right': (1.0, 2.0)})", ("answer",))
    with pytest.raises(CheckFailed):
        page.run_cell(broken, {"check": check})


def run_with(name: str, edit: Edit | None) -> None:
    """Run the page in quick profile, answers too, with a wrong edit in its code or in the package."""
    page_cells = cells(name)
    inside: Any = nullcontext()
    if edit and edit.file == name:
        page_cells = page.with_edit(page_cells, edit)
    elif edit:
        path = page.ROOT / edit.file
        inside = changed(path, edit.apply(path.read_text(encoding="utf-8")), page.ROOT)
    with inside:
        page.run(page_cells, {"profile": "quick"})


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("notebooks/tanp/elbo.ipynb", {"dim": 3, "noise": 0.2, "track": "published"}),
        ("notebooks/pnmta/bilevel.ipynb", {"alpha": 0.01, "steps": 2, "dim": 6, "n_support": 3}),
        (
            "notebooks/cmml/modulation.ipynb",
            {"d_x": 7, "width": 3, "modules": 4, "n_support": 4, "d_pair": 32},
        ),
    ],
)
def test_checks_hold_for_other_parameters(name: str, parameters: dict[str, Any]) -> None:
    page.run(cells(name), {"profile": "quick", **parameters})


def _label(value: object) -> str | None:
    if isinstance(value, Edit):
        return f"{Path(value.file).stem}: {value.wrong[:50]}"
    return None


@pytest.mark.parametrize(("name", "edit"), [(n, e) for n, edits in WRONG.items() for e in edits], ids=_label)
def test_a_wrong_edit_is_caught_by_a_check(name: str, edit: Edit) -> None:
    """By name: with the package imported afresh, the class of the error is another one than ours."""
    with pytest.raises(ValueError) as caught:
        run_with(name, edit)
    assert type(caught.value).__name__ == "CheckFailed", repr(caught.value)


def test_an_edit_that_no_longer_fits_is_an_error() -> None:
    with pytest.raises(LookupError, match="0 times"):
        Edit("metarec/derivations/elbo.py", "no such text", "").apply("some text")


def test_without_an_edit_the_package_comes_back() -> None:
    before = check
    path = page.ROOT / "metarec/derivations/check.py"
    with changed(path, path.read_text(encoding="utf-8") + "\nADDED = 1\n", page.ROOT):
        from metarec.derivations import check as other

        assert other.ADDED == 1  # type: ignore[attr-defined]
    from metarec.derivations import check as after

    assert after is before and not hasattr(after, "ADDED")


# Checks and verdicts


@pytest.mark.parametrize(
    ("function", "good", "bad"),
    [
        (check.ordered, (1.0, 2.0), (2.0, 2.0)),
        (check.same, ("stays", "stays"), ("stays", "moves")),
    ],
)
def test_a_check_refuses_what_does_not_hold(function: Any, good: Any, bad: Any) -> None:
    assert list(function({"left | right": good}).index) == ["left | right"]
    with pytest.raises(CheckFailed, match=r"left \| right"):
        function({"left | right": bad})


def test_checks_with_a_margin_or_ends() -> None:
    assert check.apart({"a | b": (1.0, 2.0)}, by=0.5).loc["a | b", "difference"] == "1.000"
    assert check.within({"p": (0.5, 0.0, 1.0)}, heading="").loc["p", "value"] == "0.5000"
    for refuse in (
        lambda: check.apart({"a | b": (1.0, 1.1)}, by=0.5),
        lambda: check.within({"p": (1.5, 0.0, 1.0)}, heading=""),
        lambda: check.within({"p": (float("nan"), 0.0, 1.0)}, heading=""),
        lambda: check.ordered({"a | b": (float("nan"), 1.0)}),
    ):
        with pytest.raises(CheckFailed):
            refuse()


def test_the_word_follows_the_numbers() -> None:
    spread = torch.linspace(-1, 1, 101, dtype=torch.float64)
    assert verdict.identity([(1.0, 1.0)], 1e-9).word == "holds"
    assert verdict.identity([(1.0, 1.0), (1.0, 1.1)], 1e-9).word == "does not hold"
    assert verdict.bound(-spread.abs(), "nats").word == "holds"
    assert verdict.bound(spread - 0.5, "nats").word == "holds on average"
    assert verdict.bound(spread + 0.5, "nats").word == "does not hold"
    assert verdict.bound(spread, "nats").word == "cannot be told from noise"
    assert verdict.constant([1.0, 1.0], 1.0, "β").word == "holds"
    assert verdict.constant([1.0, 2.0], 1.0, "β").word == "does not hold"
    assert verdict.unbiased([0.4, 0.9]).word == "holds on average"
    assert verdict.unbiased([0.4, 1e-6]).word == "does not hold"
    assert verdict.between(3.0, 2.7, 3.3, "").word == "holds"
    assert verdict.between(2.0, 2.7, 3.3, "").word == "does not hold"
    assert verdict.facts({"P": ("moves", "moves")}, "").word == "holds"
    assert verdict.facts({"P": ("stays", "moves")}, "").word == "does not hold"


def test_the_table_of_verdicts_shows_word_and_measure() -> None:
    table = verdict.Verdicts([("a. it holds", verdict.between(1.0, 0.0, 2.0, "one"))])._repr_markdown_()
    assert (
        table.splitlines()[-1] == '| a. it holds | <span class="verdict verdict-holds">holds</span> | one |'
    )
