"""Mixed images of each role of a study, for its page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from rolewise.augment import MixPlan, mix_images
from rolewise.config.schema import ExperimentConfig
from rolewise.config.study import Study
from rolewise.experiment import builders
from rolewise.experiment.role_section import section_of
from rolewise.experiment.seed_data import seed_data_of
from rolewise.seeds import generator

_IMAGES, _MIXINGS = 8, 8


@dataclass(frozen=True)
class RoleMixing:
    """One way in which a role's images are mixed.

    Args:
        role: ``teacher``, or the first student's name.
        mix: the settings that differ from their defaults.
        config: an experiment that has it.
    """

    role: str
    mix: dict[str, Any]
    config: ExperimentConfig

    @property
    def plain(self) -> dict[str, Any]:
        """Description on the page."""
        return {"role": self.role, "mix": self.mix}


def mixings_of(study: Study) -> list[RoleMixing]:
    """Returns the different ways in which the teacher's and the first student's images are mixed, a few at the most."""
    found: dict[str, RoleMixing] = {}
    for cell in study.cells:
        for role in ("teacher", cell.config.students[0].name):
            mix = section_of(cell.config, role).mix
            if mix.method != "none":
                one = RoleMixing(role, mix.model_dump(mode="json", exclude_defaults=True), cell.config)
                found.setdefault(str(one.plain), one)
    return sorted(found.values(), key=lambda one: one.role != "teacher")[:_MIXINGS]


def draw_mixings(study: Study, mixings: Sequence[RoleMixing], arrays: dict[str, Any]) -> list[dict[str, Any]]:
    """Draws a few training images of the first seed as they are, then as each role has them mixed when training begins.

    Args:
        study: the study.
        mixings: of `mixings_of`.
        arrays: gets ``mixed/0``, the clean images, and ``mixed/1`` and so on, uint8 [images, C, H, W].

    Returns:
        For each of them the role, the settings, and for each image its classes with their shares of the label.
    """
    config = study.cells[0].config
    data = seed_data_of(config, config.seeds[0], torch.device("cpu"))
    indices = data.some(min(_IMAGES, len(data.train)), data.train, "pictures")
    images, labels = data.source.batch(indices).cpu(), data.source.labels[indices].cpu()
    names = [data.source.classes[label] for label in labels.tolist()]
    arrays["mixed/0"] = images.numpy()
    told: list[dict[str, Any]] = [{"role": "", "mix": {}, "labels": [[[name, 1.0]] for name in names]}]
    for number, one in enumerate(mixings, 1):
        mixing = builders.mixing_of(section_of(one.config, one.role).mix, one.config)
        assert mixing is not None
        # The same stream for all: they differ in what is set, and not in the luck of the draw.
        stream = generator(config.seeds[0], "pictures", "mixed")
        plan = mixing.at(0.0).draw(labels, (images.shape[2], images.shape[3]), stream)
        mixed = mix_images(images, plan)
        levels = mixed if mixed.dtype == torch.uint8 else (mixed * 255).round().to(torch.uint8)
        arrays[f"mixed/{number}"] = levels.numpy()
        told.append({**one.plain, "labels": _shares(plan, names)})
    return told


def _shares(plan: MixPlan, names: Sequence[str]) -> list[list[list[Any]]]:
    """Returns for each row the classes of its label with their shares, the larger one first."""
    found = []
    for source, partner, ratio in zip(plan.sources.tolist(), plan.partners.tolist(), plan.ratios.tolist(), strict=True):
        shares: dict[str, float] = {names[source]: ratio if source != partner else 1.0}
        if source != partner:
            shares[names[partner]] = shares.get(names[partner], 0.0) + 1 - ratio
        found.append([[name, round(share, 2)] for name, share in sorted(shares.items(), key=lambda item: -item[1])])
    return found
