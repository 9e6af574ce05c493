"""A change that moves a number says which version to bump; one that moves none makes nothing stale."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import golden
import pytest
import torch

from metarec.methods import tanp
from metarec.methods.tanp import TaNP
from metarec.runs import versions

STORED = golden.load()


@pytest.mark.parametrize("name", golden.names())
def test_the_numbers_are_those_of_the_version(name: str) -> None:
    assert name in STORED, f"{name} has no golden numbers yet: run python tests/golden.py"
    assert golden.moved(name, STORED[name], golden.measure(name)) == ""


def test_nothing_is_stored_that_is_no_more() -> None:
    assert set(STORED) == set(golden.names())


def test_a_constant_in_a_loss_fails_and_names_the_version_to_bump(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: Any = tanp.kl_gaussian

    def slipped(q: Any, p: Any) -> torch.Tensor:
        return 1.001 * kept(q, p)

    monkeypatch.setattr(tanp, "kl_gaussian", slipped)
    told = golden.moved("method tanp", STORED["method tanp"], golden.measure("method tanp"))
    assert f"write `version = {TaNP.version + 1}` in the class TaNP, metarec/methods/tanp.py" in told


@pytest.mark.parametrize(("name", "option"), [("method tanp", "epochs"), ("rule tanp", "max_length")])
def test_a_default_that_moves_fails_and_an_option_that_is_new_does_not(name: str, option: str) -> None:
    entry, default = STORED[name], f"{golden.DEFAULT}{option}"
    told = golden.moved(name, entry, {**entry["numbers"], default: "7"})
    assert f"{option} is 7, stored {entry['numbers'][default]}; if the change is meant" in told
    assert golden.moved(name, entry, {**entry["numbers"], f"{golden.DEFAULT}new": "1"}) == ""


def test_storing_keeps_what_holds_to_the_last_digit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    name = "metrics pnmta"
    monkeypatch.setattr(golden, "STORED", tmp_path / "golden.json")
    monkeypatch.setattr(golden, "names", lambda: [name])
    monkeypatch.setattr(golden, "measure", lambda _: {"loss": 1.0})
    assert golden.store() == []
    kept = golden.STORED.read_bytes()
    monkeypatch.setattr(golden, "measure", lambda _: {"loss": 1.0 + 1e-9})
    assert golden.store() == [] and golden.STORED.read_bytes() == kept
    monkeypatch.setattr(golden, "measure", lambda _: {"loss": 2.0})
    assert len(golden.store()) == 1 and golden.STORED.read_bytes() == kept


def test_a_bumped_version_asks_for_new_numbers_and_makes_records_older(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = versions.of_run("tanp", "tanp", ["tanp-released"])
    assert versions.older(made) == []
    monkeypatch.setattr(TaNP, "version", TaNP.version + 1)
    assert versions.older(made) == [f"method tanp {TaNP.version - 1}, now {TaNP.version}"]
    told = golden.moved("method tanp", STORED["method tanp"], {"another": 1.0})
    assert told.endswith("store the new numbers: python tests/golden.py")


def test_a_floor_does_not_hang_on_the_trainer() -> None:
    assert versions.TRAINER in versions.of_run("pnmta", "cold-start", [])
    assert versions.TRAINER not in versions.of_run("item-mean", "cold-start", [])


def test_another_processors_last_digits_are_no_change() -> None:
    entry = {"versions": {}, "numbers": {"loss": 1.0}}
    assert golden.moved("metrics pnmta", entry, {"loss": 1.0 + 1e-7}) == ""
    assert golden.moved("metrics pnmta", entry, {"loss": 1.0 + 1e-4}) != ""
