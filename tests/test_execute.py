"""What can be asked of a figure: one that is measured honours it as one that is trained does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from made_records import add

from metarec.cli import main
from metarec.data import synthetic
from metarec.errors import ProtocolError
from metarec.papers.pnmta import fig1, fig2, fig8, vectors
from metarec.papers.tanp.tables import TABLE4
from metarec.runs import checks
from metarec.runs.execute import Only, execute, results_root
from metarec.runs.measured import Measured, Measurement, Request
from metarec.runs.records import Record
from metarec.runs.store import Store

Asked = tuple[Measured, list[Request]]


@pytest.fixture
def made(tmp_path: Path) -> Asked:
    """A figure that makes one record and is then interrupted, and what it was asked for."""
    seen: list[Request] = []

    def measure(request: Request) -> Iterator[Record]:
        seen.append(request)
        yield add(Store(tmp_path / "elsewhere"), "first", {"P@5": 0.1}, measure="made")
        raise KeyboardInterrupt

    return Measured("tanp.made", "Made", measure), seen


def test_an_interrupted_measurement_keeps_what_it_has_recorded(made: Asked, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        execute(made[0], store=Store(tmp_path))
    assert len(Store(tmp_path).read("tanp", "made")) == 1


def test_a_measurement_is_told_its_device_and_whether_to_redo(made: Asked, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        execute(made[0], seeds=3, device="cpu", redo=True, jobs=2, store=Store(tmp_path))
    (request,) = made[1]
    assert (request.device, request.redo, request.seeds) == (torch.device("cpu"), True, 3)
    assert request.tracks == ("published",)


def test_a_measurement_is_made_as_a_whole(made: Asked, tmp_path: Path) -> None:
    with pytest.raises(ProtocolError, match=r"tanp\.made is measured as a whole"):
        execute(made[0], store=Store(tmp_path), only=Only(method="first"))
    assert not made[1]


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
    made: Asked, tmp_path: Path, given: dict[str, Any], message: str
) -> None:
    with pytest.raises(ProtocolError, match=message):
        execute(made[0], store=Store(tmp_path), **given)
    assert not made[1]


@pytest.mark.parametrize("redo", [False, True])
def test_fig_8_trains_again_only_what_an_older_version_recorded_and_only_if_asked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, redo: bool
) -> None:
    measured: list[str] = []
    store = Store(tmp_path)
    runs = vectors.planned(Request("quick", ("published",), 1, store))

    def trained(run: Any, *_: object) -> None:
        measured.append(run.label)

    def analysed(*_: object, **__: object) -> tuple[dict[str, float], dict[str, Any]]:
        return {"silhouette": 0.1}, {}

    monkeypatch.setattr(fig8, "trained_vectors", trained)
    monkeypatch.setattr(fig8, "analyse", analysed)
    execute(fig8.SPEC, profile="quick", seeds=1, store=store)
    assert measured == [run.label for run in runs]
    first = store.read("pnmta", "fig8")[0]
    store.add(replace(first, versions={**first.versions, "trainer": 0}))
    execute(fig8.SPEC, profile="quick", seeds=1, store=store, redo=redo)
    assert measured[len(runs) :] == ([runs[0].label] if redo else [])


@pytest.mark.parametrize("module", [fig1, fig2], ids=["fig1", "fig2"])
def test_what_is_measured_is_not_measured_again(
    module: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(fig2, "SETTINGS", fig2.SETTINGS[:1])
    store = Store(tmp_path)
    first = execute(module.SPEC, profile="quick", seeds=1, store=store)
    assert first.made == len(first.records) and first.there == 0
    monkeypatch.setattr(module, "_measure", None, raising=False)
    monkeypatch.setattr(module, "_trained", None, raising=False)
    for redo in (False, True):
        again = execute(module.SPEC, profile="quick", seeds=1, store=store, redo=redo)
        assert again.records == first.records and again.made == 0


def test_a_record_is_kept_unless_an_older_version_made_it_and_redo_is_asked_for(tmp_path: Path) -> None:
    ratings, options = synthetic(0, n_users=40, n_items=80), {"rounds": 3}
    for redo in (False, True):
        request = Request("quick", ("published",), 1, Store(tmp_path), redo=redo)
        place = Measurement("pnmta", "made", request, models=("pnmta",))
        record = place.record("one", ratings, options, {"worth": 1.0})
        for kept in (record, replace(record, versions={**record.versions, "method pnmta": 0})):
            request.store.add(kept)
            found = place.recorded("one", ratings, options)
            assert (found is None) == (redo and kept is not record)
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
    assert main(["run", "tanp.table4", "--results", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert said.startswith("lastfm-tanp: ") and "metarec data fetch lastfm-tanp" in said
    assert said.count("\n") == 1
    done = execute(TABLE4, track="published", store=Store(results_root()), quiet=True)
    assert done.made == 0 and done.there == len(done.records) > 0
