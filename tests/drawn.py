"""What every figure must have, for the tests of figures."""

from __future__ import annotations

from matplotlib.figure import Figure


def labelled(fig: Figure) -> None:
    """Every panel names its horizontal axis or shares it, and something is drawn in it."""
    for ax in fig.axes:
        assert ax.get_xlabel() or ax.get_ylabel() or ax.get_title(loc="left")
        assert ax.lines or ax.patches or ax.images or ax.collections
