"""The same runs on two devices: differences by seed, against the scatter of the seeds."""

from __future__ import annotations

from dataclasses import replace

import pytest

from metarec.errors import RecordError
from metarec.papers.pnmta import devices
from metarec.runs.records import Record


def runs(errors: list[float], device: str) -> list[Record]:
    return [
        Record("pnmta", "sound", "ml-1m", "pnmta", {}, seed, {"MAE": e}, device=device, epochs=3, label="a")
        for seed, e in enumerate(errors)
    ]


def test_differences_are_taken_seed_by_seed() -> None:
    one, other = runs([0.7, 0.8, 0.9], "NVIDIA H100 80GB"), runs([0.71, 0.80, 0.88], "CPU, x86_64")
    (row,) = devices.agreement(one, other).frame.to_dict("records")
    assert row["difference"] == pytest.approx((0.01 + 0.0 - 0.02) / 3)
    assert row["largest"] == pytest.approx(0.02)
    assert row["seeds"] == pytest.approx(0.1)


def test_one_device_is_no_comparison() -> None:
    one = runs([0.7, 0.8], "CPU, x86_64")
    with pytest.raises(RecordError, match="two devices"):
        devices.agreement(one, one)


def test_time_on_a_gpu_runs_from_the_first_start_to_the_last_record() -> None:
    """Two programs of two replicas and 60 s each, of which the second begins 30 s after the first."""
    made = []
    for minute, end in (("first", "00:01:00"), ("second", "00:01:30")):
        pair = runs([0.7, 0.8], "NVIDIA H100 80GB")
        made += [
            replace(r, label=minute, finished=f"2026-01-01T{end}+00:00", wall_seconds=30.0, replicas=2)
            for r in pair
        ]
    on_cpu = [replace(r, finished="2026-01-02T00:00:00+00:00") for r in runs([0.7], "CPU, x86_64")]
    (row,) = devices.elapsed({"Table": made + on_cpu, "Other": on_cpu}).frame.to_dict("records")
    assert (row["experiment"], row["device"], row["runs"], row["seeds"]) == ("Table", "H100", 4, 2)
    assert row["minutes"] == pytest.approx(1.5) and row["busy"] == pytest.approx(2.0)
    with pytest.raises(RecordError, match="GPU"):
        devices.elapsed({"Other": on_cpu})
