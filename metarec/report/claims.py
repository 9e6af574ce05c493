"""Claims of the papers against Records: a verdict for each claim that a notebook decides.

    claims.table("tanp/table4-lastfm", records, store)

A claim's wording and rule stand in `reference/claims.csv`. What computes it is declared, one entry a claim,
in `metarec.report.<paper>.LEDGER`. Where a claim spans several data sets, each gets a verdict of its own,
and the claim one for all of them, which waits until nothing is missing, unless a part already settles that
it fails.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from html import escape
from importlib import import_module
from pathlib import Path
from typing import Any

import pandas as pd

from metarec import runs as experiments
from metarec.errors import RecordError
from metarec.report.evidence import Cells, Ground, Place
from metarec.report.rules import FAILS, HOLDS, NOISE, Rule, Unit
from metarec.report.tables import REFERENCE
from metarec.runs.records import Record, Store
from metarec.show import html

UNTESTABLE, PENDING = "not testable here", "not run yet"
VERDICTS = (HOLDS, FAILS, NOISE, UNTESTABLE, PENDING)
SEEDS = 5  # the rules are stated for five


@dataclass(frozen=True)
class Ledger:
    """What one paper's claims are decided on: its places, a rule a claim, and which metrics count.

    `prefixes` gives, by track, the form of the metrics decided on; `percent` says that gains are shown in
    points. `floors` are rankers that know nothing of the user: of a method level with one of them in every
    metric, nothing is said to hold. `words` gives labels of records the names they are shown under;
    `remarks`, ready HTML, stand below a table of claims.
    """

    paper: str
    places: tuple[Place, ...]
    rules: Mapping[str, Rule]
    prefixes: Mapping[str, str]
    floors: tuple[str, ...] = ("Random ranker", "Popularity")
    percent: bool = True
    words: Mapping[str, str] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()

    def say(self, finding: Finding) -> Finding:
        """The finding with labels in words."""

        def put(text: str) -> str:
            for label, word in self.words.items():
                text = text.replace(label, word)
            return text

        return replace(
            finding, evidence=put(finding.evidence), missing=tuple(put(what) for what in finding.missing)
        )


@dataclass(frozen=True)
class Finding:
    """A verdict, the sentence of numbers behind it, and what is missing for a final one.

    `so_far` is what the rule says of the seeds there are, where nothing but seeds is missing; `complete` says
    that nothing else is.
    """

    verdict: str
    evidence: str = ""
    missing: tuple[str, ...] = ()
    cells: Cells | None = None
    so_far: str = ""
    complete: bool = False


def ledger(paper: str) -> Ledger:
    """The declared rules of a paper's claims."""
    found: Ledger = import_module(f"metarec.report.{paper}").LEDGER
    return found


def claims_of(notebook: str, root: Path = REFERENCE) -> pd.DataFrame:
    """The claims that name a notebook (`"tanp/table4-lastfm"`) among those that decide them."""
    claims = pd.read_csv(root / "claims.csv", dtype=str, keep_default_na=False)
    named = claims["decided_by"].map(lambda text: notebook in [part.strip() for part in text.split(";")])
    if not named.any():
        raise RecordError(f"no claim in {root / 'claims.csv'} is decided by {notebook!r}; check the name.")
    return claims[named]


def decide(rule: Rule, grounds: Mapping[str, Ground], *, percent: bool = True) -> dict[str, Finding]:
    """A finding by place of the rule, and under the key `""` that of the claim as a whole.

    `grounds` are the places with records; a place of the rule that is not among them counts as missing.
    """
    unit = Unit(percent)
    found = {name: _at(rule, grounds[name], unit) for name in rule.places if name in grounds}
    missing = tuple(
        f"{name}: {', '.join(finding.missing)}" for name, finding in found.items() if finding.missing
    )
    missing += tuple(f"{name}: every run" for name in rule.places if name not in grounds)
    parts = [finding.cells for finding in found.values() if finding.cells is not None]
    if any(finding.verdict == UNTESTABLE for finding in found.values()):
        whole = Finding(UNTESTABLE, "", missing)
    elif not parts:
        whole = Finding(PENDING, "", missing)
    else:
        complete = len(parts) == len(rule.places) and all(f.complete for f in found.values())
        whole = _weigh(rule, Cells.join(parts), missing, unit, complete=complete)
    return {**found, "": whole}


def _at(rule: Rule, ground: Ground, unit: Unit) -> Finding:
    missing = tuple(rule.missing(ground))
    complete = not missing
    cells = rule.cells(ground)
    if cells is not None and cells.frame.empty:  # nothing defined on both sides decides nothing
        cells, missing = None, (*missing, "a metric that both sides have, or a seed that has not diverged")
    if ground.planted:
        evidence = rule.evidence(cells, unit) if cells is not None else ""
        return Finding(UNTESTABLE, evidence, ("the paper's data (these ratings are planted)",))
    if cells is None:
        return Finding(PENDING, "", missing)
    if cells.seeds < SEEDS:
        missing += _seeds(ground, cells.seeds)
    return _weigh(rule, cells, missing, unit, complete=complete)


def more_seeds(n: int) -> str:
    """What a claim waits for where runs are too few."""
    return f"{n} more seed{'s' * (n > 1)}"


def _seeds(ground: Ground, n: int) -> tuple[str, ...]:
    """Why only `n` seeds are compared: some were not run, at some a method has diverged."""
    seeds: dict[str, set[int]] = {}
    for r in ground.own:
        if r.epochs:
            seeds.setdefault(r.method, set()).add(r.seed)
    absent = max(0, SEEDS - min(map(len, seeds.values()), default=0))
    lost = SEEDS - absent - n
    left_out = f"{lost} seed{'s' * (lost > 1)} at which a method compared has diverged"
    return ((more_seeds(absent),) if absent else ()) + ((left_out,) if lost > 0 else ())


