"""Where the numbers on a page come from: the header of a table, and the stamp at the foot of a notebook."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape

import pandas as pd

from metarec.errors import RecordError
from metarec.methods import locate
from metarec.runs import experiment, sameness
from metarec.runs.origin import code_hash
from metarec.runs.records import Record
from metarec.show import html

DEVIATIONS = "../../book/deviations.html"  # as seen from a notebook's page, two folders down


def stale(records: Iterable[Record]) -> list[str]:
    """Methods whose code has changed since their records were made, and not shown to change no number."""
    return list(dict.fromkeys(r.method for r in records if not fresh(r)))


def fresh(record: Record) -> bool:
    """Whether the present code would make the same record, as far as is known."""
    return sameness.fresh(module_of(record), record.code_hash)


def module_of(record: Record) -> str:
    """The module behind a record: that of its method, or of the experiment's own counting."""
    if "model" in record.options:
        return locate(record.options["model"])[0]
    return str(experiment(f"{record.paper}.{record.experiment}").measure.__module__)


def tuning(search: Sequence[Record], records: Sequence[Record]) -> pd.DataFrame:
    """What a search tried: `method, option, grid, seeds, chosen`, one row a method and searched option.

    An option was searched if it differs between the search records of a method; `chosen` is its value in
    `records`.
    """
    rows = []
    for method in dict.fromkeys(r.method for r in search):
        tried = [r for r in search if r.method == method]
        used = [r for r in records if r.method == method]
        for option in dict.fromkeys(name for r in tried for name in r.options):
            grid = _values(tried, option)
            if len(grid) > 1:
                chosen = _values(used, option)
                seeds = len({r.seed for r in tried})
                rows.append(
                    {"method": method, "option": option, "grid": grid, "seeds": seeds, "chosen": chosen}
                )
    return pd.DataFrame(rows, columns=["method", "option", "grid", "seeds", "chosen"])


def _values(records: Iterable[Record], option: str) -> list[object]:
    found = (r.options.get(option) for r in records)
    return list(dict.fromkeys(tuple(v) if isinstance(v, list) else v for v in found))


def header(
    records: Sequence[Record],
    *,
    track: str,
    search: Sequence[Record] = (),
    deviations: Sequence[str] = (),
) -> html.Html:
    """The conditions of one track of a table: data, split, selection, tuning, cost, deviations, freshness.

    `search` are the records of the tuning that chose the settings of this track; none if there was none.
    `deviations` are ids that apply beside those that the records declare.
    """
    own = [r for r in records if r.track == track]
    if not own:
        raise RecordError(f"no record of the {track} track; run the experiment first.")
    facts = {
        "Data": _each(f"{r.dataset}, sha256 {r.data_sha256[:12]}…" for r in own),
        "Counts": _each(_counts(r) for r in own),
        "Split": _each(_split(r) for r in own),
        "Test users": _split_ids(own),
        "Reported": _reported([r for r in own if r.epochs]),
        "Tuning": _tuning(search, own),
        "Device": _each(r.device for r in own),
        "Cost": _cost(own),
        "Deviations": _deviations(own, deviations),
        "Code": _freshness(own),
    }
    shown = {name: value for name, value in facts.items() if value}
    return html.Html(html.pairs(shown, title=f"Conditions of the {track} track"), f"{track} track")


def stamp(records: Sequence[Record]) -> html.Html:
    """Everything needed to find this page's runs again, read from their records."""
    if not records:
        raise RecordError("there are no records to stamp; run the experiment first.")
    versions = [", ".join(f"{name} {v}" for name, v in sorted(r.versions.items())) for r in records]
    days = sorted({r.finished[:10] for r in records})
    hashes = sorted({(module_of(r), r.code_hash, fresh(r)) for r in records})
    facts = {
        "Profile": _each(r.profile for r in records),
        "Runs": f"{len(records)}, seeds {_span(r.seed for r in records)}",
        "Commit": _each(r.git_commit for r in records),
        "Code": "<br>".join(
            f"{escape(m.removeprefix('metarec.'))} {h} {html.badge('fresh' if ok else 'stale')}"
            for m, h, ok in hashes
        ),
        "Data": _each(f"{r.dataset}, sha256 {r.data_sha256}" for r in records),
        "Device": _each(r.device for r in records),
        "Time": _duration(sum(r.wall_seconds for r in records)),
        "Finished": days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}",
        "Versions": _each(versions),
    }
    return html.Html(html.pairs(facts, title="Provenance"), f"{len(records)} runs")


