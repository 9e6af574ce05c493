"""Damaged input: one sentence that names file, line and mend, exit status 2, no byte changed on disk."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import sources

from metarec.cli import main
from metarec.data import Ratings, from_frame, load, make_field
from metarec.data.lastfm import tanp_tasks, tanp_user_order
from metarec.data.ratings import Field
from metarec.errors import DataError

MENDS = "mend|drop|fetch|keep|set |run |add |choose|rename|rebuild|convert|give|check"
Damage = Callable[[str], str]


def line(number: int, new: str) -> Damage:
    """Replace one line."""

    def change(text: str) -> str:
        lines = text.split("\n")
        lines[number - 1] = new
        return "\n".join(lines)

    return change


def swap(old: str, new: str) -> Damage:
    """Replace the first occurrence."""

    def change(text: str) -> str:
        assert old in text
        return text.replace(old, new, 1)

    return change


def whole(new: str) -> Damage:
    """Replace everything."""
    return lambda text: new


CASES: dict[str, tuple[str, str, Damage, int | None, str]] = {
    # name: (data set, file, damage, line the message must name, reason it must give)
    "cut line": ("ml-1m", "ratings.dat", line(2, "1::860"), 2, "2 fields instead of 4"),
    "cut file": ("ml-1m", "ratings.dat", lambda t: t[: t.rindex("::2::") + 2], 5, "3 fields instead of 4"),
    "surplus field": ("ml-1m", "ratings.dat", line(3, "2::811::4::9::9"), 3, "5 fields instead of 4"),
    "surplus field first": ("ml-1m", "ratings.dat", line(1, "1::811::5::9::9"), 1, "5 fields instead of 4"),
    "wrong separator": ("ml-1m", "ratings.dat", lambda t: t.replace("::", ","), 1, "1 field instead of 4"),
    "word for a rating": ("ml-1m", "ratings.dat", line(2, "1::860::good::1"), 2, "rating 'good' is not an"),
    "half a star": ("ml-1m", "ratings.dat", line(2, "1::860::3.5::1"), 2, "rating '3.5' is not an integer"),
    "no rating": ("ml-1m", "ratings.dat", line(2, "1::860::::1"), 2, "rating is empty"),
    "nan rating": ("ml-1m", "ratings.dat", line(2, "1::860::nan::1"), 2, "rating 'nan' is not an integer"),
    "six stars": ("ml-1m", "ratings.dat", line(2, "1::860::6::1"), 2, "lies outside 1..5"),
    "negative time": ("ml-1m", "ratings.dat", line(2, "1::860::3::-1"), 2, "time '-1' lies outside"),
    "boundless id": ("ml-1m", "ratings.dat", line(2, "1::99999999999999999999::3::1"), 2, "movie '999"),
    "same pair twice": ("ml-1m", "ratings.dat", line(3, "1::811::4::9"), 3, "a second time"),
    "unknown user": ("ml-1m", "ratings.dat", line(3, "7::811::4::9"), 3, "user 7 has no row in users.dat"),
    "unknown film": ("ml-1m", "ratings.dat", line(4, "3::9::1::9"), 4, "movie 9 has no row in movies.dat"),
    "blank line": ("ml-1m", "ratings.dat", line(2, ""), 2, "1 field instead of 4"),
    "empty file": ("ml-1m", "ratings.dat", whole(""), None, "the file is empty"),
    "zero byte": ("ml-1m", "ratings.dat", line(4, "3::2\0::1::9"), 4, "a NUL byte"),
    "user cut short": ("ml-1m", "users.dat", line(2, "2::M::56::0"), 2, "4 fields instead of 5"),
    "user twice": ("ml-1m", "users.dat", line(3, "1::M::18::7::12345"), 3, "user 1 is listed twice"),
    "unknown age": ("ml-1m", "users.dat", line(3, "3::M::19::7::12345"), None, "'19', which users.dat holds"),
    "film without title": ("ml-1m", "movies.dat", line(2, "3::::Drama"), 2, "title is empty"),
    "film fields cut": (
        "ml-1m",
        "movies_extrainfos.dat",
        line(2, "3::Café::1985"),
        2,
        "3 fields instead of 11",
    ),
    "film fields lost": (
        "ml-1m",
        "movies_extrainfos.dat",
        line(3, "812" + "::x" * 10),
        None,
        "no row for movie 811",
    ),
    "stranger in the cast": (
        "ml-1m",
        "m_actor.txt",
        swap("Di Dee", "Di Doe"),
        None,
        "'Di Dee', which movies_ext",
    ),
    "not utf-8": (
        "ml-1m",
        "movies_extrainfos.dat",
        lambda t: t.replace("Café", "Caf\udce9"),
        2,
        "not utf-8 text",
    ),
    "genre flag of two": ("ml-100k", "u.item", swap("|0|1|1", "|0|2|1"), 1, "Drama '2' lies outside 0..1"),
    "age in words": ("ml-100k", "u.user", swap("|60|", "|sixty|"), 2, "age 'sixty' is not an integer"),
    "column renamed": ("lastfm-hetrec", "user_artists.dat", swap("weight", "plays"), 1, "no column 'weight'"),
    "header alone": (
        "lastfm-hetrec",
        "user_artists.dat",
        whole("userID\tartistID\tweight\n"),
        None,
        "no rows",
    ),
    "fraction of a play": (
        "lastfm-hetrec",
        "user_artists.dat",
        swap("13883", "1.5"),
        2,
        "weight '1.5' is not an",
    ),
    "artist indexed twice": (
        "lastfm-mkr",
        "item_index2entity_id.txt",
        line(3, "52\t2"),
        3,
        "artistID 52 stands",
    ),
    "label of two": (
        "lastfm-tanp",
        "ratings_final.txt",
        line(1, "0\t2\t2"),
        1,
        "label '2' lies outside 0..1",
    ),
    "word for a place": ("gowalla", "test.txt", line(3, "4 20 home"), 3, "invalid literal for int"),
    "user without a number": ("gowalla", "test.txt", line(2, ""), 2, "not a user and places by number"),
    "user on two lines": ("gowalla", "test.txt", line(3, "7 20"), 3, "user 7 has a line already"),
    "place twice": ("gowalla", "test.txt", line(3, "4 20 40 20"), 3, "user 4 has a place twice"),
    "place below zero": ("gowalla", "test.txt", line(3, "4 20 -40"), 3, "a number below zero"),
    "boundless place": ("gowalla", "test.txt", line(3, f"4 20 {10**30}"), 3, "or beyond 64 bits"),
    "users too short": ("gowalla", "test.txt", whole("4 20 40\n"), None, "no user has 15 places or more"),
    "nothing left to draw": (
        "gowalla",
        "test.txt",
        lambda t: t.split("\n")[0] + "\n",
        None,
        "has 15 of 15 items, so there are not as many others",
    ),
    "rows lost": ("lastfm-tanp", "ratings_final.txt", line(6, "1\t9\t0"), None, "item ids run to 9"),
    "eleven": (
        "book-crossing",
        "BX-Book-Ratings.csv",
        swap('"10"\n', '"11"\n'),
        4,
        "'11' lies outside 0..10",
    ),
    "no ISBN": ("book-crossing", "BX-Book-Ratings.csv", swap('"0002"', '""'), 3, "ISBN is empty"),
    "open quote": ("book-crossing", "BX-Book-Ratings.csv", swap('"000X"', '"000X'), 4, "instead of 3"),
    "rated twice": (
        "book-crossing",
        "BX-Book-Ratings.csv",
        swap('"0001";"0"', '"0002";"1"'),
        3,
        "a second time",
    ),
    "age of a poet": ("book-crossing", "BX-Users.csv", swap('"34"', '"old"'), 4, "neither a number nor NULL"),
    "listed twice": (
        "book-crossing",
        "BX-Users.csv",
        swap('"11";', '"10";'),
        6,
        "User-ID 10 stands there a second",
    ),
    "book cut short": (
        "book-crossing",
        "BX-Books.csv",
        swap(';"";"http://s";"http://m";"http://l"', ""),
        4,
        "4 fields",
    ),
    "JSON cut": ("douban-book", "warm_up.json", lambda t: t[:-2], 1, "not JSON"),
    "rating lost": (
        "douban-book",
        "meta_training_y.json",
        swap("5, 3", "5"),
        None,
        "user 1 has 1 ratings for 2 books",
    ),
    "rating of nine": ("douban-book", "warm_up_y.json", swap("4", "9"), None, "a rating 9 outside 1..5"),
    "rated in two splits": ("douban-book", "warm_up.json", swap("11", "10"), None, "rates book 10 twice"),
    "a list for a map": (
        "douban-book",
        "warm_up.json",
        whole("[1, 2]"),
        None,
        "not lists of numbers by user",
    ),
    "place in words": (
        "douban-book",
        "original/user_location.dat",
        line(2, "2\tParis"),
        2,
        "location 'Paris' is",
    ),
}


def snapshot(home: Path) -> dict[str, bytes]:
    return {str(p.relative_to(home)): p.read_bytes() for p in home.rglob("*") if p.is_file()}


@pytest.mark.parametrize("case", CASES)
def test_damage_is_named_and_nothing_is_written(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    name, file, damage, number, reason = CASES[case]
    sources.BUILD[name](tmp_path)
    (path,) = tmp_path.glob(f"*/{file}")
    latin = file in ("movies.dat", "u.item", "BX-Users.csv", "BX-Books.csv")
    text = path.read_bytes().decode("latin-1" if latin else "utf-8")
    path.write_bytes(damage(text).encode("latin-1" if latin else "utf-8", "surrogateescape"))
    before = snapshot(tmp_path)
    monkeypatch.setenv("METAREC_DATA", str(tmp_path))
    assert main(["data", "show", name]) == 2
    shown = capsys.readouterr()
    message = shown.err
    assert shown.out == "" and message.count("\n") == 1 and message.endswith(".\n"), "one sentence, on stderr"
    assert Path(file).name in message or name == "douban-book"
    assert reason in message, message
    assert number is None or f"{Path(file).name}, line {number}:" in message, message
    assert re.search(MENDS, message), message
    assert "afresh" not in message or f"`metarec data fetch {name} --again`" in message, message
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("name", sources.BUILD)
def test_the_sound_files_are_read(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without which the damage above would prove nothing."""
    sources.BUILD[name](tmp_path)
    monkeypatch.setenv("METAREC_DATA", str(tmp_path))
    assert main(["data", "show", name]) == 0


