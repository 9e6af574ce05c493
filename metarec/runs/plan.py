"""The one declaration of a table or figure: from it follow its runs, its search and the Records it shows.

    spec = TableSpec("tanp.table4", blocks, rows, ...)
    spec.runs(request)          # what has to be trained
    spec.records(request)       # what was, each Record with the label of its row

A Record is found by what was run, so one run serves every table and figure that asks for the same.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np

from metarec.errors import RecordError
from metarec.methods import class_of, closed_form
from metarec.runs.measured import Measured, Request
from metarec.runs.protocol import TRACKS, Protocol, Run
from metarec.runs.records import Record
from metarec.runs.search import Search
from metarec.runs.store import Store, find


@dataclass(frozen=True)
class Row:
    """One row: its label, written here and nowhere else, and the model with its own options.

    `at` holds, by track, options that come over `options`. `search` is the row's own; `searched_as` names the
    row whose search gives this one its settings, and `tuned` the tracks that take them. `printed` is the
    paper's name of the row where it is another, `section` the heading it stands under. A row without a
    `model` is the paper's alone: nothing of ours answers it.
    """

    label: str
    model: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    at: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    search: Search | None = None
    searched_as: str = ""
    tuned: tuple[str, ...] = ("sound",)
    printed: str = ""
    section: str = ""

    @property
    def floor(self) -> bool:
        """Whether nothing is trained: a closed form without options."""
        return bool(self.model) and closed_form(self.model)


@dataclass(frozen=True)
class Point:
    """One value of what a figure varies: options of the method, or of the episode rule.

    `at` names what is varied and its value.
    """

    at: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    rule: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Block:
    """A group of columns: one data set of the paper, and where ours is played.

    `dataset` and `setting` are the paper's words (`spelt`: as its table spells the first), `source` our
    rating table, `planted` what stands for it in the quick profile. `protocol(track, profile, **rule)` says
    how users are split and scored; `rule` are options of its episode rule that tell it from another block of
    the same table. `own` holds, by label, options that a row has here alone. `whole` counts the ratings of
    the official table where copies of a part are in use; `stand_in` says what the records are on where the
    paper's rows are not to be had. On a part or a stand-in nothing compares with a printed number.
    """

    dataset: str
    source: str
    protocol: Callable[..., Protocol]
    metrics: tuple[str, ...]
    setting: str | None = None
    planted: str = "synthetic"
    whole: int | None = None
    spelt: str = ""
    stand_in: str = ""
    rule: Mapping[str, Any] = field(default_factory=dict)
    own: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def heading(self) -> str:
        """The block in words."""
        return f"{self.dataset}, {self.setting}" if self.setting else self.dataset

    def holds(self, record: Record) -> bool:
        """Whether a record is of this block: on its table, or on what is planted for it."""
        options = record.protocol.get("rule_options", {})
        split = all(options.get(name) == value for name, value in self.rule.items())
        return split and record.dataset in (self.source, self.planted)

    def compares(self, record: Record) -> bool:
        """Whether a record is on the paper's own data."""
        complete = self.whole is None or record.counts.get("ratings") == self.whole
        return record.dataset == self.source and complete and not self.stand_in


def _one_point(row: Row) -> Sequence[Point]:
    return (Point(),)


