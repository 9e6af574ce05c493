"""Records of older code count as fresh where the change was seen to change no number, and nowhere else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import same_numbers
from made_records import add

from metarec.experiments import sameness
from metarec.experiments.sameness import Link, compare
from metarec.records import Store

MODULE = "metarec.methods.floors"


def test_freshness_follows_chains_of_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "links.json"
    monkeypatch.setattr(sameness, "LINKS", path)
    monkeypatch.setattr(sameness, "code_hash", lambda module: "c")
    sameness.add([Link(MODULE, "b", "c", 3)], path)
    sameness.add([Link(MODULE, "a", "b", 3), Link("metarec.methods.melu", "d", "c", 3)], path)
    assert [sameness.fresh(MODULE, digest) for digest in "abcd"] == [True, True, True, False]
    assert sameness.read(path) == sorted(sameness.read(path)) and len(sameness.read(path)) == 3
    sameness.add([Link(MODULE, "a", "b", 2), Link(MODULE, "b", "c", 5)], path)
    assert [link.runs for link in sameness.read(path) if link.module == MODULE] == [3, 5], "the most runs"


def test_a_link_needs_every_run_and_every_number(tmp_path: Path) -> None:
    scores = {"P@5": 0.5, "MAE": float("nan")}
    made = [add(Store(tmp_path), "Item mean", scores, seed=s, terms={"kl": 1.0}) for s in (0, 1)]
    run, other = (replace(r, code_hash="old") for r in made)
    old = {r.key: r for r in (run, other)}
    new = {key: replace(r, code_hash="new") for key, r in old.items()}
    modules = dict.fromkeys(new, MODULE)
    assert compare(old, new, modules) == ([Link(MODULE, "old", "new", 2)], [])
    assert compare(new, new, modules) == ([], [])
    for changed in (
        {"metrics": {"P@5": 0.5, "MAE": 0.1}},
        {"terms": {"kl": 1.0 + 1e-15}},
        {"best_epoch": run.best_epoch + 1},
        {"extra": {"valid": 0.1}},
    ):
        apart = {**new, other.key: replace(new[other.key], **changed)}
        links, differing = compare(old, apart, modules)
        assert not links and differing[0].startswith(f"{MODULE}: 1 of 2 runs")
    assert compare({run.key: run}, new, modules)[0] == []


def test_times_are_not_compared(tmp_path: Path) -> None:
    made = [
        add(Store(tmp_path), name, {"P@5": 0.5}, extra=extra)
        for name, extra in (("a", {}), ("b", {"ms": [1.0]}))
    ]
    assert [r.method for r in same_numbers._untimed({r.key: r for r in made}).values()] == ["a"]


def test_folders_may_have_spaces_in_their_names(tmp_path: Path) -> None:
    code = tmp_path / "older code"
    (code / "metarec").mkdir(parents=True)
    (code / "metarec" / "__main__.py").write_text("import sys\nopen(sys.argv[-1], 'w').write(sys.argv[-2])\n")
    assert same_numbers._start(code, tmp_path / "a $HOME", ["one", "the other"]).wait() == 0
    for name in ("one", "the other"):
        assert (code / name).read_text() == str(tmp_path / "a $HOME")
