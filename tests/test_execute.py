"""What can be asked of an experiment: one that is measured honours it as one that is trained does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from made_records import add

from metarec import runs as experiments
from metarec.cli import main
from metarec.data import synthetic
from metarec.errors import ProtocolError
from metarec.methods import locate
from metarec.papers.pnmta import fig1 as stream
from metarec.papers.pnmta import fig2 as groups
from metarec.papers.pnmta import fig8 as vectors
from metarec.runs import Experiment, Request, checks, execute
from metarec.runs import origin as provenance
from metarec.runs.measured import Measurement
from metarec.runs.plan import no_runs
from metarec.runs.records import Record, Store


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Request]:
    """What an experiment that makes one record and is then interrupted was asked for."""
    seen: list[Request] = []

    def measure(request: Request) -> Iterator[Record]:
        seen.append(request)
        yield add(Store(tmp_path / "elsewhere"), "first", {"P@5": 0.1})
        raise KeyboardInterrupt

    made = Experiment("tanp", "made", no_runs, ("published",), measure=measure)
    monkeypatch.setattr(experiments, "names", lambda: {"tanp.made": made})
    return seen


def test_a_measurement_that_is_kept_keeps_its_users(tmp_path: Path) -> None:
    store = Store(tmp_path)
    kept = add(store, "first", {"P@5": 0.1})
    store.add(kept, {"P@5": np.array([0.1])})
    assert list(experiments._kept(iter([kept]), store)) == [kept]
    assert len(store.per_user(kept.paper, kept.experiment, [kept.key])) == 1


def test_an_interrupted_measurement_keeps_what_it_has_recorded(asked: list[Request], tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        execute("tanp.made", store=Store(tmp_path))
    assert [r.method for r in Store(tmp_path).read("tanp", "made")] == ["first"]


def test_a_measurement_is_told_its_device_and_whether_to_redo(asked: list[Request], tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        execute("tanp.made", seeds=3, device="cpu", redo=True, jobs=2, store=Store(tmp_path))
    (request,) = asked
    assert (request.device, request.redo, request.seeds) == (torch.device("cpu"), True, 3)
    assert request.tracks == ("published",)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"seeds": 0}, "seeds is 0"),
        ({"track": "loud"}, "track 'loud' is unknown"),
        ({"track": "sound"}, r"tanp\.made has no sound track; it has published\."),
        ({"profile": "recorded"}, "cannot be run"),
    ],
)
def test_a_measurement_is_checked_as_a_training_is(
    asked: list[Request], tmp_path: Path, given: dict[str, object], message: str
) -> None:
    with pytest.raises(ProtocolError, match=message):
        execute("tanp.made", store=Store(tmp_path), **given)  # type: ignore[arg-type]
    assert not asked


@pytest.mark.parametrize("redo", [False, True])
def test_fig_8_trains_again_only_what_older_code_recorded_and_only_if_asked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, redo: bool
) -> None:
    measured: list[str] = []
    store = Store(tmp_path)
    runs = vectors.fig8(Request("quick", ("published",), 1, store))

    def record(run: experiments.Run, *_: object) -> Record:
        measured.append(run.label)
        code = "older" if len(measured) == 1 else provenance.code_hash(locate(run.model)[0])
        made = add(Store(tmp_path / "elsewhere"), run.label, {"P@5": 0.1})
        return replace(made, paper="pnmta", experiment="fig8", config_hash=run.config_hash, code_hash=code)

    monkeypatch.setattr(vectors, "_measure", record)
    execute("pnmta.fig8", profile="quick", seeds=1, store=store)
    assert measured == [run.label for run in runs]
    execute("pnmta.fig8", profile="quick", seeds=1, store=store, redo=redo)
    assert measured[len(runs) :] == ([runs[0].label] if redo else [])


@pytest.mark.parametrize("module", [stream, groups], ids=["fig1", "fig2"])
def test_what_is_measured_is_not_measured_again(
    module: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(groups, "SETTINGS", groups.SETTINGS[:1])
    name, store = module.EXPERIMENTS[0].name, Store(tmp_path)
    execute(f"pnmta.{name}", profile="quick", seeds=1, store=store)
    first = store.read("pnmta", name)
    monkeypatch.setattr(module, "train", None)
    for redo in (False, True):
        assert execute(f"pnmta.{name}", profile="quick", seeds=1, store=store, redo=redo) == first


def test_a_record_is_kept_unless_older_code_made_it_and_redo_is_asked_for(tmp_path: Path) -> None:
    ratings, options = synthetic(0, n_users=40, n_items=80), {"rounds": 3}
    for redo in (False, True):
        request = Request("quick", ("published",), 1, Store(tmp_path), redo=redo)
        place = Measurement("pnmta", "made", stream.__name__, request)
        record = place.record("one", ratings, options, {"worth": 1.0})
        for kept in (record, replace(record, code_hash="older")):
            request.store.add(kept)
            found = place.recorded("one", ratings, options)
            assert found == (None if redo and kept.code_hash == "older" else kept)
        assert place.recorded("one", ratings, options, seed=1) is None
        assert place.recorded("one", ratings, {"rounds": 4}) is None


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--device", "gpu0"], "device 'gpu0' is unknown; use auto, cpu, cuda or cuda:N."),
        (["--device", "meta"], "device 'meta' is unknown; use auto, cpu, cuda or cuda:N."),
        (["--device", "cuda:1"], "device 'cuda:1' is not there (GPUs that torch sees: 1); use auto or cpu."),
        (["--jobs", "0"], "jobs is 0; ask for at least one."),
        (["--replicas", "-1"], "replicas is -1; ask for at least one."),
        (["--seeds", "0"], "seeds is 0; ask for at least one."),
        (["--backend", "ray"], "backend 'ray' needs the package 'ray', which is not installed here; "
         "install it or use loky."),
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["tanp.table4", "tanp.table2"])
def test_what_cannot_be_had_is_one_sentence(
    name: str,
    given: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(checks, "find_spec", lambda package: None if package == "ray" else find_spec(package))
    assert main(["run", name, "--profile", "quick", "--results", str(tmp_path), *given]) == 2
    assert capsys.readouterr().err == message + "\n"


def test_missing_data_are_said_once_and_only_if_something_is_to_be_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("METAREC_DATA", str(tmp_path / "none"))
    assert main(["run", "tanp.table4-tuning", "--results", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert said.startswith("lastfm-tanp: ") and "metarec data fetch lastfm-tanp" in said
    assert said.count("\n") == 1
    committed = Store(experiments.results_root())
    records = execute("tanp.table4-tuning", store=committed, quiet=True)
    assert len(records) == len(committed.read("tanp", "table4-tuning"))