@pytest.mark.parametrize("name", sources.BUILD)
def test_missing_files_name_folder_command_and_variable(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sources.BUILD[name](tmp_path)
    ends = ("", ".dat", ".txt", ".data", ".csv", ".json")
    files = sorted(p for p in tmp_path.rglob("*") if p.is_file() and p.suffix in ends)
    files[0].unlink()
    monkeypatch.setenv("METAREC_DATA", str(tmp_path))
    status = main(["data", "show", name])
    message = capsys.readouterr().err
    assert status == 2 and message.count("\n") == 1
    for part in (str(tmp_path), f"metarec data fetch {name}", "METAREC_DATA"):
        assert part in message


def test_an_unreadable_path_is_said_to_be_one(tmp_path: Path) -> None:
    from metarec.data.reading import read_text

    with pytest.raises(DataError, match="cannot be read"):
        read_text(tmp_path)


@pytest.mark.parametrize(
    ("file", "content", "reader", "reason"),
    [
        ("user_list.json", '["1", "x"]', tanp_user_order, "not a list of user numbers"),
        ("user_list.json", '["1"', tanp_user_order, "line 1: not JSON"),
        ("tasks.json", '{"training": []}', tanp_tasks, "not in the form of TaNP's task file"),
        ("tasks.json", '{"training": [{"user": 1}]}', tanp_tasks, "not in the form of TaNP's task file"),
    ],
)
def test_tanps_lists_are_checked(
    file: str, content: str, reader: Callable[[Path], object], reason: str, tmp_path: Path
) -> None:
    sources.tanp(tmp_path)
    (tmp_path / "lastfm-tanp" / file).write_text(content)
    with pytest.raises(DataError, match=f"{file}.*{reason}"):
        reader(tmp_path)


SOUND = pd.DataFrame({"user": ["a", "a", "b"], "item": [1, 2, 1], "label": [1.0, 2.0, 3.0], "t": [1, 2, 3]})
PEOPLE = pd.DataFrame({"town": ["x", "y"]}, index=["a", "b"])
FRAMES: dict[str, tuple[pd.DataFrame, dict[str, object], str]] = {
    "no label column": (SOUND.drop(columns="label"), {}, "no column 'label'.*rename"),
    "label in words": (
        SOUND.assign(label=["1", "two", "3"]),
        {},
        "row 2: label 'two' is not a finite number",
    ),
    "label missing": (SOUND.assign(label=[1, None, 3]), {}, "row 2: label .* is not a finite number"),
    "label infinite": (SOUND.assign(label=[1, 2, np.inf]), {}, "row 3: label inf is not a finite number"),
    "user missing": (SOUND.assign(user=["a", None, "b"]), {}, "row 2: 'user' is empty"),
    "pair twice": (SOUND.assign(item=1), {}, "row 2: user 'a', item .* twice"),
    "time in words": (
        SOUND.assign(t=["1", "now", "3"]),
        {"time": "t"},
        r"row 2 \(user 'a', item 2\): time 'now' is",
    ),
    "time missing": (SOUND.assign(t=[1, 2, None]), {"time": "t"}, r"row 3 \(user 'b', item 1\): time nan is"),
    "timestamp missing": (
        SOUND.assign(t=pd.to_datetime(["2020-01-01", None, "2020-01-02"])),
        {"time": "t"},
        r"row 2 \(user 'a', item 2\): time NaT is neither an integer of 64 bits nor a timestamp; mend",
    ),
    "user without fields": (SOUND, {"user_fields": PEOPLE.iloc[:1]}, "user 'b' has ratings but no row"),
    "user with two rows": (SOUND, {"user_fields": PEOPLE.iloc[[0, 1, 1]]}, "user 'b' has two rows"),
    "empty field": (
        SOUND,
        {"user_fields": PEOPLE.assign(town=["x", None])},
        "field 'town', the entry of 'b' is empty",
    ),
    "field named after nothing": (SOUND, {"user_fields": PEOPLE.rename(columns={"town": ""})}, "rename that"),
    "field of torch's": (
        SOUND,
        {"user_fields": PEOPLE.rename(columns={"town": "type"})},
        "the data frame: no table of a model can be named 'type'; rename that user field",
    ),
    "fields alike": (
        SOUND,
        {"user_fields": PEOPLE.assign(**{"a.b": 1, "a_b": 2})},
        r"user fields 'a\.b' and 'a_b' would share a table",
    ),
    "field twice": (
        SOUND,
        {"user_fields": pd.concat([PEOPLE, PEOPLE], axis=1)},
        "user fields 'town' and 'town' would share a table",
    ),
    "field of no value": (
        SOUND,
        {"user_fields": PEOPLE.assign(town=[[], []])},
        "user field 'town' holds no value at all; drop",
    ),
    "graded but implicit": (SOUND, {"kind": "implicit"}, "implicit labels must be 0 or 1"),
    "kind misspelt": (SOUND, {"kind": "implict"}, "kind 'implict' is unknown; give 'explicit' or 'implicit'"),
    "nothing": (SOUND.iloc[:0], {}, "no ratings at all"),
}


@pytest.mark.parametrize("case", FRAMES)
def test_bad_frames_are_refused(case: str) -> None:
    frame, options, reason = FRAMES[case]
    with pytest.raises(DataError, match=reason) as caught:
        from_frame(frame, **options)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value) and str(caught.value).endswith(".")


