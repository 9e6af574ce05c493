"""Readers against files small enough to read by eye, and against the real ones where they are at hand."""

from __future__ import annotations

import json
import random
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import sources
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from metarec.data import Field, Ratings, from_frame, load, make_field
from metarec.data.frames import pack_field
from metarec.data.lastfm import SPLITS, tanp_tasks, tanp_user_order
from metarec.data.reading import Column, Table
from metarec.errors import DataError, MetarecError


def cells(field: Field) -> list[object]:
    """A field back as raw values, one entry a user or item."""
    if not field.multi:
        return field.vocabulary[field.values].tolist()
    assert field.counts is not None
    return [
        tuple(field.vocabulary[row[:n]].tolist()) for row, n in zip(field.values, field.counts, strict=True)
    ]


def fields(ratings: Ratings) -> dict[str, list[object]]:
    return {f.name: cells(f) for f in ratings.user_fields + ratings.item_fields}


def raw_rows(ratings: Ratings) -> list[tuple[object, object, float]]:
    user, item = ratings.users[ratings.user], ratings.items[ratings.item]
    return list(zip(user.tolist(), item.tolist(), ratings.label.tolist(), strict=True))


def read(name: str, home: Path, **options: object) -> Ratings:
    sources.BUILD[name](home)
    return load(name, home=home, **options)


def test_ml1m_keeps_rows_and_takes_melus_fields(tmp_path: Path) -> None:
    r = read("ml-1m", tmp_path)
    assert raw_rows(r) == [(1, 811, 5), (1, 860, 3), (2, 811, 4), (3, 2, 1), (3, 3, 2)]
    assert r.time is not None and r.time.tolist() == [978300760, 978300761, 978300700, 978300800, 978300700]
    assert [f.name for f in r.user_fields] == ["gender", "age", "occupation", "zip"]
    assert [f.name for f in r.item_fields] == ["rate", "genre", "director", "actor"]
    got = fields(r)
    assert got["gender"] == ["F", "M", "M"] and got["age"] == ["1", "56", "18"]
    assert got["zip"] == ["12345", "99999", "12345"], "MeLU cuts a zip code to five characters"
    assert got["director"] == [("Ana Ave", "Bo Bel"), ("nan",), ("Bo Bel",), ("Bo Bel",)]
    assert got["actor"] == [("Cy Coe", "Di Dee"), ("Di Dee",), ("nan",), ("nan",)], "names count once"
    assert got["genre"][2] == got["genre"][3] and got["rate"][2] == got["rate"][3], (
        "860 shares the row of 811"
    )
    assert any("860" in note for note in r.notes)


def test_ml1m_vocabularies_stand_in_melus_order(tmp_path: Path) -> None:
    r = read("ml-1m", tmp_path)
    for field, file in zip(r.item_fields, ("rate", "genre", "director", "actor"), strict=True):
        assert field.vocabulary.tolist() == sources.MELU_LISTS[file].split("\n")


def test_ml1m_without_melus_files(tmp_path: Path) -> None:
    sources.ml1m(tmp_path)
    for file in (tmp_path / "ml-1m").glob("m_*.txt"):
        file.unlink()
    r = load("ml-1m", home=tmp_path, fields="official", year=True)
    assert fields(r)["genre"][0] == ("Comedy", "Drama") and fields(r)["year"] == [
        "1991",
        "1985",
        "1994",
        "1994",
    ]
    assert load("ml-1m", home=tmp_path, fields="none").item_fields == ()


def test_ml1m_says_when_the_time_is_an_order(tmp_path: Path) -> None:
    sources.ml1m(tmp_path)
    path = tmp_path / "ml-1m" / "ratings.dat"
    path.write_text("1::811::5::2\n1::860::3::1\n2::811::4::1\n3::2::1::1\n3::3::2::2\n")
    assert any("order" in note for note in load("ml-1m", home=tmp_path).notes)


