"""The population's step: scores in, copies and mutations out. Pure; runners only carry it out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from rolewise.errors import InputError, RunError
from rolewise.search.genes import Change
from rolewise.search.space import Genome, Space


@dataclass(frozen=True)
class Copy:
    """One member takes over another one's whole state.

    Args:
        target: index of the member that gives up its own state.
        donor: index of the member that it becomes a copy of.
        retired: the target had no finite score, rather than a low one.
    """

    target: int
    donor: int
    retired: bool = False


@dataclass(frozen=True)
class Decision:
    """The decision of a step.

    Args:
        copies: pairs of target and donor, in the order of the targets; no donor is a target.
        changes: for each target, gene by gene, what explore did to the donor's genome.
        genomes: genome of every member from now on.
    """

    copies: tuple[Copy, ...]
    changes: dict[int, dict[str, Change]]
    genomes: tuple[Genome, ...]


def ranking(scores: Sequence[float | None]) -> list[int]:
    """Returns the members from best to worst; the lower index first among equals, those without a finite score last."""

    def key(member: int) -> tuple[bool, float, int]:
        score = scores[member]
        if score is None or not math.isfinite(score):
            return True, 0.0, member
        return False, -score, member

    return sorted(range(len(scores)), key=key)


def step(
    population: Sequence[Genome],
    scores: Sequence[float | None],
    generator: torch.Generator,
    space: Space,
    quantile: float = 0.25,
) -> Decision:
    """Truncation selection: each of the worst copies one of the best, then explores.

    With P members, k = min(ceil(P quantile), floor(P / 2)). The worst k, and every member without a finite score, each
    take the state of a member drawn uniformly out of the best k, and an explored version of its genome.

    Source: Jaderberg et al. (2017), section 4.1.1 (https://arxiv.org/abs/1711.09846); quantile .25 as in PBA (2019).
    Differs from source: members without a finite score are replaced too, and ties go by index, so that the decision
    depends on the arguments alone.

    Args:
        population: genomes of the P members.
        scores: their scores, higher is better; None, NaN or infinite for a member that is lost.
        generator: source of the draws, consumed in the order of the targets.
        space: the space, which explores a genome.
        quantile: share of the population at either end, in [0, 0.5].

    Returns:
        The decision; nothing that was passed in is changed, save the generator.

    Raises:
        InputError: the lengths differ or quantile is out of its range.
        RunError: no member has a finite score.
    """
    members = len(population)
    if len(scores) != members or members == 0:
        raise InputError(f"scores must be one for each of the {members} members, got {len(scores)}")
    if not 0 <= quantile <= 0.5:
        raise InputError(f"quantile must be from 0 to 0.5, got {quantile}")
    order = ranking(scores)
    lost = {member for member in order if scores[member] is None or not math.isfinite(scores[member] or 0.0)}
    if len(lost) == members:
        raise RunError(f"none of the {members} members has a finite score; nothing is left to copy")
    count = min(math.ceil(members * quantile), members // 2)
    best = order[: max(1, min(count, members - len(lost)))]
    worst = order[members - max(count, len(lost)) :]
    genomes = list(population)
    copies: list[Copy] = []
    changes: dict[int, dict[str, Change]] = {}
    for target in sorted(worst):
        donor = best[int(torch.randint(0, len(best), (), generator=generator))]
        genomes[target], changes[target] = space.explore(population[donor], generator)
        copies.append(Copy(target, donor, retired=target in lost))
    return Decision(tuple(copies), changes, tuple(genomes))
