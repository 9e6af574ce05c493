"""Imports run down the order of the data, no module needs itself, and reading Records trains nothing."""

from __future__ import annotations

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1] / "metarec"
# From the bottom up. Packages on one line may import each other; `claims` and `show` do, see below.
FLOORS: tuple[tuple[str, ...], ...] = (
    ("errors", "paths"),
    ("bibliography", "data"),
    ("tasks",),
    ("layers",),
    ("methods",),
    ("metrics",),
    ("training",),
    ("runs",),
    ("stats",),
    ("claims", "show"),
    ("derivations",),
    ("recommend",),
    ("papers",),
    ("cli",),
    ("__main__",),
)
LEVEL = {name: n for n, names in enumerate(FLOORS) for name in names}
# What reads committed Records.
READERS = ("papers", "show", "stats", "claims")
TRAINERS = ("metarec.training.trainer", "metarec.runs.runner", "sklearn")


class Import(NamedTuple):
    """One import: who asks, for what, and whether it runs when the module is imported."""

    by: str
    of: str
    at_once: bool


def modules() -> dict[str, Path]:
    """Every module of the package by name; a package has the name of its folder."""
    names = {p: ".".join(p.relative_to(ROOT.parent).with_suffix("").parts) for p in ROOT.rglob("*.py")}
    return {name.removesuffix(".__init__"): path for path, name in names.items()}


MODULES = modules()


def imports(name: str) -> list[Import]:
    """The imports of a module, those inside functions and for type checkers too."""
    tree = ast.parse(MODULES[name].read_text(encoding="utf-8"))
    later = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.If)
        and not (isinstance(node, ast.If) and "TYPE_CHECKING" not in ast.unparse(node.test))
        for inner in ast.walk(node)
    }
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module, f"{name} imports relatively"
            whole = [f"{node.module}.{alias.name}" for alias in node.names]
            targets = [t if t in MODULES else node.module for t in whole]
        else:
            continue
        found += [Import(name, target, id(node) not in later) for target in targets]
    return found


EVERY = [i for name in sorted(MODULES) for i in imports(name)]
OWN = [i for i in EVERY if i.of.partition(".")[0] == "metarec"]


def floor(module: str) -> str:
    """The package, or the module at the top, that a module belongs to; empty for `metarec` itself."""
    return ".".join(module.split(".")[1:2])


def test_imports_run_down_the_order_of_the_data() -> None:
    """Imports inside functions count as well. `metarec` itself holds its version, which a Record names."""
    known = {floor(i.by) for i in OWN if floor(i.by)}
    assert known <= set(LEVEL), "a new package needs its floor"
    up = [
        f"{i.by} imports {i.of}"
        for i in OWN
        if floor(i.by) and floor(i.of) and LEVEL[floor(i.of)] > LEVEL[floor(i.by)]
    ]
    assert not up


def test_claims_know_of_show_only_words_and_numbers() -> None:
    """`show` renders claims; a claim's sentence needs its words and how a number is written, nothing else."""
    seen = {i.of for i in OWN if floor(i.by) == "claims" and floor(i.of) == "show"}
    assert seen <= {"metarec.show.words", "metarec.show.html"}


def test_only_papers_know_a_paper() -> None:
    """But for the command line, which finds a spec by name."""
    assert {floor(i.by) for i in OWN if floor(i.of) == "papers"} <= {"papers", "cli"}


def test_no_module_needs_itself() -> None:
    graph: dict[str, set[str]] = {name: set() for name in MODULES}
    for i in OWN:
        if i.at_once and i.by != i.of and i.of in MODULES:
            graph[i.by].add(i.of)
    assert len(list(TopologicalSorter(graph).static_order())) == len(MODULES)


@pytest.mark.parametrize("package", READERS)
def test_what_reads_records_names_no_trainer_at_its_top(package: str) -> None:
    at_top = [i for i in EVERY if floor(i.by) == package and i.at_once]
    assert not [i for i in at_top if i.of.startswith(TRAINERS)]


@pytest.mark.slow
def test_reading_records_imports_no_trainer_and_no_sklearn() -> None:
    """A fresh interpreter imports every module that reads; nothing that trains or clusters came along."""
    wanted = [name for name in MODULES if floor(name) in READERS]
    code = f"""
import sys
from importlib import import_module
for name in {wanted!r}:
    import_module(name)
print(*[name for name in {TRAINERS!r} if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT.parent)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr
