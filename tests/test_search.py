"""A search of settings: no option hangs together with another, and the paper's point is always in it."""

from __future__ import annotations

import numpy as np
import pytest

from metarec.papers.pnmta.tables import SEARCH
from metarec.papers.tanp import tables as tanp
from metarec.runs.search import Search

TANP = tanp.TABLE4.row(tanp.FILM).search
assert TANP is not None


@pytest.mark.parametrize("search", [SEARCH, TANP], ids=["pnmta", "tanp"])
def test_the_papers_own_point_is_tried_first_and_none_twice(search: Search) -> None:
    assert search.points[0] == search.own
    drawn = search.points[: search.n]
    assert len({tuple(p.values()) for p in search.points}) == len(search.points) >= len(drawn) == search.n
    for name, (low, high) in search.space.items():
        assert all(low <= p[name] <= high and type(p[name]) is type(low) for p in drawn)
        assert low < search.own[name] < high, "the paper's value is no end of what is tried"


def test_every_stratum_of_every_option_is_met_once() -> None:
    """A Latin hypercube of 15 points: of each option one value in each fifteenth of its range."""
    search = Search({"lr": (1e-4, 1e-1), "inner_lr": (1e-3, 1.0)}, {"lr": 1e-3, "inner_lr": 0.01}, (1, 2))
    for name, (low, high) in search.space.items():
        u = [np.log(p[name] / low) / np.log(high / low) for p in search.points[1:]]
        assert np.allclose(np.sort(u), (np.arange(15) + 0.5) / 15, atol=0.5 / 15 + 0.02)  # two digits


def test_options_are_not_tied() -> None:
    """One rate says next to nothing about the other, and each number of steps meets small and large rates."""
    drawn = np.array([[np.log(p["lr"]), np.log(p["inner_lr"]), p["steps"]] for p in SEARCH.points[1:]])
    ranks = drawn.argsort(0).argsort(0)
    between = np.corrcoef(ranks.T)[np.triu_indices(3, 1)]
    assert (np.abs(between) < 0.4).all(), between


def test_points_behind_an_end_come_last_and_move_none_of_the_others() -> None:
    search = Search({"lr": (1e-4, 1e-1)}, {"lr": 1e-3}, (1, 2), beyond=({"lr": 0.3},))
    assert search.points == (*Search(search.space, search.own, (1, 2)).points, {"lr": 0.3})
    assert search.ends("lr")[1] == 0.3


def test_a_point_without_a_score_is_never_among_the_best() -> None:
    search = Search({"lr": (1e-4, 1e-1)}, {"lr": 1e-3}, (1, 2), maximise=False)
    assert search.best([0.3, float("nan"), 0.1, float("inf"), 0.2])[:3] == [2, 4, 0]


def test_a_setting_is_judged_by_the_best_of_means_and_not_by_a_lucky_epoch() -> None:
    search = Search({"lr": (1e-4, 1e-1)}, {"lr": 1e-3}, (1, 2))
    steady, jumpy = [0.5, 0.6, 0.6, 0.6], [0.5, 0.7, 0.4, 0.5]
    assert search.at_best(steady) == pytest.approx(0.6) and search.at_best(jumpy) < 0.6
    less = Search({"lr": (1e-4, 1e-1)}, {"lr": 1e-3}, (1, 2), maximise=False)
    assert less.at_best([0.9, 0.5, 0.9, 0.6, 0.6, 0.6]) == pytest.approx(0.6)
    assert np.isnan(less.at_best([0.5, float("nan"), 0.4]))
    assert less.at_best([0.5, 0.3]) == pytest.approx(0.4)
