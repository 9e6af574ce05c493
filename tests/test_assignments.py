"""Assignments under several clustering targets: how far from uniform they are, and how they are drawn."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from drawn import labelled
from made_records import add_seeds

from metarec.errors import RecordError
from metarec.papers.tanp import assignments
from metarec.runs.records import Record
from metarec.runs.store import Store
from metarec.show import style


@pytest.fixture(autouse=True)
def styled() -> Iterator[None]:
    with mpl.rc_context():
        style.use_style()
        yield
        plt.close("all")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def pool(
    store: Store, c: np.ndarray, *, target: str = "none", weight: float = 0.1, method: str = "a"
) -> list[Record]:
    entropy = float((-(c * np.log(c)).sum(-1) / np.log(c.shape[1])).mean())
    told = {"assignment_entropy": entropy, "assignment_max": float(c.max(-1).mean())}
    return add_seeds(
        store,
        method,
        {"P@10": 0.1},
        options={"cluster_target": target, "cluster_weight": weight, "clusters": c.shape[1]},
        terms={} if target == "none" else {"cluster": 0.5 * weight},
        extra={"assignments": c.tolist(), "diagnostics": told},
    )


def every_target(store: Store, c: np.ndarray) -> list[Record]:
    records = pool(store, c)
    for target in ("intended", "released"):
        for weight in (0.1, 1.0):
            records += pool(store, c, target=target, weight=weight)
    return records


UNEVEN = np.tile([0.1, 0.2, 0.3, 0.4], (10, 1))


def test_equal_rows_are_no_difference_and_uniform_rows_are_one(store: Store) -> None:
    same, one = pool(store, UNEVEN)[0], pool(store, np.full((10, 4), 0.25), method="b")[0]
    assert assignments.apart(same) < 1e-12
    np.testing.assert_allclose(assignments.matrix(one), 1)
    np.testing.assert_allclose(assignments.matrix(same)[0], [0.4, 0.8, 1.2, 1.6])


def test_hard_clusters_are_far_apart(store: Store) -> None:
    hard = np.full((10, 4), 1e-9)
    hard[np.arange(10), np.arange(10) % 4] = 1 - 3e-9
    record = pool(store, hard)[0]
    share = np.bincount(np.arange(10) % 4) / 10
    assert assignments.apart(record) == pytest.approx(4 * np.sqrt(share * (1 - share)).mean())


def test_assignment_figures_and_their_numbers(store: Store) -> None:
    records = every_target(store, UNEVEN)
    fig = assignments.heatmaps(records, ["a"], list(assignments.TARGETS)[:3])
    labelled(fig)
    maps = [ax.images[0].get_array() for ax in fig.axes if ax.images and ax.get_xlabel() == "cluster"]
    assert len(maps) == 3 and all(np.ptp(np.asarray(m), axis=0).max() == 0 for m in maps)
    labelled(assignments.spread(records, ["a"]))
    shown = assignments.summary(records, ["a"]).html
    assert shown.count(">1.6000<") == 5, "the largest of 0.4 times four clusters, under each target"
    assert shown.count(">0.5<") == 4, "the loss without its weight"


def test_a_target_that_was_not_run_is_named(store: Store) -> None:
    with pytest.raises(RecordError, match="'a' was not run with released, λ = 1"):
        assignments.chosen(pool(store, UNEVEN), "a", "released, λ = 1")
