"""What is particular to a paper: its tables as specs, its claims, one file a figure.

`specs()` lists every table and figure by name. Each is imported when it is asked for; none of them trains
before its `measure` or its runs are called.
"""

from __future__ import annotations

from difflib import get_close_matches
from importlib import import_module

from metarec.errors import ProtocolError
from metarec.runs.execute import obtain
from metarec.runs.plan import Spec
from metarec.runs.records import Record
from metarec.runs.store import Store
from metarec.show import style
from metarec.show.page import Page

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
    "cmml.tables",
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


def open_page(
    notebook: str, *names: str, profile: str, track: str = "both", seeds: int = 5, device: str = "auto"
) -> Page:
    """The page of a notebook (`"tanp/table4-lastfm"`) with the Records of its specs, by name.

    `profile` says where they come from: see `metarec.runs.execute.obtain`. A spec without the track asked for
    is read on the tracks it has.
    """
    style.use_style()
    found = tuple(spec(name) for name in names)
    given: dict[str, list[Record]] = {}
    store: Store | None = None
    for one in found:
        own = track if track == "both" or track in one.tracks else "both"
        given[one.name], store = obtain(
            one, profile=profile, track=own, seeds=seeds, device=device, store=store
        )
    assert store is not None
    return Page(notebook, found, given, store)
