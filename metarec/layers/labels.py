"""The scale of ratings: a method that standardises them trains on numbers of mean 0 and deviation 1."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from metarec.tasks.episodes import Episodes


class LabelScale(nn.Module):
    r"""$y \mapsto (y - \bar y) / s$ and back; the identity unless it is `on` and was fitted.

    $\bar y$ and $s$ are mean and standard deviation of the training labels, support and query. They are
    buffers, one pair for each replica (`BUFFERS`), because replicas may have splits of their own.
    """

    mean: Tensor
    sd: Tensor

    def __init__(self, on: bool):
        super().__init__()
        self.on = on
        self.register_buffer("mean", torch.zeros((), dtype=torch.float64))
        self.register_buffer("sd", torch.ones((), dtype=torch.float64))

    def fit(self, train: Episodes) -> None:
        """Mean and deviation of the labels of `train`; labels that are all alike keep their scale."""
        if self.on:
            labels = train.label.astype(np.float64)
            self.mean.fill_(float(labels.mean()))
            self.sd.fill_(float(labels.std()) or 1.0)

    def standard(self, labels: Tensor) -> Tensor:
        """Labels as a method trains on them."""
        return (labels - self.mean) / self.sd if self.on else labels

    def rating(self, scores: Tensor) -> Tensor:
        """Scores of a trained method as ratings."""
        return self.mean + self.sd * scores if self.on else scores


BUFFERS = ("scale.mean", "scale.sd")  # of a method that holds its LabelScale as `scale`
