"""TaNP's Table 2 and what lies behind it: counts, filters, episodes, and the room that a metric leaves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from metarec.errors import RecordError
from metarec.report.tables import REFERENCE
from metarec.runs.records import Record
from metarec.show import html, style

# The paper's name of a data set, and the record that counts ours.
SETS: Mapping[str, str] = {"MovieLens-1M": "ml-1m", "Last.FM": "lastfm-tanp", "Gowalla": "gowalla"}
COUNTED = ("users", "items", "ratings")
CUTOFFS = (5, 7, 10)
LENGTHS = (20, 50, 100, 200, 500, 1000, 2000)  # ticks of a logarithmic axis of history lengths
SPLITS = ("train", "valid", "test")


def find(records: Sequence[Record], method: str, **options: object) -> Record:
    """The one record of that method with these options; `RecordError` if there is none or more than one."""
    found = [r for r in records if r.label == method and options.items() <= r.options.items()]
    if len(found) != 1:
        raise RecordError(f"{len(found)} records of {method!r} with {options}; run the experiment again.")
    return found[0]


def counts(records: Sequence[Record]) -> html.Html:
    """The paper's counts beside ours, a verdict each; a set that we did not count is `not run`."""
    printed = _printed()
    ours = {r.dataset: r.counts for r in records if r.label == "counts"}
    rows, values = [], []
    for name, dataset in SETS.items():
        cells = []
        for what in COUNTED:
            paper, own = int(printed[name][what]), ours.get(dataset, {}).get(what)
            word = "not run" if own is None else "equal" if own == paper else "not comparable"
            cells.append(_count_cell(paper, own, word))
            values.append({"dataset": name, "what": what, "paper": paper, "ours": own, "verdict": word})
        more = [escape(printed[name]["type"]), escape(printed[name]["content"])]
        rows.append((name, [*cells, *more]))
    planted = {r.dataset: r for r in records if r.label == "counts" and r.dataset not in SETS.values()}
    for name, record in planted.items():
        cells = [_count_cell(None, record.counts[what], "") for what in COUNTED]
        rows.append((name, [*cells, escape(record.options["kind"]), "–"]))
    columns = ["Users", "Items", "Ratings", "Type", "Content"]
    caption = "Table 2 of TaNP: the data sets"
    rendered = html.table(columns, {"": rows}, caption=caption, corner="Data set", kind="results")
    return html.Html(rendered, caption, pd.DataFrame(values))


def _printed() -> dict[str, dict[str, str]]:
    """The paper's Table 2: data set, what is counted, the number as printed."""
    rows = pd.read_csv(REFERENCE / "paper_tables" / "tanp_table2_datasets.csv", dtype=str).itertuples()
    found: dict[str, dict[str, str]] = {}
    for row in rows:
        found.setdefault(str(row.dataset), {})[str(row.metric)] = str(row.value)
    return found


def _count_cell(paper: int | None, own: int | None, word: str) -> str:
    lines = [] if own is None else [f'<span class="ours">{own:,}</span>']
    lines += [] if paper is None else [f'<span class="paper">paper {paper:,}</span>']
    return "<br>".join(lines + ([html.badge(word)] if word else []))


def steps(records: Sequence[Record]) -> html.Html:
    """How Last.FM became the rows that the authors distribute, step by step."""
    own = sorted((r for r in records if r.label == "filter"), key=lambda r: r.options["step"])
    rows = [
        (STEPS[r.options["what"]], [f"{r.counts[what]:,}" for what in (*COUNTED, "positives")]) for r in own
    ]
    notes = []
    if any("rows as shipped" in r.counts for r in own):
        same = all(r.counts.get("rows as shipped", 1) for r in own)
        answer = "the very rows" if same else "not the rows"
        notes.append(
            f"Drawing the negatives again, with the seed of MKR's script, gives {answer} shipped with TaNP."
        )
    return _plain("Last.FM, step by step", "Step", ["Users", "Items", "Rows", "Positives"], rows, notes)


