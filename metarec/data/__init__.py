"""Files to `Ratings`: `load` a published set or the synthetic one, or bring your own with `from_frame`."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from metarec.data.bookcrossing import read_bookcrossing
from metarec.data.catalog import data_home
from metarec.data.douban import read_douban
from metarec.data.frames import from_frame, make_field
from metarec.data.gowalla import read_gowalla
from metarec.data.lastfm import read_hetrec, read_mkr, read_tanp
from metarec.data.movielens import read_ml1m, read_ml100k
from metarec.data.ratings import Field, Ratings, Truth
from metarec.data.s2meta import read_s2meta
from metarec.data.scenarios import read_films, read_hybrid, read_ml20m, read_shopping, read_themes
from metarec.data.schema import Schema
from metarec.data.synthetic import planted_scenarios, synthetic
from metarec.errors import MetarecError

__all__ = [
    "Field",
    "Ratings",
    "Schema",
    "Truth",
    "data_home",
    "from_frame",
    "load",
    "make_field",
    "synthetic",
]

READERS: dict[str, Callable[..., Ratings]] = {
    "lastfm-hetrec": read_hetrec,
    "lastfm-mkr": read_mkr,
    "lastfm-tanp": read_tanp,
    "gowalla": read_gowalla,
    "ml-1m": read_ml1m,
    "ml-100k": read_ml100k,
    "book-crossing": read_bookcrossing,
    "douban-book": read_douban,
    "ml-20m": read_ml20m,
    "taobao-themes": read_themes,
    "s2meta-movielens": partial(read_s2meta, name="s2meta-movielens"),
    "s2meta-taobao": partial(read_s2meta, name="s2meta-taobao"),
    "hybrid": read_hybrid,
    "films": read_films,
    "shopping": read_shopping,
}
PLANTED: dict[str, Callable[..., Ratings]] = {
    "synthetic": synthetic,
    "synthetic-implicit": partial(synthetic, kind="implicit"),
    "synthetic-scenarios": planted_scenarios,
}


def load(name: str, *, home: Path | None = None, **options: Any) -> Ratings:
    """The rating table of that name; `options` are those of its reader.

    `home` stands in for `data_home()`. Raises `MetarecError` for an unknown name or option, `DataError` for
    missing or damaged files.
    """
    reader = PLANTED.get(name) or READERS.get(name)
    if reader is None:
        known = [*READERS, *PLANTED]
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise MetarecError(f"data set {name!r} is unknown: {hint}choose from {', '.join(known)}.")
    taken = [p for p in inspect.signature(reader).parameters if p != "home"]
    strange = [o for o in options if o not in taken]
    if strange:
        raise MetarecError(
            f"data set {name!r} has no option {strange[0]!r}: choose from {', '.join(taken) or 'none'}."
        )
    if name in PLANTED:
        return reader(**options)
    return reader(data_home() if home is None else home, **options)
