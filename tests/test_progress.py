"""The progress bar: silent outside a notebook, and the same first and last."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from metarec.show import progress


def test_outside_a_notebook_the_bar_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    advance = progress.bar()
    for epoch in (1, 2):
        advance({"epoch": epoch, "epochs": 2})
    assert capsys.readouterr() == ("", "")


def test_the_bar_begins_as_it_ends_and_moves_in_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs that compare notebooks see the first message only, so it must be the last state."""
    import IPython.display

    shown: list[str] = []

    class Handle:
        def update(self, value: Any) -> None:
            shown.append(value.data)

    def display(value: Any, display_id: bool) -> Handle:
        shown.append(value.data)
        return Handle()

    monkeypatch.setattr("IPython.get_ipython", object)
    monkeypatch.setattr(IPython.display, "display", display)
    advance = progress.bar("learning")
    for epoch in range(1, 501):
        advance({"epoch": epoch, "epochs": 500})
    assert shown[0] == shown[-1] and 'value="500"' in shown[0] and "learning" in shown[0]
    assert len(shown) == progress.STEPS + 1
    values = pd.Series(shown[1:]).str.extract(r'value="(\d+)"')[0].astype(int)
    assert values.is_monotonic_increasing
