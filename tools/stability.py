"""Loss by epoch and validation MAE of a two-loop method under bounds, at harsh or moderate step sizes.

    python tools/stability.py --model pnmta --given lr=0.01 inner_lr=0.1 standardise=True inner_max_step=0.1

A run is *unstable* if its training loss is not finite or above ten times that of the constant predictor at
any epoch after the first.
"""

from __future__ import annotations

import argparse
import ast
import time
from collections.abc import Mapping
from typing import Any

import torch

from metarec.data import Ratings, Schema
from metarec.methods import class_of, initialised, make
from metarec.papers.pnmta.protocol import WINDOW, protocol
from metarec.runs.protocol import Protocol
from metarec.runs.score import blown, score
from metarec.training.memory import keep_freed
from metarec.training.trainer import train


def measure(model: str, place: Protocol, ratings: Ratings, seed: int, given: Mapping[str, Any]) -> str:
    """One training; what it came to as a line."""
    splits = place.splits(ratings, seed)
    with initialised(seed):
        method = make(model, Schema.of(ratings), **given)
    started = time.perf_counter()
    trained = train(
        [method], splits, [seed], place.selection, lambda scores, data: score(place, scores, data)
    )
    seconds = time.perf_counter() - started
    lines = [line for line in trained.history[0] if line["stage"] == "meta-train"]
    train_labels = torch.as_tensor(splits.train.ratings.label[splits.train.rows])
    limit = float(method.constant_loss(train_labels))
    losses = [line["query"] / limit for line in lines]
    mae = [line["valid"]["MAE"] for line in lines]
    word = "UNSTABLE" if blown(trained, 0, splits) else "stable"
    return (
        f"{word}; loss / constant {' '.join(f'{loss:.3g}' for loss in losses)}; "
        f"validation MAE {' '.join(f'{m:.4f}' for m in mae)}; {seconds:.0f} s"
    )


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="pnmta")
    parser.add_argument("--dataset", default="ml-1m")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--given", nargs="*", default=[], help="options of the method, name=value")
    words = parser.parse_args()
    keep_freed()
    torch.set_num_threads(1)
    given = {"window": WINDOW, "epochs": 6}
    for word in words.given:
        name, _, value = word.partition("=")
        try:
            given[name] = ast.literal_eval(value)
        except ValueError:
            given[name] = value
    known = class_of(words.model).Options.__dataclass_fields__
    given = {k: v for k, v in given.items() if k in known}
    place = protocol("sound", "full", words.dataset)
    ratings = place.ratings()
    for seed in words.seeds:
        print(f"{words.model} {words.dataset} seed {seed} {given}: ", end="", flush=True)
        print(measure(words.model, place, ratings, seed, given), flush=True)


if __name__ == "__main__":
    main()
