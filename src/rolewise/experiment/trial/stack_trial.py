"""Members of a search that are trained as one, tried: one step of two members on images of the data's size."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import nn

from rolewise.config.faults import Steps
from rolewise.config.schema import ExperimentConfig
from rolewise.data import ImageData
from rolewise.distill import Distiller, Method
from rolewise.errors import RolewiseError
from rolewise.experiment import builders
from rolewise.experiment.role_section import section_of
from rolewise.experiment.stage_graph import Stage, stages_of
from rolewise.experiment.trial.image_facts import ImageFacts, taught_images
from rolewise.experiment.trial.network_trial import BATCH, CPU, built
from rolewise.experiment.trial.pair_trial import input_spec
from rolewise.inputs import InputSpec
from rolewise.train import RateSchedule, Trainee, advance_stacked

_AT: Steps = ("search", "stacked")


def stack_trial(
    config: ExperimentConfig, images: ImageFacts | Exception, note: Callable[[str], None]
) -> Iterator[tuple[Steps, str]]:
    """Yields (path, message) for every population that cannot be stacked.

    Args:
        config: the experiment, with settings, networks and methods that are sound apart.
        images: facts of the data's images; nothing is tried where they could not be read.
        note: called with a sentence for each population that can be.
    """
    if config.search.stacked == 1 or isinstance(images, Exception):
        return
    searches = {
        stage.role: stage for stage in stages_of(config) if stage.kind == "search" and stage.strategy != "screen"
    }
    for role, stage in searches.items():
        if images.texts is not None:
            yield _AT, "must be 1 for texts: only networks of images are stacked; set it to 1"
            return
        try:
            advance_stacked([_member(config, stage, images) for _ in range(2)], 1)
        except RolewiseError as error:
            reason = str(error).removesuffix("; train them apart")
            yield _AT, f"must be 1 for the search of {role}, whose members cannot be stacked: {reason}; set it to 1"
        else:
            note(f"search.stacked: the members of the search of {role} were stacked for one step, and can be.")


def _member(config: ExperimentConfig, stage: Stage, images: ImageFacts) -> Trainee:
    """Returns a member of a search with few images, made as a run makes it."""
    section = section_of(config, stage.role)
    taught = taught_images(config, images)
    own = taught if stage.role == "teacher" else images
    settings = builders.train_settings(section.train, config)
    pixels = torch.zeros((BATCH, images.channels, *images.size), dtype=torch.uint8)
    source = ImageData(pixels, torch.arange(BATCH) % images.classes, tuple(map(str, range(images.classes))))
    methods: list[Method] = []
    networks: dict[str, nn.Module] = {}
    specs: dict[str, InputSpec] = {}
    if stage.distilled:
        models = {"teacher": config.teacher.model, **{one.name: one.model for one in config.students}}
        methods = builders.configured_methods(config, section)[1]
        seen = {role: (models[role], taught if role == "teacher" else images) for role in section.teachers}
        networks = {role: built(*given, CPU) for role, given in seen.items()}
        specs = {role: input_spec(*given) for role, given in seen.items()}
    alone = len(networks) < 2
    distiller = Distiller(
        next(iter(networks.values()), None) if alone else networks,
        builders.at_bits(section, built(section.model, own, CPU)),
        methods,
        label_weight=config.distill.label_weight if networks else 1.0,
        task=builders.configured_task(config, section.train.label_smoothing),
        teacher_input=next(iter(specs.values()), None) if alone else specs,
        student_input=input_spec(section.model, own),
        example=pixels,
        labels=source.labels,
    )
    changed = settings.changed(epochs=1, batch_size=BATCH, schedule=RateSchedule())
    plain = builders.preset(config, "none")
    return Trainee(distiller, source, torch.arange(BATCH), augmentation=plain, settings=changed, seed=0)