def _each(values: Iterable[str]) -> str:
    return "<br>".join(escape(v) for v in dict.fromkeys(values))


def _counts(r: Record) -> str:
    tasks = ", ".join(f"{r.counts[f'{part} tasks']:,} {part}" for part in ("train", "valid", "test"))
    table = ", ".join(f"{r.counts[name]:,} {name}" for name in ("users", "items", "ratings"))
    return f"{table}; tasks: {tasks} ({r.counts['test query ratings']:,} query ratings)"


def _split(r: Record) -> str:
    options = ", ".join(f"{name} = {value}" for name, value in sorted(r.protocol["rule_options"].items()))
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
        if r.options.get("model") == "tanp":  # the one method with a latent variable
            drawn = "; latent variable drawn at test" if r.protocol["sample"] else "; posterior mean at test"
        epochs.setdefault((kept, drawn), set()).add(r.epochs)
    spans = {key: sorted(found) for key, found in epochs.items()}
    return _each(
        f"{kept} of {low}{f' to {high}, pretraining included' if high > low else ''}{drawn}"
        for (kept, drawn), (low, *_, high) in ((key, (span[0], *span)) for key, span in spans.items())
    )


def _tuning(search: Sequence[Record], records: Sequence[Record]) -> str:
    if not search:
        return "no search: one setting for each method"
    methods = {r.method for r in search}
    settings = {len({r.config_hash for r in search if r.method == m}) for m in methods}
    each = " to ".join(str(n) for n in sorted({min(settings), max(settings)}))
    time = _duration(sum(r.wall_seconds for r in search))
    lines = [f"{each} settings for each of {len(methods)} methods, {len(search)} runs, {time}"]
    found = tuning(search, records)
    varied = found["chosen"].map(len) > 1  # what a figure varies was not chosen
    for option, rows in found[~varied].groupby("option", sort=False):
        grids = zip(rows["grid"], rows["seeds"], strict=True)
        plans = {(frozenset(grid), seeds): _plain(grid) for grid, seeds in grids}  # in whatever order tried
        for (_, seeds), grid in sorted(plans.items(), key=lambda plan: plan[1]):
            each = "one seed" if seeds == 1 else f"{seeds} seeds"
            lines.append(f"{option} from {grid}; {each} each, on validation only")
        pairs = zip(rows["method"], rows["chosen"], strict=True)
        chosen = "; ".join(f"{method}: {_plain(values)}" for method, values in pairs)
        lines.append(f"chosen: {chosen}")
    return _each(lines)


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


def _deviations(records: Sequence[Record], more: Sequence[str]) -> str:
    ids = {name for r in records for name in r.protocol["deviations"]} | set(more)
    order = sorted(ids, key=lambda name: int(re.sub(r"\D", "", name) or 0))
    links = (f'<a href="{DEVIATIONS}#{escape(i.lower())}">{escape(i)}</a>' for i in order)
    return ", ".join(links) or "none declared"


def _freshness(records: Sequence[Record]) -> str:
    old = stale(records)
    if not old:
        same = all(r.code_hash == code_hash(module_of(r)) for r in records)
        changed = "the code has changed since these runs, and gives the same numbers on planted data"
        return f"{html.badge('fresh')} {'unchanged since these runs' if same else changed}"
    which = "every method" if len(old) == len({r.method for r in records}) else ", ".join(old)
    return f"{html.badge('stale')} changed since these runs: {escape(which)}"


def _span(seeds: Iterable[int]) -> str:
    found = sorted(set(seeds))
    return f"{found[0]} to {found[-1]}" if len(found) > 1 else str(found[0])
