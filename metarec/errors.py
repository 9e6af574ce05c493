"""The errors a user can cause. Each message is one sentence: what is wrong, where, and how to mend it."""

from __future__ import annotations


class MetarecError(ValueError):
    """Something the user can mend; the command line prints it alone and exits with status 2."""


class DataError(MetarecError):
    """A data file is missing, damaged or does not hold what its format promises."""


class ProtocolError(MetarecError):
    """An experiment setting is unknown, misspelt or impossible for this data."""


class RecordError(MetarecError):
    """A stored result is missing, ambiguous or does not follow the schema."""
