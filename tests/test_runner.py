"""The runner and `metarec run`: packing, resuming, processes, a Dask cluster, a killed run, good errors."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import joblib
import pytest
import torch

from metarec.cli import main
from metarec.errors import DataError, MetarecError, ProtocolError, RecordError
from metarec.methods import METHODS, tanp
from metarec.papers import spec, specs
from metarec.papers.pnmta import tables as pnmta
from metarec.papers.tanp.tables import LASTFM, TABLE4
from metarec.runs import checks, execute, runner, versions
from metarec.runs import group as stacked
from metarec.runs import score as scoring
from metarec.runs.backends import spread
from metarec.runs.checks import check_data, check_workers
from metarec.runs.execute import Only, obtain
from metarec.runs.measured import Request
from metarec.runs.plan import Row, TableSpec
from metarec.runs.protocol import Protocol, Run
from metarec.runs.records import Record
from metarec.runs.runner import missing, pack, run_all
from metarec.runs.search import Search
from metarec.runs.store import Store
from metarec.training.selection import Selection
from metarec.training.trainer import train


def small(seed: int, label: str = "TaNP", track: str = "sound", **options: Any) -> Run:
    place = LASTFM.protocol(track, "quick", n_support=10)
    given = {"epochs": 2, "context_min": 5, **options}
    return Run("tanp", "tanp", place, given, seed, "quick", label)


def request(profile: str, tracks: tuple[str, ...], seeds: int, root: Path) -> Request:
    return Request(profile, tracks, seeds, Store(root))


def read(root: Path) -> list[Record]:
    """Every record under a folder, of whatever place."""
    store = Store(root)
    lies = [path.relative_to(root).with_suffix("") for path in sorted(root.rglob("*.jsonl"))]
    return [r for path in lies for r in store.read(path.parts[0], "/".join(path.parts[1:]))]


def values(records: list[Record]) -> list[dict[str, float]]:
    return [r.metrics for r in records]


def test_seeds_and_free_settings_are_packed_together_and_shapes_apart() -> None:
    runs = [small(s) for s in range(5)]
    runs += [small(s, cluster_weight=0.5) for s in range(2)] + [small(0, clusters=3)]
    assert [len(group) for group in pack(runs, 4)] == [4, 3, 1]
    floors = [Run("tanp", "popularity", runs[0].protocol, {}, s, "quick", "Popularity") for s in (0, 1)]
    assert [len(group) for group in pack(floors, 4)] == [1, 1]


def test_a_run_alone_and_in_a_group_record_the_same_numbers(tmp_path: Path) -> None:
    """Training errors agree to what single precision keeps; ranks may turn where two scores tie."""
    runs = [small(s, variant="none", epochs=5, lr=1e-2) for s in (0, 1)]
    together = run_all(runs, Store(tmp_path / "a"), device="cpu", quiet=True)
    apart = run_all(runs, Store(tmp_path / "b"), device="cpu", max_replicas=1, quiet=True)
    assert [r.replicas for r in together] == [2, 2] and [r.replicas for r in apart] == [1, 1]
    for ours, theirs in zip(together, apart, strict=True):
        assert ours.terms["reconstruction"] == pytest.approx(theirs.terms["reconstruction"], rel=1e-4)
        assert ours.split_id == theirs.split_id and ours.best_epoch == theirs.best_epoch


def test_what_is_recorded_is_not_trained_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path)
    first = run_all([small(0)], store, quiet=True)
    monkeypatch.setattr(runner, "run_group", lambda *_: pytest.fail("trained again"))
    assert run_all([small(0)], store, quiet=True) == first


def test_a_record_says_where_it_comes_from(tmp_path: Path) -> None:
    (r,) = run_all([small(3)], Store(tmp_path), quiet=True)
    assert r.seed == 3 and r.epochs == 2 and r.selection == "best validation std:NDCG@10"
    assert r.versions == small(3).versions and r.versions["method tanp"] == 1
    assert r.libraries["torch"] and r.instruction_set and r.threads > 0
    assert r.options["clusters"] == 10, "every option is said, those at their default too"
    assert len(r.data_sha256) == 64 and len(r.split_id) == 16 and r.config == small(3).config
    assert r.counts["test tasks"] > 0 and r.wall_seconds > 0 and r.peak_memory_mb > 0
    assert set(r.terms) == {"reconstruction", "kl", "cluster"}
    users = Store(tmp_path).per_user([r])
    assert len(users) == r.counts["test tasks"]
    assert users["P@5"].mean() == pytest.approx(r.metrics["P@5"], abs=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["loky", "dask"])
def test_two_workers_record_what_one_process_does(tmp_path: Path, backend: str) -> None:
    if backend == "dask":
        pytest.importorskip("distributed")
    runs = [small(0), small(0, "other", clusters=4)]
    many = run_all(runs, Store(tmp_path / "many"), jobs=2, backend=backend, device="cpu", quiet=True)
    alone = run_all(runs, Store(tmp_path / "one"), device="cpu", quiet=True)
    for ours, theirs in zip(many, alone, strict=True):
        assert ours.metrics == theirs.metrics and ours.terms == theirs.terms


@pytest.mark.slow
def test_a_killed_run_is_resumed_and_recorded_whole(tmp_path: Path) -> None:
    root = Path(__file__).parents[1]
    results = tmp_path / "results"
    command = [sys.executable, "-m", "metarec", "run", "tanp.table4", "--profile", "quick", "--seeds", "1"]
    command += ["--track", "sound", "--results", str(results), "--quiet"]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "METAREC_RESULTS": str(results)}
    process = subprocess.Popen(command, cwd=root, env=env)
    deadline = time.monotonic() + 120
    while len(read(results)) < 3 and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = {r.key: r for r in read(results)}
    assert len(before) >= 3, "every line that is there is whole"
    assert main(command[3:]) == 0
    after = {r.key: r for r in read(results)}
    assert len(after) == len(TABLE4.runs(request("quick", ("sound",), 1, results)))
    assert all(after[key] == r for key, r in before.items()), "what was done is kept as it was"
    assert not list(results.glob("**/.*.[0-9]*"))[1:], "no more than one orphan of the killed write"


@pytest.mark.slow
def test_seeds_whose_splits_ask_for_other_steps_are_trained_apart_and_recorded_as_alone(
    tmp_path: Path,
) -> None:
    runs = [
        run
        for run in pnmta.STREAMS.runs(request("quick", ("published",), 3, tmp_path))
        if run.label == "Shuffled interactions"
    ]
    groups = stacked.alike(runs, stacked.Tables())
    assert sorted(run.seed for group in groups for run in group) == [0, 1, 2] and len(groups) > 1
    together = run_all(runs, Store(tmp_path / "many"), device="cpu", quiet=True)
    alone = run_all(runs, Store(tmp_path / "one"), device="cpu", quiet=True, max_replicas=1)
    assert {r.replicas for r in together} == {len(group) for group in groups}
    for ours, theirs in zip(values(together), values(alone), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-4)


def test_a_checkpoint_outlives_a_failure_to_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: Any) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(Store, "add_all", full)
    (tmp_path / "kept.safetensors").touch()
    monkeypatch.setattr(runner, "_checkpoint", lambda *_: tmp_path / "kept.safetensors")
    monkeypatch.setattr(runner, "run_group", lambda *_: [])
    failed = runner._work([small(0)], tmp_path, torch.device("cpu"), tmp_path)[1]
    assert "no space left" in failed[0] and (tmp_path / "kept.safetensors").exists()
    assert "Traceback" in capsys.readouterr().err


def test_the_stop_of_a_scheduler_does_as_ctrl_c_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stacked, "train", lambda *_, **__: signal.raise_signal(signal.SIGTERM))
    before = signal.getsignal(signal.SIGTERM)
    assert (
        main(["run", "tanp.table4", "--profile", "quick", "--results", str(tmp_path), "--device", "cpu"])
        == 130
    )
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_newer_version_never_finishes_what_an_older_one_began(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = []

    def interrupted(*_: Any, checkpoint: Path, **__: Any) -> None:
        begun.append(checkpoint)
        raise KeyboardInterrupt

    monkeypatch.setattr(stacked, "train", interrupted)
    for moved in ({}, {}, {"trainer": 2}):
        monkeypatch.setattr(versions, "MOVED", moved)
        with pytest.raises(KeyboardInterrupt):
            runner._work([small(0)], tmp_path, torch.device("cpu"), tmp_path)
    assert begun[0] == begun[1] != begun[2]


def test_shuffled_query_labels_change_no_prediction_of_any_experiment(tmp_path: Path) -> None:
    """Every method of the table gets the same scores when the labels of test queries are permuted."""
    from metarec.data import Schema
    from metarec.runs.group import _build
    from metarec.tasks import EpisodeTensors

    runs = TABLE4.runs(request("quick", ("sound",), 1, tmp_path))
    ratings = runs[0].protocol.ratings()
    splits = runs[0].protocol.splits(ratings, 0)
    batch = EpisodeTensors(splits.test).all()
    for run in runs:
        method = _build(run, Schema.of(ratings), ratings)
        method.fit(splits.train)
        other = batch._replace(
            query_labels=batch.query_labels[:, torch.randperm(batch.query_labels.shape[1])]
        )
        assert torch.equal(
            method.predict(batch.support, batch.query), method.predict(other.support, other.query)
        ), run.label


ASSIGNMENTS = spec("tanp.clusters")


def test_obtain_in_its_three_profiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METAREC_RESULTS", str(tmp_path))
    with pytest.raises(RecordError, match=r"run `metarec run tanp.clusters` first"):
        obtain(ASSIGNMENTS)
    with pytest.raises(ProtocolError, match="profile 'fast' is unknown"):
        obtain(ASSIGNMENTS, profile="fast")
    with pytest.raises(ProtocolError, match="has no sound track"):
        obtain(ASSIGNMENTS, profile="quick", track="sound")
    for given, message in (
        ({"track": "sound"}, "has no sound track; it has published"),
        ({"track": "publishd"}, "track 'publishd' is unknown"),
        ({"seeds": 0}, "seeds is 0"),
    ):
        with pytest.raises(ProtocolError, match=message):
            obtain(ASSIGNMENTS, **given)  # type: ignore[arg-type]
    first = ASSIGNMENTS.runs(request("full", ("published",), 1, tmp_path))[0]
    made = Record("tanp", "published", "lastfm-tanp", "tanp", {}, 0, {}, config=first.config)
    Store(tmp_path).add(made)
    records, _ = obtain(ASSIGNMENTS, track="published")
    assert [r.label for r in records] == [first.label]


def test_the_folder_of_a_quick_run_goes_with_its_store(monkeypatch: pytest.MonkeyPatch) -> None:
    floors = replace(TABLE4, rows=tuple(row for row in TABLE4.rows if row.model and row.floor))
    records, store = obtain(floors, profile="quick")
    folder = store.root
    assert records and folder.exists()
    del store
    assert not folder.exists()


def test_specs_are_well_named_and_every_cell_is_asked_for_once(tmp_path: Path) -> None:
    for name, one in specs().items():
        assert name == one.name and one.title and one.tracks
        if isinstance(one, TableSpec):
            runs = one.runs(request("quick", one.tracks, 2, tmp_path))
            assert len({(r.config, r.seed) for r in runs}) == len(runs) > 0
            labels = [row.label for row in one.rows]
            assert len(set(labels)) == len(labels)
    with pytest.raises(ProtocolError, match=r"'tanp\.table44' is unknown; did you mean tanp\.table4"):
        spec("tanp.table44")
    for given, message in (({"seeds": 0}, "at least one"), ({"profile": "recorded"}, "cannot be run")):
        with pytest.raises(ProtocolError, match=message):
            execute.execute(TABLE4, store=Store(tmp_path), **given)  # type: ignore[arg-type]


def test_a_search_comes_first_only_where_its_outcome_is_used(tmp_path: Path) -> None:
    for name in ("tanp.table3", "tanp.table4", "tanp.fig5", "pnmta.table3"):
        one = spec(name)
        assert isinstance(one, TableSpec)
        assert one.search_runs(request("full", ("published",), 5, tmp_path)) == []
        assert one.search_runs(request("full", ("sound",), 5, tmp_path)) != []
        assert one.search_runs(request("quick", ("sound",), 5, tmp_path)) == []
    tuned = pnmta.TABLE2.search_runs(request("full", ("published",), 5, tmp_path))
    assert {run.label for run in tuned} == {
        row.label for row in pnmta.TABLE2.rows if "published" in row.tuned and row.search
    }
    assert pnmta.PNMTA not in {run.label for run in tuned}


TRIED = Search({"lr": (0.1, 0.4)}, {"lr": 0.2}, (2, 6), maximise=False, n=6, finalists=2)
TRIAL = TableSpec(
    "pnmta.trial",
    "A trial",
    (pnmta.MOVIELENS,),
    (
        Row("M", "melu", {"epochs": 1}, search=TRIED, tuned=("published", "sound")),
        Row("M, its search", "melu", {"epochs": 2}, searched_as="M"),
    ),
)


def answer(run: Run, valid: float, last: float | None = None, test: float = 0.0) -> Record:
    """A record of a search run as if it had been trained: its score at the kept and at the last epoch."""
    place = run.protocol
    made = Record(
        run.paper, place.track, place.dataset, run.model, {}, run.seed, {"MAE": test}, config=run.config
    )
    curve = {"valid": {place.selection.metric: [valid] * 3 + [valid if last is None else last]}}
    return replace(made, extra={"valid": valid, "curve": curve})


def searched(one: TableSpec, store: Store, valid: Callable[[Run], float], **more: Any) -> list[Run]:
    """Both rounds of the searches of a table, answered by `valid`; the runs of all."""
    asked = Request("full", ("published", "sound"), 1, store)
    for _ in range(2):  # the second round follows from the first
        store.add_all(answer(run, valid(run), **more) for run in one.search_runs(asked))
    return one.search_runs(asked)


def test_a_search_tries_every_point_shortly_and_the_best_in_full(tmp_path: Path) -> None:
    store = Store(tmp_path)
    asked = Request("full", ("sound",), 1, store)
    first = TRIAL.search_runs(asked)
    assert [run.options["lr"] for run in first] == [p["lr"] for p in TRIED.points]
    assert {(run.seed, run.options["epochs"]) for run in first} == {(0, 2)}
    store.add_all(answer(run, run.options["lr"]) for run in first)
    finals = TRIAL.search_runs(asked)[len(first) :]
    least = sorted(p["lr"] for p in TRIED.points)[:2]
    assert {(r.options["lr"], r.seed, r.options["epochs"]) for r in finals} == {
        (lr, seed, 6) for lr in least for seed in (0, 1)
    }
    assert {r.protocol.rule_options["searching"] for r in (*first, *finals)} == {True}


def test_choice_by_validation_ignores_the_test_scores(tmp_path: Path) -> None:
    block, (row, heir) = TRIAL.blocks[0], TRIAL.rows
    least, next_least = sorted(p["lr"] for p in TRIED.points)[:2]
    store = Store(tmp_path / "told")
    searched(TRIAL, store, lambda run: run.options["lr"], test=-1.0)
    assert TRIAL.chosen(block, row, store) == TRIAL.chosen(block, heir, store) == {"lr": least}
    lost = Store(tmp_path / "one lost")
    searched(TRIAL, lost, lambda r: float("nan") if r.options["lr"] == least and r.seed else r.options["lr"])
    assert TRIAL.chosen(block, row, lost) == {"lr": next_least}, "one that diverged loses"
    with pytest.raises(RecordError, match=r"no search record for 'M' at .*'lr': 0.2"):
        TRIAL.chosen(block, heir, Store(tmp_path / "empty"))
    every = Store(tmp_path / "all lost")
    searched(TRIAL, every, lambda run: float("nan"))
    with pytest.raises(RecordError, match=r"every setting tried for 'M' diverged; .* lr"):
        TRIAL.chosen(block, row, every)


def test_each_track_chooses_by_the_epoch_that_it_reports(tmp_path: Path) -> None:
    """Of two finalists one has the better best epoch, the other the better last."""
    block, row = TRIAL.blocks[0], TRIAL.rows[0]
    store, least = Store(tmp_path), sorted(p["lr"] for p in TRIED.points)[:2]
    asked = Request("full", ("published", "sound"), 1, store)
    for _ in range(2):
        for run in TRIAL.search_runs(asked):
            lr = run.options["lr"]
            store.add(answer(run, lr, last=9.0 if lr == least[0] else lr))
    assert TRIAL.chosen(block, row, store, "sound") == {"lr": least[0]}
    assert TRIAL.chosen(block, row, store, "published") == {"lr": least[1]}


def test_a_row_of_pnmtas_table_3_trains_at_the_step_size_found_for_it(tmp_path: Path) -> None:
    store = Store(tmp_path)
    best = dict(zip(("film", "attention", "none"), pnmta.SEARCH.points[1:], strict=False))

    def valid(run: Run) -> float:
        return abs(run.options["inner_lr"] - best[run.options["predictor_modulator"]]["inner_lr"])

    searched(pnmta.TABLE3, store, valid)
    runs = pnmta.TABLE3.runs(Request("full", ("published", "sound"), 1, store))
    assert len(runs) == 2 * 2 * 24
    for run in runs:
        found = best[run.options["predictor_modulator"]]["inner_lr"]
        assert run.options["inner_lr"] == (found if run.protocol.track == "sound" else 0.01)


def test_a_block_shows_the_settings_before_until_half_of_its_rows_are_run_anew(tmp_path: Path) -> None:
    """No row of settings of now stands beside one of those before: their users may be others."""
    store = Store(tmp_path)
    more = (Row("N", "melu", {"epochs": 3}), Row("O", "melu", {"epochs": 4}))
    trial = replace(TRIAL, rows=(*TRIAL.rows, *more))
    searched(trial, store, lambda run: run.options["lr"])
    asked = Request("full", ("sound",), 2, store)
    runs = trial.runs(asked)

    def made(run: Run, config: str, stood: bool) -> Record:
        cell = [[run.table, run.label, {}]] if stood else []
        return Record(
            run.paper, "sound", run.protocol.dataset, run.model, {}, run.seed, {}, config=config, stood=cell
        )

    def shown() -> list[Record]:
        return trial.records(asked)

    store.add_all(made(run, f"before {run.label}", True) for run in runs)
    store.add_all(made(run, run.config, False) for run in runs[:3])  # one row of four, and a seed of another
    assert [r.config for r in shown()] == [f"before {run.label}" for run in runs]
    assert all(versions.older(r.versions) == ["settings 0, now 1"] for r in shown())
    assert [r.key for r in shown()] == [r.key for r in store.read("pnmta", "ml-1m/melu") if r.stood]
    store.add(made(runs[3], runs[3].config, False))
    assert [r.config for r in shown()] == [run.config for run in runs[:4]]
    assert not any(versions.older(r.versions) for r in shown())


def test_only_the_searches_behind_what_is_asked_for_are_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Run] = []
    monkeypatch.setattr(execute, "_train", lambda runs, *_: (asked.extend(runs), ([], len(runs)))[1])

    def searched(**only: str) -> set[tuple[str, str]]:
        asked.clear()
        with suppress(RecordError):  # nothing is trained here, so that no search has an outcome
            execute.execute(
                pnmta.TABLE2, track="sound", store=Store(tmp_path), device="cpu", only=Only(**only)
            )
        return {(run.label, run.protocol.dataset) for run in asked}

    assert searched(cell=pnmta.FULL, dataset="ml-1m") == {(pnmta.FULL, "ml-1m")}
    assert searched(method=pnmta.PNMTA) == {(pnmta.PNMTA, "ml-1m"), (pnmta.PNMTA, "book-crossing")}
    with pytest.raises(ProtocolError, match="has no method 'PNTMA'"):
        searched(method="PNTMA")
    assert not asked, "a wrong name is found before anything is trained"


def test_one_configuration_is_one_run_whoever_asks(tmp_path: Path) -> None:
    """PNMTA's default stands in Tables 2 and 3 and in Figures 4, 5 and 7, and is trained once."""
    store = Store(tmp_path)
    for one in (pnmta.TABLE2, pnmta.TABLE3):
        searched(one, store, lambda r: float(r.options != {**r.options, **pnmta.SEARCH.points[0]}))
    asked = Request("full", ("sound",), 1, store)

    def default(one: TableSpec, label: str, **at: Any) -> set[str]:
        return {r.config for r in one.runs(asked) if r.label == label and dict(r.varied) == at}

    shared = default(pnmta.TABLE2, pnmta.PNMTA)
    assert len(shared) == 2, "one on each data set"
    assert default(pnmta.TABLE3, pnmta.cell("C", "film")) == shared
    assert default(pnmta.FIG4, pnmta.PNMTA, max_support=90) == shared
    assert default(pnmta.FIG5, pnmta.PNMTA, train_share=1.0) == shared
    assert default(pnmta.FIG6, pnmta.PNMTA, d=32) == shared
    assert default(pnmta.FIG6, pnmta.PNMTA, d=16) & shared == set()