def built(**changes: object) -> Ratings:
    """A sound table of two rows with some columns replaced."""
    ids = np.array([0, 1])
    columns = {"user": ids, "item": ids, "label": ids.astype(np.float32), "users": ids, "items": ids}
    return Ratings(name="t", kind="explicit", **(columns | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"user": np.array([0])}, "columns differ in length"),
        ({"time": np.array([1])}, "columns differ in length"),
        ({"user": np.array([0, 1], np.int32)}, "user ids are int32"),
        ({"item": np.array([0, 2])}, "item id lies outside 0..1"),
        ({"label": np.array([0.0, 1.0])}, "must be finite float32"),
        ({"user_fields": (Field("f", np.array([0]), np.array(["x"])),)}, "1 rows for 2 users"),
        ({"user_fields": (Field("f", np.array([0, 1]), np.array(["x"])),)}, "outside its vocabulary"),
        ({"user_fields": (Field("f", np.array([0.0, 0.0]), np.array(["x"])),)}, "holds float64"),
        (
            {"item_fields": (Field("f", np.array([[-1, 0], [0, -1]]), np.array(["x"]), np.array([1, 1])),)},
            "counts that do not match",
        ),
    ],
)
def test_tables_that_do_not_hang_together_are_refused(changes: dict[str, object], reason: str) -> None:
    built()
    with pytest.raises(DataError, match=reason):
        built(**changes)


def test_a_field_with_an_empty_value_is_refused() -> None:
    with pytest.raises(DataError, match="entry 2 is empty"):
        make_field("f", ["x", None])


@pytest.mark.parametrize("cell", [["c", None], float("nan"), None])
def test_among_lists_the_entry_is_counted_and_not_its_values(cell: object) -> None:
    cells = [["a", "b"], [], ["d"], cell]
    with pytest.raises(DataError, match="field 'f', entry 4 is empty"):
        make_field("f", cells)
    with pytest.raises(DataError, match="field 'f', the entry of 'bob' is empty"):
        make_field("f", cells, ["al", "di", "ed", "bob"])


def test_a_wrong_choice_of_fields_is_refused(tmp_path: Path) -> None:
    sources.ml1m(tmp_path)
    with pytest.raises(DataError, match="'melu', 'official' or 'none'"):
        load("ml-1m", home=tmp_path, fields="some")
