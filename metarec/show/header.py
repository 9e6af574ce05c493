"""Where the numbers on a page come from: the conditions of a table, and the stamp at a page's foot."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from html import escape

import pandas as pd

from metarec.errors import RecordError
from metarec.runs import versions
from metarec.runs.measured import Request
from metarec.runs.plan import Block, TableSpec
from metarec.runs.records import Record
from metarec.runs.store import Store
from metarec.show import html
from metarec.stats.runs import unstable


def conditions(spec: TableSpec, records: Sequence[Record], store: Store, *, track: str) -> html.Html:
    """The header of one track, a part for each data set, with the search behind its settings."""
    own = [r for r in records if r.track == track]
    if not own:
        raise RecordError(f"no record of the {track} track of {spec.name}; run it first.")
    parts = []
    for block in spec.blocks:
        here = [r for r in own if block.holds(r)]
        if here:
            parts.append(
                header(here, track=track, search=_searched(spec, block, here, store, track), spec=spec)
            )
    return html.Html("".join(part.html for part in parts), f"{track} track")


def _searched(
    spec: TableSpec, block: Block, here: Sequence[Record], store: Store, track: str
) -> list[Record]:
    """The search records of the rows that take their settings from a search on this track."""
    if here[0].profile == "quick" or not any(track in row.tuned for row in spec.rows):
        return []
    asked = replace(spec, blocks=(block,))
    return asked.search_records(Request("full", (track,), 1, store))


def tuning(records: Sequence[Record], spec: TableSpec, track: str) -> pd.DataFrame:
    """What searches chose: `method, option, low, high, chosen, edge`, one row a searched row and option.

    `low` and `high` are the ends of what was tried, `chosen` the option's values in `records`, and `edge`
    says whether one of them is an end. A row whose records are of settings before its present search has no
    part in it.
    """
    rows = []
    for row in spec.rows:
        search = (spec.row(row.searched_as) if row.searched_as else row).search
        used = [r for r in records if r.label == row.label and versions.SETTINGS not in r.versions]
        if search is None or track not in row.tuned or not used:
            continue
        for option in search.space:
            low, high = search.ends(option)
            chosen = _values(used, option)
            found = {"low": low, "high": high, "chosen": chosen, "edge": bool({low, high} & {*chosen})}
            rows.append({"method": spec.printed[row.label], "option": option, **found})
    return pd.DataFrame(rows, columns=["method", "option", "low", "high", "chosen", "edge"])


def _values(records: Iterable[Record], option: str) -> list[object]:
    found = (r.options.get(option) for r in records)
    return list(dict.fromkeys(tuple(v) if isinstance(v, list) else v for v in found))


def header(
    records: Sequence[Record], *, track: str, search: Sequence[Record] = (), spec: TableSpec
) -> html.Html:
    """The conditions of one track on one data set.

    `search` are the records of the tuning that chose the settings of this track; none if there was none.
    """
    facts = {
        "Data": _each(f"{r.dataset}, sha256 {r.data_sha256[:12]}…" for r in records),
        "Counts": _each(_counts(r) for r in records),
        "Split": _each(_split(r) for r in records),
        "Test users": _split_ids(records),
        "Reported": _reported([r for r in records if r.epochs]),
        "Tuning": _tuning(search, records, spec, track),
        "Stability": _stability(records),
        "Device": _each(r.device for r in records),
        "Cost": _cost(records),
        "Deviations": _deviations(spec.deviations),
        "Versions": _versions(records),
    }
    shown = {name: value for name, value in facts.items() if value}
    return html.Html(html.pairs(shown, title=f"Conditions of the {track} track"), f"{track} track")


def stamp(records: Sequence[Record]) -> html.Html:
    """Everything needed to find this page's runs again, read from their records."""
    if not records:
        raise RecordError("there are no records to stamp; run the experiment first.")
    libraries = [", ".join(f"{name} {v}" for name, v in sorted(r.libraries.items())) for r in records]
    days = sorted({r.finished[:10] for r in records})
    facts = {
        "Profile": _each(r.profile for r in records),
        "Runs": f"{len(records)}, seeds {_span(r.seed for r in records)}",
        "Commit": _each(r.git_commit for r in records),
        "Versions": _versions(records),
        "Data": _each(f"{r.dataset}, sha256 {r.data_sha256}" for r in records),
        "Device": _each(r.device for r in records),
        "Time": _duration(sum(r.wall_seconds for r in records)),
        "Finished": days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}",
        "Libraries": _each(libraries),
    }
    return html.Html(html.pairs(facts, title="Provenance"), f"{len(records)} runs")


def _each(values: Iterable[str]) -> str:
    return "<br>".join(escape(v) for v in dict.fromkeys(values))