def test_part_of_a_table_can_be_asked_for(tmp_path: Path) -> None:
    runs = pnmta.FIG6.runs(request("quick", ("sound",), 2, tmp_path))
    (one, other) = Only(method=pnmta.PNMTA, cell="PNMTA d=8").keep(runs, pnmta.FIG6)
    assert {one.seed, other.seed} == {0, 1} and one.options["d"] == 8 and one.label == pnmta.PNMTA
    assert len(Only(dataset="synthetic").keep(runs, pnmta.FIG6)) == len(runs)
    assert {r.model for r in Only(method="pnmta").keep(runs, pnmta.FIG6)} == {"pnmta"}
    cells = pnmta.TABLE3.runs(request("quick", ("published",), 1, tmp_path))
    (cell,) = Only(cell="PNMTA-C-FiLM").keep(cells, pnmta.TABLE3)
    assert cell.label == pnmta.cell("C", "film")
    with pytest.raises(ProtocolError, match=r"pnmta\.fig6 has no data set 'ml-2m' here; choose from syn"):
        Only(dataset="ml-2m").keep(runs, pnmta.FIG6)


def test_protocols_refuse_unknown_settings() -> None:
    given = {"track": "sound", "dataset": "synthetic", "rule": "tanp"}
    with pytest.raises(ProtocolError, match="no key 'metric_set'"):
        Protocol.from_dict({**given, "metric_set": "x"})
    with pytest.raises(ProtocolError, match="track 'loud'"):
        Protocol.from_dict({**given, "track": "loud"})
    with pytest.raises(ProtocolError, match="rule 'tnap'"):
        Protocol.from_dict({**given, "rule": "tnap"})
    with pytest.raises(ProtocolError, match="no option 'n_suport'"):
        Protocol.from_dict({**given, "rule_options": {"n_suport": 3}})
    with pytest.raises(ProtocolError, match="selection of a protocol has no key 'rul'; it has rule, metric"):
        Protocol.from_dict({**given, "selection": {"rul": "valid"}})
    with pytest.raises(ProtocolError, match="metric set 'tanp-relesed' is unknown; choose from tanp"):
        Protocol.from_dict({**given, "metric_sets": {"": "tanp-relesed"}})
    with pytest.raises(ProtocolError, match="user_order 'shiped' is unknown; use 'ascending' or 'shipped'"):
        Protocol.from_dict({**given, "user_order": "shiped"})
    valid = {"selection": {"rule": "valid", "metric": "std:P@5"}}
    with pytest.raises(ProtocolError, match=r"nothing called 'std:P@5' is scored to select by; use P@5, "):
        Protocol.from_dict({**given, **valid, "metric_sets": {"": "tanp-released"}})
    made = Protocol.from_dict({**given, **valid, "metric_sets": {"std:": "ranking-standard"}})
    assert made.selection == Selection("valid", "std:P@5")


