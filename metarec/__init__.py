"""metarec: cold-start recommendation by meta-learning (TaNP, PNMTA, CMML), reproduced from real data."""

from __future__ import annotations

__version__ = "0.1.0"
