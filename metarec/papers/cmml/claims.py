"""What CMML says: the list of all of its claims."""

from __future__ import annotations

from metarec.claims.ledger import Paper
from metarec.papers.cmml.claims_ablations import ABLATIONS
from metarec.papers.cmml.claims_costs import COSTS
from metarec.papers.cmml.claims_scenarios import SCENARIOS

PAPER = Paper(name="cmml", title="CMML", claims=(*SCENARIOS, *COSTS, *ABLATIONS), percent=True)
