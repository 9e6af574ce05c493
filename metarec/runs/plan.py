"""The one declaration of a table or figure: from it follow its runs, its search and the Records it shows.

    spec = TableSpec("tanp.table4", blocks, rows, ...)
    spec.runs(request)          # what has to be trained
    spec.records(request)       # what was, each Record with the label of its row

A Record is found by what was run, so one run serves every table and figure that asks for the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np

from metarec.errors import RecordError
from metarec.methods import class_of
from metarec.runs.measured import Measured, Request
from metarec.runs.protocol import TRACKS, Protocol, Run
from metarec.runs.records import Record
from metarec.runs.store import Store, find


@dataclass(frozen=True)
class Search:
    """Settings that are tried on validation users: every point with every seed, under the sound protocol."""

    points: tuple[Mapping[str, Any], ...]
    seeds: tuple[int, ...] = (0,)
    maximise: bool = True


@dataclass(frozen=True)
class Row:
    """One row: its label, written here and nowhere else, and the model with its own options.

    `search` is the row's own; `searched_as` names the row whose search gives this one its settings, and
    `tuned` the tracks that take them. `printed` is the paper's name of the row where it is another, `section`
    the heading it stands under. A row without a `model` is the paper's alone: nothing of ours answers it.
    """

    label: str
    model: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    search: Search | None = None
    searched_as: str = ""
    tuned: tuple[str, ...] = ("sound",)
    printed: str = ""
    section: str = ""

    @property
    def floor(self) -> bool:
        """Whether nothing is trained: a closed form without options."""
        return bool(self.model) and class_of(self.model).Options is class_of("random").Options


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
    how users are split and scored. `whole` counts the ratings of the official table where copies of a part
    are in use; `stand_in` says what the records are on where the paper's rows are not to be had. On a part or
    a stand-in nothing compares with a printed number.
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

    @property
    def heading(self) -> str:
        """The block in words."""
        return f"{self.dataset}, {self.setting}" if self.setting else self.dataset

    def holds(self, record: Record) -> bool:
        """Whether a record is of this block: on its table, or on what is planted for it."""
        return record.dataset in (self.source, self.planted)

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

    def search_runs(self, request: Request) -> list[Run]:
        """The runs of the searches behind the tracks asked for; the quick profile searches nothing."""
        if request.profile == "quick":
            return []
        runs = []
        for block in self.blocks:
            for row in self._searched(request.tracks):
                runs += [run for _, group in self._tried(block, row) for run in group]
        return runs

    def records(self, request: Request) -> list[Record]:
        """The Records there are of these runs; a row whose search was not run has none."""
        found = find(self._runs(request, strict=False), request.store)
        return [record for record in found if record is not None]

    def search_records(self, request: Request, block: Block | None = None) -> list[Record]:
        """The Records of `search_runs`, of one block or all."""
        own = self if block is None else replace(self, blocks=(block,))
        return [r for r in find(own.search_runs(request), request.store) if r is not None]

    def chosen(self, block: Block, row: Row, store: Store) -> dict[str, Any]:
        """The options that the search of the row chose: the best mean validation score at the kept epoch.

        Test scores play no part, and a setting that diverged loses. `RecordError` when a point has no record,
        or all have diverged.
        """
        source = self.row(row.searched_as) if row.searched_as else row
        assert source.search is not None
        merits = []
        for point, group in self._tried(block, source):
            scores = [np.nan if r is None else r.extra["valid"] for r in find(group, store)]
            if any(r is None for r in find(group, store)):
                raise RecordError(
                    f"no search record for {source.label!r} at {dict(point)}; run its search first."
                )
            merits.append(float(np.mean(scores)) * (1 if source.search.maximise else -1))
        best = int(np.argmax(np.where(np.isnan(merits), -np.inf, merits)))
        if np.isnan(merits[best]):
            tried = ", ".join(source.search.points[0])
            raise RecordError(
                f"every setting tried for {source.label!r} diverged; widen its search over {tried}."
            )
        return dict(source.search.points[best])

    def options(self, row: Row, track: str, profile: str = "full") -> dict[str, Any]:
        """The options of a row before any search."""
        known = {f.name for f in fields(class_of(row.model).Options)}
        base = {**self.base.get(track, {}), **row.options}
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
                    try:
                        yield from self._of_row(block, row, track, request)
                    except RecordError:
                        if strict:
                            raise

    def _of_row(self, block: Block, row: Row, track: str, request: Request) -> Iterator[Run]:
        given = {} if row.floor else self.options(row, track, request.profile)
        searched = (row.search is not None or row.searched_as) and track in row.tuned
        if searched and request.profile != "quick":
            given |= self.chosen(block, row, request.store)
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
                )

    def _searched(self, tracks: Sequence[str]) -> list[Row]:
        """The rows whose searches these tracks need, each once."""
        needing = [row for row in self.rows if set(row.tuned) & set(tracks)]
        labels = dict.fromkeys(
            row.searched_as or row.label for row in needing if row.search or row.searched_as
        )
        return [self.row(label) for label in labels]

    def _tried(self, block: Block, row: Row) -> list[tuple[Mapping[str, Any], list[Run]]]:
        """Each point of a row's search with its runs."""
        assert row.search is not None
        place, base = block.protocol("sound", "full"), self.options(row, "sound")
        table = f"{self.name} search"
        return [
            (
                point,
                [
                    Run(self.paper, row.model, place, {**base, **point}, seed, label=row.label, table=table)
                    for seed in row.search.seeds
                ],
            )
            for point in row.search.points
        ]


Spec = TableSpec | Measured