def test_one_split_for_all_seeds_and_a_split_each_are_not_mixed_up(tmp_path: Path) -> None:
    shared = small(0, epochs=1)
    own = replace(shared, protocol=replace(shared.protocol, split_per_seed=True))
    ratings = shared.protocol.ratings()
    asked = {run.config: run.protocol.splits(ratings, run.seed).split_id for run in (shared, own)}
    assert len(set(asked.values())) == 2
    for order in ((shared, own), (own, shared)):
        found = run_all(order, Store(tmp_path / order[0].config), device="cpu", quiet=True)
        assert {r.config: r.split_id for r in found} == asked


def test_seeds_whose_splits_have_other_users_are_not_stacked() -> None:
    place = replace(LASTFM.protocol("sound", "quick", n_support=10), split_per_seed=True)
    place = replace(place, data_options={"ratings_per_user": (14, 60)})
    runs = [replace(small(seed), protocol=place) for seed in range(3)]
    for group in stacked.alike(runs, stacked.Tables()):
        sizes = {tuple(map(len, place.splits(place.ratings(), run.seed))) for run in group}
        assert len(sizes) == 1
    assert len(stacked.alike(runs, stacked.Tables())) > 1


def test_the_time_before_an_interruption_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def resumed(*args: Any, **given: Any) -> Any:
        return replace(train(*args, **given), seconds=3600.0)

    monkeypatch.setattr(stacked, "train", resumed)
    (record,) = run_all([small(0)], Store(tmp_path), device="cpu", quiet=True)
    assert 3600 < record.wall_seconds < 3700


