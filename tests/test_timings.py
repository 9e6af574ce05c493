"""The page on costs: ratios within rounds, exponents of growth, verdicts, figures of one machine or two."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from metarec.errors import MetarecError, ProtocolError, RecordError
from metarec.papers import costs, costs_shown

ABOUT = {
    "device": "cpu", "processor": "A <b>processor</b>", "cores": 2, "threads": 2, "memory_gib": 8.0,
    "load_before": 0.1, "gpu": None, "python": "3.11", "torch": "2", "numpy": "2",
    "finished": "2026-01-01T00:00",
}  # fmt: skip


def rows(step: float = 0.01) -> list[dict[str, Any]]:
    """A plausible run: the loop takes one second, a seed of ours `step`, stacked seeds half of that."""
    found: list[dict[str, Any]] = []
    for case in ("TaNP, sizes", "MeLU, sizes", "PNMTA, sizes"):
        about = {"what": "speed", "case": case, "threads": 1, "loss": 1.0}
        for program, seconds in (("released", 1.0), ("lean", 0.5)):
            if (program, case[0]) != ("released", "P"):
                found.append({**about, "program": program, "step_seconds": [seconds, 2 * seconds]})
        for n in (1, 20):
            for window in (1, 4):
                own = step * (1 if n == 1 else n / 2)
                more = {"replicas": n, "window": window, "padding": 0.4 / window, "peak_mib": 10.0 * n}
                found.append({**about, "program": "ours", **more, "step_seconds": [own, 2 * own]})
            rate = {"gflop": 1.0, "step_seconds": [0.2, 0.4], "products_seconds": [0.1, 0.2]}
            found.append({"what": "rate", "case": case, "program": "ours", "replicas": n, **rate})
        found.append(
            {"what": "anatomy", "case": case, "replicas": 1, "calls": 9, "kinds": {"a": 3.0, "b": 1.0}}
        )
    for n in (10**4, 10**5, 10**6, 10**7):
        found.append({"what": "episodes", "interactions": n, "seconds": n / 1e6, "peak_mib": n / 1e4})
        for name, power in (("TaNP on identities", 1.4), ("MeLU on content, more", 1.0)):
            grown = {"epoch_seconds": [1e-6 * n**power] * 2, "peak_mib": None}
            found.append({"what": "epoch", "program": name, "interactions": n, **grown})
    for n in (10, 20):
        found.append({"what": "support", "program": "TaNP", "support": n, "step_seconds": [n], "peak_mib": n})
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    gpu = {**ABOUT, "device": "cuda", "gpu": "NVIDIA Some GPU"}
    for name, about, step in (("a-gpu", gpu, 0.1), ("cpu", ABOUT, 0.01)):
        kept = [r for r in rows(step) if about is ABOUT or r["what"] != "anatomy"]
        content = {"machine": about, "rows": kept, "seconds": 100.0}
        (tmp_path / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    return tmp_path


def test_processors_come_first_and_names_are_short(folder: Path) -> None:
    assert [m.name for m in costs.read(folder)] == ["2 CPU cores", "Some GPU"]
    (folder / "cpu.json").rename(folder / "cpu-unfinished.json")
    assert [m.name for m in costs.read(folder)] == ["Some GPU"], "what was broken off is no measurement"
    with pytest.raises(RecordError, match="make bench"):
        costs.read(folder / "none")


def test_ratios_are_taken_within_rounds_and_per_seed(folder: Path) -> None:
    cpu = costs.read(folder)[0]
    found = costs.speedups(cpu).set_index(["case", "against", "replicas", "order"])
    one = found.loc[("TaNP, sizes", "released", 1, "shuffled")]
    assert one["median"] == one["low"] == one["high"] == pytest.approx(100.0), "both rounds agree"
    assert found.loc[("TaNP, sizes", "released", 20, "shuffled")]["median"] == pytest.approx(200.0)
    assert found.loc[("PNMTA, sizes", "lean", 1, "sorted by length")]["median"] == pytest.approx(50.0)
    assert ("PNMTA, sizes", "released", 1, "shuffled") not in found.index


def test_share_of_bare_products_and_exponent_of_growth(folder: Path) -> None:
    cpu = costs.read(folder)[0]
    assert costs.shares(cpu)["median"].tolist() == pytest.approx([0.5] * 6)
    assert costs.exponent(cpu, "TaNP on identities") == pytest.approx(1.4)
    assert costs.exponent(cpu, "MeLU on content, more") == pytest.approx(1.0)


def test_verdicts_follow_the_aims(folder: Path) -> None:
    both = costs.read(folder)
    found = costs.reach(both).frame
    reached = found.set_index(["machine", "what"])["reached"]
    assert reached["2 CPU cores", "TaNP, one seed, shuffled, against the loop as released"]
    assert not reached["Some GPU", "TaNP, one seed, shuffled, against the loop as released"], (
        "10 times is not 50"
    )
    grown = "seconds an epoch grow with interactions to the power"
    assert not reached["2 CPU cores", f"TaNP on identities, {grown}"]
    assert reached["2 CPU cores", f"MeLU on content, {grown}"]
    assert reached["2 CPU cores", "10,000,000 rows to episodes, memory"]
    assert "products&#x27; rate" in costs.reach(both).html, "names are escaped once"
    assert "not run" not in costs.reach(both).html and "not run" in costs.reach(both[:1]).html


def test_a_compiled_step_is_held_against_the_loop_as_released(folder: Path) -> None:
    m = costs.read(folder)[0]
    about = {"what": "compiled", "case": "TaNP, sizes", "replicas": 20, "compile_seconds": 1.0}
    row = {**about, "plain_seconds": [0.1], "compiled_seconds": [0.25]}
    found = costs.reach([replace(m, rows=[*m.rows, row])]).frame.set_index("what")
    assert found.loc["TaNP, 20 seeds, shuffled, if steps were compiled, likewise", "found"] == "80×", (
        "of 200×"
    )


def test_tables_escape_what_they_show_and_say_what_is_missing(folder: Path) -> None:
    both = costs.read(folder)
    assert "<b>processor" not in costs_shown.machines(both).html
    table = costs_shown.against(both).html
    assert "200×" in table and "Ours, 20 seeds, sorted by length" in table
    assert "not measured" in costs_shown.compiled(both).text


def test_compiling_pays_after_as_many_steps_as_save_its_time() -> None:
    row = {"what": "compiled", "replicas": 1, "compile_seconds": 30.0, "plain_seconds": [0.005] * 3}
    measured = [
        costs.Benchmark(ABOUT, [{**row, "compiled_seconds": [after] * 3}], 1.0) for after in (0.002, 0.006)
    ]
    assert costs_shown.compiled(measured[:1]).frame["pays_after"].tolist() == [10_000]
    assert (
        "10,000" in costs_shown.compiled(measured[:1]).html
        and "never" in costs_shown.compiled(measured[1:]).html
    )


@pytest.mark.parametrize("machines", [1, 2])
@pytest.mark.parametrize("name", ["faster", "anatomy", "rates", "growth", "support"])
def test_figures_name_their_axes(folder: Path, name: str, machines: int) -> None:
    figure = getattr(costs_shown, name)(costs.read(folder)[:machines])
    assert all(ax.get_xlabel() for ax in figure.axes)
    figure.canvas.draw()


@pytest.mark.slow
def test_measurements_of_the_repository_and_of_unknown_profiles(monkeypatch: Any, tmp_path: Path) -> None:
    monkeypatch.setenv("METAREC_RESULTS", str(tmp_path))
    assert costs.measurements("recorded") == tmp_path / "benchmarks"
    with pytest.raises(ProtocolError, match="'fast' is unknown"):
        costs.measurements("fast")
    with pytest.raises(MetarecError, match="the benchmark failed"):
        costs.measurements("quick", device="no-such-device")
    killed = CompletedProcess([], -9, "", "\n")
    monkeypatch.setattr(costs.subprocess, "run", lambda *_, **__: killed)
    with pytest.raises(MetarecError, match="the benchmark failed: it ended with status -9"):
        costs.measurements("quick")
