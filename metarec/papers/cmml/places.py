"""Where CMML's claims are decided: three scenario sets, all stand-ins, and users of MovieLens-1M."""

from __future__ import annotations

from metarec.claims.ground import Place
from metarec.papers.cmml import tables
from metarec.runs.plan import Block, TableSpec

SCENARIO_PAGE, USER_PAGE = "cmml/table2-scenarios", "cmml/table3-users"
CONTEXT_PAGE, MODULATION_PAGE = "cmml/table49-context", "cmml/table5-modulation"


def _scenarios(spec: TableSpec, notebook: str, ending: str = "") -> tuple[Place, ...]:
    """Every set of a table as its page sees it; `ending` tells the pages apart."""
    return tuple(
        Place(
            f"{b.dataset}{ending}",
            spec,
            notebook,
            b.source,
            {"dataset": (b.source, b.planted)},
            stand_in=b.stand_in,
        )
        for b in spec.blocks
    )


def _users(block: Block) -> Place:
    """The users of one block of Table 3, told from those of the others by who is evaluated."""
    where = {f"protocol.rule_options.{name}": value for name, value in block.rule.items()}
    return Place(f"MovieLens-1M, {block.setting}", tables.TABLE3, USER_PAGE, block.source, where)


FILMS, SHOPPING, HYBRID = _scenarios(tables.TABLE2, SCENARIO_PAGE)
# All nine rows of a set, the modulations that Table 2 leaves out among them.
MORE_FILMS, MORE_SHOPPING, MORE_HYBRID = (
    _scenarios(spec, SCENARIO_PAGE, f", {spec.name.removeprefix('cmml.').capitalize()}")[0]
    for spec in (tables.TABLE6, tables.TABLE7, tables.TABLE8)
)
(CONTEXTS,) = _scenarios(tables.TABLE4, CONTEXT_PAGE, ", context encoders")
MODULATIONS = _scenarios(tables.TABLE5, MODULATION_PAGE, ", modulations")
COLD, TRAINED, WARM = (_users(block) for block in tables.TABLE3.blocks)
USERS = (COLD, TRAINED, WARM)