def _counts(r: Record) -> str:
    tasks = ", ".join(f"{r.counts[f'{part} tasks']:,} {part}" for part in ("train", "valid", "test"))
    names = ["users", "items", "ratings", *(n for n in r.counts if n.endswith(" scenarios"))]
    table = ", ".join(f"{r.counts[name]:,} {name}" for name in names)
    return f"{table}; tasks: {tasks} ({r.counts['test query ratings']:,} query ratings)"


def _split(r: Record) -> str:
    """The rule with the options that are not its defaults."""
    given = r.protocol["rule_options"]
    options = ", ".join(f"{name} = {value}" for name, value in sorted(given.items()) if value is not None)
    return f"rule {r.protocol['rule']!r}: {options}"


def _split_ids(records: Sequence[Record]) -> str:
    ids = list(dict.fromkeys(r.split_id for r in records))
    if len(ids) == 1:
        return f"the same for every seed, split {ids[0]}"
    more = f" and {len(ids) - 5} more" if len(ids) > 5 else ""
    return f"each seed has its own, {len(ids)} splits: {', '.join(ids[:5])}{more}"


def _reported(records: Sequence[Record]) -> str:
    """Which epoch's scores these are, with the number of epochs trained, all stages together."""
    epochs: dict[tuple[str, str], set[int]] = {}
    for r in records:
        kept = "the last epoch" if r.selection == "last" else f"the epoch with the {r.selection}"
        drawn = ""
        if r.method == "tanp":  # the one method with a latent variable
            drawn = "; latent variable drawn at test" if r.protocol["sample"] else "; posterior mean at test"
        epochs.setdefault((kept, drawn), set()).add(r.epochs)
    spans = {key: sorted(found) for key, found in epochs.items()}
    return _each(
        f"{kept} of {low}{f' to {high}, pretraining included' if high > low else ''}{drawn}"
        for (kept, drawn), (low, *_, high) in ((key, (span[0], *span)) for key, span in spans.items())
    )


def _tuning(search: Sequence[Record], records: Sequence[Record], spec: TableSpec, track: str) -> str:
    of = {s.n: s for row in spec.rows if track in row.tuned for s in [row.search] if s is not None}
    if not of or records[0].profile == "quick":
        return "no search: one setting for each method"
    if any(versions.SETTINGS in r.versions for r in records):
        return "settings of an earlier search; the present one is not done"
    lines = [
        f"{len(s.points)} settings a method for {s.epochs[0]} epochs, the best {s.finalists} for "
        f"{s.epochs[1]} with {len(s.seeds)} seeds, on validation users only"
        for s in of.values()
    ]
    lines.append(f"{len(search)} runs, {_duration(sum(r.wall_seconds for r in search))}")
    found = tuning(records, spec, track)
    found = found[found["chosen"].map(len) == 1]  # what a figure varies was not chosen
    for option, rows in found.groupby("option", sort=False):
        ends = _plain([rows["low"].min(), rows["high"].max()]).replace(", ", " to ")
        pairs = zip(rows["method"], rows["chosen"], rows["edge"], strict=True)
        chosen = "; ".join(f"{m}: {_plain(values)}{' (an end)' * edge}" for m, values, edge in pairs)
        lines.append(f"{option} from {ends}, chosen: {chosen}")
    return _each(lines)


def _stability(records: Sequence[Record]) -> str:
    """How many trainings blew up, whatever their kept epoch scores."""
    trained = [r for r in records if r.epochs]
    return f"{len(unstable(trained))} of {len(trained)} trainings unstable" if trained else ""


def _plain(values: Iterable[object]) -> str:
    return ", ".join(f"{v:g}" if isinstance(v, float) else str(v) for v in values)


def _cost(records: Sequence[Record]) -> str:
    peak = max(r.peak_memory_mb for r in records)
    time = _duration(sum(r.wall_seconds for r in records))
    return f"{time} for {len(records)} runs; peak memory {peak:,.0f} MB"


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _deviations(ids: Iterable[str]) -> str:
    order = sorted(ids, key=lambda name: int(re.sub(r"\D", "", name) or 0))
    return ", ".join(f'<a href="book:deviations#{escape(i.lower())}">{escape(i)}</a>' for i in order)


def _versions(records: Sequence[Record]) -> str:
    """Whether the records carry the present versions; else what has moved, and in how many of them."""
    moved = [change for r in records for change in versions.older(r.versions)]
    if not moved:
        made = {name: v for r in records for name, v in r.versions.items()}
        return (
            f"{html.badge('current')} {escape(', '.join(f'{name} {v}' for name, v in sorted(made.items())))}"
        )
    each = "; ".join(f"{change} ({moved.count(change)} runs)" for change in dict.fromkeys(moved))
    return f"{html.badge('older version')} {escape(each)}"


def _span(seeds: Iterable[int]) -> str:
    found = sorted(set(seeds))
    return f"{found[0]} to {found[-1]}" if len(found) > 1 else str(found[0])
