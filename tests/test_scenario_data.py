"""Tables with scenarios from files of the exact format, frozen vectors, recall beside the released one."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import sources
import torch

from metarec.data import Ratings, Schema, load, vectors
from metarec.data.vectors import als, scaled, user_and_item_vectors
from metarec.errors import DataError, ProtocolError
from metarec.metrics import evaluate
from metarec.papers.cmml.protocol import scenario_protocol, user_protocol
from metarec.runs.protocol import Protocol
from metarec.tasks.scenarios import Scenarios

PARITY = Path(__file__).parent / "parity" / "recall_metric" / "fixture.npz"


def read(name: str, home: Path, **options: object) -> Ratings:
    sources.BUILD[name](home)
    return load(name, home=home, **options)


def kinds(ratings: Ratings) -> dict[str, list[str]]:
    """The raw items of each scenario."""
    field = next(f for f in ratings.item_fields if f.name == "scenario")
    held = {str(name): [] for name in field.vocabulary}  # type: ignore[var-annotated]
    for item, values in zip(ratings.items, field.values, strict=True):
        for v in values[values >= 0]:
            held[str(field.vocabulary[v])].append(str(item))
    return held


def test_films_have_tags_genres_and_pairs_of_genres(tmp_path: Path) -> None:
    r = read("films", tmp_path)
    held = kinds(r)
    assert {k: len(v) for k, v in held.items()} == {
        "genre Comedy": 25,
        "genre Drama": 26,
        "genres Comedy and Drama": 25,
        "tag noir": 25,
    }
    assert "26" not in held["tag noir"] and (r.label == 1).all() and r.kind == "implicit"
    assert not r.user_fields, "every film lies in a scenario"
    (source,) = load("films", home=tmp_path, fewest=25, most=25).user_fields
    assert source.counts is not None and source.counts.sum() == 1, "film 26 lies in no scenario"
    assert r.items[source.vocabulary[0]] == 26
    with pytest.raises(DataError, match=r"no scenario has 50\.\.60 items"):
        load("films", home=tmp_path, fewest=50, most=60)


def test_tags_of_ml20m_count_in_lower_case(tmp_path: Path) -> None:
    r = read("ml-20m", tmp_path)
    held = kinds(r)
    assert list(held) == ['tag dark, "very" dark'] and len(held['tag dark, "very" dark']) == 101
    assert r.counts() == {"users": 3, "items": 102, "ratings": 102}


def test_shops_share_nothing(tmp_path: Path) -> None:
    r = read("shopping", tmp_path)
    assert r.counts() == {"users": 6, "items": 306, "ratings": 3 * (59 + 44)}
    assert {k: len(v) for k, v in kinds(r).items()} == {
        f"{s} attribute 5": 101 for s in ("Beauty", "Sports_and_Outdoors", "Toys_and_Games")
    }
    pairs = r.user * r.n_items + r.item
    assert len(np.unique(pairs)) == len(pairs)
    (tmp_path / "amazon-s3rec" / "Beauty.txt").write_text("1 2 3\n2 x\n")
    with pytest.raises(DataError, match=r"Beauty.txt, line 2: not a user and items"):
        load("shopping", home=tmp_path)


def test_the_hybrid_set_is_both_side_by_side(tmp_path: Path) -> None:
    parts = [read(name, tmp_path) for name in ("films", "shopping")]
    r = load("hybrid", home=tmp_path)
    assert r.counts() == {k: sum(p.counts()[k] for p in parts) for k in r.counts()}
    sizes = [len(own) for own in Scenarios.of(r).rows]
    assert sizes == [len(own) for p in parts for own in Scenarios.of(p).rows]
    user, item = (next(f for f in side if f.name == "domain") for side in (r.user_fields, r.item_fields))
    assert (user.values[r.user] == item.values[r.item]).all(), "no one has an item of the other set"
    source = next(f for f in r.user_fields if f.name == "source")
    assert source.counts is not None and source.counts[:2].sum() == 0
    ids = source.vocabulary[source.values[source.values >= 0]]
    assert (item.values[ids] == 1).all()


def test_a_click_in_a_theme_counts_once(tmp_path: Path) -> None:
    r = read("taobao-themes", tmp_path)
    assert r.scenarios is not None and r.scenarios.tolist() == [4]
    assert r.scenario is not None and (r.scenario == -1).sum() == 1 and len(r) == 102
    (own,) = Scenarios.of(r).rows
    assert len(own) == 101


def test_s2metas_pickles_are_read_and_run_nothing(tmp_path: Path) -> None:
    r = read("s2meta-taobao", tmp_path)
    assert r.counts() == {"users": 3, "items": 3, "ratings": 5} and r.scenarios is not None
    assert r.scenarios.tolist() == ["11", "12", "13"]
    path = tmp_path / "s2meta-taobao" / "train_data" / "train_data"
    for bad, reason in (
        (pickle.dumps([(np.int64(1), [])]), "not a pickle of plain lists.*int\\(\\)"),
        (pickle.dumps({"a": 1}), "holds a dict, not a list"),
        (pickle.dumps([5]), "entry 0: not a scenario and lists of pairs"),
        (b"nothing", "not a pickle"),
    ):
        path.write_bytes(bad)
        with pytest.raises(DataError, match=reason):
            load("s2meta-taobao", home=tmp_path)


# --- vectors


def tiny_pairs() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.integers(0, 7, 30), rng.integers(0, 5, 30)


def test_a_half_sweep_solves_the_normal_equations() -> None:
    """With d steps, conjugate gradients are exact; the system is written out user by user here."""
    user, item = tiny_pairs()
    rated = np.zeros((8, 5))
    rated[user, item] = 1.0
    x, y = als(user, item, 8, 5, 3, alpha=4.0, damping=0.7, sweeps=40, steps=3, seed=1)
    for k in range(8):
        weight = 1 + 4.0 * rated[k]
        left = y.T @ (weight[:, None] * y) + 0.7 * np.eye(3)
        # The items moved once more after the users, so the users are a step behind: to convergence.
        assert np.allclose(x[k], np.linalg.solve(left, y.T @ (weight * rated[k])), atol=1e-3)
    for k in range(5):
        weight = 1 + 4.0 * rated[:, k]
        left = x.T @ (weight[:, None] * x) + 0.7 * np.eye(3)
        assert np.allclose(y[k], np.linalg.solve(left, x.T @ (weight * rated[:, k])), atol=1e-10)
    assert not x[7].any(), "who has no pair has zeros"


def test_vectors_have_a_scale_a_seed_and_a_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METAREC_CACHE", str(tmp_path))
    ratings = load("synthetic-scenarios")
    every = np.ones(len(ratings), bool)
    user, item = user_and_item_vectors(ratings, every, [8])
    assert user.shape == (ratings.n_users, 8) and item.shape == (ratings.n_items, 8)
    for side in (user, item):
        some = side[side.any(1)]
        assert side.dtype == np.float32 and np.isclose((some**2).mean(), 1.0, atol=1e-5)
    (file,) = (tmp_path / "vectors").iterdir()
    assert file.suffix == ".npy"
    monkeypatch.setattr(vectors, "als", lambda *a, **k: pytest.fail("it is in the cache"))
    assert np.array_equal(user_and_item_vectors(ratings, every, [8])[0], user)
    monkeypatch.undo()
    monkeypatch.setenv("METAREC_CACHE", str(tmp_path / "other"))
    assert np.array_equal(user_and_item_vectors(ratings, every, [8])[0], user), "the same from the same rows"
    assert np.allclose(scaled(3.0 * user), user, atol=1e-5)
    pairs = ratings.user, ratings.item, ratings.n_users, ratings.n_items, 8
    assert not np.allclose(als(*pairs, seed=1)[0], als(*pairs, seed=2)[0])


def test_where_nothing_can_be_written_vectors_are_still_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("METAREC_CACHE", str(tmp_path / "file"))
    ratings = load("synthetic-scenarios")
    assert user_and_item_vectors(ratings, np.ones(len(ratings), bool), [4])[0].any()


def test_positives_are_nearer_than_others() -> None:
    ratings = load("synthetic-scenarios")
    x, y = als(ratings.user, ratings.item, ratings.n_users, ratings.n_items, 8)
    scores = x @ y.T
    rated = np.zeros_like(scores, bool)
    rated[ratings.user, ratings.item] = True
    assert scores[rated].mean() > scores[~rated].mean() + 0.2


def test_each_domain_has_vectors_of_its_own_repeated_to_one_width(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("METAREC_CACHE", str(tmp_path / "cache"))
    r = read("hybrid", tmp_path)
    user, item = user_and_item_vectors(r, np.ones(len(r), bool), (2, 4))
    films = next(f for f in r.item_fields if f.name == "domain").values == 0
    assert np.array_equal(item[films][:, :2], item[films][:, 2:]), "[e | e]"
    assert not np.array_equal(item[~films][:, :2], item[~films][:, 2:]) and user.shape[1] == 4
    with pytest.raises(DataError, match="do not fit its domains"):
        user_and_item_vectors(r, np.ones(len(r), bool), (3, 4))


def test_a_schema_holds_vectors_and_a_stranger_has_zeros() -> None:
    ratings = load("synthetic-scenarios")
    schema = Schema.of(ratings)
    assert schema.user_vectors is None
    own = np.ones((ratings.n_users, 2), np.float32)
    known = Schema(**{**vars(schema), "user_vectors": own}).knowing(ratings.user, ratings.item)
    assert known.user_vectors is not None and known.user_vectors[-1].tolist() == [0, 0]
    assert len(known.user_vectors) == known.n_users


# --- recall and presets


@pytest.mark.skipif(not PARITY.exists(), reason="the arrays are not here")
@pytest.mark.parametrize("name", ["cmml-scenario", "cmml-scenario-released"])
def test_recall_is_the_released_one(name: str) -> None:
    """100 lists of one user each, without ties: per list to 1e-15, and the pooled mean."""
    given = np.load(PARITY, allow_pickle=False)
    offsets, positives = given["score_offsets"], given["n_positive"]
    lengths = np.diff(offsets)
    width = np.arange(lengths.max())
    mask = torch.as_tensor(width < lengths[:, None])
    flat = np.minimum(offsets[:-1, None] + width, offsets[-1] - 1)
    scores = torch.as_tensor(given["score"][flat])
    labels = torch.as_tensor((width < positives[:, None]).astype(float))
    found = evaluate(scores, labels, mask, name)
    for k, n in enumerate(given["N"]):
        ours = found[f"Recall@{n}"].numpy()
        assert np.abs(ours - given["recall"][:, k]).max() < 1e-15
        assert abs(ours.mean() - given["mean_recall"][k]) < 1e-12


def test_presets_differ_as_the_tracks_do() -> None:
    published, sound = (scenario_protocol(t, "full", "films") for t in ("published", "sound"))
    assert (published.rule_options["negatives"], sound.rule_options["negatives"]) == ("released", "text")
    assert (published.selection.metric, sound.selection.metric) == ("Recall@20", "std:Recall@20")
    assert published.selection.patience is None and sound.selection.patience
    assert scenario_protocol("sound", "full", "films", searching=True).selection.patience is None
    assert published.vectors == (64,) and scenario_protocol("sound", "full", "hybrid").vectors == (64, 128)
    assert scenario_protocol("sound", "quick", "hybrid").dataset == "synthetic-scenarios"
    for track in ("published", "sound"):
        place = user_protocol(track, "full", evaluated="cold")
        assert place.rule_options["longest"] == 100 and (place.hide > 0) == (track == "sound")
    assert user_protocol("sound", "full", evaluated="warm", longest=50).rule_options["longest"] == 50


def test_vectors_want_one_split_and_no_strangers() -> None:
    for more in ({"split_per_seed": True}, {"hide": 0.1}, {"vectors": (0,)}):
        with pytest.raises(ProtocolError, match="need one split for all seeds"):
            Protocol("sound", "films", "scenario", **{"vectors": (4,), **more})  # type: ignore[arg-type]
    place = Protocol.from_dict(
        {
            "track": "sound",
            "dataset": "films",
            "rule": "scenario",
            "vectors": [4],
            "selection": {"rule": "last"},
        }
    )
    assert place.vectors == (4,) and place.canonical()["vectors"] == (4,)
    assert "vectors" not in Protocol("sound", "films", "scenario").canonical(), "old digests stay"


@pytest.mark.realdata
def test_the_stand_ins_count_as_the_book_says() -> None:
    for name, scenarios, counts in (
        ("films", 260, {"users": 6040, "items": 3706, "ratings": 1_000_209}),
        ("shopping", 234, {"users": 77_373, "items": 42_382, "ratings": 662_436}),
    ):
        ratings = load(name)
        assert ratings.counts() == counts and len(Scenarios.of(ratings).rows) == scenarios
