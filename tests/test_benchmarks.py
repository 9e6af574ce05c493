"""The benchmark: both sides do equal work, what is counted is what runs, and every part writes its rows."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import groupby
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import anatomy, machine, planted
from benchmarks import cases as sizes
from benchmarks.__main__ import PARTS, main
from benchmarks.cases import TINY, Case, LoopRun, cases
from benchmarks.machine import alternate, peak
from benchmarks.stacks import Training, flops, products

CPU = torch.device("cpu")
CASES = cases()
PAIRS = [(case, kind) for case in CASES for kind in case.loops]


@pytest.mark.parametrize(("case", "kind"), PAIRS, ids=[f"{c.model}-{k}" for c, k in PAIRS])
def test_a_loop_over_tasks_has_our_loss_and_our_gradients(
    case: Case, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sizes, "BATCH", 6)
    run = LoopRun(case, kind, *case.data(TINY.shrink), CPU, torch.float64)
    theirs, ours = run.losses(run.draws), run.our_losses()
    torch.testing.assert_close(theirs, ours, rtol=1e-10, atol=0)
    theirs.backward()
    ours.backward()
    if case.model == "tanp":
        pairs = [
            (run.loop.item[0].weight.grad.T, run.ours.item_embed.table.grad),
            (run.loop.layers[0].linear.weight.grad, run.ours.decoder[0].linear.weight.grad),
            (run.loop.pool.grad, run.ours.cluster_pool.grad),
        ]
    else:
        pairs = [(run.loop.head[0].weight.grad, run.ours.head.layers[0].weight.grad)]
    if case.model == "melu":
        table = run.ours.encoder.tables()["item.actor"].grad
        pairs.append((run.loop.wide[2].weight.grad.T, table))
    if case.model == "pnmta":
        pairs.append((run.loop.scale[3].grad.T, run.ours.encoder_modulator.weight["item__actor"].grad))
    for mine, expected in pairs:
        assert expected.abs().max() > 0
        torch.testing.assert_close(mine, expected, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("replicas", [1, 2])
@pytest.mark.parametrize("case", cases(), ids=lambda c: c.model)
def test_products_counted_are_those_that_run(case: Case, replicas: int) -> None:
    training = Training(case.model, *case.data(TINY.shrink), CPU, replicas=replicas, **case.options)
    key, inputs = training.first()
    with FlopCounterMode(display=False) as counter:
        seen = products(training, key, inputs)
    assert flops(seen) == counter.get_total_flops()


@pytest.mark.parametrize("data", [planted.lastfm, partial(planted.ml1m, fields={"age": 7})])
def test_sorting_by_length_within_eight_batches_leaves_less_than_a_fifth_of_padding(data: object) -> None:
    ratings, splits = data()  # type: ignore[operator]
    waste = [Training("melu", ratings, splits, CPU, window=w, d=2, hidden=(2,)).padding() for w in (1, 8)]
    assert waste[1] < 0.2 < waste[0]


def test_planted_tasks_have_the_papers_sizes() -> None:
    ratings, splits = planted.lastfm()
    lengths = splits.train.lengths
    assert (ratings.n_users, ratings.n_items, len(lengths)) == (1872, 3846, 248)
    assert lengths.min() == 30 and lengths.max() <= 56 and abs(lengths.mean() - 34.3) < 1
    assert abs(ratings.label.mean() - 0.5) < 0.01
    ratings, splits = planted.ml1m()
    assert splits.train.lengths.min() >= 13 and splits.train.lengths.max() <= 100
    assert abs(splits.train.lengths.mean() - 50) < 2
    assert [f.size for f in ratings.item_fields] == [6, 25, 2186, 8030]


def test_planted_rows_hold_no_pair_twice_and_grow_as_asked() -> None:
    table = planted.frame(100_000)
    assert len(table) == 100_000 and not table.duplicated(["user", "item"]).any()
    ratings, splits = planted.episodes(table)
    assert len(ratings) == 100_000 and sum(map(len, splits)) == ratings.n_users == 2000


def test_runs_take_turns_and_a_slow_one_sits_out() -> None:
    calls: list[str] = []
    threads = torch.get_num_threads()

    def run(name: str) -> None:
        calls.append(name)
        time.sleep(0.01)

    runs = {name: partial(run, name) for name in "ab"}
    taken = alternate(runs, CPU, 3)
    assert [name for name, _ in groupby(calls)][-6:] == list("ababab")
    assert all(len(turns.seconds) == 3 for turns in taken.values())
    assert all(0.01 <= t < 0.15 for turns in taken.values() for t in turns.seconds), "seconds are of one call"
    assert torch.get_num_threads() == threads
    assert len(alternate(runs, CPU, 3, most=0.0)["a"].seconds) == 1


def test_peak_memory_sees_what_a_block_holds_for_a_moment() -> None:
    with peak(CPU) as found:
        held = torch.ones(32 * 2**20)
        del held
    assert 120 <= found["mib"] <= 200


def test_a_machine_without_linux_is_described_and_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "CPUINFO", tmp_path / "none")
    monkeypatch.setattr(machine, "RESET", tmp_path / "none" / "either")
    monkeypatch.setattr(machine.ctypes, "CDLL", lambda _: object())  # a C library without malloc_trim
    assert machine.describe(CPU)["processor"]
    with peak(CPU) as found:
        pass
    assert found == {"mib": None}


def test_a_part_that_fails_loses_none_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> Iterator[dict[str, str]]:
        yield {"what": "rate"}
        raise RuntimeError("out of memory")

    monkeypatch.setitem(PARTS, "speed", lambda *_: iter([{"what": "speed"}]))
    monkeypatch.setitem(PARTS, "rate", broken)
    arguments = ["--device", "cpu", "--threads", "1", "--out", str(tmp_path), "--parts"]
    whole = main([*arguments, "speed"])
    before = whole.read_text(encoding="utf-8")
    with pytest.raises(RuntimeError, match="out of memory"):
        main([*arguments, "speed,rate"])
    aside = whole.with_stem(f"{whole.stem}-unfinished")
    assert json.loads(aside.read_text(encoding="utf-8"))["rows"] == [{"what": "speed"}]
    assert whole.read_text(encoding="utf-8") == before
    assert "'rate' was not finished" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([*arguments, "speed,foo"])
    assert "no part is named 'foo'; choose from speed, rate, " in capsys.readouterr().err


@pytest.mark.slow
def test_every_part_writes_rows_and_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the first case and on two sizes; the others differ from it in their models only."""
    monkeypatch.setattr("benchmarks.__main__.TINY", replace(TINY, seeds=(2,)))
    monkeypatch.setattr(machine, "_turn", machine.seconds)  # one call each, however short
    for module in (sizes, anatomy):
        monkeypatch.setattr(module, "cases", lambda: CASES[:1])
    path = main(["--device", "cpu", "--threads", "1", "--tiny", "--out", str(tmp_path)])
    found = json.loads(path.read_text(encoding="utf-8"))
    assert {"processor", "cores", "threads", "torch"} <= set(found["machine"])
    kinds = {row["what"] for row in found["rows"]}
    assert kinds == {"speed", "rate", "anatomy", "episodes", "epoch", "support"}
    for row in found["rows"]:
        for name, value in row.items():
            if name.endswith("seconds"):
                values = value if isinstance(value, list) else [value]
                assert values and all(math.isfinite(v) and v > 0 for v in values), (row["what"], name)
    speeds = [row for row in found["rows"] if row["what"] == "speed"]
    for case in CASES[:1]:
        losses = {round(row["loss"], 3) for row in speeds if row["case"] == case.name}
        assert len(losses) == 1 and math.isfinite(*losses), (
            "all programs of a case are timed at the same loss"
        )


def test_some_parts_or_tiny_sizes_do_not_write_over_a_whole_measurement(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.__main__.RESULTS", tmp_path)
    monkeypatch.setitem(PARTS, "rate", lambda device, size: iter([{"what": "rate"}]))
    for arguments in (["--parts", "rate"], ["--parts", "rate", "--tiny"]):
        assert main([*arguments, "--device", "cpu"]).stem.endswith("-unfinished")
    assert not main(["--parts", "rate", "--device", "cpu", "--out", str(tmp_path)]).stem.endswith(
        "-unfinished"
    )
