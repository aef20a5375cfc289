"""Strategies of a search: what is searched, where the members begin, and whether they copy one another.

All that train cost the same: members x epochs x images. `screen` trains nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from rolewise.augment import Augmentation, Policy, RandomOps, build_schedule
from rolewise.config.schema import ExperimentConfig
from rolewise.experiment.builders import allowed_ops, learned_ops
from rolewise.experiment.searched_scalars import searched_scalars
from rolewise.search import Genome, PolicySpace, ScalarGene, Space


@dataclass(frozen=True)
class Strategy:
    """A population's beginning and its way.

    Args:
        space: the searched space.
        quantile: share of the population replaced after each interval; 0 where nobody copies.
        initial: the members' first genomes; None to draw them from the space.
    """

    space: Space
    quantile: float
    initial: list[Genome] | None = None


def strategy(config: ExperimentConfig, name: str, role: str, candidates: list[Genome]) -> Strategy:
    """Returns the strategy of a search.

    ``own`` is the population based search; ``random_search`` trains as many constant random policies to the end;
    ``grid_search`` as many cells of RandAugment's grid over the number of operations and their strength;
    ``screened_search`` is ``own`` begun with the candidates that a screen put first.

    Args:
        config: the experiment.
        name: one of `rolewise.config.schema.SEARCHES`, save ``screen``.
        role: ``teacher``, or a student's name.
        candidates: genomes in the screen's order, for ``screened_search``.
    """
    section = config.search
    if name == "random_search":
        return Strategy(policy_space(config, "random", role), 0.0)
    if name == "grid_search":
        return Strategy(_grid_space(config), 0.0, grid(section.members))
    if name == "screened_search":
        return Strategy(policy_space(config, "random", role), section.quantile, candidates[: section.members])
    assert name == "own", name
    return Strategy(policy_space(config, section.initial, role), section.quantile)


def policy_space(config: ExperimentConfig, initial: str, role: str) -> Space:
    """Returns the space of a search of policies: the policy, and the numbers that are searched beside it.

    Args:
        config: the experiment.
        initial: the first policies: ``zeros`` or ``random``.
        role: ``teacher``, or a student's name, whose numbers they are.
    """
    genes: dict[str, PolicySpace | ScalarGene] = {
        "policy": PolicySpace(learned_ops(config), config.augment.copies, initial=initial)
    }
    found = searched_scalars(config, role).items()
    return Space(genes | {name: ScalarGene(gene.low, gene.high, log=gene.log) for name, gene in found})


def _grid_space(config: ExperimentConfig) -> Space:
    return Space({"num_ops": ScalarGene(1, 3, 2), "strength": ScalarGene(0, 1, 0.5)})


def grid(members: int) -> list[Genome]:
    """Returns as many cells of RandAugment's grid as there are members: 1, 2 or 3 operations, strengths spread evenly.

    Source: Cubuk et al. (2020), RandAugment, section 3 (https://arxiv.org/abs/1909.13719), which searches the number
    of operations and one magnitude for all.
    """
    counts = (1, 2, 3)[: max(1, min(3, members // 2))]
    cells: list[Genome] = []
    for place, count in enumerate(counts):
        # What does not divide goes to the smaller numbers of operations.
        steps = members // len(counts) + (place < members % len(counts))
        cells += [{"num_ops": float(count), "strength": (step + 0.5) / steps} for step in range(steps)]
    return cells


def augmentation_of(config: ExperimentConfig, genome: Genome) -> Augmentation:
    """Returns the augmentation of a genome: a policy, or a cell of RandAugment's grid."""
    if "policy" not in genome:
        count, strength = genome["num_ops"], genome["strength"]
        assert isinstance(count, float) and isinstance(strength, float)
        spec = {"name": "randaugment", "num_ops": round(count), "strength": strength}
        section = config.augment
        found = build_schedule(spec, ops=allowed_ops(config), ranges=section.ranges, base=section.base).at(0.0)
        assert isinstance(found, RandomOps)
        return found
    vector, section = genome["policy"], config.augment
    assert isinstance(vector, list)
    return Policy.from_vector(
        vector,
        ops=learned_ops(config),
        counts=section.counts,
        magnitude=section.magnitude,
        scale=section.scale,
        ranges=section.ranges,
        base=section.base,
    )


def scalars(config: ExperimentConfig, genome: Genome) -> dict[str, float]:
    """Returns a genome's searched numbers, by short name or by dotted path."""
    return {
        name: value
        for name, value in genome.items()
        if isinstance(value, float) and ("." in name or name in config.search.scalars)
    }
