"""Claims as HTML: the table at the end of a page, and the list of all claims on one page.

    claims_table("tanp/table4-lastfm", given, store)      every claim that this page decides
    glance(store)                                         every claim: its word by data set and track

A claim has the id `claim-p12` on each page that decides it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

import pandas as pd

from metarec.claims.ledger import PAPERS, SEEDS, STABLE, TRACKS, Claim, Finding, Paper, decided, paper
from metarec.errors import RecordError
from metarec.runs.records import Record
from metarec.runs.store import Store
from metarec.show import html
from metarec.show.words import PENDING, STAND_IN, VERDICTS, badge

_NO_RUN = Finding(PENDING, "", ("every run",))


def named(notebook: str) -> bool:
    """Whether some claim of the notebook's paper is decided by it."""
    return any(notebook in claim.decided_by for claim in paper(notebook.partition("/")[0]).claims)


def claims_of(notebook: str, claims: Iterable[Claim]) -> list[Claim]:
    """The claims that name a notebook (`"tanp/table4-lastfm"`) among those that decide them."""
    named = [c for c in claims if notebook in c.decided_by]
    if not named:
        raise RecordError(
            f"no claim names {notebook!r} among the pages that decide it; name it there, or show no claims."
        )
    return named


def claims_table(
    notebook: str,
    given: Mapping[str, Sequence[Record]],
    store: Store,
    *,
    claims: Sequence[Claim] | None = None,
) -> html.Html:
    """Every claim that names `notebook`, decided on each track of the records given.

    `given` holds the notebook's own records by the name of their spec; those of others are read from `store`.
    `claims` are those of the notebook's paper unless others are given. `frame` has a row a claim, track and
    place: `claim, track, place, here, counted, so_far, evidence, overall, missing`.
    """
    book = paper(notebook.partition("/")[0])
    own = claims_of(notebook, book.claims if claims is None else claims)
    tracks = list(dict.fromkeys(r.track for records in given.values() for r in records))
    found = {track: decided(book, own, store, track=track, given=given) for track in tracks}
    values, lines = [], []
    for claim in own:
        cells = [_claim_cell(claim)]
        for track in tracks:
            if claim.id not in found[track]:
                cells.append(f"These runs have no {track} track.")
                continue
            whole = found[track][claim.id][""]
            here = _here(claim, notebook, track, found[track][claim.id])
            values += [_row(claim.id, track, name, one, whole) for name, one in here.items()]
            cells.append(_track_cell(here, whole, claim))
        lines.append((claim.id, cells))
    caption = f"Claims decided by {notebook}"
    columns = ["Claim and rule", *(f"{track.capitalize()} track" for track in tracks)]
    frame = pd.DataFrame(values)
    notes = _notes(book, frame)
    rendered = html.table(columns, {"": lines}, caption=caption, corner="Id", kind="claims", notes=notes)
    return html.Html(_anchored(rendered, own), caption, frame)


def glance(store: Store, *, papers: Sequence[str] = PAPERS, tracks: Sequence[str] = TRACKS) -> html.Html:
    """Every claim of every paper: its words, and the word of its verdict by data set and track.

    A data set leads to the claim on the page that decides it there. `frame` has a row a claim, track and
    place: `paper, claim, track, place, counted, so_far, stand_in`; the place "" is the claim as a whole.
    """
    sections, values = {}, []
    for book in map(paper, papers):
        found = {track: decided(book, book.claims, store, track=track) for track in tracks}
        lines = []
        for claim in book.claims:
            cells = [escape(claim.claim)]
            for track in tracks:
                findings = found[track].get(claim.id)
                cells.append("–" if findings is None else _glance_cell(claim, findings))
                for name, one in (findings or {}).items():
                    about = {"paper": book.name, "claim": claim.id, "track": track, "place": name}
                    values.append(
                        {**about, "counted": one.counted, "so_far": one.so_far, "stand_in": one.stand_in}
                    )
            lines.append((claim.id, cells))
        sections[book.title] = lines
    caption = "The claims at a glance"
    columns = ["Claim", *(f"{track.capitalize()} track" for track in tracks)]
    notes = ["–: these runs have no such track."]
    rendered = html.table(columns, sections, caption=caption, corner="Id", kind="claims", notes=notes)
    return html.Html(rendered, caption, pd.DataFrame(values))


