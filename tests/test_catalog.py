"""The catalogue, and getting and checking its files. The only server is one on this machine."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import re
import stat
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import sources
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metarec.cli import main
from metarec.data import READERS, catalog, verify
from metarec.data.catalog import SOURCES, Published, Source, data_home, missing
from metarec.data.fetch import fetch, unpack
from metarec.errors import DataError, MetarecError

ROOT = Path(__file__).resolve().parents[1]


class Quiet(SimpleHTTPRequestHandler):
    """Serves a folder and says nothing."""

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder and the address it is served at."""
    folder = tmp_path / "served"
    folder.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield folder, f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def packed(folder: Path, inside: str = "") -> bytes:
    """A zip of every file below the folder."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as pack:
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            pack.write(
                path, f"{inside}/{path.relative_to(folder)}" if inside else str(path.relative_to(folder))
            )
    return buffer.getvalue()


@pytest.fixture
def offered(tmp_path: Path, served: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Source]:
    """MovieLens 100K as a made-up archive on the local server, in the catalogue; and an empty home."""
    folder, address = served
    sources.ml100k(tmp_path / "made")
    archive = packed(tmp_path / "made" / "ml-100k", "ml-100k")
    (folder / "ml-100k.zip").write_bytes(archive)
    entry = dataclasses.replace(
        SOURCES["ml-100k"],
        url=address + "ml-100k.zip",
        sha256=hashlib.sha256(archive).hexdigest(),
        md5=hashlib.md5(archive).hexdigest(),
    )
    home = tmp_path / "home"
    monkeypatch.setenv("METAREC_DATA", str(home))
    put(monkeypatch, entry)
    return home, entry


def put(monkeypatch: pytest.MonkeyPatch, entry: Source) -> None:
    monkeypatch.setitem(SOURCES, entry.name, entry)


def files(home: Path) -> list[str]:
    return sorted(str(p.relative_to(home)) for p in home.rglob("*") if p.is_file()) if home.exists() else []


def test_every_source_is_read_cited_and_checkable() -> None:
    cited = set(re.findall(r"^@\w+\{(\w+),", (ROOT / "book" / "references.bib").read_text("utf-8"), re.M))
    assert set(SOURCES) == set(READERS) == set(sources.BUILD)
    for name, entry in SOURCES.items():
        assert entry.name == name and entry.cite in cited and entry.licence and entry.published
        assert entry.url or entry.by_hand, "either it can be downloaded or we say how to get it"
        for digest in (entry.sha256, *(d for d, _ in entry.known_files().values())):
            assert digest is None or re.fullmatch(r"[0-9a-f]{64}", digest)
        assert entry.md5 is None or re.fullmatch(r"[0-9a-f]{32}", entry.md5)
        if entry.examined:
            assert set(entry.files + entry.extra) <= set(entry.known_files())
        else:
            assert not set(entry.files) & set(entry.known_files()), "what has a digest was examined"
        assert bool(entry.url) == bool(entry.sha256), "an archive without a digest would be fetched unchecked"


@pytest.mark.parametrize("name", SOURCES)
def test_every_published_count_is_recounted(name: str, tmp_path: Path) -> None:
    sources.BUILD[name](tmp_path)
    assert {p.what for p in SOURCES[name].published} <= set(verify.recount(name, tmp_path))


def test_home_is_the_variable_or_a_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("METAREC_DATA", str(tmp_path))
    assert data_home() == tmp_path
    monkeypatch.delenv("METAREC_DATA")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert data_home() in (tmp_path / "cache" / "metarec", tmp_path / "Library" / "Caches" / "metarec")


def test_fetch_downloads_checks_unpacks_and_says_the_terms(
    offered: tuple[Path, Source], capsys: pytest.CaptureFixture[str]
) -> None:
    home, _ = offered
    assert main(["data", "fetch", "ml-100k"]) == 0
    shown = capsys.readouterr()
    assert "no redistribution" in shown.out and "100%" in shown.err, "terms on stdout, progress on stderr"
    assert files(home) == [f"ml-100k/{f}" for f in ("u.data", "u.genre", "u.item", "u.user")]
    assert main(["data", "show", "ml-100k"]) == 0


def test_fetch_does_nothing_where_all_files_are(
    offered: tuple[Path, Source], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home, entry = offered
    sources.ml100k(home)
    put(monkeypatch, dataclasses.replace(entry, url="http://127.0.0.1:9/nothing.zip"))
    assert main(["data", "fetch", "ml-100k"]) == 0
    assert "already in" in capsys.readouterr().out


def test_fetch_completes_a_folder_and_leaves_the_rest_of_it(offered: tuple[Path, Source]) -> None:
    home, _ = offered
    sources.write(home / "ml-100k" / "my-notes.txt", "mine")
    fetch("ml-100k", say=lambda text: None)
    assert "ml-100k/my-notes.txt" in files(home) and not missing("ml-100k", home)


def test_fetch_again_replaces_a_damaged_copy_and_what_the_message_says_does_so(
    offered: tuple[Path, Source], capsys: pytest.CaptureFixture[str]
) -> None:
    home, _ = offered
    fetch("ml-100k", say=lambda text: None)
    whole, path = {f: (home / f).read_bytes() for f in files(home)}, home / "ml-100k" / "u.item"
    path.write_bytes(path.read_bytes()[:-40])
    sources.write(home / "ml-100k" / "my-notes.txt", "mine")
    assert main(["data", "show", "ml-100k"]) == 2
    command = re.search(r"`metarec (data fetch ml-100k --again)`", capsys.readouterr().err)
    assert command and main(command[1].split()) == 0
    assert {f: (home / f).read_bytes() for f in whole} == whole and main(["data", "show", "ml-100k"]) == 0
    assert (home / "ml-100k" / "my-notes.txt").is_file()


def test_fetch_again_that_fails_keeps_what_was_there(
    offered: tuple[Path, Source], monkeypatch: pytest.MonkeyPatch
) -> None:
    home, entry = offered
    sources.ml100k(home)
    before = files(home)
    for change in ({"sha256": "0" * 64}, {"inside": "ml-1m"}, {"url": "http://127.0.0.1:9/ml-100k.zip"}):
        put(monkeypatch, dataclasses.replace(entry, **change))
        with pytest.raises(DataError):
            fetch("ml-100k", again=True)
        assert files(home) == before


def test_fetch_gets_the_extra_files_and_checks_each(
    offered: tuple[Path, Source], served: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    home, entry = offered
    folder, address = served
    (folder / "more.txt").write_text("as examined")
    digest = hashlib.sha256(b"as examined").hexdigest()
    monkeypatch.setattr(Source, "known_files", lambda self: {"more.txt": (digest, "")})
    put(monkeypatch, dataclasses.replace(entry, extra=("more.txt",), extra_url=address))
    (folder / "more.txt").write_text("something else")
    with pytest.raises(DataError, match="does not match the known digest"):
        fetch("ml-100k")
    assert files(home) == []
    (folder / "more.txt").write_text("as examined")
    fetch("ml-100k", say=lambda text: None)
    assert (home / "ml-100k" / "more.txt").read_text() == "as examined"
    (home / "ml-100k" / "more.txt").write_text("damaged")
    fetch("ml-100k", say=lambda text: None, again=True)
    assert (home / "ml-100k" / "more.txt").read_text() == "as examined"


def damaged(kind: str, whole: bytes) -> bytes:
    """The archive spoiled in one way; the digest in the catalogue is that of the spoiled one."""
    if kind == "cut short":
        return whole[: len(whole) // 2]
    if kind == "no zip":
        return b"<html>404</html>"
    if kind == "bit flipped":
        at = whole.index(b"ml-100k/u.item") + 40
        return whole[:at] + bytes([whole[at] ^ 255]) + whole[at + 1 :]
    buffer = io.BytesIO(whole)
    with zipfile.ZipFile(buffer, "a") as pack:
        if kind == "link":
            link = zipfile.ZipInfo("ml-100k/link")
            link.external_attr = (stat.S_IFLNK | 0o777) << 16
            pack.writestr(link, "/etc/passwd")
        else:
            pack.writestr(kind, "outside")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("cut short", "not a whole zip archive"),
        ("no zip", "not a whole zip archive"),
        ("bit flipped", "damaged|not a whole zip"),
        ("link", "is a link or points outside"),
        ("/tmp/metarec-outside", "is a link or points outside"),
        ("../outside", "is a link or points outside"),
        ("ml-100k/../../outside", "is a link or points outside"),
        ("C:/outside", "is a link or points outside"),
        ("..\\outside", "is a link or points outside"),
    ],
)
def test_spoiled_archives_are_refused_whole(
    kind: str,
    reason: str,
    offered: tuple[Path, Source],
    served: tuple[Path, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    home, entry = offered
    archive = served[0] / "ml-100k.zip"
    archive.write_bytes(damaged(kind, archive.read_bytes()))
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    put(monkeypatch, dataclasses.replace(entry, sha256=digest, md5=None))
    before = files(home.parent)
    assert main(["data", "fetch", "ml-100k"]) == 2
    message = capsys.readouterr().err.splitlines()[-1]
    assert re.search(reason, message) and message.endswith(".")
    assert files(home.parent) == before and list(home.iterdir()) == [], "nothing half-written"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"sha256": "0" * 64}, "does not match the known digest"),
        ({"md5": "0" * 32}, "not the archive its md5 promises"),
        ({"url": "http://127.0.0.1:9/ml-100k.zip"}, "could not be downloaded"),
        ({"files": ("u.data", "u.lost")}, "the archive holds no u.lost"),
        ({"inside": "ml-1m"}, "the archive holds no u.data"),
    ],
)
def test_failed_fetches_leave_nothing(
    change: dict[str, object], reason: str, offered: tuple[Path, Source], monkeypatch: pytest.MonkeyPatch
) -> None:
    home, entry = offered
    put(monkeypatch, dataclasses.replace(entry, **change))  # type: ignore[arg-type]
    with pytest.raises(DataError, match=reason):
        fetch("ml-100k")
    assert files(home) == [] and list(home.iterdir()) == []


def test_a_page_that_is_gone_is_said_to_be(
    offered: tuple[Path, Source], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, entry = offered
    assert entry.url is not None
    put(monkeypatch, dataclasses.replace(entry, url=entry.url + ".gone"))
    with pytest.raises(DataError, match=r"could not be downloaded \(HTTPError\)"):
        fetch("ml-100k")


def test_a_home_that_cannot_be_written_is_said_to_be(offered: tuple[Path, Source]) -> None:
    home, _ = offered
    home.parent.joinpath("file").write_text("")
    with pytest.raises(DataError, match=r"cannot write below .*METAREC_DATA"):
        fetch("ml-100k", home=home.parent / "file" / "home")


def test_an_archive_that_unpacks_too_large_is_refused(
    offered: tuple[Path, Source], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("metarec.data.fetch.MAX_UNPACKED", 10)
    with pytest.raises(DataError, match="unpacks to more than 10 bytes"):
        fetch("ml-100k")


@pytest.mark.parametrize("again", [[], ["--again"]])
@pytest.mark.parametrize("name", [n for n, s in SOURCES.items() if s.url is None])
def test_sources_without_an_archive_say_how_to_get_them(
    name: str,
    again: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("METAREC_DATA", str(tmp_path))
    assert main(["data", "fetch", name, *again]) == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1 and str(tmp_path / SOURCES[name].folder) in message
    assert SOURCES[name].by_hand in message


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(
    st.lists(st.sampled_from(["..", "a", "b", "", ".", "/", "C:", "x\\y"]), min_size=1, max_size=5).map(
        "/".join
    )
)
def test_no_member_name_leaves_the_target(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    folder = tmp_path_factory.mktemp("zip")
    target = folder / "in" / "target"
    target.mkdir(parents=True)
    with zipfile.ZipFile(folder / "a.zip", "w") as pack:
        pack.writestr(zipfile.ZipInfo(name or "a"), "x")
    try:
        unpack(folder / "a.zip", target)
    except (DataError, OSError):
        pass
    outside = [p for p in folder.rglob("*") if p.is_file() and target not in p.parents]
    assert outside == [folder / "a.zip"]


def test_verify_passes_counts_that_agree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sources.ml100k(tmp_path)
    counts = (Published("users", 2, "here"), Published("ratings", 3, "here"))
    put(monkeypatch, dataclasses.replace(SOURCES["ml-100k"], published=counts))
    checks = verify.verify("ml-100k", tmp_path)
    assert [c.verdict for c in checks if not c.of_file] == ["ok", "ok"] and not verify.failed(checks)
    assert {c.verdict for c in checks if c.of_file} == {"another copy"}, "made-up files are no examined copy"


def test_verify_fails_on_a_count_that_differs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sources.ml100k(tmp_path)
    monkeypatch.setenv("METAREC_DATA", str(tmp_path))
    assert main(["data", "verify", "ml-100k"]) == 1
    assert re.search(r"users +943 +2 +differs +the README", capsys.readouterr().out)


def test_verify_knows_a_partial_copy_by_its_digest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sources.bookcrossing(tmp_path)
    monkeypatch.setenv("METAREC_DATA", str(tmp_path))
    assert main(["data", "verify", "book-crossing"]) == 1, "an unknown short copy is not excused"
    ratings = (tmp_path / "book-crossing" / "BX-Book-Ratings.csv").read_bytes()
    known = {"BX-Book-Ratings.csv": (hashlib.sha256(ratings).hexdigest(), "partial copy")}
    monkeypatch.setattr(Source, "known_files", lambda self: known)
    capsys.readouterr()
    assert main(["data", "verify", "book-crossing"]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"ratings with zeros +1,149,780 +5 +partial", shown) and "A partial copy" in shown


def test_list_says_what_is_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sources.ml100k(tmp_path)
    sources.ml1m(tmp_path)
    (tmp_path / "ml-1m" / "m_age.txt").unlink()
    monkeypatch.setenv("METAREC_DATA", str(tmp_path))
    assert main(["data", "list"]) == 0
    shown = capsys.readouterr().out
    for name, state in (
        ("ml-100k", "yes"),
        ("ml-1m", "in part"),
        ("douban-book", "no"),
        ("synthetic", "built in"),
    ):
        assert re.search(rf"^{name} +{state} ", shown, re.M), shown


def test_show_prints_aggregates_and_no_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sources.bookcrossing(tmp_path)
    monkeypatch.setenv("METAREC_DATA", str(tmp_path))
    assert main(["data", "show", "book-crossing"]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"labels +3: 1, 5: 1, 7: 1, 10: 1", shown) and re.search(
        r"user field age +2 values", shown
    )
    for raw in ("000X", "0002", "canada", "Bea Yew"):
        assert raw not in shown


@pytest.mark.parametrize("verb", ["fetch", "verify", "show"])
def test_unknown_names_are_two_and_one_sentence(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", verb, "ml-2m"]) == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1 and "ml-1m" in message


def test_version_and_bare_calls(capsys: pytest.CaptureFixture[str]) -> None:
    for argv, status in ((["--version"], 0), ([], 2), (["data"], 2)):
        with pytest.raises(SystemExit) as caught:
            main(argv)
        assert caught.value.code == status
    assert re.match(r"metarec \d+\.\d+\.\d+\n", capsys.readouterr().out)


def test_the_command_line_starts_without_what_only_fetching_or_notebooks_need() -> None:
    code = "import sys; sys.modules.update(pooch=None, papermill=None, IPython=None); import metarec.cli"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_an_unknown_source_is_no_key_error() -> None:
    with pytest.raises(MetarecError, match="not in the catalogue"):
        catalog.source("synthetic")


# Sources whose readers are tested on small files of their format.
NOT_AT_HAND = ("ml-20m", "taobao-themes", "s2meta-movielens", "s2meta-taobao")


@pytest.mark.realdata
@pytest.mark.parametrize("name", SOURCES)
def test_real_copies_verify(name: str, real_home: Path) -> None:
    if name in NOT_AT_HAND and catalog.missing(name, real_home):
        pytest.skip(f"{name} is not at hand")
    checks = verify.verify(name, real_home)
    assert not verify.failed(checks)
    partial_copy = name == "book-crossing"
    assert {c.verdict for c in checks if not c.of_file} == {"partial" if partial_copy else "ok"}