def test_ml100k_bins_ages_as_1m_does(tmp_path: Path) -> None:
    got = fields(read("ml-100k", tmp_path))
    assert got["age"] == [1, 56] and got["year"] == ["1991", "1985", "unknown"]
    assert got["genre"] == [("Drama", "Comedy"), ("Drama",), ("unknown",)] and got["zip"] == [
        "12345",
        "T8H1N",
    ]


def test_hetrec_rows_are_positives_with_plays(tmp_path: Path) -> None:
    r = read("lastfm-hetrec", tmp_path)
    assert raw_rows(r) == [(2, 51, 1), (2, 52, 1), (4, 51, 1), (9, 70, 1)]
    assert r.weight is not None and r.weight.tolist() == [13883, 11, 7, 1] and r.kind == "implicit"


def test_mkr_numbers_items_by_line_and_users_by_appearance(tmp_path: Path) -> None:
    r = read("lastfm-mkr", tmp_path, negatives=False)
    assert r.items.tolist() == [52, 51, 70, 71, 72, 73] and r.users.tolist() == [9, 4]
    assert (r.user.tolist(), r.item.tolist()) == ([0, 0, 0, 1], [0, 1, 2, 0])


def test_mkr_draws_one_new_negative_a_positive(tmp_path: Path) -> None:
    r = read("lastfm-mkr", tmp_path)
    assert r.label.tolist() == [1, 1, 1, 0, 0, 0, 1, 0] and r.user.tolist() == [0] * 6 + [1] * 2
    assert len(set(zip(r.user.tolist(), r.item.tolist(), strict=True))) == len(r)
    assert r.sha256 == load("lastfm-mkr", home=tmp_path, seed=555).sha256
    assert len({load("lastfm-mkr", home=tmp_path, seed=s).sha256 for s in range(8)}) > 1


def test_gowalla_keeps_long_histories_and_draws_from_their_places(tmp_path: Path) -> None:
    r = read("gowalla", tmp_path)
    assert r.users.tolist() == [3, 7] and r.items.tolist() == [*range(20, 35), *range(40, 55)]
    liked = r.label == 1
    assert np.bincount(r.user[liked]).tolist() == np.bincount(r.user[~liked]).tolist() == [15, 15]
    # Nobody's places are drawn against them, so of thirty places the other user's are what is left.
    for user, own in enumerate((range(15), range(15, 30))):
        assert sorted(r.item[liked & (r.user == user)]) == list(own)
        assert sorted(r.item[~liked & (r.user == user)]) == sorted(set(range(30)) - set(own))
    assert len(load("gowalla", home=tmp_path, shortest=2, negatives=False)) == 32


def test_tanp_keeps_ids_row_order_and_user_order(tmp_path: Path) -> None:
    r = read("lastfm-tanp", tmp_path)
    assert r.user.tolist() == [0, 0, 1, 1, 1, 1] and r.item.tolist() == [2, 0, 1, 2, 0, 3]
    assert r.users.tolist() == [0, 1] and tanp_user_order(tmp_path).tolist() == [1, 0]


def test_bookcrossing_cleans_the_known_dirt(tmp_path: Path) -> None:
    r = read("book-crossing", tmp_path)
    assert raw_rows(r) == [(8, "0002", 7), (9, "000X", 10), (77, "lost", 3), (10, "0002", 5)]
    got = fields(r)
    assert r.users.tolist() == [8, 9, 10, 77] and r.items.tolist() == ["0002", "000X", "lost"]
    assert got["location"] == ["canada", "germany", "unknown", "unknown"]
    assert got["age"] == ["unknown", "unknown", "25", "unknown"]
    assert got["author"] == ["Bea Yew", "unknown", "unknown"]
    assert got["year"] == ["2000", "unknown", "unknown"] and got["publisher"] == ["DK", "unknown", "unknown"]
    assert "1 of 4 users and 1 of 3 books" in r.notes[0]


