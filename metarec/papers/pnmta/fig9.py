"""PNMTA's Figure 9: the error on test users by epoch, from the records of Table 2."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from metarec.papers.pnmta.courses import floors
from metarec.papers.pnmta.tables import BIAS, EPOCHS, MAML_PT, PNMTA
from metarec.show import curves, html
from metarec.show.page import Page

OTHERS = ("MeLU", MAML_PT)


def figure(page: Page, dataset: str) -> Figure | html.Html:
    """Left, the error by epoch of each seed and their mean; right, how far PNMTA is ahead."""
    if why := page.lacks("published", dataset):
        return why
    levels = floors(page.store, (BIAS,), track="published").get(dataset)
    own = page.on(dataset)
    return curves.gaps(own, PNMTA, OTHERS, "MAE", track="published", epochs=EPOCHS, levels=levels)


def at_the_end(page: Page, dataset: str) -> str:
    """A sentence with the mean error of each method at the paper's last epoch."""
    if page.lacks("published", dataset):
        return f"Nothing of {dataset} is shown in this profile."
    told = []
    for label in (PNMTA, *OTHERS):
        _, values = curves.history(page.on(dataset), label, "published", "test:MAE")
        last = values[:, EPOCHS - 1] if values.shape[1] >= EPOCHS else values[:, -1]
        told.append(f"{label} {html.number(float(np.nanmean(last)), 4)}")
    return f"MAE on test users of {dataset} after {EPOCHS} epochs, mean over seeds: {', '.join(told)}."
