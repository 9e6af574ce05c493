"""What is particular to a paper: its tables as specs, its claims, one file a figure.

`specs()` lists every table and figure by name. Each is imported when it is asked for; none of them trains
before its `measure` or its runs are called.
"""

from __future__ import annotations

from difflib import get_close_matches
from importlib import import_module

from metarec.errors import ProtocolError
from metarec.runs.plan import Spec

# Modules that declare a spec (`SPEC`) or several (`SPECS`).
_MODULES = (
    "tanp.tables",
    "tanp.table2",
    "pnmta.tables",
    "pnmta.fig1",
    "pnmta.fig2",
    "pnmta.fig8",
    "pnmta.clusters",
    "pnmta.table45",
)


def specs() -> dict[str, Spec]:
    """Every table and figure by its full name, `paper.name`."""
    found: dict[str, Spec] = {}
    for name in _MODULES:
        module = import_module(f"metarec.papers.{name}")
        declared = getattr(module, "SPECS", None) or (module.SPEC,)
        found |= {spec.name: spec for spec in declared}
    return found


def spec(name: str) -> Spec:
    """The table or figure of that name; `ProtocolError` with the nearest names otherwise."""
    known = specs()
    if name not in known:
        near = get_close_matches(name, known, 3, 0.6)
        hint = f"did you mean {' or '.join(near)}?" if near else f"choose from {', '.join(known)}."
        raise ProtocolError(f"experiment {name!r} is unknown; {hint}")
    return known[name]