@dataclass(frozen=True)
class TableSpec:
    """A table, or a figure that varies something.

    `name` is `paper.what`; `reference` the transcribed table in `reference/paper_tables`, none for a table of
    our own. `base` holds, by track, the options that every row starts from; a row's own come over them, then
    what its search chose, then `quick` in the quick profile. `points` gives what a figure varies, row by row,
    of which the quick profile takes the first `quick_points`; `quick_rows` keeps some rows there. `prefix`
    is, by track, that of the metrics in Records. `pairs` are tested against each other, `same` names pairs
    that rank alike by construction, with the reason; `shown` names the columns shown by default. `reads`
    gives the paper's name of a metric where it is another.
    """

    name: str
    title: str
    blocks: tuple[Block, ...]
    rows: tuple[Row, ...]
    reference: str = ""
    tracks: tuple[str, ...] = TRACKS
    base: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    quick: Mapping[str, Any] = field(default_factory=dict)
    points: Callable[[Row], Sequence[Point]] = _one_point
    quick_points: int | None = None
    quick_rows: tuple[str, ...] = ()
    prefix: Mapping[str, str] = field(default_factory=dict)
    pairs: tuple[tuple[str, str], ...] = ()
    same: Mapping[tuple[str, str], str] = field(default_factory=dict)
    shown: tuple[str, ...] = ()
    reads: Mapping[str, str] = field(default_factory=dict)
    percent: bool = True
    decimals: int = 2
    deviations: tuple[str, ...] = ()

    @property
    def paper(self) -> str:
        """The paper whose table it is."""
        return self.name.partition(".")[0]

    @property
    def sections(self) -> dict[str, list[str]]:
        """The labels of the rows under each heading, from top to bottom."""
        found: dict[str, list[str]] = {}
        for row in self.rows:
            found.setdefault(row.section, []).append(row.label)
        return found

    @property
    def printed(self) -> dict[str, str]:
        """The paper's name of each row."""
        return {row.label: row.printed or row.label for row in self.rows}

    def row(self, label: str) -> Row:
        """The row of that label; `RecordError` if there is none."""
        found = next((row for row in self.rows if row.label == label), None)
        if found is None:
            raise RecordError(
                f"{self.name} has no row {label!r}; it has {', '.join(r.label for r in self.rows)}."
            )
        return found

    def runs(self, request: Request) -> list[Run]:
        """Every run, settings chosen; `RecordError` where a search that settings come from has no records."""
        return list(self._runs(request, strict=True))

    def planned(self, request: Request) -> Iterator[Run]:
        """Every run, whether or not the search of its settings is done (`Run.settled`)."""
        return self._runs(request, strict=False)

    def narrowed(self, labels: Collection[str], datasets: Collection[str]) -> TableSpec:
        """The table with the rows of these labels, those whose searches they need, and the blocks on these
        data sets (all, where planted data stand for them).
        """
        needed = {*labels, *(self.row(label).searched_as for label in labels)}
        blocks = tuple(b for b in self.blocks if b.source in datasets) or self.blocks
        return replace(self, blocks=blocks, rows=tuple(row for row in self.rows if row.label in needed))

    def search_runs(self, request: Request) -> list[Run]:
        """The runs of the searches behind the tracks asked for; the quick profile searches nothing.

        The second round of a search is among them once its first is recorded.
        """
        if request.profile == "quick":
            return []
        runs: list[Run] = []
        for block in self.blocks:
            for row in self._searched(request.tracks):
                runs += self._first_round(block, row)
                try:
                    runs += [r for own in self._final_round(block, row, request.store).values() for r in own]
                except RecordError:
                    continue
        return runs

    def records(self, request: Request) -> list[Record]:
        """The Records there are of these runs.

        A block whose settings have changed shows the Records of the settings before (`Record.stood`) until
        half of its trained rows have been run anew. All its rows on a track change together, so that no two
        of them are scored on other users.
        """
        groups: dict[tuple[str, str], list[Run]] = {}
        for run in self.planned(request):
            groups.setdefault((run.protocol.dataset, run.protocol.track), []).append(run)
        return [r for runs in groups.values() for r in _present(runs, request.store)]

    def search_records(self, request: Request, block: Block | None = None) -> list[Record]:
        """The Records of `search_runs`, of one block or all."""
        own = self if block is None else replace(self, blocks=(block,))
        return [r for r in find(own.search_runs(request), request.store) if r is not None]

    def chosen(self, block: Block, row: Row, store: Store, track: str = "sound") -> dict[str, Any]:
        """The options that the search of the row chose, by the mean validation score of its second round.

        On `sound` that is the score at its best (`Search.at_best`), on `published` at the last epoch, the one
        it reports. Test scores play no part, and a setting that diverged loses. `RecordError` when a run has
        no record, or all have diverged.
        """
        row = self._source(row)
        assert row.search is not None
        finals = self._final_round(block, row, store)
        scores = [_score(runs, store, row, track == "published") for runs in finals.values()]
        best = row.search.best(scores)[0]
        if not np.isfinite(scores[best]):
            raise RecordError(
                f"every setting tried for {row.label!r} diverged; widen its search over "
                f"{', '.join(row.search.space)}."
            )
        return dict(row.search.points[list(finals)[best]])

    def _source(self, row: Row) -> Row:
        """The row whose search gives this one its settings."""
        return self.row(row.searched_as) if row.searched_as else row

    def _first_round(self, block: Block, row: Row) -> list[Run]:
        """Every point of a row's search, shortly, with one seed."""
        assert row.search is not None
        search = row.search
        return [self._trial(block, row, point, search.epochs[0], search.seeds[0]) for point in search.points]

    def _final_round(self, block: Block, row: Row, store: Store) -> dict[int, list[Run]]:
        """The best points of the first round, by their index, in full with every seed."""
        search, tried = row.search, self._first_round(block, row)
        assert search is not None
        scores = [_score([run], store, row) for run in tried]
        return {
            i: [self._trial(block, row, search.points[i], search.epochs[1], seed) for seed in search.seeds]
            for i in search.best(scores)[: search.finalists]
        }

    def _trial(self, block: Block, row: Row, point: Mapping[str, Any], epochs: int, seed: int) -> Run:
        """One run of a search, under the sound protocol on the users that serve the search."""
        place = block.protocol("sound", "full", searching=True)
        given = {**self.options(row, "sound", block=block), **point, "epochs": epochs}
        return Run(self.paper, row.model, place, given, seed, label=row.label, table=f"{self.name} search")

    def options(
        self, row: Row, track: str, profile: str = "full", *, block: Block | None = None
    ) -> dict[str, Any]:
        """The options of a row before any search, with those it has in a block alone."""
        known = {f.name for f in fields(class_of(row.model).Options)}
        here = {} if block is None else block.own.get(row.label, {})
        base = {**self.base.get(track, {}), **row.options, **row.at.get(track, {}), **here}
        quick = self.quick if profile == "quick" else {}
        return {k: v for k, v in {**base, **quick}.items() if k in known or k in row.options}

    def _runs(self, request: Request, *, strict: bool) -> Iterator[Run]:
        quick = request.profile == "quick"
        blocks = self.blocks[:1] if quick else self.blocks
        rows = [
            r
            for r in self.rows
            if r.model and not (quick and self.quick_rows and r.label not in self.quick_rows)
        ]
        for track in (t for t in self.tracks if t in request.tracks):
            for block in blocks:
                for row in rows:
                    yield from self._of_row(block, row, track, request, strict)

    def _of_row(self, block: Block, row: Row, track: str, request: Request, strict: bool) -> Iterator[Run]:
        given, settled = {}, True
        if not row.floor:
            given = self.options(row, track, request.profile, block=block)
        searched = (row.search is not None or row.searched_as) and track in row.tuned
        if searched and request.profile != "quick":
            try:
                given |= self.chosen(block, row, request.store, track)
            except RecordError:
                if strict:
                    raise
                settled = False
        points = self.points(row)[: self.quick_points if request.profile == "quick" else None]
        for point in points:
            place = block.protocol(track, request.profile, **point.rule)
            seeds = 1 if row.floor and not place.split_per_seed else request.seeds
            for seed in range(seeds):
                yield Run(
                    self.paper,
                    row.model,
                    place,
                    {**given, **point.options},
                    seed,
                    request.profile,
                    row.label,
                    self.name,
                    point.at,
                    settled,
                )

    def _searched(self, tracks: Sequence[str]) -> list[Row]:
        """The rows whose searches these tracks need, each once."""
        needing = [row for row in self.rows if set(row.tuned) & set(tracks)]
        labels = dict.fromkeys(
            row.searched_as or row.label for row in needing if row.search or row.searched_as
        )
        return [self.row(label) for label in labels]


def _score(runs: Sequence[Run], store: Store, row: Row, at_last: bool = False) -> float:
    """The mean validation score of some runs, at its best or at the last epoch; `RecordError` if one is not
    recorded.
    """
    scores = []
    for record, run in zip(find(runs, store), runs, strict=True):
        if record is None:
            raise RecordError(f"no search record for {row.label!r} at {run.options}; run its search first.")
        curve = record.extra["curve"]["valid"][run.protocol.selection.metric]
        assert row.search is not None
        scores.append(curve[-1] if at_last else row.search.at_best(curve))
    return float(np.mean(scores))


def _present(runs: Sequence[Run], store: Store) -> list[Record]:
    """The Records of one block and track: of the settings of now, or else of those before."""
    now, before = find(runs, store), find(runs, store, before=True)
    changed = any(r is not None and r is not n for r, n in zip(before, now, strict=True))
    lacks: dict[str, bool] = {}
    for run, record in zip(runs, now, strict=True):
        if not closed_form(run.model):  # a floor is there at once
            lacks[run.label] = lacks.get(run.label, False) or record is None
    chosen = before if changed and 2 * sum(lacks.values()) > len(lacks) else now
    return [r for r in chosen if r is not None]


Spec = TableSpec | Measured
