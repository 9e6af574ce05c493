"""Verdicts on claims whose rules count, time or look at vectors: found by their own pages, shown alike.

Claims that compare methods user by user are decided by `metarec.report.claims`; where such a claim is named
by a page of this kind too, `by_ledger` fetches its finding.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from pathlib import Path

import pandas as pd

from metarec.errors import RecordError
from metarec.report import claims
from metarec.report.claims import Finding, claims_of
from metarec.report.evidence import Ground
from metarec.report.tables import REFERENCE
from metarec.runs.records import Store
from metarec.show import html


def table(notebook: str, findings: Mapping[str, Finding], *, root: Path = REFERENCE) -> html.Html:
    """Every claim that names `notebook`, with the finding for it; `RecordError` where one has none.

    `frame` has a row a claim: `claim, verdict, so_far, evidence, missing`.
    """
    rows, lines = [], []
    for claim in claims_of(notebook, root).to_dict("records"):
        name = claim["id"]
        if name not in findings:
            raise RecordError(f"claim {name} names {notebook} and has no finding there; decide it.")
        found = findings[name]
        where = f'<span class="where">{escape(claim["where"])}</span>'
        rule = f"<details><summary>Rule</summary>{escape(claim['rule'])}</details>"
        lines.append((name, [f"{escape(claim['claim'])}<br>{where}{rule}", _cell(found)]))
        rows.append(
            {
                "claim": name,
                "verdict": found.verdict,
                "so_far": found.so_far,
                "evidence": found.evidence,
                "missing": list(found.missing),
            }
        )
    caption = f"Claims decided by {notebook}"
    rendered = html.table(
        ["Claim and rule", "Verdict"], {"": lines}, caption=caption, corner="Id", kind="claims"
    )
    return html.Html(rendered, caption, pd.DataFrame(rows))


def by_ledger(claim: str, paper: str, track: str, store: Store) -> Finding:
    """What `metarec.report.<paper>.LEDGER` says of a claim on a track, from the records in `store`."""
    book = claims.ledger(paper)
    grounds = {}
    for place in book.places:
        ground = Ground(
            place, track, book.prefixes[track], store.read(*place.experiment.split(".")), store, book.floors
        )
        if ground.own:
            grounds[place.name] = ground
    return claims.decide(book.rules[claim], grounds, percent=book.percent)[""]


def _cell(found: Finding) -> str:
    lines = [html.badge(found.verdict)]
    lines += [f"So far: {html.badge(found.so_far)}"] if found.so_far else []
    lines += [escape(found.evidence)] if found.evidence else []
    if found.missing:
        lines.append(f'<span class="missing">Missing: {escape(", ".join(found.missing))}</span>')
    return "<br>".join(lines)
