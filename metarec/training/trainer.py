"""Training: stages of epochs over shuffled tasks, validation selection, early stop, checkpoints, resume.

Everything works on a stack of `K` replicas (`K = 1` for a lone run); replica `k` sees the numbers it would
see alone, because order and noise come from its own generator and its selection from its own validation
scores.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor

from metarec.errors import ProtocolError
from metarec.methods.base import Method
from metarec.tasks.batch import EpisodeTensors
from metarec.tasks.episodes import Splits
from metarec.training import checkpoints
from metarec.training.feed import Feed, row_steps
from metarec.training.predict import predict
from metarec.training.seeds import derived
from metarec.training.selection import Best, Selection
from metarec.training.stack import Stack
from metarec.training.step import Stepper

Evaluate = Callable[[Tensor, EpisodeTensors], dict[str, Tensor]]
Progress = Callable[[dict[str, Any]], None]


@dataclass
class Trained:
    """What training leaves: the stack, the chosen parameters and epochs, the history of each replica."""

    stack: Stack
    params: dict[str, Tensor]
    best_epoch: list[int]
    history: list[list[dict[str, Any]]]
    seconds: float = 0.0
    epochs_run: int = 0


def train(
    methods: Sequence[Method],
    splits: Splits | Sequence[Splits],
    seeds: Sequence[int],
    selection: Selection,
    evaluate: Evaluate | None = None,
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    sample: bool = False,
    hide: float = 0.0,
    checkpoint: Path | None = None,
    checkpoint_seconds: float = 20.0,
    progress: Progress | None = None,
) -> Trained:
    """Train `methods[k]` with seed `seeds[k]`, all as one program; a lone method is trained in place.

    `splits` is one for all replicas or one each, alike as `steps` tells. `evaluate(scores, episodes)` gives
    per-task metrics `[K, tasks]` of scores made with or without `sample` (see `predict`). `hide` is the share
    of users and items that a stranger replaces in training, for methods of a `Schema.knowing` (`Feed`). With
    `checkpoint`, an interrupted run goes on where its last checkpoint stood and, on a CPU, ends with the same
    bits; the file stays. Raises `ProtocolError` on settings that cannot be trained together, on a selection
    that nothing is scored for, and on a checkpoint of other methods, settings, splits or seeds.
    """
    run = _Run(methods, splits, seeds, selection, evaluate, torch.device(device), dtype, sample, hide)
    return run.go(checkpoint, checkpoint_seconds, progress)


def steps(method: Method, splits: Splits) -> tuple[Any, ...]:
    """What replicas must share to train as one program: their stages, and the steps of each over rows.

    Splits of as many users may differ in rows. A stack that stopped at the fewest would give its other
    replicas other numbers than they have alone. The method is fitted first (`Method.fit`).
    """
    found: list[Any] = list(method.stages())
    for stage in method.stages():
        if stage.unit == "rows":
            episodes = splits.histories() if stage.rows == "full" else splits.train
            found.append(row_steps(stage, len(episodes.rows)))
    return tuple(found)


def scheduled(method: Method) -> bool:
    """Whether some stage's step size follows validation scores."""
    return any(stage.plateau is not None for stage in method.stages())