STEPS: Mapping[str, str] = {
    "published": "HetRec 2011, as published",
    "artists of the knowledge graph": "MKR: artists found in a knowledge graph",
    "one negative a positive": "MKR: one sampled negative for each positive",
    "rows shipped with TaNP": "The rows shipped with TaNP",
}


def near_misses(records: Sequence[Record]) -> html.Html:
    """What simple rules leave of Gowalla, with the difference to the paper's counts."""
    target = {what: int(_printed()["Gowalla"][what]) for what in COUNTED}
    rows = [("Paper", [f"{target[what]:,}" for what in COUNTED])]
    for r in (r for r in records if r.label == "near miss"):
        source, low, high = (r.options[k] for k in ("source", "fewest", "most"))
        rule = f"{source}.txt" if source == "test" else "train.txt and test.txt"
        if low > 1:
            rule += f", users with {low} to {high} places" if high else f", users with {low} places or more"
        cells = []
        for what in COUNTED:
            gap = r.counts[what] - target[what]
            apart = "exact" if gap == 0 else f"{gap:+,}".replace("-", "−")
            cells.append(f'{r.counts[what]:,}<br><span class="paper">{apart}</span>')
        rows.append((rule, cells))
    notes = [
        "Ratings count one negative a positive, as on Last.FM. Below each count: ours minus the paper's."
    ]
    return _plain("Gowalla as distributed with NGCF", "Rule", ["Users", "Items", "Ratings"], rows, notes)


def episodes(records: Sequence[Record]) -> html.Html:
    """Users that yield an episode, by support size, with the share of negatives in support and query."""
    rows = []
    for r in sorted((r for r in records if r.label == "episodes"), key=lambda r: -r.options["n_support"]):
        users = [f"{r.counts[f'{part} tasks']:,}" for part in SPLITS]
        share = " / ".join(
            f"{100 * r.metrics[f'test {side} negatives']:.1f}" for side in ("support", "query")
        )
        query = r.counts["test query ratings"] / r.counts["test tasks"]
        least = r.options["n_support"] + r.options["min_query"]
        rows.append((f"N_S = {r.options['n_support']}", [f"{least}", *users, f"{query:.1f}", share]))
    columns = ["Least rows", "Train", "Valid", "Test", "Mean query", "Negatives (%)"]
    groups = (("", 1), ("Users with an episode", 3), ("Test users", 2))
    notes = ["Negatives: their share in the supports and in the queries."]
    return _plain("Episodes after the filters", "Support", columns, rows, notes, groups)


def gifts(records: Sequence[Record]) -> html.Html:
    """Precision by value at each cut-off: what is given away, what the worst and a random order get."""
    episode = find(records, "episodes", n_support=20)
    worst, random, popular = (find(records, m) for m in ("Worst order", "Random ranker", "Popularity"))
    rows = []
    for n in CUTOFFS:
        given = 100 * episode.metrics[f"free@{n}"]
        levels = [100 * r.metrics[f"P@{n}"] for r in (worst, random, popular)]
        rows.append((f"P@{n}", [f"{given:.1f}", *(f"{v:.1f}" for v in levels), f"{100 - levels[2]:.1f}"]))
    columns = ["Given away", "Worst order", "Random order", "Popularity", "Left to win"]
    total = episode.counts["test tasks"]
    notes = [
        "Per cent, means over the test users. Given away: the mean of max(0, 1 − n₁/N), where n₁ candidates "
        "of a query are liked.",
        f"{episode.counts['test queries of ten']} of the {total} queries hold ten candidates: with N = 10, "
        "any order of them scores 100.",
    ]
    return _plain("Released precision before anything is learnt", "Metric", columns, rows, notes)


def _plain(
    caption: str,
    corner: str,
    columns: Sequence[str],
    rows: Sequence[tuple[str, Sequence[str]]],
    notes: Sequence[str],
    groups: Sequence[tuple[str, int]] = (),
) -> html.Html:
    if not rows:
        return html.Html("<p>Counted in the full profile only: it takes the real files.</p>", "not counted")
    rendered = html.table(
        columns, {"": rows}, caption=caption, corner=corner, notes=notes, groups=groups, kind="results"
    )
    return html.Html(rendered, caption, pd.DataFrame([[n, *c] for n, c in rows], columns=[corner, *columns]))


