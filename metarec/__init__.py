"""metarec: cold-start recommendation by meta-learning (TaNP, PNMTA, CMML), reproduced from real data.

The front door:

    import metarec
    ratings = metarec.load("ml-1m")                # or metarec.from_frame(frame)
    splits = metarec.make_episodes(ratings, "tanp")
    model = metarec.learn(ratings, "tanp", splits=splits)
    model.recommend({"item a": 5, "item b": 1}, k=10)
    print(metarec.cite("tanp"))

Each name is imported when it is first used, so that `import metarec` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"
__all__ = ["__version__", "cite", "from_frame", "learn", "load", "make_episodes"]

_DOORS = {
    "cite": "metarec.bibliography",
    "from_frame": "metarec.data",
    "learn": "metarec.recommend",
    "load": "metarec.data",
    "make_episodes": "metarec.tasks",
}


def __getattr__(name: str) -> Any:
    if name in _DOORS:
        return getattr(import_module(_DOORS[name]), name)
    raise AttributeError(f"module 'metarec' has no attribute {name!r}; it has {', '.join(__all__)}.")


def __dir__() -> list[str]:
    return sorted(__all__)