@pytest.mark.slow
def test_a_cluster_that_is_asked_for_is_used_for_a_single_group_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    used = []

    @contextmanager
    def spread(*asked: Any) -> Iterator[None]:
        used.append(asked)
        with joblib.parallel_config("sequential"):
            yield

    monkeypatch.setattr(runner, "spread", spread)
    runs = [small(0, epochs=1)]
    run_all(runs, Store(tmp_path), device="cpu", backend="dask", scheduler="tcp://there:1", quiet=True)
    assert used == [("dask", 1, "tcp://there:1")]
    run_all(runs, Store(tmp_path), device="cpu", backend="dask", quiet=True)
    assert len(used) == 1, "nothing is left to do, and no cluster to start"


def test_a_cluster_that_does_not_answer_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def client(address: str) -> None:
        raise OSError("timed out")

    monkeypatch.setattr("dask.distributed.Client", client)
    with pytest.raises(MetarecError, match=r"no Dask scheduler answers at 'tcp://there:1' \(timed out\)"):
        with spread("dask", 2, "tcp://there:1"):
            pass
    with pytest.raises(ProtocolError, match="--scheduler is for --backend dask, not loky"):
        check_workers(scheduler="tcp://there:1")


def test_records_of_one_data_set_do_not_mix_with_those_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "PLANTED", ())
    monkeypatch.setattr(checks.catalog, "folder", lambda *place, **more: None)
    store = Store(tmp_path)
    (record,) = run_all([small(0, epochs=1)], store, device="cpu", quiet=True)
    check_data([small(1, epochs=1)], store, redo=False)
    store.add(replace(record, data_sha256="ab" * 32))
    with pytest.raises(DataError, match=r"are not those behind the records in .* \(abababababab\)"):
        check_data([small(1, epochs=1)], store, redo=False)
    check_data([small(0, epochs=1)], store, redo=False)  # nothing is to be done


