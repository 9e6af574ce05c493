"""The store: whole records or none, replaced by key, refused when they do not follow the schema."""

from __future__ import annotations

import json
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from metarec.errors import RecordError
from metarec.runs.records import Record, Store, digest, parse


def record(seed: int = 0, value: float = 0.5) -> Record:
    return Record(
        paper="tanp",
        experiment="table4",
        track="sound",
        dataset="planted",
        method="TaNP",
        options={"k": 10},
        seed=seed,
        metrics={"P@5": value},
        config_hash="c0ffee",
    )


def test_a_record_comes_back_as_it_went(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.add(record(), {"P@5": np.array([0.25, 0.75])})
    assert store.read("tanp", "table4") == [record()]
    users = store.per_user("tanp", "table4", [record().key])
    assert users["P@5"].tolist() == [0.25, 0.75]
    assert users["task"].tolist() == [0, 1]


def test_the_named_keys_stand_in_every_line(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.add(record())
    line = json.loads((tmp_path / "tanp" / "table4.jsonl").read_text())
    assert {"paper", "experiment", "track", "dataset", "method", "options", "seed", "metrics"} <= set(line)


def test_a_dropped_record_takes_what_belongs_to_it(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.drop("tanp", "table4", [record().key])
    for seed in (0, 1):
        store.add(record(seed), {"P@5": np.array([0.1, seed])})
    store.drop("tanp", "table4", [record(0).key, "nobody's"])
    assert store.read("tanp", "table4") == [record(1)]
    assert store.per_user("tanp", "table4")["key"].unique().tolist() == [record(1).key]
    store.drop("tanp", "table4", [record(1).key])
    assert store.read("tanp", "table4") == [] and store.per_user("tanp", "table4").empty
    store.add(record(2), {"P@5": np.array([0.3])})
    assert store.per_user("tanp", "table4")["P@5"].tolist() == pytest.approx([0.3])


def test_the_same_key_replaces_and_another_seed_adds(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.add(record(0, 0.1), {"P@5": np.array([0.1])})
    store.add(record(1, 0.2), {"P@5": np.array([0.2])})
    store.add(record(0, 0.3), {"P@5": np.array([0.3])})
    assert sorted((r.seed, r.metrics["P@5"]) for r in store.read("tanp", "table4")) == [(0, 0.3), (1, 0.2)]
    assert len(store.per_user("tanp", "table4")) == 2
    store.add(record(1, 0.4))
    assert store.per_user("tanp", "table4", [record(1).key]).empty, "users of the record that is gone"


def test_records_of_two_experiments_are_not_put_in_one_file(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="2 experiments"):
        Store(tmp_path).add_all([record(), replace(record(), experiment="fig5")])


def _add(where: tuple[str, int]) -> None:
    root, seed = where
    Store(Path(root)).add(record(seed), {"P@5": np.full(3, seed)})


def test_processes_writing_at_once_lose_nothing(tmp_path: Path) -> None:
    with ProcessPoolExecutor(4) as pool:
        list(pool.map(_add, [(str(tmp_path), seed) for seed in range(16)]))
    store = Store(tmp_path)
    assert sorted(r.seed for r in store.read("tanp", "table4")) == list(range(16))
    assert len(store.per_user("tanp", "table4")) == 48


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path)
    store.add(record())
    before = (tmp_path / "tanp" / "table4.jsonl").read_bytes()

    def broken(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("metarec.runs.records.os.replace", broken)
    with pytest.raises(OSError, match="disk full"):
        store.add(record(1))
    assert (tmp_path / "tanp" / "table4.jsonl").read_bytes() == before


def test_bad_lines_are_named(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.add(record())
    path = tmp_path / "tanp" / "table4.jsonl"
    good = path.read_text()
    for broken, message in (
        (good + "{half", r"table4.jsonl, line 2 is not JSON"),
        (good + json.dumps({**asdict(record(1)), "colour": 1}), r"line 2 has the unknown key 'colour'"),
        (good + json.dumps({"paper": "tanp"}), r"line 2 lacks a key"),
        (good + "3", r"line 2 has the unknown key"),
    ):
        path.write_text(broken)
        with pytest.raises(RecordError, match=message):
            store.read("tanp", "table4")


def test_names_unfit_for_files_are_refused(tmp_path: Path) -> None:
    for name in ("../escape", "Table 4", ""):
        with pytest.raises(RecordError, match="cannot name a results file"):
            Store(tmp_path).read("tanp", name)


def test_an_experiment_never_run_is_empty_and_has_no_users(tmp_path: Path) -> None:
    assert Store(tmp_path).read("tanp", "table9") == []
    with pytest.raises(RecordError, match=r"metarec run tanp\.table9"):
        Store(tmp_path).per_user("tanp", "table9")


def test_the_key_depends_on_what_was_asked_for_only() -> None:
    assert replace(record(), git_commit="x", wall_seconds=3.0, metrics={}).key == record().key
    assert replace(record(), config_hash="x").key != record().key
    assert digest({"a": 1, "b": (1, 2)}) == digest({"b": [1, 2], "a": 1})


def test_undefined_metrics_survive_the_round_trip() -> None:
    line = json.dumps(asdict(record(0, float("nan"))))
    assert np.isnan(parse(line, "here").metrics["P@5"])


def test_the_digest_of_a_set_does_not_hang_on_its_order() -> None:
    words = [f"word {n}" for n in range(20)]
    assert digest({"x": set(words)}) == digest({"x": sorted(words)})
