"""Population-based search: a pure step decides, runners carry out; the product is a lineage and its schedule."""

from rolewise.search.budget import Budget, SearchCost, budget
from rolewise.search.genes import GENES, Gene, PolicySpace, ScalarGene
from rolewise.search.lineage import LineageEvent, SearchResult, lineage_of
from rolewise.search.lineage_file import load_lineage
from rolewise.search.member_protocol import MakeMember, MakeStackableMember, Member, PausableMember
from rolewise.search.population import Copy, Decision, step
from rolewise.search.search_call import Progress, search
from rolewise.search.space import Genome, Space

__all__ = [
    "GENES",
    "Budget",
    "Copy",
    "Decision",
    "Gene",
    "Genome",
    "LineageEvent",
    "MakeMember",
    "MakeStackableMember",
    "Member",
    "PausableMember",
    "PolicySpace",
    "Progress",
    "ScalarGene",
    "SearchCost",
    "SearchResult",
    "Space",
    "budget",
    "lineage_of",
    "load_lineage",
    "search",
    "step",
]
