"""A progress bar for notebooks that leaves no text behind: a full bar, whenever and wherever it ran."""

from __future__ import annotations

from html import escape
from typing import Any

from metarec.training import Progress


def bar(label: str = "training") -> Progress:
    """A callback for `progress=`: one HTML bar that fills; outside a notebook it does nothing."""
    try:
        from IPython import get_ipython
        from IPython.display import HTML, display
    except ImportError:
        return _ignore
    if get_ipython() is None:
        return _ignore
    handle: list[Any] = []

    def advance(state: dict[str, Any]) -> None:
        done, total = state["epoch"], state["epochs"]
        shown = HTML(
            f'<progress class="metarec-bar" aria-label="{escape(label)}" value="{done}" max="{total}">'
        )
        if not handle:
            handle.append(display(shown, display_id=True))
        else:
            handle[0].update(shown)

    return advance


def _ignore(state: dict[str, Any]) -> None:
    pass
