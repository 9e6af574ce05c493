"""The claims that a page decides; see `metarec.show.claims`."""

from metarec.show.claims import claims_table as table

__all__ = ["table"]
