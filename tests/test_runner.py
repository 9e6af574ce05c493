"""The runner and `metarec run`: packing, resuming, processes, a Dask cluster, a killed run, good errors."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import joblib
import pytest
import torch

from metarec.cli import main
from metarec.errors import DataError, MetarecError, ProtocolError, RecordError
from metarec.papers.tanp.tables import protocol
from metarec.runs import checks, execute, experiment, names, needs_of, obtain, plan, runner
from metarec.runs import group as stacked
from metarec.runs import origin as provenance
from metarec.runs import score as scoring
from metarec.runs.backends import spread
from metarec.runs.checks import check_data, check_workers
from metarec.runs.origin import code_hash
from metarec.runs.plan import best_on_validation
from metarec.runs.protocol import Protocol, Run
from metarec.runs.records import Record, Store
from metarec.runs.runner import pack, run_all
from metarec.training.selection import Selection
from metarec.training.trainer import train


def small(seed: int, label: str = "TaNP", track: str = "sound", **options: Any) -> Run:
    place = protocol(track, "quick", n_support=10)
    given = {"epochs": 2, "context_min": 5, **options}
    return Run("tanp", "trial", label, "tanp", place, given, seed, "quick")


def values(records: list[Record]) -> list[dict[str, float]]:
    return [r.metrics for r in records]


def test_seeds_and_free_settings_are_packed_together_and_shapes_apart() -> None:
    runs = [small(s) for s in range(5)]
    runs += [small(s, cluster_weight=0.5) for s in range(2)] + [small(0, clusters=3)]
    assert [len(group) for group in pack(runs, 4)] == [4, 3, 1]
    floors = [
        Run("tanp", "trial", "Popularity", "popularity", runs[0].protocol, {}, s, "quick") for s in (0, 1)
    ]
    assert [len(group) for group in pack(floors, 4)] == [1, 1]


def test_a_run_alone_and_in_a_group_record_the_same_numbers(tmp_path: Path) -> None:
    # Sizes at which scores differ by far more than single precision rounds: a tie broken by noise is no test.
    runs = [small(s, variant="none", epochs=5, lr=1e-2) for s in (0, 1)]
    together = run_all(runs, Store(tmp_path / "a"), quiet=True)
    apart = run_all(runs, Store(tmp_path / "b"), max_replicas=1, quiet=True)
    for ours, theirs in zip(values(together), values(apart), strict=True):
        assert ours == pytest.approx(theirs, abs=0.02)


def test_what_is_recorded_is_not_trained_again(tmp_path: Path) -> None:
    store = Store(tmp_path)
    first = run_all([small(0)], store, quiet=True)
    started = time.perf_counter()
    again = run_all([small(0)], store, quiet=True)
    assert time.perf_counter() - started < 0.5
    assert again == first


def test_a_record_says_where_it_comes_from(tmp_path: Path) -> None:
    (r,) = run_all([small(3)], Store(tmp_path), quiet=True)
    assert r.seed == 3 and r.epochs == 2 and r.selection == "best validation std:NDCG@10"
    assert r.code_hash == code_hash("metarec.methods.tanp")
    assert len(r.data_sha256) == 64 and len(r.split_id) == 16 and r.config_hash == small(3).config_hash
    assert r.counts["test tasks"] > 0 and r.wall_seconds > 0 and r.peak_memory_mb > 0
    assert set(r.terms) == {"reconstruction", "kl", "cluster"}
    users = Store(tmp_path).per_user("tanp", "trial", [r.key])
    assert len(users) == r.counts["test tasks"]
    assert users["P@5"].mean() == pytest.approx(r.metrics["P@5"], abs=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["loky", "dask"])
def test_two_workers_record_what_one_process_does(tmp_path: Path, backend: str) -> None:
    if backend == "dask":
        pytest.importorskip("distributed")
    runs = [small(0), small(0, "other", clusters=4)]
    spread = run_all(runs, Store(tmp_path / "many"), jobs=2, backend=backend, device="cpu", quiet=True)
    alone = run_all(runs, Store(tmp_path / "one"), device="cpu", quiet=True)
    for ours, theirs in zip(values(spread), values(alone), strict=True):
        assert ours == pytest.approx(theirs, abs=0.02)


@pytest.mark.slow
def test_a_killed_run_is_resumed_and_recorded_whole(tmp_path: Path) -> None:
    root = Path(__file__).parents[1]
    results = tmp_path / "results"
    command = [sys.executable, "-m", "metarec", "run", "tanp.table4", "--profile", "quick", "--seeds", "1"]
    command += ["--track", "sound", "--results", str(results), "--quiet"]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "METAREC_RESULTS": str(results)}
    process = subprocess.Popen(command, cwd=root, env=env)
    store = Store(results)
    deadline = time.monotonic() + 120
    while len(store.read("tanp", "table4")) < 6 and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = {r.key: r for r in store.read("tanp", "table4")}
    assert len(before) >= 6, "every line that is there is whole"
    assert subprocess.run(command, cwd=root, env=env, capture_output=True).returncode == 0
    after = {r.key: r for r in store.read("tanp", "table4")}
    assert len(after) == len(plan("tanp.table4", "quick", "sound", 1, store))
    assert all(after[key] == r for key, r in before.items()), "what was done is kept as it was"
    assert not list(results.glob("**/.*.[0-9]*"))[1:], "no more than one orphan of the killed write"


def test_seeds_whose_splits_ask_for_other_steps_are_trained_apart_and_recorded_as_alone(
    tmp_path: Path,
) -> None:
    runs = [
        run
        for run in plan("pnmta.streams", "quick", "published", 5, Store(tmp_path))
        if run.label == "Shuffled interactions"
    ]
    groups = stacked.alike(runs)
    assert sorted(run.seed for group in groups for run in group) == [0, 1, 2, 3, 4] and len(groups) > 1
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
    failed = runner._work([small(0)], tmp_path, torch.device("cpu"), tmp_path, None)[1]
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


def test_newer_code_never_finishes_what_older_code_began(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = []

    def interrupted(*_: Any, checkpoint: Path, **__: Any) -> None:
        begun.append(checkpoint)
        raise KeyboardInterrupt

    monkeypatch.setattr(stacked, "train", interrupted)
    for code in ("before", "before", "after"):
        monkeypatch.setattr(provenance, "code_hash", lambda module, code=code: code)
        with pytest.raises(KeyboardInterrupt):
            runner._work([small(0)], tmp_path, torch.device("cpu"), tmp_path, None)
    assert begun[0] == begun[1] != begun[2]


def test_shuffled_query_labels_change_no_prediction_of_any_experiment(tmp_path: Path) -> None:
    """Every method of the table gets the same scores when the labels of test queries are permuted."""
    from metarec.data import Schema
    from metarec.runs.group import _build
    from metarec.tasks import EpisodeTensors

    runs = plan("tanp.table4", "quick", "sound", 1, Store(tmp_path))
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


def test_obtain_in_its_three_profiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METAREC_RESULTS", str(tmp_path))
    with pytest.raises(RecordError, match=r"run `metarec run tanp.clusters` first"):
        obtain("tanp.clusters")
    with pytest.raises(ProtocolError, match="profile 'fast' is unknown"):
        obtain("tanp.clusters", profile="fast")
    with pytest.raises(ProtocolError, match="has no sound track"):
        obtain("tanp.clusters", profile="quick", track="sound")
    for given, message in (
        ({"track": "sound"}, "has no sound track; it has published"),
        ({"track": "publishd"}, "track 'publishd' is unknown"),
        ({"seeds": 0}, "seeds is 0"),
    ):
        with pytest.raises(ProtocolError, match=message):
            obtain("tanp.clusters", **given)  # type: ignore[arg-type]
    store = Store(tmp_path)
    run_all([replace(small(0, track="published"), experiment="clusters", profile="full")], store, quiet=True)
    records, _ = obtain("tanp.clusters", track="published")
    assert [r.experiment for r in records] == ["clusters"]


def test_experiments_are_well_named() -> None:
    for name, e in names().items():
        assert name == f"{e.paper}.{e.name}" and e.runs.__doc__
        assert all(needed in names() for needed in e.needs)
    with pytest.raises(ProtocolError, match=r"experiment 'tanp\.table44' is unknown"):
        experiment("tanp.table44")
    with pytest.raises(ProtocolError, match="at least one"):
        plan("tanp.table4", "quick", "both", 0, Store(Path("nowhere")))
    with pytest.raises(ProtocolError, match="cannot be run"):
        execute("tanp.table4", profile="recorded", store=Store(Path("nowhere")))


def test_a_search_comes_first_only_where_its_outcome_is_used() -> None:
    for name in ("tanp.table3", "tanp.table4", "tanp.fig5", "pnmta.table3"):
        assert needs_of(name, ("published",), 5) == ()
        assert needs_of(name, ("sound",), 5) == needs_of(name, ("published", "sound"), 5) != ()
    assert needs_of("pnmta.table2", ("published",), 5) == ("pnmta.table2-tuning",)  # its baselines are tuned
    for name, e in names().items():
        assert needs_of(name, e.tracks, 1) == e.needs, "a need that no track has"


def test_choice_by_validation_ignores_the_test_scores() -> None:
    def found(lr: float, valid: float, test: float) -> Record:
        return Record("tanp", "t", "sound", "d", "M", {"lr": lr}, 0, {"P@5": test}, extra={"valid": valid})

    records = [found(0.1, 0.5, 0.9), found(0.2, 0.7, 0.1), found(0.2, 0.6, 0.1), found(0.1, 0.6, 0.9)]
    assert best_on_validation(records, "M", ["lr"]) == {"lr": 0.2}
    with pytest.raises(RecordError, match="no search record for 'N'"):
        best_on_validation(records, "N", ["lr"])
    nan = float("nan")
    assert best_on_validation([found(0.1, nan, 0.9), *records[1:]], "M", ["lr"]) == {"lr": 0.2}
    with pytest.raises(RecordError, match=r"every setting tried for 'M' diverged; .* lr"):
        best_on_validation([found(lr, nan, 0.9) for lr in (0.1, 0.2)], "M", ["lr"])


def test_a_row_of_pnmtas_table_3_trains_at_the_step_size_found_for_it(tmp_path: Path) -> None:
    store = Store(tmp_path)
    best = {"PNMTA": 0.1, "PNMTA C attention": 0.01, "PNMTA C none": 0.001}
    for search in ("table2-tuning", "table3-tuning"):
        for run in plan(f"pnmta.{search}", "full", "sound", 1, store):
            lost = run.options.get("inner_lr") != best.get(run.label)
            made = Record("pnmta", search, "sound", run.protocol.dataset, run.label, dict(run.options), 0, {})
            store.add(replace(made, config_hash=run.config_hash, extra={"valid": float(lost)}))
    rows = {"film": "PNMTA", "attention": "PNMTA C attention", "none": "PNMTA C none"}
    runs = plan("pnmta.table3", "full", "both", 1, store)
    assert len(runs) == 2 * 2 * 24
    for run in runs:
        found = best[rows[run.label.split()[-1]]]
        assert run.options["inner_lr"] == (found if run.protocol.track == "sound" else 0.01)


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
    asked = {run.key: run.protocol.splits(ratings, run.seed).split_id for run in (shared, own)}
    assert len(set(asked.values())) == 2
    for order in ((shared, own), (own, shared)):
        stacked._cut.clear()
        found = run_all(order, Store(tmp_path / order[0].key), device="cpu", quiet=True)
        assert {r.key: r.split_id for r in found} == asked


def test_seeds_whose_splits_have_other_users_are_not_stacked() -> None:
    place = replace(protocol("sound", "quick", n_support=10), split_per_seed=True)
    place = replace(place, data_options={"ratings_per_user": (14, 60)})
    runs = [replace(small(seed), protocol=place) for seed in range(3)]
    for group in stacked.alike(runs):
        sizes = {tuple(map(len, place.splits(place.ratings(), run.seed))) for run in group}
        assert len(sizes) == 1
    assert len(stacked.alike(runs)) > 1


def test_the_time_before_an_interruption_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def resumed(*args: Any, **given: Any) -> Any:
        return replace(train(*args, **given), seconds=3600.0)

    monkeypatch.setattr(stacked, "train", resumed)
    (record,) = run_all([small(0)], Store(tmp_path), device="cpu", quiet=True)
    assert 3600 < record.wall_seconds < 3700


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
    run_all([replace(small(s), experiment="table4") for s in (0, 1)], Store(tmp_path), quiet=True)
    assert main(["show", "tanp.table4", "--results", str(tmp_path), "--metrics", "P@5"]) == 0
    assert "±" in capsys.readouterr().out
    for words, said in (
        (["tanp"], "experiment 'tanp' is unknown; choose from tanp.table3-tuning, "),
        (["tanp.tabel4"], "experiment 'tanp.tabel4' is unknown"),
        (["tanp.clusters", "--track", "sound"], "tanp.clusters has no sound track; it has published."),
        (["tanp.table4", "--metrics", "P@5,NO"], "metric 'NO' is not recorded here; choose from MAP@10, "),
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


def test_redo_drops_what_the_plan_no_longer_holds_of_what_was_asked(tmp_path: Path) -> None:
    store = Store(tmp_path)

    def run(**how: Any) -> set[str]:
        execute("tanp.table4", profile="quick", track="sound", seeds=1, store=store, quiet=True, **how)
        return {r.key for r in store.read("tanp", "table4")}

    planned = run()
    one = store.read("tanp", "table4")[0]
    old = replace(one, config_hash="what a search chose before")
    not_asked = [
        replace(old, track="published"),
        replace(old, seed=1),
        replace(old, config_hash="another", profile="full"),
    ]
    store.add_all([old, *not_asked])
    others = {r.key for r in not_asked}
    assert run() == planned | others | {old.key}, "without redo nothing is lost"
    assert run(redo=True) == planned | others


def test_code_hash_follows_code_and_not_prose(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from metarec.runs import origin as provenance

    module = tmp_path / "methods" / "m.py"
    module.parent.mkdir()
    monkeypatch.setattr(provenance, "PACKAGE", tmp_path)
    seen = []
    for text in ('"""One."""\nx = 1\n', '"""Two."""\nx = 1  # why\n', '"""Two."""\nx = 2\n'):
        module.write_text(text)
        provenance.code_hash.cache_clear()
        seen.append(provenance.code_hash("metarec.methods.m"))
    provenance.code_hash.cache_clear()
    assert seen[0] == seen[1] != seen[2]


def test_a_package_stands_for_its_modules_only_where_more_is_taken_from_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from metarec.runs import origin as provenance

    for name in ("part/__init__.py", "part/one.py", "m.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x = 1\n")
    monkeypatch.setattr(provenance, "PACKAGE", tmp_path)
    for taken, package in (("one", False), ("one, x", True)):
        (tmp_path / "m.py").write_text(f"from metarec.part import {taken}\n")
        found = provenance._imports(tmp_path / "m.py")
        assert "metarec.part.one" in found and ("metarec.part" in found) == package


def test_an_unknown_data_set_is_one_sentence() -> None:
    with pytest.raises(MetarecError, match="'lastfm-tamp' is unknown: did you mean"):
        Protocol.from_dict({"track": "sound", "dataset": "lastfm-tamp", "rule": "tanp"}).ratings()


def test_a_group_that_fails_loses_no_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = Store(tmp_path)
    with pytest.raises(
        MetarecError, match=r"1 of 2 groups of runs failed and the others are recorded; first: .*clustres"
    ):
        run_all([small(0, "broken", clustres=3), small(0)], store, quiet=True)
    assert [r.method for r in store.read("tanp", "trial")] == ["TaNP"]
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


def test_redo_trains_again_only_what_older_code_recorded(tmp_path: Path) -> None:
    store = Store(tmp_path)
    (fresh, old) = run_all([small(0), small(1)], store, quiet=True)
    store.add(replace(old, code_hash="older", finished="long ago"))
    again = run_all([small(0), small(1)], store, quiet=True, redo=True)
    assert again[0] == fresh
    assert again[1].code_hash == fresh.code_hash and again[1].finished != "long ago"
