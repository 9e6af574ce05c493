"""Methods by name. One file a method; `make` builds one from its name, a schema and options."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from typing import Any

import numpy as np

from metarec.data.schema import Schema
from metarec.data.vectors import user_and_item_vectors
from metarec.errors import ProtocolError
from metarec.methods.base import Method, NoOptions, Stage, initialised, n_parameters
from metarec.tasks.candidates import held_out
from metarec.tasks.episodes import Splits

__all__ = [
    "METHODS",
    "Method",
    "Stage",
    "class_of",
    "closed_form",
    "initialised",
    "make",
    "n_parameters",
    "schema_for",
]

# name -> "module:class"; modules are imported when asked for.
METHODS: dict[str, str] = {
    "random": "floors:RandomRanker",
    "global-mean": "floors:GlobalMean",
    "item-mean": "floors:ItemMean",
    "popularity": "floors:Popularity",
    "damped-bias": "floors:DampedBias",
    "oracle": "floors:Oracle",
    "tanp": "tanp:TaNP",
    "melu": "melu:MeLU",
    "metacs": "metacs:MetaCS",
    "maml-pt": "maml_pt:MAMLPT",
    "paml": "paml:PAML",
    "pnmta": "pnmta:PNMTA",
    "mamo": "mamo:MAMO",
    "metaemb": "metaemb:MetaEmb",
    "metahin": "metahin:MetaHIN",
    "plain": "plain:Plain",
    "cmml": "cmml:CMML",
    "s2meta": "s2meta:S2Meta",
    "dcn": "dcn:DCN",
    "dcn-f": "dcn_f:DCNF",
    "itempop": "itempop:ItemPop",
    "conet": "conet:CoNet",
}


def make(name: str, schema: Schema, **options: Any) -> Method:
    """A fresh method; `ProtocolError` for an unknown name or option."""
    method: Method = class_of(name)(schema, **options)
    return method


def schema_for(
    name: str, splits: Splits, hide: float = 0.0, vectors: Sequence[int] = (), **options: Any
) -> Schema:
    """What a method is to be built from: the schema of the ratings, or with `hide` what training knows of it.

    `vectors` gives it frozen vectors of users and items of so many columns (one number a domain of the
    table), made of all interactions but the positives of validation and test lists; a method
    without options is a closed form and reads none.

    Known is what a stage of the method reads: the training users' ratings, or all histories. A closed-form
    method reads no table of fields or identities and is given the data set's own schema.
    """
    schema, train = Schema.of(splits.train.ratings), splits.train
    if vectors and not closed_form(name):
        user, item = user_and_item_vectors(train.ratings, ~held_out(splits), vectors)
        schema = replace(schema, user_vectors=user, item_vectors=item)
    with initialised(0):
        stages = make(name, schema, **options).stages() if hide else ()
    if not stages:
        return schema
    rows = (splits.histories() if any(stage.rows == "full" for stage in stages) else train).rows
    return schema.knowing(np.unique(train.ratings.user[rows]), np.unique(train.ratings.item[rows]))


def class_of(name: str) -> Any:
    """The class of a method, its module imported now; `ProtocolError` for an unknown name."""
    module, cls = locate(name)
    return getattr(import_module(module), cls)


def closed_form(name: str) -> bool:
    """Whether nothing of a method is trained or can be set: a floor, or the ceiling."""
    return class_of(name).Options is NoOptions


def locate(name: str) -> tuple[str, str]:
    """Module and class of a method."""
    if name not in METHODS:
        raise ProtocolError(f"method {name!r} is unknown; choose from {', '.join(METHODS)}.")
    module, cls = METHODS[name].split(":")
    return f"metarec.methods.{module}", cls