@pytest.mark.parametrize(("dataset", "rule"), [("ml-1m", "tanp"), ("lastfm-tanp", "cold-start")])
def test_a_shipped_order_of_users_is_never_invented(dataset: str, rule: str) -> None:
    """Without a list there was no order to follow, and ascending ids would give another split."""
    with pytest.raises(ProtocolError, match=f"shipped for '{dataset}' under the rule '{rule}'.*'ascending'"):
        Protocol("published", dataset, rule, user_order="shipped")
    assert Protocol("published", "lastfm-tanp", "tanp", user_order="shipped").user_order == "shipped"


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run"]) == 0
    assert "tanp.table4" in capsys.readouterr().out
    assert main(["run", "tanp.tabel4"]) == 2
    assert "experiment 'tanp.tabel4' is unknown" in capsys.readouterr().err
    assert main(["show", "tanp.table4", "--results", str(tmp_path)]) == 2
    assert "no records of tanp.table4" in capsys.readouterr().err
    for label in (TABLE4.rows[0].label, TABLE4.rows[-1].label):
        (first, *_) = [
            r for r in TABLE4.runs(request("full", ("published",), 1, tmp_path)) if r.label == label
        ]
        for seed in (0, 1):
            made = Record("tanp", "published", "lastfm-tanp", first.model, {}, seed, {"P@5": 0.1 * seed})
            Store(tmp_path).add(replace(made, config=first.config))
    assert main(["show", "tanp.table4", "--results", str(tmp_path), "--metrics", "P@5"]) == 0
    assert "0.0000" in capsys.readouterr().out
    for words, said in (
        (["tanp"], "experiment 'tanp' is unknown; "),
        (["tanp.tabel4"], "experiment 'tanp.tabel4' is unknown"),
        (["tanp.clusters", "--track", "sound"], "tanp.clusters has no sound track; it has published."),
        (["tanp.table4", "--metrics", "P@5,NO"], "metric 'NO' is not recorded here; choose from P@5."),
    ):
        assert main(["show", *words, "--results", str(tmp_path)]) == 2
        assert capsys.readouterr().err.startswith(said)
    assert main(["cite", "tanp"]) == 0
    assert "@inproceedings{lin2021tanp" in capsys.readouterr().out
    assert main(["cite", "nobody"]) == 2


