"""What can be asked of an experiment: one that is measured honours it as one that is trained does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from made_records import add

from metarec import experiments
from metarec.errors import ProtocolError
from metarec.experiments import Experiment, Request, execute, provenance, vectors
from metarec.experiments.request import no_runs
from metarec.methods import locate
from metarec.records import Record, Store


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
