"""What the figures of TaNP's data, sensitivity and assignments are made of, and the rules about a grid."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from made_records import USERS, add, add_seeds
from matplotlib.figure import Figure
from metarec.report import assignments, datasets, sensitivity, tables
from metarec.report.claims import FAILS, HOLDS, NOISE, PENDING, decide
from metarec.report.evidence import Ground, Place
from metarec.report.gridrules import BestPoint, Flat, OnGrid, SmallerBetter
from metarec.report.sensitivity import Sweep

from metarec.data import Schema, load
from metarec.errors import RecordError
from metarec.methods import make
from metarec.papers.tanp import framework as tanp_framework
from metarec.papers.tanp import table2 as counting
from metarec.runs import execute, obtain
from metarec.runs.records import Record
from metarec.runs.store import Store
from metarec.show import progress, style
from metarec.tasks import EpisodeTensors, make_episodes


@pytest.fixture(autouse=True)
def styled() -> Iterator[None]:
    with mpl.rc_context():
        style.use_style()
        yield
        plt.close("all")


@pytest.fixture(scope="module")
def table2(tmp_path_factory: pytest.TempPathFactory) -> list[Record]:
    return execute("tanp.table2", profile="quick", store=Store(tmp_path_factory.mktemp("table2")))


# --- Table 2: counting


def test_counts_are_those_of_the_table() -> None:
    ratings = load("synthetic-implicit", n_users=50, n_items=70)
    counts, extra = counting.describe_ratings(ratings)
    length = np.bincount(ratings.user)
    assert counts["users"] == 50 and counts["ratings"] == len(ratings)
    assert counts["positives"] == int(ratings.label.sum()) == len(ratings) / 2
    assert (counts["shortest history"], counts["longest history"]) == (length.min(), length.max())
    assert sum(extra["lengths"]["users"]) == 50


def test_long_histories_get_bins_on_a_log_scale() -> None:
    ratings = load("synthetic", n_users=40, n_items=900, ratings_per_user=(20, 800))
    edges = np.array(counting.describe_ratings(ratings)[1]["lengths"]["edges"])
    assert len(edges) <= 21 and np.diff(edges)[-1] > 5 * np.diff(edges)[0]
    assert not (edges[1:-1] % 2).any()
    assert np.histogram(np.bincount(ratings.user), edges)[0].sum() == 40


def test_what_precision_gives_away_is_the_closed_form() -> None:
    splits = make_episodes(load("synthetic-implicit", n_users=80, n_items=70), "tanp")
    _, shares, extra = counting.describe_episodes(splits)
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
    found = counting.bounds(splits)
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


def test_gowalla_rules_count_users_places_and_rows(tmp_path: Path) -> None:
    place = tmp_path / "gowalla"
    place.mkdir()
    (place / "train.txt").write_text("0 5 6\n1 5\n", encoding="utf-8")
    many = " ".join(str(item) for item in range(20))
    (place / "test.txt").write_text(f"0 {many}\n1 7\n", encoding="utf-8")
    whole, *rules = counting.gowalla_candidates(tmp_path)
    assert (whole.counts["users"], whole.counts["items"], whole.counts["positives"]) == (2, 20, 24)
    assert [r.counts["users"] for r in rules] == [1, 1, 1]
    assert all(r.counts["ratings"] == 40 for r in rules)


@pytest.mark.realdata
def test_real_counts_are_the_papers(real_home: Path) -> None:
    made = counting.lastfm_steps(real_home)
    assert [r.counts["ratings"] for r in made] == [92834, 21173, 42346, 42346]
    assert made[2].counts["rows as shipped"] == 1
    near = counting.gowalla_candidates(real_home)
    assert near[1].counts["users"] == 2692  # exactly the paper's, while the other two counts are not


def test_counting_is_repeatable_and_replaces_itself(tmp_path: Path, table2: list[Record]) -> None:
    store = Store(tmp_path)
    execute("tanp.table2", profile="quick", store=store)
    again = execute("tanp.table2", profile="quick", store=store)
    assert [r.key for r in again] == [r.key for r in table2]
    assert len(store.read("tanp", "table2")) == len(table2)
    assert [(r.counts, r.metrics, r.extra) for r in again] == [(r.counts, r.metrics, r.extra) for r in table2]


# --- Table 2: showing


@pytest.fixture(scope="module")
def recorded() -> list[Record]:
    return obtain("tanp.table2")[0]


def test_the_recorded_counts_match_the_paper(recorded: list[Record]) -> None:
    frame = datasets.counts(recorded).frame.set_index(["dataset", "what"])
    for name in ("MovieLens-1M", "Last.FM"):
        assert (frame.loc[name, "verdict"] == "matched").all()
        assert (frame.loc[name, "paper"] == frame.loc[name, "ours"]).all()
    assert (frame.loc["Gowalla", "verdict"] == "not comparable").all()


def test_the_recorded_episodes_are_those_of_the_archive(recorded: list[Record]) -> None:
    found = datasets.find(recorded, "episodes", n_support=20).counts
    assert [found[f"{part} tasks"] for part in datasets.SPLITS] == [248, 35, 66]


def test_planted_counts_stand_beside_and_are_compared_with_nothing(table2: list[Record]) -> None:
    shown = datasets.counts(table2)
    assert set(shown.frame["verdict"]) == {"not run"}
    assert "synthetic-implicit" in shown.html


@pytest.mark.parametrize("show", [datasets.steps, datasets.near_misses, datasets.episodes, datasets.gifts])
def test_every_table_is_one_that_assistive_software_can_read(
    show: Callable[[list[Record]], Any], recorded: list[Record]
) -> None:
    rendered = show(recorded).html
    assert rendered.count("<caption>") == 1 and 'scope="row"' in rendered and 'scope="col"' in rendered


def test_steps_need_the_real_files(table2: list[Record]) -> None:
    assert "full profile" in datasets.steps(table2).html


def test_a_missing_or_ambiguous_record_is_named(recorded: list[Record]) -> None:
    with pytest.raises(RecordError, match="0 records of 'nothing'"):
        datasets.find(recorded, "nothing")
    with pytest.raises(RecordError, match="3 records of 'episodes'"):
        datasets.find(recorded, "episodes")


def labelled(fig: Figure) -> None:
    """Every panel names its horizontal axis or shares it, and something is drawn in it."""
    for ax in fig.axes:
        assert ax.get_xlabel() or ax.get_ylabel() or ax.get_title(loc="left")
        assert ax.lines or ax.patches or ax.images or ax.collections


@pytest.mark.parametrize("prefix", ["", "std:"])
def test_room_draws_the_paper_only_where_it_compares(
    prefix: str, recorded: list[Record], table2: list[Record]
) -> None:
    paper = tables.paper_values("tanp_table4_lastfm")
    for records, real in ((recorded, True), (table2, False)):
        fig = datasets.room(records, paper, prefix=prefix)
        labelled(fig)
        rings = [line for line in fig.axes[0].lines if line.get_label() == "best printed in Table 4"]
        assert len(rings) == (3 if real and not prefix else 0)
        if rings:
            best = paper[paper["metric"] == "P@5"]["value"].max()
            assert rings[0].get_ydata()[0] == best


def test_lengths_shade_the_window(recorded: list[Record]) -> None:
    fig = datasets.lengths(recorded, {"ml-1m": (40, 200), "lastfm-tanp": (30, 200)})
    labelled(fig)
    titles = [ax.get_title(loc="left") for ax in fig.axes]
    assert titles == ["MovieLens-1M\nkept: 40 to 200", "Last.FM\nkept: 30 to 200", "Gowalla"]
    assert [ax.get_xscale() for ax in fig.axes] == ["log", "linear", "log"]


# --- a grid and the rules about it

HOME = Place("Grid", "tanp.made", "tanp/made", "lastfm-tanp")
SWEEP = Sweep("k", (1.0, 2.0, 3.0), "k", held={"a": {"w": 0.5}, "b": {"w": 0.5}}, tuned={"a": 1.0, "b": 2.0})
ABOUT: dict[str, Any] = {"metrics": ("P@10",), "places": ("Grid",), "beside": "tanp.floors"}


def grid(
    store: Store, levels: Mapping[str, tuple[float, float, float]], scatter: float = 0.02
) -> list[Record]:
    """Five seeds of each method's P@10 at k = 1, 2, 3: 0.6, a gain, and noise of user, setting and seed."""
    rng = np.random.default_rng(0)
    return [
        add(
            store,
            method,
            {"P@10": 0.6 + gain + scatter * rng.normal(size=USERS)},
            seed=seed,
            options={"k": k, "w": 0.5},
        )
        for method, gains in levels.items()
        for k, gain in zip((1.0, 2.0, 3.0), gains, strict=True)
        for seed in range(5)
    ]


