"""Where PNMTA's experiments take place: its data sets, and its cold-start users on either track."""

from __future__ import annotations

from typing import Any

from metarec.runs.protocol import Protocol
from metarec.training.selection import Selection

# Each with the order of its histories.
DATASETS = {"ml-1m": "time", "book-crossing": "shuffle"}
# Batches are sorted by length in windows of this many, to save padding (deviations page).
WINDOW = 8


# Share of users that serve the search of settings and nothing else, on the sound track.
SEARCH_SHARE = 0.08
# Epochs without a better validation score after which a run on the sound track ends.
PATIENCE = 8
# Share of users and items in whose place training sees a stranger, on the sound track.
HIDE = 0.02


def protocol(
    track: str, profile: str, dataset: str, *, searching: bool = False, hide: float = HIDE, **rule: Any
) -> Protocol:
    """Cold-start users of 13 to 100 ratings, the last ten the query; every seed splits the users anew.

    `published`: the last epoch, test scored along the way (Fig 9). `sound`: the epoch with the least
    validation MAE, a run ending after `PATIENCE` epochs without a lesser one; rows for what is unknown; some
    users held back for the search. A run that is `searching` validates on those, to its last epoch. The paper
    states neither split nor order nor selection; see the deviations page.
    """
    quick, sound = profile == "quick", track == "sound"
    # Planted histories are 30 to 60 long; a lower limit leaves users out, for full pretraining.
    limits: dict[str, Any] = {"longest": 56} if quick else {}
    if sound:
        limits |= {"search_share": SEARCH_SHARE, "searching": searching}
    keep_last = Selection("last", watch_test=True)
    choose = Selection("valid", "MAE", maximise=False, patience=None if searching else PATIENCE)
    return Protocol(
        track=track,
        dataset="synthetic" if quick else dataset,
        rule="cold-start",
        rule_options={"order": "time" if quick else DATASETS[dataset], **limits, **rule},
        split_per_seed=True,
        metric_sets={"": "pnmta"},
        selection=choose if sound else keep_last,
        hide=hide if sound else 0.0,
    )
