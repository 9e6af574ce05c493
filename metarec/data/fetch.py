"""Getting the files: from the official address, checked, unpacked safely, put in place whole."""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath, PureWindowsPath

from metarec.data.catalog import Source, data_home, missing, source
from metarec.errors import DataError

MAX_UNPACKED = 2 * 1024**3  # bytes; the largest archive of the catalogue unpacks to 25 MB
TIMEOUT = 60  # seconds without an answer


def fetch(
    name: str, home: Path | None = None, say: Callable[[str], None] = print, *, again: bool = False
) -> Path:
    """Put the files of a source into its folder below `home` (default `data_home()`) and return that folder.

    Does nothing when they are there already, unless `again` asks for new ones. Otherwise downloads the
    official archive with pooch (progress on stderr), checks its digest, unpacks it beside the target and
    moves it into place, then says what the licence asks. Raises `DataError` when the source has no archive to
    download (the message says how to get the files), when the download fails or does not match, or when the
    archive is damaged or unsafe; what was there then stays.
    """
    entry = source(name)
    home = data_home() if home is None else home
    place = home / entry.folder
    if not again and not missing(name, home, extra=True):
        say(f"{name}: all files are already in {place}; nothing to do (--again downloads them anew).")
        return place
    if entry.url is None:
        raise DataError(
            f"{name}: there is no official archive to download; {entry.by_hand} into {place}, then run "
            f"`metarec data verify {name}` (METAREC_DATA sets the folder above, now {home})."
        )
    try:
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".fetch-", dir=home) as work:
            staged = Path(work) / "staged"
            staged.mkdir()
            if again or missing(name, home):
                archive = _download(entry, entry.url, Path(work))
                unpack(archive, staged, entry.inside)
            here = staged if again else place  # what counts as here already
            _fetch_extra(entry, here, staged)
            _refuse_incomplete(entry, here, staged)
            _put(staged, place)
    except OSError as error:
        raise DataError(
            f"{name}: cannot write below {home} ({error.strerror or error}); "
            "set METAREC_DATA to a folder you own."
        ) from error
    say(f"{name}: fetched into {place}.")
    say(f"Terms: {entry.licence} ({entry.page})")
    return place


def unpack(archive: Path, target: Path, inside: str = "") -> None:
    """Unpack the zip's folder `inside` into `target`, or refuse the whole archive.

    Refused, before anything is written: a damaged or truncated zip, a member with an absolute path, a drive
    or `..`, a link, and more than `MAX_UNPACKED` bytes in all.
    """
    try:
        with zipfile.ZipFile(archive) as pack:
            members = [m for m in pack.infolist() if not m.is_dir()]
            for member in members:
                _refuse_unsafe(archive, member)
            if sum(m.file_size for m in members) > MAX_UNPACKED:
                raise DataError(
                    f"{archive.name}: unpacks to more than {MAX_UNPACKED} bytes; it is not the data set."
                )
            broken = pack.testzip()
            if broken:
                raise DataError(f"{archive.name}: {broken} is damaged; fetch the archive again.")
            wanted = [m.filename for m in members if not inside or _folder(m) == inside]
        import pooch  # here, so that running experiments does not need it

        with tempfile.TemporaryDirectory(dir=target.parent) as work:
            pooch.get_logger().setLevel("WARNING")
            pooch.Unzip(members=wanted, extract_dir=work)(str(archive), "download", None)
            _put(Path(work) / inside, target)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
        raise DataError(
            f"{archive.name}: not a whole zip archive ({error}); the download was cut short or is "
            "another file, fetch it again."
        ) from error


def _folder(member: zipfile.ZipInfo) -> str:
    """The outermost folder of a member's name."""
    return PurePosixPath(member.filename).parts[0] if PurePosixPath(member.filename).parts else ""


def _refuse_unsafe(archive: Path, member: zipfile.ZipInfo) -> None:
    name = member.filename
    parts = PurePosixPath(name.replace("\\", "/")).parts
    outside = ".." in parts or name.startswith(("/", "\\")) or PureWindowsPath(name).drive
    if outside or "\\" in name or stat.S_ISLNK(member.external_attr >> 16):
        raise DataError(
            f"{archive.name}: member {name!r} is a link or points outside the folder, so nothing was "
            "unpacked; do not trust this archive."
        )


def _download(entry: Source, url: str, folder: Path) -> Path:
    """The archive at `url`, checked against every digest the catalogue holds."""
    digest = f"sha256:{entry.sha256}" if entry.sha256 else f"md5:{entry.md5}" if entry.md5 else None
    path = _retrieve(entry.name, url, folder, url.rsplit("/", 1)[-1], digest)
    if entry.md5 and hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest() != entry.md5:
        raise DataError(f"{entry.name}: {url} is not the archive its md5 promises; try again later.")
    return path


def _fetch_extra(entry: Source, place: Path, staged: Path) -> None:
    """The single files that come from elsewhere, each checked against the digest of the examined copy."""
    for file in entry.extra:
        if not (place / file).is_file():
            digest, _ = entry.known_files()[file]
            _retrieve(entry.name, entry.extra_url + file, staged, file, f"sha256:{digest}")


def _retrieve(name: str, url: str, folder: Path, file: str, digest: str | None) -> Path:
    import pooch  # here, so that running experiments does not need it
    import requests

    pooch.get_logger().setLevel("WARNING")
    downloader = pooch.HTTPDownloader(progressbar=True, timeout=TIMEOUT)
    try:
        return Path(pooch.retrieve(url, known_hash=digest, fname=file, path=folder, downloader=downloader))
    except requests.RequestException as error:
        raise DataError(
            f"{name}: {url} could not be downloaded ({type(error).__name__}); check the network, or download "
            f"it by hand from {source(name).page} and unpack it into {source(name).folder}/."
        ) from error
    except ValueError as error:
        raise DataError(
            f"{name}: what {url} sent does not match the known digest {digest}, so nothing was kept; "
            "try again, and if it stays so the file at the source has changed."
        ) from error


def _refuse_incomplete(entry: Source, place: Path, staged: Path) -> None:
    lost = [f for f in entry.files + entry.extra if not ((staged / f).is_file() or (place / f).is_file())]
    if lost:
        raise DataError(
            f"{entry.name}: the archive holds no {lost[0]}, so nothing was kept; it is another archive."
        )


def _put(staged: Path, place: Path) -> None:
    """Move the staged files into place: the folder in one step, or file by file where one stands already."""
    if not place.exists():
        os.replace(staged, place)
        return
    for path in sorted(p for p in staged.rglob("*") if p.is_file()):
        goal = place / path.relative_to(staged)
        goal.parent.mkdir(parents=True, exist_ok=True)
        os.replace(path, goal)