def decided(rule: OnGrid, records: list[Record], store: Store) -> Any:
    ground = Ground(HOME, "published", "", records, store, ("Popularity",))
    return decide(rule, {"Grid": ground})[""]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def test_along_takes_only_what_lies_on_the_sweep(store: Store) -> None:
    records = grid(store, {"a": (0.0, 0.1, 0.2)})
    records += add_seeds(store, "a", {"P@10": 0.9}, options={"k": 2.0, "w": 9.0})  # another weight
    records += add_seeds(store, "a", {"P@10": 0.9}, options={"k": 7.0, "w": 0.5})  # off the grid
    frame = sensitivity.along(records, SWEEP, "P@10")
    assert frame.groupby("value")["seed"].nunique().tolist() == [5, 5, 5]
    assert frame.groupby("value")["score"].mean().round(2).tolist() == [0.6, 0.7, 0.8]
    with pytest.raises(RecordError, match="no record lies on the grid"):
        sensitivity.along(records[15:20], SWEEP, "P@10")


@pytest.mark.parametrize(
    ("levels", "word"),
    [
        ({"a": (0.2, 0.1, 0.1), "b": (0.1, 0.2, 0.1)}, HOLDS),
        ({"a": (0.2, 0.1, 0.2), "b": (0.1, 0.2, 0.1)}, NOISE),  # a tie at the top
        ({"a": (0.2, 0.1, 0.1), "b": (0.3, 0.2, 0.1)}, FAILS),  # b does better elsewhere
    ],
)
def test_best_point(levels: dict[str, Any], word: str, store: Store) -> None:
    finding = decided(BestPoint(sweeps=(SWEEP,), **ABOUT), grid(store, levels), store)
    assert finding.verdict == word
    assert "k = 1 over k = 2" in finding.evidence.replace("a, ", "")