def test_the_command_line_answers_before_it_needs_torch() -> None:
    asked = "import sys, metarec.cli; metarec.cli.build_parser(); print('torch' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"


def test_a_results_folder_that_cannot_be_written_is_found_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(stacked, "train", lambda *_, **__: pytest.fail("trained"))
    (tmp_path / "file").write_text("in the way")
    words = ["run", "tanp.table4", "--profile", "quick", "--device", "cpu", "--results"]
    assert main([*words, str(tmp_path / "file")]) == 2
    said = capsys.readouterr().err
    assert "cannot be written under" in said and "--results" in said and said.count("\n") == 1

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checks.os, "fsync", full)
    assert main([*words, str(tmp_path / "full")]) == 2
    assert "No space left on device" in capsys.readouterr().err
    assert not list((tmp_path / "full").iterdir()), "the probe is gone"


def test_run_says_what_it_trained_and_what_was_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["run", "tanp.table4", "--profile", "quick", "--seeds", "1", "--track", "sound", "--quiet"]
    words += ["--method", "popularity", "--results", str(tmp_path)]
    for said in ("1 trained, 0 already recorded", "0 trained, 1 already recorded"):
        assert main(words) == 0
        assert said in capsys.readouterr().out
    shown = ["show", "tanp.table4", "--results", str(tmp_path)]
    assert main([*shown, "--profile", "quick"]) == 0
    assert "Popularity" in capsys.readouterr().out
    assert main(shown) == 2
    assert "no records of tanp.table4 in the full profile" in capsys.readouterr().err


