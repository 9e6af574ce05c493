"""Tasks: Ratings -> Episodes -> TaskBatch."""

from __future__ import annotations

from metarec.tasks.batch import EpisodeTensors, Query, RowBatch, Support, TaskBatch
from metarec.tasks.episodes import Episodes, Splits
from metarec.tasks.rules import EPISODE_RULES, cold_start_episodes, make_episodes, tanp_episodes

__all__ = [
    "EPISODE_RULES",
    "EpisodeTensors",
    "Episodes",
    "Query",
    "RowBatch",
    "Splits",
    "Support",
    "TaskBatch",
    "cold_start_episodes",
    "make_episodes",
    "tanp_episodes",
]
