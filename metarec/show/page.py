"""A page of the book: its specs, its Records, and what it shows of them, one call each.

    page.short(...)             the box at its head
    page.table("published")     the table of a track, and so on

Every number of a page comes from here: prose quotes `page.number(...)`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from html import escape
from typing import Any

from matplotlib.figure import Figure

from metarec.errors import ProtocolError
from metarec.runs import versions
from metarec.runs.plan import Spec, TableSpec
from metarec.runs.records import Record
from metarec.runs.store import Store
from metarec.show import claims as claims_
from metarec.show import curves, header, html, null, pairs
from metarec.show import dots as dots_
from metarec.show.table import Table, build
from metarec.show.words import FAILS, HOLDS, VERDICTS
from metarec.stats.runs import unstable

PLANTED = "This is a quick run on planted data: its numbers do not bear on the sentences that follow."


@dataclass(frozen=True, eq=False)
class Page:
    """What a notebook shows. `name` is the notebook (`tanp/table4-lastfm`), the first spec its main one."""

    name: str
    specs: tuple[Spec, ...]
    given: Mapping[str, Sequence[Record]]
    store: Store

    @property
    def spec(self) -> Spec:
        """The main spec."""
        return self.specs[0]

    @property
    def records(self) -> list[Record]:
        """The Records of the main spec."""
        return list(self.given[self.spec.name])

    def of(self, name: str) -> list[Record]:
        """The Records of another spec of the page; `ProtocolError` if the page has none of that name."""
        if name not in self.given:
            raise ProtocolError(f"{self.name} has no {name!r}; it has {', '.join(self.given)}.")
        return list(self.given[name])

    def table(
        self,
        track: str,
        dataset: str = "",
        *,
        metrics: Sequence[str] = (),
        as_printed: bool = False,
        title: str = "",
    ) -> Any:
        """The table of one track, on one data set or all.

        `metrics` reads other columns than the spec's. With `as_printed` the metrics have the paper's form on
        either track.
        """
        spec = self._spec(dataset)
        if as_printed:
            spec = replace(spec, prefix={})
        if metrics:
            blocks = tuple(replace(b, metrics=tuple(metrics)) for b in spec.blocks)
            spec = replace(spec, blocks=blocks, shown=tuple(metrics))
        if why := self.lacks(track, dataset):
            return why
        return build(spec, self.on(dataset), self.store, track=track, title=title)

    def conditions(self, track: str, dataset: str = "") -> Any:
        """What a reader must know of how a track was run, folded behind its name."""
        if why := self.lacks(track, dataset):
            return why
        found = header.conditions(self._spec(dataset), self.on(dataset), self.store, track=track)
        what = "Data, split, selection, search, cost, deviations and versions"
        return html.Html(html.fold(f"{what} of the {track} track", found.html), found.text)

    def dots(self, track: str, dataset: str = "", **options: Any) -> Figure | html.Html:
        """The table as a figure: one row a method, its seeds, its interval, the paper's value."""
        if why := self.lacks(track, dataset):
            return why
        return dots_.dots(self.on(dataset), self.table(track, dataset), track=track, **options)

    def pairs(self, track: str, dataset: str = "") -> Any:
        """The paired differences of the spec, folded behind a sentence that counts them."""
        if why := self.lacks(track, dataset):
            return why
        spec = self._spec(dataset)
        title = spec.blocks[0].dataset if dataset else ""
        return pairs.table(spec, self.on(dataset), self.store, track=track, title=title)

    def against_itself(self, track: str, dataset: str = "") -> Any:
        """How often the test tells a method from itself (`show.null`)."""
        if why := self.lacks(track, dataset):
            return why
        if len({r.seed for r in self.on(dataset) if r.track == track}) < null.LEAST:
            return html.nothing(f"A method against itself needs {null.LEAST} seeds, two for each side.")
        return null.table(self._spec(dataset), self.on(dataset), self.store, track=track)

    def optimism(self, track: str, methods: Sequence[str], metric: str) -> Any:
        """What picking an epoch by its test scores would have brought."""
        if why := self.lacks(track):
            return why
        return curves.optimism(self.records, methods, self.table(track), metric, track=track)

    def claims(self) -> html.Html:
        """Every claim that this page decides."""
        return self._claims

    @cached_property
    def _claims(self) -> html.Html:
        return claims_.claims_table(self.name, self.given, self.store)

    def stamp(self) -> html.Html:
        """Where the numbers come from, folded."""
        found = header.stamp([r for records in self.given.values() for r in records])
        return html.Html(html.fold("Runs, commit, versions, device, libraries", found.html), found.text)

    def short(self, *sentences: str) -> html.Html:
        """The box at the head of the page; a count of its claims' words ends it.

        Sentences are written for the runs that are recorded, and a first one says so on planted data.
        """
        quick = any(r.profile == "quick" for records in self.given.values() for r in records)
        told = [*([PLANTED] if quick else []), *self._waiting(), *sentences, self.counted()]
        return html.Html(html.short(told), " ".join(told))

    def _waiting(self) -> list[str]:
        """A sentence where runs are shown whose settings have changed since."""
        given = [r for records in self.given.values() for r in records if r.epochs]
        old = [r for r in given if versions.SETTINGS in r.versions]
        if not old:
            return []
        blown = unstable([r for records in self.given.values() for r in records])
        lost = len({r.key for r in blown} & {r.key for r in old})
        tracks = " and ".join(sorted({r.track for r in old}))
        return [
            f"The settings of the {tracks} track have changed since, and its new runs are not all there. "
            f"Shown are the runs before: {lost} of {len(old)} blew up in training. On the sound track these "
            "are left out, and what the text says of it was written with them."
        ]

    def say(self, *sentences: str) -> html.Html:
        """A paragraph of the page whose numbers come from calls; plain text."""
        text = " ".join(sentences)
        return html.Html(f'<p class="metarec-said">{escape(text)}</p>', text)

    def counted(self) -> str:
        """How many of the page's claims have which word on the tracks there are, in a sentence."""
        if not claims_.named(self.name):
            return "No claim of the paper is decided on this page."
        frame = self.claims().frame
        parts = []
        for track, own in frame.groupby("track", sort=False):
            whole = own.drop_duplicates("claim")
            words = {w: int((whole["counted"] == w).sum()) for w in VERDICTS}
            told = ", ".join(f"{n} {_plural(w, n)}" for w, n in words.items() if n)
            n = len(whole)
            parts.append(f"on the {track} track, of {n} claim{'s' * (n > 1)}: {told}")
        text = "; ".join(parts)
        return f"{text[0].upper()}{text[1:]}."

    def number(self, label: str, metric: str, track: str, dataset: str = "", *, value: str = "ours") -> str:
        """One number of the table as text: `ours`, the `paper`'s, their `delta`, an end of the interval.

        A dash where there is none, as on planted data.
        """
        found = self.value(label, metric, track, dataset, value=value)
        return "–" if found != found else html.number(found, self._spec(dataset).decimals)

    def value(self, label: str, metric: str, track: str, dataset: str = "", *, value: str = "ours") -> float:
        """The same as a number; nan where there is none.

        Raises `RecordError` if the spec has no such row, `ProtocolError` if it has no such column.
        """
        spec = self._spec(dataset)
        spec.row(label)
        known = list(dict.fromkeys(m for b in spec.blocks for m in b.metrics))
        if metric not in known:
            raise ProtocolError(f"{spec.name} has no column {metric!r}; it has {', '.join(known)}.")
        table = self.table(track, dataset)
        if not isinstance(table, Table):
            return float("nan")
        row = table.frame[(table.frame["method"] == label) & (table.frame["metric"] == metric)]
        return float(row[value].iloc[0]) if len(row) else float("nan")

    def gap(self, first: str, second: str, metric: str, track: str, dataset: str = "") -> str:
        """How far two rows of the table lie apart, as text without a sign; a dash if one is missing."""
        one, other = (self.value(label, metric, track, dataset) for label in (first, second))
        far = abs(one - other)
        return "–" if far != far else html.number(far, self._spec(dataset).decimals)

    def _spec(self, dataset: str) -> TableSpec:
        """The main spec, on one data set of the paper if one is named."""
        if not isinstance(self.spec, TableSpec):
            raise ProtocolError(f"{self.spec.name} is measured: it has no table of methods.")
        if not dataset:
            return self.spec
        blocks = tuple(b for b in self.spec.blocks if b.dataset == dataset)
        if not blocks:
            known = ", ".join(b.dataset for b in self.spec.blocks)
            raise ProtocolError(f"{self.spec.name} has no data set {dataset!r}; it has {known}.")
        return replace(self.spec, blocks=blocks, title=f"{self.spec.title}, {dataset}")

    def lacks(self, track: str, dataset: str = "") -> html.Html | None:
        """A line that says why there is nothing on a track; None if there is something."""
        own = self.records
        if isinstance(self.spec, TableSpec):
            own = [r for r in own if any(b.holds(r) for b in self._spec(dataset).blocks)]
        if not own:
            return html.nothing("Nothing was run on this data set: the quick profile plants one only.")
        if any(r.track == track for r in own):
            return None
        return html.nothing(f"No {track} track here: it was not run, or the parameter track leaves it out.")

    def on(self, dataset: str) -> list[Record]:
        """The Records of the main spec on one data set of the paper."""
        return [r for r in self.records if any(b.holds(r) for b in self._spec(dataset).blocks)]


def _plural(word: str, n: int) -> str:
    if n == 1:
        return word
    return {HOLDS: "hold", FAILS: "do not hold"}.get(word, word)
