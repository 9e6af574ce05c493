"""What methods are made of: embeddings, multilayer perceptrons, modulation, pooling."""

from __future__ import annotations