def test_bookcrossing_keeps_zeros_on_request(tmp_path: Path) -> None:
    r = read("book-crossing", tmp_path, zeros=True)
    assert raw_rows(r)[0] == (8, "0001", 0) and len(r) == 5
    assert fields(r)["author"][0] == "Ann Ox" and fields(r)["publisher"][0] == "Ash &amp; Co"


def test_bookcrossing_reads_doubled_quotes_too(tmp_path: Path) -> None:
    sources.bookcrossing(tmp_path)
    path = tmp_path / "book-crossing" / "BX-Books.csv"
    head = '"ISBN";"Book-Title";"Book-Author";"Year-Of-Publication";"Publisher"\n'
    path.write_text(
        head + '"0002";"My ""own"" way \\";"Cé";"2001";"P"\n"000X";"x \\y\\""";"D";"1";"Q"\n', "utf-8"
    )
    assert fields(load("book-crossing", home=tmp_path))["author"] == ["Cé", "D", "unknown"]


def test_douban_is_the_union_of_the_splits(tmp_path: Path) -> None:
    r = read("douban-book", tmp_path)
    assert raw_rows(r) == [(1, 10, 5), (1, 12, 3), (1, 11, 4), (3, 10, 1), (2, 13, 2)]
    got = fields(r)
    assert got["location"] == ["33", "40", "33"] and got["author"] == ["8", "7", "7", "9"]
    assert got["publisher"] == ["1", "1", "2", "unknown"]


def test_unknown_names_and_options_say_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(MetarecError, match=r"did you mean 'ml-1m'.*synthetic"):
        load("ml1m")
    with pytest.raises(MetarecError, match="no option 'colour': choose from fields, year"):
        load("ml-1m", home=tmp_path, colour="red")


@given(
    st.lists(
        st.tuples(st.integers(-5, 5), st.integers(0, 6), st.integers(1, 5)),
        min_size=1,
        unique_by=lambda t: t[:2],
    )
)
def test_from_frame_maps_back_to_what_it_was_given(rows: list[tuple[int, int, int]]) -> None:
    frame = pd.DataFrame(rows, columns=["user", "item", "label"])
    r = from_frame(frame)
    assert raw_rows(r) == [(u, i, float(y)) for u, i, y in rows]
    assert r.users.tolist() == sorted(set(frame["user"])) and r.items.tolist() == sorted(set(frame["item"]))


@given(st.lists(st.lists(st.text("abcd", min_size=1, max_size=2), max_size=4), min_size=1))
def test_multi_valued_fields_hold_each_value_once_in_order(rows: list[list[str]]) -> None:
    if any(rows):
        assert cells(make_field("f", rows)) == [tuple(dict.fromkeys(row)) for row in rows]


def test_a_scalar_among_lists_is_a_list_of_one_value() -> None:
    """Not the list of its letters."""
    assert cells(make_field("genre", [["Drama", "War"], "Drama", []])) == [("Drama", "War"), ("Drama",), ()]


@given(arrays(np.int64, st.integers(1, 8), elements=st.integers(0, 5)))
def test_packing_keeps_counts_and_pads_with_minus_one(counts: np.ndarray) -> None:
    codes = np.arange(counts.sum())
    field = pack_field("f", codes, counts, codes)
    assert np.array_equal(field.values[field.values >= 0], codes)
    assert np.array_equal((field.values >= 0).sum(1), counts)


number = st.integers(-(2**40), 2**40)


@given(st.lists(st.tuples(number, st.text("ab c'\"|", min_size=1).filter(str.strip), number), min_size=1))
def test_tables_read_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[int, str, int]]
) -> None:
    path = tmp_path_factory.mktemp("table") / "t.dat"
    path.write_text("".join(f"{a}::{b}::{c}\n" for a, b, c in rows), "utf-8")
    table = Table(path, (Column("a", "int"), Column("b"), Column("c", "number")), "::")
    frame = table.read()
    assert list(zip(frame["a"], frame["b"], frame["c"], strict=True)) == rows
    assert [(int(f[0]), f[1], float(f[2])) for _, f in table.rows()] == rows


