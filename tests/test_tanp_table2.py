"""TaNP's Table 2 and what lies behind it: what is counted, and how it is shown."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from drawn import labelled

from metarec.data import load
from metarec.errors import RecordError
from metarec.papers.tanp import filters, queries, table2
from metarec.runs.execute import execute, obtain
from metarec.runs.measured import Measurement, Request
from metarec.runs.records import Record
from metarec.runs.store import Store
from metarec.show import style
from metarec.show.table import paper_values
from metarec.tasks import make_episodes


@pytest.fixture(autouse=True)
def styled() -> Iterator[None]:
    with mpl.rc_context():
        style.use_style()
        yield
        plt.close("all")


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> list[Record]:
    store = Store(tmp_path_factory.mktemp("table2"))
    return execute(table2.SPEC, profile="quick", store=store).records


@pytest.fixture(scope="module")
def recorded() -> list[Record]:
    return obtain(table2.SPEC)[0]


@pytest.fixture
def measurement(tmp_path: Path) -> Measurement:
    return Measurement("tanp", "table2", Request("full", ("published",), 1, Store(tmp_path)))


# --- Table 2: counting


def test_counts_are_those_of_the_table() -> None:
    ratings = load("synthetic-implicit", n_users=50, n_items=70)
    counts, extra = table2.describe_ratings(ratings)
    length = np.bincount(ratings.user)
    assert counts["users"] == 50 and counts["ratings"] == len(ratings)
    assert counts["positives"] == int(ratings.label.sum()) == len(ratings) / 2
    assert (counts["shortest history"], counts["longest history"]) == (length.min(), length.max())
    assert sum(extra["lengths"]["users"]) == 50


def test_long_histories_get_bins_on_a_log_scale() -> None:
    ratings = load("synthetic", n_users=40, n_items=900, ratings_per_user=(20, 800))
    edges = np.array(table2.describe_ratings(ratings)[1]["lengths"]["edges"])
    assert len(edges) <= 21 and np.diff(edges)[-1] > 5 * np.diff(edges)[0]
    assert not (edges[1:-1] % 2).any()
    assert np.histogram(np.bincount(ratings.user), edges)[0].sum() == 40


def test_what_precision_gives_away_is_the_closed_form() -> None:
    splits = make_episodes(load("synthetic-implicit", n_users=80, n_items=70), "tanp")
    _, shares, extra = queries.describe_episodes(splits)
    found = extra["query positives"]
    n_liked = np.repeat(found["value"], found["tasks"])
    assert len(n_liked) == len(splits.test)
    for n in (5, 7, 10):
        assert shares[f"free@{n}"] == pytest.approx(np.maximum(0, 1 - n_liked / n).mean())
    liked = np.mean([part.mean() for part in _support_labels(splits.test)])
    assert shares["test support negatives"] == pytest.approx(1 - liked)


def _support_labels(episodes: Any) -> list[np.ndarray]:
    labels = episodes.ratings.label[episodes.rows]
    return [labels[start:][:20] for start in episodes.offsets[:-1]]


def test_bounds_are_in_order_and_the_worst_order_hides_what_it_can() -> None:
    splits = make_episodes(load("synthetic-implicit", n_users=80, n_items=70), "tanp")
    found = queries.bounds(splits)
    for name, perfect in found["Perfect order"].items():
        assert found["Worst order"][name] <= found["Random ranker"][name] <= perfect
        assert found["Worst order"][name] <= found["Popularity"][name] <= perfect
    batch = _query(splits.test)
    liked, size = batch["liked"], batch["size"]
    for n in (5, 7, 10):  # all negatives first; each place beyond the liked ones pays for one of them
        hidden = np.maximum(0, n - (size - liked)) + np.maximum(0, n - liked)
        assert found["Worst order"][f"P@{n}"] == pytest.approx((hidden / n).mean())
        assert found["Worst order"][f"std:P@{n}"] == pytest.approx(
            (np.maximum(0, n - (size - liked)) / n).mean()
        )


def _query(episodes: Any) -> dict[str, np.ndarray]:
    task = np.repeat(np.arange(len(episodes)), episodes.lengths)
    label = episodes.ratings.label[episodes.rows]
    liked = np.bincount(task[episodes.is_query], weights=label[episodes.is_query])
    return {"liked": liked, "size": episodes.n_query}


def test_gowalla_rules_count_users_places_and_rows(measurement: Measurement, tmp_path: Path) -> None:
    home = tmp_path / "gowalla"
    home.mkdir()
    (home / "train.txt").write_text("0 5 6\n1 5\n", encoding="utf-8")
    many = " ".join(str(item) for item in range(20))
    (home / "test.txt").write_text(f"0 {many}\n1 7\n", encoding="utf-8")
    whole, *rules = filters.gowalla_candidates(measurement, tmp_path)
    assert (whole.counts["users"], whole.counts["items"], whole.counts["positives"]) == (2, 20, 24)
    assert [r.counts["users"] for r in rules] == [1, 1, 1]
    assert all(r.counts["ratings"] == 40 for r in rules)


@pytest.mark.realdata
def test_real_counts_are_the_papers(measurement: Measurement, real_home: Path) -> None:
    made = filters.lastfm_steps(measurement, real_home)
    assert [r.counts["ratings"] for r in made] == [92834, 21173, 42346, 42346]
    assert made[2].counts["rows as shipped"] == 1
    near = filters.gowalla_candidates(measurement, real_home)
    assert near[1].counts["users"] == 2692  # exactly the paper's, while the other two counts are not


def test_counting_is_repeatable_and_replaces_itself(tmp_path: Path, quick: list[Record]) -> None:
    store = Store(tmp_path)
    first = execute(table2.SPEC, profile="quick", store=store)
    done = execute(table2.SPEC, profile="quick", store=store)
    again = done.records
    assert (first.made, first.there) == (len(quick), 0) and (done.made, done.there) == (0, len(quick))
    assert [r.key for r in again] == [r.key for r in quick]
    assert len(store.read("tanp", "table2")) == len(quick)
    assert [(r.counts, r.metrics, r.extra) for r in again] == [(r.counts, r.metrics, r.extra) for r in quick]


# --- Table 2: showing


def test_the_recorded_counts_match_the_paper(recorded: list[Record]) -> None:
    frame = table2.counts(recorded).frame.set_index(["dataset", "what"])
    for name in ("MovieLens-1M", "Last.FM"):
        assert (frame.loc[name, "verdict"] == "equal").all()
        assert (frame.loc[name, "paper"] == frame.loc[name, "ours"]).all()
    assert (frame.loc["Gowalla", "verdict"] == "not comparable").all()


def test_the_recorded_episodes_are_those_of_the_archive(recorded: list[Record]) -> None:
    found = queries.find(recorded, "episodes", n_support=20).counts
    assert [found[f"{part} tasks"] for part in queries.SPLITS] == [248, 35, 66]


def test_planted_counts_stand_beside_and_are_compared_with_nothing(quick: list[Record]) -> None:
    shown = table2.counts(quick)
    assert set(shown.frame["verdict"]) == {"not run"}
    assert "synthetic-implicit" in shown.html


@pytest.mark.parametrize("show", [filters.steps, filters.near_misses, queries.episodes, queries.gifts])
def test_every_table_is_one_that_assistive_software_can_read(
    show: Callable[[list[Record]], Any], recorded: list[Record]
) -> None:
    rendered = show(recorded).html
    assert rendered.count("<caption>") == 1 and 'scope="row"' in rendered and 'scope="col"' in rendered


def test_steps_need_the_real_files(quick: list[Record]) -> None:
    assert "full profile" in filters.steps(quick).html


def test_a_missing_or_ambiguous_record_is_named(recorded: list[Record]) -> None:
    with pytest.raises(RecordError, match="0 records of 'nothing'"):
        queries.find(recorded, "nothing")
    with pytest.raises(RecordError, match="3 records of 'episodes'"):
        queries.find(recorded, "episodes")


@pytest.mark.parametrize("prefix", ["", "std:"])
def test_room_draws_the_paper_only_where_it_compares(
    prefix: str, recorded: list[Record], quick: list[Record]
) -> None:
    paper = paper_values("tanp_table4_lastfm")
    for records, real in ((recorded, True), (quick, False)):
        fig = queries.room(records, prefix=prefix)
        labelled(fig)
        rings = [line for line in fig.axes[0].lines if line.get_label() == "best printed in Table 4"]
        assert len(rings) == (3 if real and not prefix else 0)
        if rings:
            best = paper[paper["metric"] == "P@5"]["value"].max()
            assert rings[0].get_ydata()[0] == best


def test_lengths_shade_the_window(recorded: list[Record]) -> None:
    fig = table2.lengths(recorded, {"ml-1m": (40, 200), "lastfm-tanp": (30, 200)})
    labelled(fig)
    titles = [ax.get_title(loc="left") for ax in fig.axes]
    assert titles == ["MovieLens-1M\nkept: 40 to 200", "Last.FM\nkept: 30 to 200", "Gowalla"]
    assert [ax.get_xscale() for ax in fig.axes] == ["log", "linear", "log"]
