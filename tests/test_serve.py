"""Serving a newcomer: what is ranked, for whom, and how it compares with a planted taste."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch

from metarec.data import Ratings, from_frame, load
from metarec.errors import MetarecError, ProtocolError
from metarec.papers import quickstart as taste
from metarec.recommend import Recommender, learn, taste_hits
from metarec.tasks import Query, make_episodes

QUICKSTART = Path(__file__).parents[1] / "notebooks" / "quickstart.ipynb"


@pytest.fixture(scope="module")
def ratings() -> Ratings:
    return load("synthetic-implicit", n_users=60, n_items=80)


@pytest.fixture(scope="module")
def model(ratings: Ratings) -> Recommender:
    options = {"user_identity": "shared", "epochs": 2, "lr": 0.01, "dtype": torch.float64}
    return learn(ratings, "tanp", splits=make_episodes(ratings, "tanp"), device="cpu", **options)


def floor(model: Recommender, name: str) -> Recommender:
    return learn(model.ratings, name, splits=model.splits, device="cpu", dtype=torch.float64)


def test_a_list_holds_new_items_best_first(model: Recommender) -> None:
    plays = taste.support_of(model.splits.test, 0)
    found = model.recommend(plays, k=12)
    assert len(plays) == 20 and len(found) == 12
    assert not set(found["item"]) & set(plays)
    assert found["item"].is_unique and found["score"].is_monotonic_decreasing
    assert found.index.tolist() == list(range(1, 13))


def test_a_list_has_the_scores_of_the_batch(model: Recommender) -> None:
    """One person through `recommend` and everybody through `scores` agree."""
    test = model.splits.test
    scores, new = model.scores(test)
    for task in (0, 3):
        found = model.recommend(taste.support_of(test, task), k=80, user=model.ratings.users[test.task[task]])
        assert len(found) == int(new[task].sum()) == 60
        whole = scores[task].numpy()
        np.testing.assert_allclose(found["score"], whole[found["item"]], rtol=1e-12)


def test_the_order_of_plays_does_not_matter(model: Recommender) -> None:
    plays = taste.support_of(model.splits.test, 1)
    backwards = dict(reversed(plays.items()))
    np.testing.assert_allclose(
        model.recommend(plays)["score"], model.recommend(backwards)["score"], rtol=1e-12
    )


def test_with_a_shared_identity_it_does_not_matter_who_asks(model: Recommender) -> None:
    plays = taste.support_of(model.splits.test, 1)
    one, other = (model.recommend(plays, user=u) for u in model.ratings.users[model.splits.test.task[:2]])
    assert one.equals(other)


def test_a_label_does_matter(model: Recommender) -> None:
    plays = taste.support_of(model.splits.test, 1)
    turned = {item: 1 - label for item, label in plays.items()}
    assert not np.allclose(model.recommend(plays)["score"], model.recommend(turned)["score"])


def test_popularity_ranks_by_likes_of_training_users(model: Recommender) -> None:
    train = model.splits.train
    item, label = train.ratings.item[train.rows], train.ratings.label[train.rows]
    likes = np.bincount(item[label > 0], minlength=model.ratings.n_items)
    found = floor(model, "popularity").recommend({model.ratings.items[0]: 1}, k=5)
    assert found["score"].tolist() == sorted(likes[1:], reverse=True)[:5]


def test_raw_ids_go_in_and_come_out() -> None:
    import pandas as pd

    world = load("synthetic-implicit", n_users=60, n_items=80)
    frame = pd.DataFrame(
        {
            "who": [f"person {u}" for u in world.user],
            "what": [f"song {i:02d}" for i in world.item],
            "liked": world.label,
        }
    )
    named = from_frame(frame, user="who", item="what", label="liked", kind="implicit")
    model = learn(named, "popularity", device="cpu")
    found = model.recommend({"song 00": 1, "song 01": 0}, k=3)
    assert all(re.fullmatch(r"song \d\d", item) for item in found["item"])
    assert not {"song 00", "song 01"} & set(found["item"])


@pytest.mark.parametrize(
    ("plays", "user", "message"),
    [
        ({}, None, "no plays"),
        ({"tango": 1}, None, "item 'tango' is not in the catalogue"),
        ({0: 1, 1: 2}, None, "item 1 has label 2, but labels here are 0 or 1"),
        ({0: 1, 1: 0.5}, None, "item 1 has label 0.5, but labels here are 0 or 1"),
        ({0: "liked"}, None, "item 0 has label 'liked', but labels here are 0 or 1"),
        ({0: None}, None, "item 0 has label None"),
        ({0: 1}, "nobody", "user 'nobody' is not in"),
    ],
)
def test_what_cannot_be_served_is_refused(
    model: Recommender, plays: dict[object, float], user: object, message: str
) -> None:
    with pytest.raises(MetarecError, match=message):
        model.recommend(plays, user=user)


@pytest.mark.parametrize("k", [-1, 0, 2.5])
def test_a_list_has_a_length(model: Recommender, k: int) -> None:
    with pytest.raises(MetarecError, match=f"k={k} is no length of a list; pass a whole number"):
        model.recommend({0: 1}, k=k)


def test_labels_of_graded_ratings_lie_on_their_scale() -> None:
    graded = learn(load("synthetic", n_users=60, n_items=80), "popularity", device="cpu")
    assert len(graded.recommend({0: 3.5}, k=3)) == 3
    with pytest.raises(MetarecError, match="item 0 has label 9, but labels here run from 1 to 5"):
        graded.recommend({0: 9})


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"model": "oracle"}, "the oracle only looks up labels"),
        ({"device": "gpu0"}, "device 'gpu0' is unknown; use auto, cpu"),
        ({"device": "cuda:99"}, "is not there .* use auto or cpu"),
        ({"epochs": -1}, "TaNP: epochs=-1; use a whole number, 0 or more"),
        ({"epochs": 1.5}, "TaNP: epochs=1.5; use a whole number"),
        ({"batch": 0}, "TaNP: batch=0; use a whole number, 1 or more"),
        ({"lr": 0.0}, "TaNP: lr=0.0; use a number above 0"),
        ({"lr": float("nan")}, "TaNP: lr=nan; use a number above 0"),
        ({"model": "pnmta", "pretrain_batch": 0}, "PNMTA: pretrain_batch=0"),
    ],
)
def test_what_cannot_be_learnt_is_refused(ratings: Ratings, options: dict[str, object], reason: str) -> None:
    with pytest.raises(ProtocolError, match=reason):
        learn(ratings, **{"device": "cpu", **options})  # type: ignore[arg-type]


FREE: dict[str, dict[str, object]] = {"pnmta": {"task_members": "support"}, "metahin": {"pool": "item"}}


@pytest.mark.parametrize("name", ["tanp", "melu", "paml", "mamo", *FREE])
def test_a_score_does_not_hang_on_what_else_is_asked_for(name: str, ratings: Ratings) -> None:
    given = {"device": "cpu", "dtype": torch.float64, "epochs": 1, **FREE.get(name, {})}
    model = learn(ratings, name, **given)  # type: ignore[arg-type]
    support = model._support({0: 1, 3: 0, 7: 1}, 0)
    whole, _ = model._rank(support)
    few = torch.arange(10, 15)[None]
    with torch.no_grad():
        alone = model.method.predict(
            support, Query(support.user, few, torch.ones_like(few, dtype=torch.bool))
        )
    torch.testing.assert_close(alone, whole[:, 10:15], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", FREE)
def test_where_it_does_one_is_told(name: str, ratings: Ratings) -> None:
    ((option, value),) = FREE[name].items()
    with pytest.warns(UserWarning, match=f"{name} pools over all items.*{option}='{value}'"):
        learn(ratings, name, device="cpu", epochs=0, **({"pretrain_epochs": 0} if name == "pnmta" else {}))


def test_training_repeats_to_the_bit(model: Recommender, ratings: Ratings) -> None:
    options = {"user_identity": "shared", "epochs": 2, "lr": 0.01, "dtype": torch.float64}
    again = learn(ratings, "tanp", splits=model.splits, device="cpu", **options)
    assert again.history == model.history
    assert torch.equal(again.scores(model.splits.test)[0], model.scores(model.splits.test)[0])


# --- the planted taste


def test_a_random_list_finds_its_share(model: Recommender) -> None:
    hits = taste_hits(floor(model, "random"), model.splits.test, 10)
    np.testing.assert_allclose(hits, 10 / 60, rtol=1e-9)  # 80 songs, 20 played


def test_who_knows_the_truth_finds_everything(model: Recommender) -> None:
    oracle = floor(model, "random")
    expected = torch.as_tensor(model.ratings.truth.expected[model.splits.test.task])
    oracle.method.predict = lambda support, query, noise=None: expected  # type: ignore[assignment]
    np.testing.assert_array_equal(taste_hits(oracle, model.splits.test, 10), 1.0)


def test_hits_are_the_overlap_of_two_lists(model: Recommender) -> None:
    test, truth = model.splits.test, model.ratings.truth
    hits = taste_hits(model, test, 10)
    for task in range(3):
        plays = taste.support_of(test, task)
        chance = {i: truth.expected[test.task[task], i] for i in range(80) if i not in plays}
        best = sorted(chance, key=chance.__getitem__, reverse=True)[:10]
        mine = model.recommend(plays, user=model.ratings.users[test.task[task]])["item"]
        assert hits[task] == pytest.approx(len(set(best) & set(mine)) / 10)


def test_fewer_plays_keep_the_songs_to_be_found(model: Recommender) -> None:
    """Popularity sees no plays, so it finds as many whatever it is allowed to see."""
    popularity = floor(model, "popularity")
    whole = taste_hits(popularity, model.splits.test)
    for known in (1, 7):
        np.testing.assert_array_equal(taste_hits(popularity, model.splits.test, known=known), whole)


def test_hits_need_a_planted_truth(model: Recommender) -> None:
    import dataclasses

    blind = dataclasses.replace(model, ratings=dataclasses.replace(model.ratings, truth=None))
    with pytest.raises(MetarecError, match="no planted table"):
        taste_hits(blind, model.splits.test)


def test_the_quickstart_page_shows_that_plays_are_worth_something() -> None:
    """In the stored page the interval of TaNP lies above that of popularity, and that above chance."""
    shown = "".join(
        str(output.get("data", {}).get("text/html", ""))
        for cell in nbformat.read(QUICKSTART, as_version=4).cells
        if cell.cell_type == "code"
        for output in cell.outputs
    )
    row = r'<th scope="row">{}</th><td>(\d+) %</td><td>(?:(\d+) to (\d+) %|exact)</td>'
    found = {name: re.search(row.format(name), shown) for name in ("TaNP", "popularity", "a random list")}
    ours, popular, chance = (match.groups() for match in found.values() if match)
    assert int(ours[1]) > int(popular[2]) > int(popular[1]) > int(chance[0])
