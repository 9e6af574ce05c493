"""The ledger: for each claim and track a verdict on each data set, and one on the whole.

    book = paper("pnmta")
    decided(book, book.claims, store, track="published")["P06"]     # {place: Finding, "": Finding}

The functions take their list of claims as an argument; `paper` finds that of one of the papers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module

import pandas as pd

from metarec.claims.cells import Finder, joined
from metarec.claims.evidence import Say, Unit, summary
from metarec.claims.ground import Ground, Place
from metarec.claims.rules import SEEDS, STABLE, Rule
from metarec.runs.records import Record
from metarec.runs.store import Store
from metarec.show.words import FAILS, HOLDS, NOISE, PENDING, UNTESTABLE
from metarec.stats.runs import emptied, label, read

PAPERS = ("tanp", "pnmta", "cmml")
TRACKS = ("published", "sound")


@dataclass(frozen=True)
class Claim:
    """One claim of a paper: its words, the rule in words, and the functions that decide it.

    `cells` finds the comparisons at each of `places`, `rule` turns them into a word and `say` into a
    sentence. A claim without `places` is not decided yet. `anywhere` says that it is about formulas, so that
    any ratings serve.
    """

    id: str
    where: str
    claim: str
    kind: str
    decided_by: tuple[str, ...]
    rule: str
    own_table_check: str
    places: tuple[Place, ...] = ()
    cells: Finder | None = None
    decide: Rule | None = None
    say: Say = summary
    anywhere: bool = False


@dataclass(frozen=True)
class Paper:
    """A paper's claims, and what all of them share.

    `prefixes` gives, by track, the form of the metrics decided on; `percent` says that gains are shown in
    points. `floors` are rows that know nothing of the user. A claim cannot hold for a method that no metric
    tells from a floor. `words` gives labels of records the names they are shown under; `remarks`, ready HTML,
    stand below a table of claims.
    """

    name: str
    title: str
    claims: tuple[Claim, ...]
    prefixes: Mapping[str, str] = field(default_factory=lambda: dict.fromkeys(TRACKS, ""))
    floors: tuple[str, ...] = ()
    percent: bool = False
    words: Mapping[str, str] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()

    def say(self, text: str) -> str:
        """A text with labels of records in words."""
        for name, word in self.words.items():
            text = text.replace(name, word)
        return text


@dataclass(frozen=True)
class Finding:
    """A verdict, the sentence of numbers behind it, and what is missing for a final one.

    `so_far` is what the rule says of the seeds there are, where nothing but seeds is missing; `complete` says
    that nothing else is. `stand_in` says what the data are where the paper's cannot be had.
    """

    verdict: str
    evidence: str = ""
    missing: tuple[str, ...] = ()
    frame: pd.DataFrame = field(default_factory=pd.DataFrame)
    so_far: str = ""
    complete: bool = False
    stand_in: str = ""

    @property
    def counted(self) -> str:
        """The verdict that counts: none on a stand-in."""
        return UNTESTABLE if self.stand_in else self.verdict


def paper(name: str) -> Paper:
    """A paper with its claims."""
    found: Paper = import_module(f"metarec.papers.{name}.claims").PAPER
    return found


def grounds(
    book: Paper,
    claims: Iterable[Claim],
    store: Store,
    *,
    track: str,
    given: Mapping[str, Sequence[Record]] | None = None,
) -> dict[str, Ground]:
    """The places of the claims that have records on a track, by name.

    `given` holds records that are at hand, by the name of their spec; the others are read from `store`.
    """
    records = {name: emptied(rows) for name, rows in (given or {}).items()}
    found = {}
    for place in dict.fromkeys(p.name for c in claims for p in c.places):
        (one,) = {p.name: p for c in claims for p in c.places if p.name == place}.values()
        if track not in one.tracks:
            continue
        name = one.experiment.name
        if name not in records:
            records[name] = read(store, one.experiment)
        own = records[name]
        ground = Ground(one, track, book.prefixes[track], own, store, book.floors)
        if ground.own:
            found[place] = ground
    return found


def decided(
    book: Paper,
    claims: Sequence[Claim],
    store: Store,
    *,
    track: str,
    given: Mapping[str, Sequence[Record]] | None = None,
) -> dict[str, dict[str, Finding]]:
    """The findings of each claim on one track, by id; a claim whose runs have no such track is left out."""
    on = [c for c in claims if not c.places or any(track in p.tracks for p in c.places)]
    there = grounds(book, on, store, track=track, given=given)
    return {c.id: decide(c, there, book) for c in on}


def decide(claim: Claim, there: Mapping[str, Ground], book: Paper) -> dict[str, Finding]:
    """A finding by place of the claim, and under the key `""` that of the claim as a whole.

    A place that is not among the grounds counts as missing. The whole is decided on the places that count:
    those with the paper's own data.
    """
    found = {p.name: _at(claim, there[p.name], book) for p in claim.places if p.name in there}
    counting = [p for p in claim.places if not p.stand_in]
    own = {p.name: found[p.name] for p in counting if p.name in found}
    missing = tuple(f"{name}: {', '.join(f.missing)}" for name, f in own.items() if f.missing)
    missing += tuple(f"{p.name}: every run" for p in counting if p.name not in found)
    frames = [f.frame for f in own.values() if len(f.frame)]
    if any(f.verdict == UNTESTABLE for f in found.values()) or (claim.places and not counting):
        return {**found, "": Finding(UNTESTABLE, "", missing)}
    if not frames:
        return {**found, "": Finding(PENDING, "", missing or ("every run",))}
    complete = len(frames) == len(counting) and all(f.complete for f in own.values())
    return {**found, "": _weigh(claim, joined(frames), missing, book, complete=complete)}


def _at(claim: Claim, ground: Ground, book: Paper) -> Finding:
    assert claim.cells is not None
    frame, missing = claim.cells(ground)
    missing = tuple(book.say(what) for what in missing)
    complete = not missing
    if ground.planted and not claim.anywhere:
        text = _text(claim, frame, book)
        return Finding(UNTESTABLE, text, ("the paper's data (these ratings are planted)",), frame)
    if frame.empty:  # nothing defined on both sides decides nothing
        why = missing or ("a metric that both sides have, or a seed that has not diverged",)
        return Finding(PENDING, "", why, stand_in=ground.place.stand_in)
    seeds = frame["seeds"].min()
    if seeds < SEEDS:  # a count has no number of seeds
        missing += _seeds(ground, int(seeds))
    found = _weigh(claim, frame, missing, book, complete=complete)
    return replace(found, stand_in=ground.place.stand_in)


def _weigh(
    claim: Claim, frame: pd.DataFrame, missing: tuple[str, ...], book: Paper, *, complete: bool
) -> Finding:
    """The rule's verdict on these rows; with something missing, only a failure is final.

    `complete` says that nothing but seeds is missing.
    """
    assert claim.decide is not None
    text, word = _text(claim, frame, book), claim.decide(frame) if complete else ""
    word = NOISE if word == HOLDS and _level(frame) else word
    if missing:
        final = claim.decide(frame, whole=False) == FAILS
        verdict = FAILS if final else PENDING
        return Finding(verdict, text, missing, frame, "" if final else word, complete)
    return Finding(word, text, (), frame, complete=complete)


def _level(frame: pd.DataFrame) -> bool:
    own = frame[frame["sample"].notna()]
    return bool(len(own) and own["level"].all())


def _text(claim: Claim, frame: pd.DataFrame, book: Paper) -> str:
    return "" if frame.empty else book.say(claim.say(frame, Unit(book.percent)))


def _seeds(ground: Ground, n: int) -> tuple[str, ...]:
    """Why only `n` seeds are compared: some were not run, at some a method has diverged."""
    seeds: dict[str, set[int]] = {}
    trained = [r for r in ground.own if r.epochs] or ground.own
    for r in trained:
        seeds.setdefault(label(r), set()).add(r.seed)
    absent = max(0, SEEDS - min(map(len, seeds.values()), default=0))
    lost = SEEDS - absent - n if n < STABLE else 0
    left_out = f"{lost} seed{'s' * (lost > 1)} at which a method compared has diverged"
    more = f"{absent} more seed{'s' * (absent > 1)}"
    return ((more,) if absent else ()) + ((left_out,) if lost > 0 else ())


def words(books: Iterable[Paper]) -> pd.DataFrame:
    """The words of every claim, a row each, as `reference/claims.csv` keeps them."""
    columns = ("where", "claim", "kind", "decided_by", "rule", "own_table_check")
    rows = [
        {"id": c.id, "paper": book.title}
        | {k: "; ".join(c.decided_by) if k == "decided_by" else getattr(c, k) for k in columns}
        for book in books
        for c in book.claims
    ]
    return pd.DataFrame(rows)
