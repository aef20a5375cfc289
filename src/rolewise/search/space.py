"""A search space: genes by name, and genomes that hold a value for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import torch

from rolewise.errors import InputError, near
from rolewise.search.genes import GENES, Change, Gene

Genome: TypeAlias = "dict[str, list[int] | float]"


class Space:
    """The genes of a search by name.

    Args:
        genes: name to gene; the order is the order of the draws.

    Raises:
        InputError: there is no gene.
    """

    def __init__(self, genes: Mapping[str, Gene]) -> None:
        if not genes:
            raise InputError("genes must hold at least one gene, got none; add a PolicySpace or a ScalarGene")
        self.genes: dict[str, Gene] = dict(genes)

    def start(self, generator: torch.Generator) -> Genome:
        """Returns the genome that a member begins with."""
        return {name: gene.start(generator) for name, gene in self.genes.items()}

    def explore(self, genome: Genome, generator: torch.Generator) -> tuple[Genome, dict[str, Change]]:
        """Returns a changed genome, and for each gene what was done to it. ``genome`` itself stays as it is."""
        explored = {name: gene.explore(genome[name], generator) for name, gene in self.genes.items()}
        return {name: value for name, (value, _) in explored.items()}, {
            name: change for name, (_, change) in explored.items()
        }

    def check(self, genome: object, what: str = "genome") -> None:
        """Raises InputError unless ``genome`` has a valid value for exactly these genes."""
        if not isinstance(genome, dict) or set(genome) != set(self.genes):
            got = sorted(genome) if isinstance(genome, dict) else repr(genome)
            raise InputError(f"{what} must have exactly the genes {sorted(self.genes)}, got {got}")
        for name, gene in self.genes.items():
            gene.check(f"{what}.{name}", genome[name])

    def to_json(self) -> list[dict[str, Any]]:
        """Returns a list, because the order matters and JSON objects are written with sorted keys."""
        return [{"name": name, **gene.to_json()} for name, gene in self.genes.items()]

    @staticmethod
    def from_json(value: object) -> Space:
        """Builds a space out of what `to_json` returned.

        Raises:
            InputError: the data is not such a list.
        """
        if not isinstance(value, Sequence) or not all(isinstance(entry, dict) for entry in value):
            raise InputError(f"space must be a list of genes, got {value!r}")
        genes: dict[str, Gene] = {}
        for entry in value:
            settings = dict(entry)
            name, kind = settings.pop("name", None), settings.pop("kind", None)
            if not isinstance(name, str) or name in genes:
                raise InputError(f"space must name every gene once, got {name!r}")
            if not isinstance(kind, str) or kind not in GENES:
                raise InputError(f"space.{name}.kind must be a known gene, got {kind!r}{near(str(kind), GENES)}")
            try:
                genes[name] = GENES[kind](**settings)
            except InputError as error:
                raise InputError(f"space.{name}.{error}") from error
            except (TypeError, ValueError) as error:
                raise InputError(f"space.{name} must have the settings of {kind!r}, got {sorted(settings)}") from error
        return Space(genes)
