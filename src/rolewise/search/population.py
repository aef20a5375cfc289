"""The population's step: scores in, copies and mutations out. Nothing here trains, waits or writes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from rolewise.errors import RunError
from rolewise.search.space import Genome, Space


@dataclass(frozen=True)
class Copy:
    """One member takes another one's state and a mutation of its genome.

    Args:
        target: who is replaced.
        donor: who is copied.
        reason: ``behind`` (among the worst), or why the target was retired.
        changes: what the mutation moved, gene by gene.
    """

    target: int
    donor: int
    reason: str
    changes: dict[str, Any]


@dataclass(frozen=True)
class Decision:
    """What a step decided.

    Args:
        copies: ordered by target.
        genomes: of the whole population, from now on.
    """

    copies: tuple[Copy, ...]
    genomes: tuple[Genome, ...]


def ranking(scores: Sequence[float]) -> list[int]:
    """Returns the members from best to worst; equals in the order of their numbers, non-finite ones last."""
    return sorted(range(len(scores)), key=lambda member: (not math.isfinite(scores[member]), -_finite(scores[member]), member))


def _finite(score: float) -> float:
    return score if math.isfinite(score) else 0.0


def step(
    population: Sequence[Genome],
    scores: Sequence[float],
    generator: torch.Generator,
    space: Space,
    *,
    quantile: float = 0.25,
    retired: dict[int, str] | None = None,
) -> Decision:
    """Decides who copies whom and how genomes mutate.

    Truncation: each of the worst ``quantile`` copies one drawn evenly from the best ``quantile``, and its genome is
    mutated. Members whose score is not finite, or that are retired, are replaced as well, whatever their rank.

    Source: Jaderberg et al. (2017), https://arxiv.org/abs/1711.09846, truncation selection; Ho et al. (2019).
    Differs from source: all members are compared after the same amount of training.

    Args:
        population: genomes, P of them.
        scores: [P], higher is better.
        generator: of the draws.
        space: how genomes mutate.
        quantile: share that is replaced, in (0, 0.5]; at least one member where P >= 2.
        retired: member -> reason.

    Returns:
        The decision; members that are not copied over keep their genomes.

    Raises:
        RunError: no member is left.
    """
    gone = dict(retired or {})
    gone |= {member: "its score is not finite" for member, score in enumerate(scores) if not math.isfinite(score) and member not in gone}
    alive = [member for member in ranking(scores) if member not in gone]
    if not alive:
        reasons = "; ".join(sorted(set(gone.values())))
        raise RunError(f"every member of the population was retired ({reasons}); lower the learning rate or the loss weights")
    count = max(1, int(len(population) * quantile)) if len(population) > 1 else 0
    donors = alive[:count] or alive[:1]
    # The alive ones fill up what the retired have not filled of the worst; a donor is never replaced.
    behind = [member for member in alive[len(donors) :]][::-1][: max(0, count - len(gone))]
    reasons_by_target = {**{member: "behind" for member in behind}, **gone}
    genomes = [dict(genome) for genome in population]
    copies = []
    for target in sorted(reasons_by_target):
        donor = donors[int(torch.randint(0, len(donors), (), generator=generator))]
        mutated = space.explore(population[donor], generator)
        copies.append(Copy(target, donor, reasons_by_target[target], space.describe(population[donor], mutated)))
        genomes[target] = mutated
    return Decision(tuple(copies), tuple(genomes))
