"""The same runs on two devices: differences by seed, against the scatter of the seeds."""

from __future__ import annotations

import pytest

from metarec.errors import RecordError
from metarec.records import Record
from metarec.report import devices


def runs(errors: list[float], device: str) -> list[Record]:
    return [
        Record("pnmta", "table2", "sound", "ml-1m", "a", {}, seed, {"MAE": e}, device=device, epochs=3)
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