def tally(frame: pd.DataFrame) -> html.Html:
    """How many claims have each word as a whole, by paper and track, from the frame of `glance`.

    `frame` has a row for each paper and track, and a column for each word.
    """
    whole = frame[frame["place"] == ""]
    groups = [whole["paper"], whole["track"], whole["counted"]]
    counts = whole.groupby(groups, sort=False).size().unstack(fill_value=0)
    counts = counts.reindex(columns=list(VERDICTS), fill_value=0)
    columns = [f"{paper(str(name)).title}, {track} track" for name, track in counts.index]
    rows = [(word.capitalize(), [str(n) for n in counts[word]]) for word in VERDICTS]
    caption = "How many claims have each verdict"
    rendered = html.table(columns, {"": rows}, caption=caption, corner="Verdict", kind="results")
    return html.Html(rendered, caption, counts)


def _here(claim: Claim, notebook: str, track: str, found: Mapping[str, Finding]) -> dict[str, Finding]:
    """The findings to show on a page: those of its own places, or of all where it has none."""
    on = [p for p in claim.places if track in p.tracks]
    own = [p for p in on if p.notebook == notebook] or on
    return {p.name: found.get(p.name, _NO_RUN) for p in own} or {"": found[""]}


def _notes(book: Paper, frame: pd.DataFrame) -> list[str]:
    notes = [
        "A cell is + or − where the interval of the gain excludes zero. Gains are paired over users; "
        "intervals are for other seeds and other users, or for other seeds alone where a rule reads curves."
    ]
    if len(set(book.prefixes.values())) > 1:
        notes.append(
            "The published track is decided on the released form of the metrics, the sound track on the "
            "standard one."
        )
    if len(frame) and (frame["so_far"] != "").any():
        notes.append(
            f"So far: what the rule says of the seeds there are. The rules ask for {SEEDS}, and that no "
            f"method compared has diverged at {STABLE} of them; until then only a failure is final."
        )
    return [*notes, *book.remarks]


def _row(claim: str, track: str, place: str, own: Finding, whole: Finding) -> dict[str, object]:
    return {
        "claim": claim,
        "track": track,
        "place": place,
        "here": own.verdict,
        "counted": own.counted,
        "so_far": own.so_far,
        "evidence": own.evidence,
        "overall": whole.verdict,
        "missing": list(whole.missing),
    }


def _anchored(rendered: str, claims: Sequence[Claim]) -> str:
    for claim in claims:
        head = f'<th scope="row">{escape(claim.id)}</th>'
        rendered = rendered.replace(head, head.replace("<th ", f'<th id="claim-{claim.id.lower()}" '), 1)
    return rendered


def _claim_cell(claim: Claim) -> str:
    where = f'<span class="where">{escape(claim.where)}</span>'
    rule = f"<details><summary>Rule</summary>{escape(claim.rule)}</details>"
    return f"{escape(claim.claim)}<br>{where}{rule}"


def _track_cell(own: Mapping[str, Finding], whole: Finding, claim: Claim) -> str:
    blocks = [
        [f"{_word(one)}{f' on {escape(name)}' if name else ''}", escape(one.evidence), _wanted(one.missing)]
        for name, one in own.items()
    ]
    if len(claim.places) > 1 and list(own) != [""]:
        elsewhere = [what for what in whole.missing if what.partition(":")[0] not in own]
        blocks.append([f"{_word(whole)} on {_all(claim)}", _wanted(elsewhere)])
    gap = "<br><br>" if len(own) > 1 else "<br>"
    return gap.join("<br>".join(line for line in block if line) for block in blocks)


def _glance_cell(claim: Claim, found: Mapping[str, Finding]) -> str:
    page = {
        p.name: p.notebook if p.notebook in claim.decided_by else claim.decided_by[0] for p in claim.places
    }
    lines = [
        f'<a href="book:notebooks/{page[name]}#claim-{claim.id.lower()}">{escape(name)}</a> {_word(one)}'
        for name, one in found.items()
        if name
    ]
    if len(lines) != 1 or any(one.stand_in for one in found.values()):
        lines.append(f"{_all(claim)} {_word(found[''])}" if lines else _word(found[""]))
    return "<br>".join(lines)


def _all(claim: Claim) -> str:
    return "all that count" if any(p.stand_in for p in claim.places) else "all data sets"


def _word(finding: Finding) -> str:
    word = f"{badge(finding.so_far)} so far" if finding.so_far else badge(finding.verdict)
    return f"{word} {badge(STAND_IN)}" if finding.stand_in else word


def _wanted(missing: Iterable[str]) -> str:
    text = ", ".join(missing)
    return f'<span class="missing">Missing: {escape(text)}</span>' if text else ""
