"""PNMTA: what is particular to it."""
