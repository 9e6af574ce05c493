"""The figure style keeps its promises: contrast on the card, colours that stay apart for all eyes."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from metarec.show import style

# Complete protanopia, deuteranopia and tritanopia in linear RGB: Machado, Oliveira and Fernandes (2009).
VISION = {
    "typical": np.eye(3),
    "protan": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deutan": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritan": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
# Linear RGB to the cone responses of Oklab, and from their cube roots to Oklab (Ottosson, 2020).
TO_LMS = [
    [0.4122214708, 0.5363325363, 0.0514459929],
    [0.2119034982, 0.6806995451, 0.1073969566],
    [0.0883024619, 0.2817188376, 0.6299787005],
]
TO_LAB = [
    [0.2104542553, 0.7936177850, -0.0040720468],
    [1.9779984951, -2.4285922050, 0.4505937099],
    [0.0259040371, 0.7827717662, -0.8086757660],
]


@pytest.fixture
def styled() -> Iterator[None]:
    with mpl.rc_context():
        style.use_style()
        yield
        plt.close("all")


def linear(colour: str) -> np.ndarray:
    c = np.array(to_rgb(colour))
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def contrast(a: str, b: str) -> float:
    """Contrast ratio of WCAG 2."""
    light, dark = sorted((float(linear(c) @ [0.2126, 0.7152, 0.0722]) for c in (a, b)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def seen(colour: str, vision: str) -> np.ndarray:
    """Oklab coordinates, times 100, of a colour as one kind of vision sees it."""
    rgb = np.clip(np.array(VISION[vision]) @ linear(colour), 0, 1)
    return 100 * np.array(TO_LAB) @ np.cbrt(np.array(TO_LMS) @ rgb)


@pytest.mark.parametrize("colour", style.PALETTE)
def test_lines_stand_out_from_the_card(colour: str) -> None:
    assert contrast(colour, style.CARD) >= 3


@pytest.mark.parametrize("ink", [style.INK, style.MUTED])
def test_text_reads_on_the_card(ink: str) -> None:
    assert contrast(ink, style.CARD) >= 4.5


@pytest.mark.parametrize("vision", VISION)
def test_any_two_colours_stay_apart(vision: str) -> None:
    for a, b in combinations(style.PALETTE, 2):
        assert np.linalg.norm(seen(a, vision) - seen(b, vision)) > 12, (a, b)


def test_thirty_six_series_differ() -> None:
    drawn = {tuple(str(v) for v in style.series(n).values()) for n in range(36)}
    assert len(drawn) == 36


def test_panels_and_labels(styled: None) -> None:
    fig, axes = style.panels(1, 2, sharey=True)
    assert axes.shape == (1, 2)
    ax = style.label_axes(axes[0, 0], x="step", y="ELBO", y_unit="nats", title="A panel")
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_title(loc="left")) == ("step", "ELBO (nats)", "A panel")
    assert fig.get_facecolor() == mpl.colors.to_rgba(style.CARD)
    assert fig.get_size_inches()[0] == style.WIDTHS["full"]