def test_digest_tells_order_in_time_but_not_clocks() -> None:
    frame = pd.DataFrame({"user": [1, 1, 2], "item": [1, 2, 1], "label": [1, 2, 3], "t": [30, 10, 5]})
    same, other = frame.assign(t=[2, 1, 1]), frame.assign(t=[1, 2, 1])
    digest = [from_frame(f, time="t").sha256 for f in (frame, same, other)]
    assert digest[0] == digest[1] != digest[2]


def test_a_changed_copy_has_a_digest_of_its_own() -> None:
    frame = pd.DataFrame({"user": [1, 1, 2], "item": [1, 2, 1], "label": [1, 2, 3]})
    known = from_frame(frame)
    assert known.sha256 == replace(known, name="copy").sha256
    assert replace(known, label=known.label[::-1]).sha256 == from_frame(frame.assign(label=[3, 2, 1])).sha256


def test_timestamps_are_times() -> None:
    frame = pd.DataFrame(
        {"user": [1, 1], "item": [1, 2], "label": [1, 2], "t": pd.to_datetime(["2020-02-01", "2020-01-01"])}
    )
    times = from_frame(frame, time="t").time
    assert times is not None and times[0] > times[1]


def test_from_frame_loops_over_no_row_and_no_user() -> None:
    """A hundred thousand rows in a fraction of a second; ten million take some seconds."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"user": rng.integers(0, 50_000, 100_000), "item": np.arange(100_000), "label": 1.0})
    start = time.perf_counter()
    from_frame(frame)
    assert time.perf_counter() - start < 2


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("lastfm-hetrec", (1892, 17632, 92834)),
        ("lastfm-mkr", (1872, 3846, 42346)),
        ("gowalla", (2718, 27362, 154414)),
        ("lastfm-tanp", (1872, 3846, 42346)),
        ("ml-1m", (6040, 3706, 1000209)),
        ("ml-100k", (943, 1682, 100000)),
        ("book-crossing", (52347, 27732, 236758)),
        ("douban-book", (10551, 20934, 649381)),
    ],
)
def test_real_counts(name: str, counts: tuple[int, int, int], real_home: Path) -> None:
    assert tuple(load(name, home=real_home).counts().values()) == counts


@pytest.mark.realdata
def test_real_ml1m_is_read_in_three_seconds_with_melus_sizes(real_home: Path) -> None:
    start = time.perf_counter()
    r = load("ml-1m", home=real_home, year=True)
    assert time.perf_counter() - start < 3
    assert np.bincount(r.label.astype(int)).tolist() == [0, 56174, 107557, 261197, 348971, 226310]
    sizes = {f.name: f.size for f in r.user_fields + r.item_fields}
    melu = {"gender": 2, "age": 7, "occupation": 21, "zip": 3402, "rate": 6, "genre": 25, "director": 2186}
    assert {k: sizes[k] for k in melu} == melu and sizes["actor"] == 7978
    assert all(f.counts is None or f.counts.min() >= 1 for f in r.item_fields), "MeLU divides by the count"


@pytest.mark.realdata
def test_real_mkr_rows_are_tanps(real_home: Path) -> None:
    """MKR's seed gives the very negatives TaNP used; only the order inside a user differs."""

    def rows(name: str) -> np.ndarray:
        r = load(name, home=real_home)
        return np.unique(np.stack([r.user, r.item, r.label.astype(np.int64)], 1), axis=0)

    assert np.array_equal(rows("lastfm-mkr"), rows("lastfm-tanp"))