def test_an_unknown_data_set_is_one_sentence() -> None:
    with pytest.raises(MetarecError, match="'lastfm-tamp' is unknown: did you mean"):
        Protocol.from_dict({"track": "sound", "dataset": "lastfm-tamp", "rule": "tanp"}).ratings()


def test_a_group_that_fails_loses_no_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = Store(tmp_path)
    with pytest.raises(
        MetarecError, match=r"1 of 2 groups of runs failed and the others are recorded; first: .*clustres"
    ):
        run_all([small(0, "broken", clustres=3), small(0)], store, quiet=True)
    assert [r.config for r in read(tmp_path)] == [small(0).config]
    assert "Traceback" not in capsys.readouterr().err, "a wrong option is no fault of the program"


@pytest.mark.parametrize(("score", "diverged"), [(2.0**23, False), (2.0**25, True), (float("nan"), True)])
def test_a_seed_that_sends_one_score_out_of_reach_of_floats_has_diverged(
    score: float, diverged: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predict = scoring.predict

    def far(*args: Any, **options: Any) -> torch.Tensor:
        scores = predict(*args, **options).clone()
        scores[0, 0, 0] = score
        return scores

    monkeypatch.setattr(scoring, "predict", far)
    (record,) = run_all([small(0)], Store(tmp_path), device="cpu", quiet=True)
    assert all(math.isnan(value) is diverged for value in record.metrics.values())


def test_a_reworded_and_moved_module_makes_nothing_older(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Versions are numbers that people set: no source is read, and another source moves none of them."""
    store, run = Store(tmp_path), small(0)
    (record,) = run_all([run], store, device="cpu", quiet=True)
    words = Path(tanp.__file__).read_text(encoding="utf-8")
    moved = ModuleType("metarec.methods.elsewhere")
    monkeypatch.setitem(sys.modules, moved.__name__, moved)
    exec(words.replace("raise ProtocolError(", "raise ProtocolError('Reworded: ' + "), moved.__dict__)
    monkeypatch.setitem(METHODS, "tanp", "elsewhere:TaNP")

    def refused(*_: Any, **__: Any) -> Any:
        raise AssertionError("a file was read to name a version")

    with monkeypatch.context() as closed:
        for name in ("builtins.open", "io.open", "os.open"):
            closed.setattr(name, refused)
        again = replace(run)  # nothing cached
        assert again.versions == record.versions and again.config == record.config
        assert versions.of_run("tanp", "tanp", ("tanp-released",))["method tanp"] == 1
        assert versions.older(record.versions) == []
    assert missing([again], store, redo=True) == []
    monkeypatch.setattr(moved.TaNP, "version", 2)
    assert versions.older(record.versions) == ["method tanp 1, now 2"]
    assert missing([again], store, redo=True) == [again] and missing([again], store) == []


def test_redo_trains_again_only_what_an_older_version_recorded(tmp_path: Path) -> None:
    store = Store(tmp_path)
    (fresh, old) = run_all([small(0), small(1)], store, quiet=True)
    store.add(replace(old, versions={**old.versions, "trainer": 0}, finished="long ago"))
    assert missing([small(0), small(1)], store) == []
    assert run_all([small(0), small(1)], store, quiet=True)[1].finished == "long ago"
    again = run_all([small(0), small(1)], store, quiet=True, redo=True)
    assert again[0] == fresh
    assert again[1].versions == fresh.versions and again[1].finished != "long ago"
    assert len(read(tmp_path)) == 2, "the newer record takes the place of the older"