def _weigh(rule: Rule, cells: Cells, missing: tuple[str, ...], unit: Unit, *, complete: bool) -> Finding:
    """The rule's verdict on these cells; with something missing, only a failure is final.

    `complete` says that nothing but seeds is missing.
    """
    evidence = rule.evidence(cells, unit)
    word = rule.outcome(cells) if complete else ""
    word = NOISE if word == HOLDS and cells.level else word
    if missing:
        final = rule.refuted(cells)
        return Finding(FAILS if final else PENDING, evidence, missing, cells, "" if final else word, complete)
    return Finding(word, evidence, (), cells, complete=complete)


def table(notebook: str, records: Sequence[Record], store: Store, *, root: Path = REFERENCE) -> html.Html:
    """Every claim that names `notebook`, decided on each track of `records`.

    `records` are the notebook's own; those of the paper's other places are looked for in `store`.
    `frame` has a row a claim, track and place: `claim, track, place, here, so_far, evidence, overall,
    missing`.
    """
    book = ledger(notebook.partition("/")[0])
    here = [p for p in book.places if p.notebook == notebook]
    if not here:
        raise RecordError(f"the ledger of {book.paper} has no place for {notebook!r}; add it there.")
    tracks = list(dict.fromkeys(r.track for r in records))
    grounds = {track: _grounds(book, here, track, records, store) for track in tracks}
    rows, lines = [], []
    for claim in claims_of(notebook, root).to_dict("records"):
        if claim["id"] not in book.rules:
            raise RecordError(f"claim {claim['id']} has no rule in metarec.report.{book.paper}; declare one.")
        rule = book.rules[claim["id"]]
        cells = [_claim_cell(claim)]
        for track in tracks:
            if not on_track(book, rule, track):
                cells.append(f"These runs have no {track} track.")
                continue
            decided = decide(rule, grounds[track], percent=book.percent)
            found = {name: book.say(finding) for name, finding in decided.items()}
            names = [p.name for p in here if p.name in rule.places] or list(rule.places[:1])
            own = {name: found.get(name, _NO_RUN) for name in names}
            rows += [_row(claim["id"], track, name, one, found[""]) for name, one in own.items()]
            cells.append(_track_cell(own, found[""], alone=rule.places == tuple(names[:1])))
        lines.append((claim["id"], cells))
    caption = f"Claims decided by {notebook}"
    columns = ["Claim and rule", *(f"{track.capitalize()} track" for track in tracks)]
    frame = pd.DataFrame(rows)
    rendered = html.table(
        columns, {"": lines}, caption=caption, corner="Id", kind="claims", notes=_notes(book, frame)
    )
    return html.Html(rendered, caption, frame)


def _notes(book: Ledger, frame: pd.DataFrame) -> list[str]:
    notes = [
        "A cell is + or − where the bootstrap interval of the gain excludes zero. Gains are paired over "
        "users; intervals come from resampling users, then seeds, or from seeds alone where a rule reads "
        "curves."
    ]
    if len(set(book.prefixes.values())) > 1:
        notes.append(
            "The published track is decided on the released form of the metrics, the sound track on the "
            "standard one."
        )
    if (frame["so_far"] != "").any():
        notes.append(
            f"So far: what the rule says of the seeds there are. The rules ask for {SEEDS}; where one was "
            "not run, or a method compared has diverged at it, only a failure is final."
        )
    return [*notes, *book.remarks]


_NO_RUN = Finding(PENDING, "", ("every run",))


def _grounds(
    book: Ledger, here: Sequence[Place], track: str, records: Sequence[Record], store: Store
) -> dict[str, Ground]:
    found = {}
    for place in book.places:
        own = records if place in here else store.read(*place.experiment.split("."))
        ground = Ground(place, track, book.prefixes[track], own, store, book.floors)
        if ground.own:
            found[place.name] = ground
    return found


def on_track(book: Ledger, rule: Rule, track: str) -> bool:
    """Whether any experiment behind the rule has that track; one that nobody declares has both."""
    known = experiments.names()
    behind = [known.get(p.experiment) for p in book.places if p.name in rule.places]
    return not behind or any(e is None or track in e.tracks for e in behind)


def _row(claim: str, track: str, place: str, own: Finding, whole: Finding) -> dict[str, object]:
    return {
        "claim": claim,
        "track": track,
        "place": place,
        "here": own.verdict,
        "so_far": own.so_far,
        "evidence": own.evidence,
        "overall": whole.verdict,
        "missing": list(whole.missing),
    }


def _claim_cell(claim: Mapping[Any, str]) -> str:
    where = f'<span class="where">{escape(claim["where"])}</span>'
    rule = f"<details><summary>Rule</summary>{escape(claim['rule'])}</details>"
    return f"{escape(claim['claim'])}<br>{where}{rule}"


def _track_cell(own: Mapping[str, Finding], whole: Finding, *, alone: bool) -> str:
    blocks = [
        [f"{_word(one)} on {escape(place)}", escape(one.evidence), _wanted(one.missing)]
        for place, one in own.items()
    ]
    if not alone:
        elsewhere = [what for what in whole.missing if what.partition(":")[0] not in own]
        blocks.append([f"{_word(whole)} on all data sets", _wanted(elsewhere)])
    gap = "<br><br>" if len(own) > 1 else "<br>"
    return gap.join("<br>".join(line for line in block if line) for block in blocks)


def _word(finding: Finding) -> str:
    return f"{html.badge(finding.so_far)} so far," if finding.so_far else html.badge(finding.verdict)


def _wanted(missing: Iterable[str]) -> str:
    text = ", ".join(missing)
    return f'<span class="missing">Missing: {escape(text)}</span>' if text else ""