def lengths(records: Sequence[Record], windows: Mapping[str, tuple[int, int]]) -> Figure:
    """Histograms of history lengths, one panel a counted set; the filter's window of a set is shaded."""
    own = [r for r in records if r.label == "counts"]
    names = {dataset: name for name, dataset in SETS.items()}
    fig, axes = style.panels(1, len(own), height=3.0)
    for ax, record in zip(axes[0], own, strict=True):
        edges, users = (np.array(record.extra["lengths"][k]) for k in ("edges", "users"))
        ax.stairs(users, edges, fill=True, color=style.PALETTE[0], alpha=0.85)
        if np.ptp(np.diff(edges)):  # bins of equal width on a log scale
            ax.set_xscale("log")
            ticks = [t for t in LENGTHS if edges[0] <= t <= edges[-1]][:: 2 if edges[-1] > 1000 else 1]
            ax.set_xticks(ticks, [str(t) for t in ticks])
            ax.minorticks_off()
        title = names.get(record.dataset, record.dataset)
        if record.dataset in windows:
            low, high = windows[record.dataset]
            ax.axvspan(low, min(high, edges[-1]), color=style.PALETTE[1], alpha=0.15, linewidth=0, zorder=0)
            for end in (low, high) if high < edges[-1] else (low,):
                ax.axvline(end, color=style.PALETTE[1], linewidth=1.4)
            title += f"\nkept: {low} to {high}"
        style.label_axes(ax, x="interactions of a user", y="users", title=title)
    return style.done(fig)


def room(records: Sequence[Record], paper: pd.DataFrame, *, prefix: str = "") -> Figure:
    """Each metric from the worst to the perfect order, with a random one, popularity and the paper's best.

    `paper` is `tables.paper_values` of Table 4, of which the best row of each column is drawn; nothing of it
    beside standard metrics (a `prefix`) or planted data.
    """
    comparable = not prefix and find(records, "Popularity").dataset == SETS["Last.FM"]
    worst, random, popular, perfect = (find(records, m).metrics for m in LEVELS)
    printed = paper.groupby("metric")["value"].max()
    fig, axes = style.panels(1, 3, height=3.9, sharey=True)
    for ax, stem in zip(axes[0], ("P", "NDCG", "MAP"), strict=True):
        for x, n in enumerate(CUTOFFS):
            metric = f"{prefix}{stem}@{n}"
            low, middle, high = (100 * level[metric] for level in (worst, popular, perfect))
            ax.bar(x, middle - low, bottom=low, width=0.62, color="#c9ced4", label=LEGEND[0])
            ax.bar(x, high - middle, bottom=middle, width=0.62, color="#eceef1", label=LEGEND[1])
            _tick(ax, x, 100 * random[metric], ":", "random order")
            _tick(ax, x, middle, "-", "popularity")
            if comparable:
                _ring(ax, x, printed[metric])
        ax.set_xticks(range(len(CUTOFFS)), [f"@{n}" for n in CUTOFFS])
        ax.grid(axis="x", visible=False)
        ax.set_ylim(0, 102)
        style.label_axes(ax, x="", y="", title=stem)
    axes[0, 0].set_ylabel("standard metric (%)" if prefix else "metric as released (%)")
    handles = style.handles(fig)
    fig.legend(list(handles.values()), list(handles), loc="outside lower center", ncols=3)
    return style.done(fig)


LEVELS = ("Worst order", "Random ranker", "Popularity", "Perfect order")
LEGEND = ("won without knowing the user", "left to win")


def _ring(ax: Axes, x: float, y: float) -> None:
    colour = style.ROLES["paper"]
    ax.plot(x, y, "o", mfc="none", mec=colour, mew=1.8, ms=9, label="best printed in Table 4", zorder=4)


def _tick(ax: Axes, x: float, y: float, line: str, label: str) -> None:
    ax.plot([x - 0.31, x + 0.31], [y, y], color=style.INK, linestyle=line, linewidth=2, label=label, zorder=3)
