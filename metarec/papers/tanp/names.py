"""Names of TaNP's methods and metrics."""

from __future__ import annotations

CUTOFFS = (5, 7, 10)
NINE = tuple(f"{stem}@{n}" for n in CUTOFFS for stem in ("P", "NDCG", "MAP"))
THREE = ("P@5", "NDCG@5", "MAP@5")

META = ("MetaLWA", "MetaNLBA", "MeLU", "MetaCS", "MAMO")
BASELINES = ("PPR", "NeuMF", "DropoutNet", *META)
PLAIN, FILM, GATING = "TaNP (w/o tm)", "TaNP (FiLM)", "TaNP (Gating-FiLM)"
FILM_PRINTED, GATING_PRINTED = f"{FILM}, as printed", f"{GATING}, as printed"
NO_POOL, NO_IDENTITY = f"{GATING}, no pool", f"{GATING}, no user identity"
