"""The store: whole records or none, replaced by what was run, refused when they do not follow the schema."""

from __future__ import annotations

import json
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from metarec.errors import RecordError
from metarec.runs.protocol import Protocol, Run
from metarec.runs.records import Record, digest, parse, to_line
from metarec.runs.store import Store, find

PLACE = "planted/tanp"


def record(seed: int = 0, value: float = 0.5, **given: Any) -> Record:
    made = Record(
        paper="tanp",
        track="sound",
        dataset="planted",
        method="tanp",
        options={"clusters": 10},
        seed=seed,
        metrics={"P@5": value},
        config="c0ffee",
        versions={"trainer": 1},
    )
    return replace(made, **given)


def test_a_record_comes_back_as_it_went(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.add(record(), {"P@5": np.array([0.25, 0.75])})
    assert store.read("tanp", PLACE) == [record()]
    users = store.per_user([record()])
    assert users["P@5"].tolist() == [0.25, 0.75]
    assert users["task"].tolist() == [0, 1]


def test_a_line_is_strict_json_and_holds_nothing_of_the_table_that_reads_it(tmp_path: Path) -> None:
    asked = record(0, float("nan"), label="a row", varied={"d": 3}, extra={"curve": [1.0, float("inf")]})
    line = to_line(asked)
    stored = json.loads(line, parse_constant=lambda word: pytest.fail(f"bare {word}"))
    assert stored["metrics"]["P@5"] is None and stored["extra"]["curve"] == [1.0, None]
    assert not {"label", "varied"} & set(stored)
    assert {"paper", "track", "protocol", "method", "options", "seed", "versions"} <= set(stored)
    assert np.isnan(parse(line, "here").metrics["P@5"])


def test_a_dropped_record_takes_what_belongs_to_it(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.drop([record()])
    for seed in (0, 1):
        store.add(record(seed), {"P@5": np.array([0.1, seed])})
    store.drop([record(0), record(7)])
    assert store.read("tanp", PLACE) == [record(1)]
    assert store.per_user([record(0), record(1)])["key"].unique().tolist() == [record(1).key]
    store.drop([record(1)])
    assert store.read("tanp", PLACE) == [] and store.per_user([record(1)]).empty
    store.add(record(2), {"P@5": np.array([0.3])})
    assert store.per_user([record(2)])["P@5"].tolist() == pytest.approx([0.3])


def test_what_was_run_replaces_whatever_version_and_another_seed_adds(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.add(record(0, 0.1), {"P@5": np.array([0.1])})
    store.add(record(1, 0.2), {"P@5": np.array([0.2])})
    newer = record(0, 0.3, versions={"trainer": 2})
    store.add(newer, {"P@5": np.array([0.3])})
    assert sorted((r.seed, r.metrics["P@5"]) for r in store.read("tanp", PLACE)) == [(0, 0.3), (1, 0.2)]
    assert len(store.per_user([record(0), newer, record(1)])) == 2, "the older version's users are gone"
    store.add(record(1, 0.4))
    assert store.per_user([record(1)]).empty, "users of the record that is gone"


def test_records_lie_by_data_set_and_method_and_measurements_by_their_name(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.add_all([record(), record(method="melu"), record(measure="fig2", method="a setting")])
    lies = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.jsonl"))
    assert lies == ["tanp/fig2.jsonl", "tanp/planted/melu.jsonl", "tanp/planted/tanp.jsonl"]


def _add(where: tuple[str, int]) -> None:
    root, seed = where
    Store(Path(root)).add(record(seed), {"P@5": np.full(3, seed)})


def test_processes_writing_at_once_lose_nothing(tmp_path: Path) -> None:
    with ProcessPoolExecutor(4) as pool:
        list(pool.map(_add, [(str(tmp_path), seed) for seed in range(16)]))
    store = Store(tmp_path)
    found = store.read("tanp", PLACE)
    assert sorted(r.seed for r in found) == list(range(16))
    assert len(store.per_user(found)) == 48


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path)
    store.add(record())
    path = store.path("tanp", PLACE)
    before = path.read_bytes()

    def broken(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("metarec.runs.store.os.replace", broken)
    with pytest.raises(OSError, match="disk full"):
        store.add(record(1))
    assert path.read_bytes() == before
    assert not list(path.parent.glob(".tanp.jsonl.[0-9]*")), "nothing half-written is left to fill the disk"


def test_bad_lines_are_named(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.add(record())
    path = store.path("tanp", PLACE)
    good = path.read_text()
    strange = json.dumps({**json.loads(to_line(record(1))), "colour": 1})
    for broken, message in (
        (good + "{half", r"tanp.jsonl, line 2 is not JSON"),
        (good + strange, r"line 2 has the unknown key 'colour'"),
        (good + json.dumps({"paper": "tanp"}), r"line 2 lacks a key"),
        (good + "3", r"line 2 has the unknown key"),
    ):
        path.write_text(broken)
        with pytest.raises(RecordError, match=message):
            store.read("tanp", PLACE)


def test_names_unfit_for_files_are_refused(tmp_path: Path) -> None:
    for name in ("../escape", "Table 4", "", "a/b/c"):
        with pytest.raises(RecordError, match="cannot name a results file"):
            Store(tmp_path).read("tanp", name)


def test_what_was_never_run_is_empty_and_has_no_users(tmp_path: Path) -> None:
    assert Store(tmp_path).read("tanp", PLACE) == []
    with pytest.raises(RecordError, match=r"tanp\.parquet is missing"):
        Store(tmp_path).per_user([record()])


def test_the_key_depends_on_what_was_run_only() -> None:
    asked = record(git_commit="x", wall_seconds=3.0, metrics={}, label="row")
    assert asked.key == record().key
    for other in ({"config": "x"}, {"seed": 1}, {"versions": {"trainer": 2}}, {"tag": "tanp.table4"}):
        assert record(**other).key != record().key
    assert digest({"a": 1, "b": (1, 2)}) == digest({"b": [1, 2], "a": 1})


def test_the_digest_of_a_set_does_not_hang_on_its_order() -> None:
    words = [f"word {n}" for n in range(20)]
    assert digest({"x": set(words)}) == digest({"x": sorted(words)})


def run(**given: Any) -> Run:
    place = Protocol("sound", "synthetic", "cold-start", rule_options=given.pop("rule", {}))
    return Run("pnmta", "pnmta", place, given.pop("options", {}), **given)


def test_one_configuration_has_one_digest_however_it_is_said() -> None:
    said = run(options={"d": 32, "hidden": [64, 64]}, rule={"order": "time"})
    assert said.config == run().config, "what stands at its default may be said or left alone"
    assert run(label="a", table="t", varied={"d": 32}, seed=3).config == run().config
    for other in ({"options": {"d": 16}}, {"rule": {"order": "shuffle"}}, {"profile": "quick"}):
        assert run(**other).config != run().config


def test_a_table_reads_its_own_duplicate_first_then_the_shared_record(tmp_path: Path) -> None:
    store = Store(tmp_path)
    shared = record(0, 0.1, paper="pnmta", dataset="synthetic", method="pnmta", config=run().config)
    store.add_all([shared, replace(shared, metrics={"P@5": 0.2}, tag="pnmta.table3")])
    for table, value in (("pnmta.table3", 0.2), ("pnmta.table2", 0.1), ("", 0.1)):
        (found,) = find([run(table=table, label="row", varied={"d": 1})], store)
        assert found is not None and found.metrics["P@5"] == value
        assert (found.label, found.varied) == ("row", {"d": 1})
    assert find([run(seed=1)], store) == [None]