class _Run:
    """The state of one training: data on the device, the stack, generators, the best so far."""

    def __init__(
        self,
        methods: Sequence[Method],
        splits: Splits | Sequence[Splits],
        seeds: Sequence[int],
        selection: Selection,
        evaluate: Evaluate | None,
        device: torch.device,
        dtype: torch.dtype,
        sample: bool,
        hide: float,
    ):
        if len(methods) != len(seeds):
            raise ProtocolError(f"{len(methods)} methods for {len(seeds)} seeds; give one each.")
        own = [splits] if isinstance(splits, Splits) else list(splits)
        if len({tuple(len(part) for part in s) for s in own}) != 1 or len(own) not in (1, len(seeds)):
            raise ProtocolError("replicas need splits of equal sizes, one for all or one each.")
        each = own * (len(methods) if len(own) == 1 else 1)
        for method, seed_splits in zip(methods, each, strict=True):
            method.to(dtype).fit(seed_splits.train)
        if len(methods) > 1 and len({steps(*pair) for pair in zip(methods, each, strict=True)}) > 1:
            raise ProtocolError("replicas need stages of as many steps; train those of other splits apart.")
        if len(methods) > 1 and scheduled(methods[0]):
            raise ProtocolError(
                "runs whose step size follows a plateau are not stacked; train them one by one."
            )
        self.seeds, self.selection = list(seeds), selection
        self.evaluate_fn, self.sample = evaluate, sample
        self.device, self.stages = device, methods[0].stages()
        if selection.rule == "valid" and evaluate is None:
            raise ProtocolError("selection on validation needs `evaluate`, which scores it; pass one.")
        if selection.rule == "valid" and self.stages and 0 < self.stages[-1].epochs < selection.every:
            raise ProtocolError("selection on validation never comes: `every` is larger than the epochs.")
        self.what = {**_identity(methods, own, seeds, selection, dtype), "hide": hide}
        self.stack = Stack(methods, device)
        full = any(stage.unit == "rows" and stage.rows == "full" for stage in self.stages)
        self.generators = [Generator().manual_seed(derived(seed, 17)) for seed in seeds]
        round_to = 16 if device.type == "cuda" else 1
        self.feed = Feed(
            own, self.stack, self.generators, device, dtype, full=full, hide=hide, round_to=round_to
        )
        self.valid, self.test = (EpisodeTensors([s[i] for s in own], device, dtype) for i in (1, 2))
        self.best = Best.of(selection, len(seeds))
        self.history: list[list[dict[str, Any]]] = [[] for _ in seeds]
        self.stage, self.epoch, self.seconds = 0, 0, 0.0

    def go(self, path: Path | None, every_seconds: float, progress: Progress | None) -> Trained:
        stepper = self._resume(path)
        started = saved = time.perf_counter()
        total = sum(stage.epochs for stage in self.stages)
        while self.stage < len(self.stages):
            stage = self.stages[self.stage]
            if stepper is None:
                stepper = Stepper(self.stack, self.feed, stage, self.device)
            last = self.stage == len(self.stages) - 1
            while self.epoch < stage.epochs and not (last and self._exhausted()):
                terms = self._epoch(stepper)
                self.epoch += 1
                self._record(stepper, terms, last)
                now = time.perf_counter()
                if path is not None and now - saved > every_seconds:
                    self._save(path, stepper, self.seconds + now - started)
                    saved = now
                if progress is not None:
                    done = sum(s.epochs for s in self.stages[: self.stage]) + self.epoch
                    progress({"epoch": done, "epochs": total, **_means(terms)})
            self.stage, self.epoch, stepper = self.stage + 1, 0, None
        for p in self.stack.leaves.values():
            p.grad = None
            p.requires_grad_(True)
        chosen = self.best.chosen(self.stack.params)
        seconds = self.seconds + time.perf_counter() - started
        epochs = [len(h) for h in self.history]
        return Trained(
            self.stack, chosen, self.best.epochs(self.history), self.history, seconds, max(epochs, default=0)
        )

    def _epoch(self, step: Stepper) -> dict[str, Tensor]:
        """One pass over the training tasks (or rows); returns the mean of each term, `[K]`."""
        sums: dict[str, Tensor] = {}
        steps = 0
        for key, inputs in self.feed.epoch(step.stage, self.stage, self.epoch):
            for name, value in step(key, inputs).items():
                sums[name] = value + sums[name] if name in sums else value
            steps += 1
        return {name: value / steps for name, value in sums.items()}

    def _record(self, stepper: Stepper, terms: dict[str, Tensor], last: bool) -> None:
        values = {name: value.tolist() for name, value in terms.items()}
        lines: list[dict[str, Any]] = [
            {"stage": stepper.stage.name, "epoch": self.epoch, **{name: v[k] for name, v in values.items()}}
            for k in range(self.stack.size)
        ]
        if last and self.evaluate_fn is not None and self.epoch % self.selection.every == 0:
            if self.selection.rule == "valid":
                self._select(lines, stepper)
            if self.selection.watch_test:
                for k, scores in enumerate(_listed(self.scores("test"))):
                    lines[k]["test"] = scores
        for k, line in enumerate(lines):
            self.history[k].append(line)

    def _select(self, lines: list[dict[str, Any]], stepper: Stepper) -> None:
        """Keep the parameters of each replica that improved on validation and still has patience."""
        sign = 1 if self.selection.maximise else -1
        for k, scores in enumerate(_listed(self.scores("valid"))):
            lines[k]["valid"] = scores
            self.best.see(k, self.epoch, scores, self.stack.params)  # refuses a metric that is not there
            stepper.validated(sign * scores[self.selection.metric])

    def scores(self, split: str) -> dict[str, Tensor]:
        """Mean metrics `[K]` of the present parameters on a split."""
        data = self.test if split == "test" else self.valid
        assert self.evaluate_fn is not None
        metrics = self.evaluate_fn(predict(self.stack, data, self.seeds, sample=self.sample), data)
        return {name: value.nanmean(-1) for name, value in metrics.items()}

    def _exhausted(self) -> bool:
        return self.selection.rule == "valid" and all(map(self.best.done, range(self.stack.size)))

    def _save(self, path: Path, stepper: Stepper, seconds: float) -> None:
        tensors = {f"params/{n}": p.detach() for n, p in self.stack.params.items()}
        tensors |= {f"best/{n}": p for n, p in self.best.params.items()}
        tensors |= {f"generator/{k}": g.get_state() for k, g in enumerate(self.generators)}
        tensors |= {f"adam/{name}": t for name, t in stepper.state().items()}
        best = {"value": self.best.value, "epoch": self.best.epoch, "since": self.best.since}
        place = {"stage": self.stage, "epoch": self.epoch, "seconds": seconds}
        meta = {**place, "best": best, "history": self.history, "what": self.what}
        checkpoints.save(path, tensors, {**meta, "schedule": stepper.schedule_state()})

    def _resume(self, path: Path | None) -> Stepper | None:
        """Load a checkpoint, if there is one, and return its stepper; None starts the stage afresh."""
        if path is None or not path.exists():
            return None
        tensors, meta = checkpoints.load(path)
        if meta["what"] != self.what:
            other = next(name for name, value in self.what.items() if meta["what"].get(name) != value)
            raise ProtocolError(
                f"{path} was left by a training with other {other}; delete it to start again."
            )
        self.stage, self.epoch, self.seconds = meta["stage"], meta["epoch"], meta["seconds"]
        self.history = meta["history"]
        groups = checkpoints.grouped(tensors)
        with torch.no_grad():
            for name, p in self.stack.params.items():
                p.copy_(groups["params"][name])
        kept = {n: t.to(self.device) for n, t in groups.get("best", {}).items()}
        self.best = Best(self.selection, **meta["best"], params=kept)
        for k, g in enumerate(self.generators):
            g.set_state(groups["generator"][str(k)])
        stepper = Stepper(self.stack, self.feed, self.stages[self.stage], self.device)
        stepper.load(groups["adam"], meta["schedule"])
        return stepper


def _identity(
    methods: Sequence[Method],
    splits: Sequence[Splits],
    seeds: Sequence[int],
    selection: Selection,
    dtype: Any,
) -> dict[str, Any]:
    """What a checkpoint belongs to, in plain values; a longer training may go on from a shorter one's."""
    given = [vars(method.options) if hasattr(method, "options") else {} for method in methods]
    return {
        "methods": [type(method).__name__ for method in methods],
        "options": [str({k: v for k, v in own.items() if k != "epochs"}) for own in given],
        "splits": [own.split_id for own in splits],
        "seeds": list(seeds),
        "selection": str(selection),
        "precision": str(dtype),
    }


def _means(terms: dict[str, Tensor]) -> dict[str, float]:
    return {name: float(value.mean()) for name, value in terms.items()}


def _listed(metrics: dict[str, Tensor]) -> list[dict[str, float]]:
    """`{name: [K]}` as one dict of floats for each replica."""
    columns = {name: value.tolist() for name, value in metrics.items()}
    size = len(next(iter(columns.values())))
    return [{name: column[k] for name, column in columns.items()} for k in range(size)]
