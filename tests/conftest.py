"""Shared by every test: real data only where METAREC_DATA says it is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# Sums split over threads end in other digits. The workers of a run have one thread each, so have the tests;
# this stands before anything imports torch.
os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip the tests marked `realdata` when METAREC_DATA is unset."""
    if not os.environ.get("METAREC_DATA"):
        skip = pytest.mark.skip(reason="METAREC_DATA is not set")
        for item in items:
            if "realdata" in item.keywords:
                item.add_marker(skip)


@pytest.fixture
def real_home() -> Path:
    """The folder of the real data sets."""
    return Path(os.environ["METAREC_DATA"])