def test_best_point_of_one_method_leaves_the_other_alone(store: Store) -> None:
    records = grid(store, {"a": (0.2, 0.1, 0.1), "b": (0.3, 0.2, 0.1)})
    assert decided(BestPoint(sweeps=(SWEEP.only("a"),), **ABOUT), records, store).verdict == HOLDS


def test_a_hole_in_the_grid_is_missing(store: Store) -> None:
    records = grid(store, {"a": (0.2, 0.1, 0.1), "b": (0.1, 0.2, 0.1)})
    holed = [r for r in records if not (r.method == "b" and r.options["k"] == 3.0)]
    finding = decided(BestPoint(sweeps=(SWEEP,), **ABOUT), holed, store)
    assert finding.verdict == PENDING and finding.missing == ("Grid: b at k = 3",)


def test_the_best_of_a_model_level_with_popularity_proves_nothing(store: Store) -> None:
    records = grid(store, {"a": (0.2, 0.1, 0.1), "b": (0.1, 0.2, 0.1)})
    add_seeds(store, "Popularity", {"P@10": 0.2}, experiment="floors", seeds=1)
    assert decided(BestPoint(sweeps=(SWEEP,), **ABOUT), records, store).verdict == NOISE


@pytest.mark.parametrize(
    ("levels", "word"),
    [
        ({"a": (0.2, 0.1, 0.0), "b": (0.2, 0.1, 0.0)}, HOLDS),
        ({"a": (0.2, 0.1, 0.0), "b": (0.0, 0.1, 0.2)}, NOISE),
        ({"a": (0.0, 0.1, 0.2), "b": (0.0, 0.1, 0.2)}, FAILS),
    ],
)
def test_smaller_is_better(levels: dict[str, Any], word: str, store: Store) -> None:
    rule = SmallerBetter(sweeps=(SWEEP,), split={"k": (1.0, 3.0)}, **ABOUT)
    assert decided(rule, grid(store, levels), store).verdict == word


@pytest.mark.parametrize(
    ("levels", "scatter", "word"),
    [
        ({"a": (0.1, 0.1, 0.1), "b": (0.2, 0.2, 0.2)}, 0.005, HOLDS),  # methods may differ, settings not
        ({"a": (0.1, 0.15, 0.1), "b": (0.2, 0.2, 0.2)}, 0.005, FAILS),
        ({"a": (0.1, 0.1, 0.1), "b": (0.2, 0.2, 0.2)}, 0.1, NOISE),  # too much scatter to tell
    ],
)
def test_flat(levels: dict[str, Any], scatter: float, word: str, store: Store) -> None:
    rule = Flat(sweeps=(SWEEP,), bound=0.02, **ABOUT)
    assert decided(rule, grid(store, levels, scatter), store).verdict == word


