"""Where PNMTA's experiments take place: its data sets, and its cold-start users on either track."""

from __future__ import annotations

from typing import Any

from metarec.runs.protocol import Protocol
from metarec.training.selection import Selection

# Each with the order of its histories.
DATASETS = {"ml-1m": "time", "book-crossing": "shuffle"}
# Batches are sorted by length in windows of this many, to save padding (deviations page).
WINDOW = 8


def protocol(track: str, profile: str, dataset: str, **rule: Any) -> Protocol:
    """Cold-start users of 13 to 100 ratings, the last ten the query; every seed splits the users anew.

    `published`: the last epoch, test scored along the way (Fig 9). `sound`: the epoch with the least
    validation MAE. The paper states neither split nor order nor selection; see the deviations page.
    """
    quick = profile == "quick"
    # Planted histories are 30 to 60 long; a lower limit leaves users out, for full pretraining.
    limits = {"longest": 56} if quick else {}
    keep_last = Selection("last", watch_test=True)
    choose = Selection("valid", "MAE", maximise=False)
    return Protocol(
        track=track,
        dataset="synthetic" if quick else dataset,
        rule="cold-start",
        rule_options={"order": "time" if quick else DATASETS[dataset], **limits, **rule},
        split_per_seed=True,
        metric_sets={"": "pnmta"},
        selection=keep_last if track == "published" else choose,
    )
