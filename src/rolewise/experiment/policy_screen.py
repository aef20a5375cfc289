"""The screen: random policies ranked by the teacher's outputs, without training a student."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from rolewise.augment import Augmentation, apply
from rolewise.errors import InputError
from rolewise.experiment import strategies
from rolewise.experiment.builders import configured_device
from rolewise.experiment.role_section import section_of
from rolewise.experiment.run_folder import RunFolder
from rolewise.experiment.seed_data import SeedData, seed_data_of
from rolewise.experiment.stage_graph import Stage, stages_of
from rolewise.experiment.stages import trained_network
from rolewise.inputs import InputSpec, prepare
from rolewise.instruments import teacher_deviation
from rolewise.logits import logits_in
from rolewise.seals import read_sealed, write_sealed
from rolewise.search import Genome
from rolewise.seeds import generator

#: The record of a screen, in its stage's folder.
SCREEN = "screen.json"


def screened(run: RunFolder, stage: Stage) -> list[Genome]:
    """Returns the candidates, the most promising first; ``screen.json`` in the stage's folder keeps what was found.

    Images are those that the student may be trained on during a search; the teacher has not seen the search's
    validation images.
    """
    path = run.stage(stage.name) / SCREEN
    if not path.is_file():
        write_sealed(path, {"candidates": _screen(run, stage)})
    value = read_sealed(path, "a screen's record", "delete it to screen anew").get("candidates", ())
    try:
        return [entry["genome"] for entry in sorted(value, key=lambda entry: float(entry["deviation"]))]
    except (TypeError, KeyError, ValueError) as error:
        raise InputError(f"{path} must list genomes and their deviations; delete it to screen anew") from error


def _screen(run: RunFolder, stage: Stage) -> list[dict[str, Any]]:
    config = run.config()
    data = seed_data_of(config, stage.seed, configured_device(config.device), run.root)
    teaching = next(other for other in stages_of(config) if other.name == stage.teacher)
    teacher, spec = trained_network(run, data, teaching), data.pixel_spec(section_of(config, teaching.role).model)
    space = strategies.policy_space(config, "random", stage.role)
    genomes = [
        space.start(generator(stage.seed, "screen", stage.role, number))
        for number in range(max(config.search.screen.candidates, config.search.members))
    ]
    return [
        {
            "genome": genome,
            "deviation": _deviation(data, stage, (teacher, spec), strategies.augmentation_of(config, genome)),
        }
        for genome in genomes
    ]


@torch.no_grad()
def _deviation(
    data: SeedData, stage: Stage, teaching: tuple[nn.Module, InputSpec], augmentation: Augmentation
) -> float:
    config, (teacher, spec) = data.config, teaching
    section, settings = config.search.screen, config.augment
    pool = data.some(config.search.student_images or section_of(config, stage.role).images, data.train, "images")
    # The same images and draws for every candidate: what differs is the policy alone.
    stream = generator(stage.seed, "screen", stage.role, "draws")
    means = []
    for _ in range(section.repeats):
        images = data.source.batch(pool[torch.randint(len(pool), (section.images,), generator=stream)])
        plan = augmentation.draw(len(images), (images.shape[1], images.shape[2], images.shape[3]), stream)
        seen = apply(images, plan, interpolation=settings.interpolation, fill=settings.fill).to(data.device)
        means.append(logits_in(teacher(prepare(seen, spec))).float().softmax(1).mean(0).cpu())
    return teacher_deviation(torch.stack(means))
