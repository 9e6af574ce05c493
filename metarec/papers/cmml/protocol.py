"""Where CMML's experiments take place: scenarios of three sets and users of MovieLens-1M, on two tracks."""

from __future__ import annotations

from typing import Any

from metarec.runs.protocol import Protocol
from metarec.training.selection import Selection

# Columns of the frozen vectors, by data set: 64 for films and 128 for goods; joined, 64 are repeated to 128.
VECTORS: dict[str, tuple[int, ...]] = {
    "films": (64,),
    "shopping": (128,),
    "hybrid": (64, 128),
    "ml-20m": (64,),
    "taobao-themes": (128,),
}
# Evaluations without a better validation score after which a run on the sound track ends.
PATIENCE = 6
# Share of users and items in whose place training sees a stranger, in the user setting on the sound track.
HIDE = 0.02
LISTS = 100  # of a scenario, the released program ranks for every user


def scenario_protocol(
    track: str, profile: str, dataset: str, *, searching: bool = False, **rule: Any
) -> Protocol:
    """Scenarios as tasks, Recall@N of candidate lists, both tracks by the best validation Recall@20.

    `published`: two support negatives for each positive, 5 % of the training scenarios for validation, equal
    scores in the order of the list, which holds positives first. `sound`: one negative, of the same user and
    nothing the user has; 10 % for validation; ties by expectation; a run ends after `PATIENCE` epochs without
    a better score. On both, episodes are frozen, and the schedule of step sizes follows validation (the
    released one follows the test scenarios). A run that is `searching` goes on to its last epoch.
    """
    quick, sound = profile == "quick", track == "sound"
    given = {"negatives": "text" if sound else "released", "valid_share": 0.1 if sound else 0.05}
    sizes: dict[str, Any] = {"most_lists": LISTS}
    if dataset in ("hybrid", "ml-20m", "taobao-themes"):
        sizes["draws"] = 10  # more scenarios: as many steps an epoch
    if quick:
        sizes = {"n_support": 16, "n_query": 16, "draws": 2, "turns": 2, "fewest": 60, "most_lists": 20}
    return Protocol(
        track=track,
        dataset="synthetic-scenarios" if quick else dataset,
        rule="scenario",
        rule_options={**given, **sizes, **rule},
        metric_sets={"": "cmml-scenario-released", "std:": "cmml-scenario"},
        selection=Selection(
            "valid",
            "std:Recall@20" if sound else "Recall@20",
            patience=PATIENCE if sound and not searching else None,
        ),
        vectors=(16,) if quick else VECTORS[dataset],
    )


def user_protocol(
    track: str, profile: str, *, evaluated: str, longest: int = 100, searching: bool = False, **rule: Any
) -> Protocol:
    """Users of MovieLens-1M as tasks; `evaluated` says which are tested (`user_setting_episodes`).

    `published`: 4,832 training users, the last epoch, test scored along the way. `sound`: a tenth of them
    validate, the epoch with the least validation MAE is kept, and what is unknown has trained rows.
    """
    quick, sound = profile == "quick", track == "sound"
    watch = Selection("last", every=2, watch_test=True)
    choose = Selection("valid", "std:MAE", maximise=False, patience=None if searching else PATIENCE)
    return Protocol(
        track=track,
        dataset="synthetic" if quick else "ml-1m",
        rule="user-setting",
        rule_options={
            "evaluated": evaluated,
            "longest": longest,
            "valid_share": 0.1 if sound else 0.0,
            **rule,
        },
        metric_sets={"": "cmml-user-released", "std:": "cmml-user"},
        selection=choose if sound else watch,
        hide=HIDE if sound else 0.0,
    )