@pytest.mark.realdata
def test_real_tanp_rows_stand_in_the_authors_order(real_home: Path) -> None:
    r = load("lastfm-tanp", home=real_home)
    folder = real_home / "lastfm-tanp"
    items = json.loads((folder / "interaction_dict_x.json").read_text())
    labels = json.loads((folder / "interaction_dict_y.json").read_text())
    for user in items:
        mine = r.user == int(user)
        assert (
            r.item[mine].tolist() == [int(i) for i in items[user]] and r.label[mine].tolist() == labels[user]
        )


@pytest.mark.realdata
def test_real_tanp_tasks_are_regenerated_draw_for_draw(real_home: Path) -> None:
    """The authors' recipe: shuffle the users, cut 7:1:2, drop unseen test items, shuffle each history."""
    r, shipped = load("lastfm-tanp", home=real_home), tanp_tasks(real_home)
    rng = random.Random(2020)
    users = tanp_user_order(real_home).tolist()
    rng.shuffle(users)
    n, m = int(0.7 * len(users)), int(0.1 * len(users))
    seen = set(r.item[np.isin(r.user, users[:n])].tolist())
    for split, members in zip(SPLITS, (users[:n], users[n : n + m], users[n + m :]), strict=True):
        kept, support, query, labels = [], [], [], []
        for user in members:
            rows = [k for k in np.flatnonzero(r.user == user) if split != "testing" or int(r.item[k]) in seen]
            if 30 <= len(rows) <= 200:
                order = list(range(len(rows)))
                rng.shuffle(order)
                rows = [rows[k] for k in order]
                kept.append(user)
                support.append(r.item[rows[:20]])
                query += r.item[rows[20:]].tolist()
                labels += r.label[rows[20:]].tolist()
        assert shipped[split]["user"].tolist() == kept
        assert np.array_equal(shipped[split]["support_item"], np.stack(support))
        assert (
            shipped[split]["query_item"].tolist() == query
            and shipped[split]["query_label"].tolist() == labels
        )


def test_tasks_come_back_as_arrays(tmp_path: Path) -> None:
    sources.tanp(tmp_path)
    rows = tanp_tasks(tmp_path)["testing"]
    assert rows["user"].tolist() == [1] and rows["support_item"].tolist() == [[1, 0]]
    assert rows["query_ptr"].tolist() == [0, 2] and rows["query_label"].tolist() == [0, 1]


def test_user_order_must_be_a_permutation(tmp_path: Path) -> None:
    sources.tanp(tmp_path)
    (tmp_path / "lastfm-tanp" / "user_list.json").write_text('["1", "1"]')
    with pytest.raises(DataError, match="missing or listed twice"):
        tanp_user_order(tmp_path)


def test_a_frame_read_from_parquet_has_arrays_for_lists() -> None:
    frame = pd.DataFrame({"user": ["a", "b"], "item": ["x", "x"], "label": [1, 2]})
    tags = pd.DataFrame({"tags": [np.array(["p", "q"]), np.array(["q"])]}, index=["a", "b"])
    (field,) = from_frame(frame, user_fields=tags).user_fields
    assert field.values.tolist() == [[0, 1], [1, -1]]


def test_times_may_be_stamps_in_a_column_of_objects_and_must_fit_64_bits() -> None:
    frame = pd.DataFrame({"user": ["a", "b"], "item": ["x", "x"], "label": [1, 2]})
    stamps = pd.Series([pd.Timestamp("2020-01-02"), pd.Timestamp("2020-01-01")], dtype=object)
    time = from_frame(frame.assign(t=stamps), time="t").time
    assert time is not None and time[0] > time[1]
    for late in (2**63 + 10, 1e19):
        with pytest.raises(DataError, match="neither an integer of 64 bits nor a timestamp"):
            from_frame(frame.assign(t=[late, 1]), time="t")


def test_two_columns_of_one_name_are_refused() -> None:
    frame = pd.DataFrame([["a", "x", 1, 2]], columns=["user", "item", "label", "label"])
    with pytest.raises(DataError, match="two columns called 'label'"):
        from_frame(frame)