def test_the_figure_has_every_seed_and_the_papers_point(store: Store) -> None:
    records = grid(store, {"a": (0.0, 0.1, 0.2), "b": (0.1, 0.1, 0.1)})
    floors = add_seeds(store, "Popularity", {"P@10": 0.05}, experiment="floors", seeds=1)
    axes = {"published": ("P@10", "P@10"), "sound": ("std:P@10", "standard P@10")}
    fig = sensitivity.sensitivity(records, [SWEEP], axes, floors=floors, paper={"a": 63.0})
    assert len(fig.axes) == 1, "there is no record of the sound track"
    labelled(fig)
    ax = fig.axes[0]
    dots = [line for line in ax.lines if line.get_marker() == "."]
    assert sum(len(line.get_xdata()) for line in dots) == len(records)
    (level,) = [line.get_ydata()[0] for line in ax.lines if line.get_label() == "popularity"]
    assert level == 100 * floors[0].metrics["P@10"]
    (ring,) = [line for line in ax.lines if str(line.get_label()).startswith("printed")]
    assert ring.get_ydata()[0] == 63.0
    assert sensitivity.table(records, [SWEEP], axes, track="published").html.count("±") == 6


# --- assignments


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


# --- Figures 1 and 2


@pytest.mark.parametrize("variant", ["film", "gating"])
def test_the_framework_shows_what_a_pass_makes(variant: str) -> None:
    ratings = load("synthetic-implicit", n_users=60, n_items=80)
    model: Any = make("tanp", Schema.of(ratings), variant=variant, clusters=7)
    data = EpisodeTensors(make_episodes(ratings, "tanp").train)
    batch = data.batch(torch.arange(5))
    shapes = tanp_framework.trace(model, batch, torch.Generator().manual_seed(0))
    n = data.width_support + data.width_query
    assert shapes["v"] == (5, n, 16) and shapes["u"] == (5, 1, 16)
    assert shapes["ŷ"] == (5, n) and shapes["c"] == (5, 7) and shapes["t"] == shapes["o"] == (5, 16)
    counts = tanp_framework.sizes(model)
    assert sum(counts.values()) == sum(p.numel() for p in model.parameters())
    assert counts["modulation"] == (2 if variant == "film" else 4) * 16 * (32 + 32 + 16)
    fig = tanp_framework.framework(shapes, counts)
    words = [text.get_text() for text in fig.axes[0].texts]
    assert f"c {[5, 7]}" in words
    assert any(f"{counts['embedding']:,}" in word for word in words)


def test_users_a_and_c_are_alike_and_b_is_not() -> None:
    episodes = make_episodes(load("synthetic-implicit", n_users=100, n_items=80), "tanp").train
    people = dict(zip("abc", tanp_framework.three(episodes), strict=True))
    truth = episodes.ratings.truth
    assert truth is not None
    groups = truth.user_group[episodes.task[list(people.values())]]
    assert groups[0] == groups[2] != groups[1] and people["a"] != people["c"]
    found = np.corrcoef(truth.expected[episodes.task[list(people.values())]])
    assert found[0, 2] > max(found[0, 1], found[1, 2])
    labelled(tanp_framework.tastes(episodes, people))


# --- the bar


def test_outside_a_notebook_the_bar_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    advance = progress.bar()
    for epoch in (1, 2):
        advance({"epoch": epoch, "epochs": 2})
    assert capsys.readouterr() == ("", "")


def test_the_bar_begins_as_it_ends_and_moves_in_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs that compare notebooks see the first message only, so it must be the last state."""
    import IPython.display

    shown: list[str] = []

    class Handle:
        def update(self, value: Any) -> None:
            shown.append(value.data)

    def display(value: Any, display_id: bool) -> Handle:
        shown.append(value.data)
        return Handle()

    monkeypatch.setattr("IPython.get_ipython", object)
    monkeypatch.setattr(IPython.display, "display", display)
    advance = progress.bar("learning")
    for epoch in range(1, 501):
        advance({"epoch": epoch, "epochs": 500})
    assert shown[0] == shown[-1] and 'value="500"' in shown[0] and "learning" in shown[0]
    assert len(shown) == progress.STEPS + 1
    values = pd.Series(shown[1:]).str.extract(r'value="(\d+)"')[0].astype(int)
    assert values.is_monotonic_increasing
