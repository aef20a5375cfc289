"""Population based search: it knows members and genomes, never a network."""

from rolewise.search.lineage import SearchResult
from rolewise.search.member import MakeMember, Member
from rolewise.search.population import Copy, Decision, ranking, step
from rolewise.search.runner import Progress, search
from rolewise.search.space import Genome, PolicySpace, Scalar, Space

__all__ = [
    "Copy",
    "Decision",
    "Genome",
    "MakeMember",
    "Member",
    "PolicySpace",
    "Progress",
    "Scalar",
    "SearchResult",
    "Space",
    "ranking",
    "search",
    "step",
]
