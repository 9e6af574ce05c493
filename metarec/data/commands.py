"""`metarec data list|fetch|verify|show`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from metarec.data import PLANTED, load
from metarec.data.catalog import SOURCES, data_home, missing, source
from metarec.data.fetch import fetch
from metarec.data.verify import describe, failed, verify


def add_data(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the `data` commands."""
    data = commands.add_parser("data", help="list, fetch, check and describe the data sets")
    verbs = data.add_subparsers(dest="verb", required=True, metavar="list|fetch|verify|show")
    verbs.add_parser("list", help="which data sets there are, and which are here").set_defaults(run=_list)
    for verb, run, text in (
        ("fetch", _fetch, "download the files from their official address"),
        (
            "verify",
            _verify,
            "count again and compare with the published counts (exit status 1 if they differ)",
        ),
        ("show", _show, "counts, label histogram, history lengths and fields"),
    ):
        parser = verbs.add_parser(verb, help=text, description=text[0].upper() + text[1:] + ".")
        parser.add_argument("name", metavar="NAME", help="a name that `metarec data list` prints")
        parser.set_defaults(run=run)
        if verb == "fetch":
            parser.add_argument("--again", action="store_true", help="download anew what is here already")


def _list(args: argparse.Namespace) -> int:
    home = data_home()
    print(f"Folder: {home} (set METAREC_DATA to use another)")
    rows = [("name", "here", "title", "cite")]
    for name, entry in SOURCES.items():
        state = "no" if missing(name, home) else "in part" if missing(name, home, extra=True) else "yes"
        rows.append((name, state, entry.title, entry.cite))
    rows += [(name, "built in", "planted data with known truth", "-") for name in PLANTED]
    _table(rows)
    return 0


def _fetch(args: argparse.Namespace) -> int:
    fetch(args.name, again=args.again)
    return 0


def _verify(args: argparse.Namespace) -> int:
    checks = verify(args.name)
    for head, of_file in (("published", False), ("examined", True)):
        rows = [(c.what, c.expected, c.ours, c.verdict, c.where) for c in checks if c.of_file is of_file]
        if rows:
            _table([("file" if of_file else "count", head, "ours", "verdict", "where"), *rows])
            print()
    if any(c.verdict == "partial" for c in checks):
        print(source(args.name).partial)
    return int(failed(checks))


def _show(args: argparse.Namespace) -> int:
    ratings = load(args.name)
    _table([("name", ratings.name), *describe(ratings)])
    return 0


def _table(rows: Sequence[tuple[str, ...]]) -> None:
    """Columns as wide as their widest cell; the last one is left open."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]) - 1)]
    for row in rows:
        print("  ".join([*(cell.ljust(w) for cell, w in zip(row, widths, strict=False)), row[-1]]))
