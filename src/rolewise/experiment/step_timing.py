"""Timings of an experiment's steps on this machine: a few batches of real forward and backward passes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

import torch

from rolewise.augment import Augmentation, apply, apply_to_tokens
from rolewise.augment.token_augmentation import TokenRules
from rolewise.data import TextData
from rolewise.data.unlabelled import JoinedSources
from rolewise.errors import NonFiniteError
from rolewise.experiment import builders
from rolewise.experiment.arms import specs
from rolewise.experiment.evaluation_timing import evaluating_seconds, resampling_seconds
from rolewise.experiment.role_section import section_of
from rolewise.experiment.second_view import add_strong_view, plain_views
from rolewise.experiment.seed_data import SeedData
from rolewise.experiment.strategies import augmentation_of, policy_space
from rolewise.seeds import generator
from rolewise.train import Trainee, TrainSettings, advance_stacked
from rolewise.train.arithmetic import typical_seconds

#: Seconds of work below which a timing is mostly of what surrounds it; a GPU waits for its host at an epoch's ends.
_ENOUGH, _ENOUGH_ELSEWHERE = 0.03, 2.0
#: As many images as an epoch draws for at once.
_DRAWN = 256
#: Batches that a timed epoch has at the most.
_BATCHES = 20


def training_seconds(data: SeedData, role: str, *, distilled: bool = False, stacked: bool = False) -> float:
    """Returns seconds for one image of a role's training, mixed as it is there, without augmentation.

    An epoch of as many batches as the training's own has, twenty at the most, is timed.

    Args:
        data: the data of a seed.
        role: ``teacher``, or a student's name.
        distilled: include the teacher and the methods.
        stacked: the training of a search's member that takes its steps as one with others.

    Raises:
        InputError: the members cannot be stacked.
    """
    section, search, most = section_of(data.config, role), data.config.search, len(data.train)
    members = min(search.stacked, search.members) if stacked else 1
    trainees = [one_batch_training(data, role, distilled) for _ in range(members)]

    def epoch() -> None:
        _run(trainees, measured=False)

    seconds = typical_seconds(epoch, data.device)
    if seconds < (_ENOUGH if data.device.type == "cpu" else _ENOUGH_ELSEWHERE):
        images = min(section.images or most, most, section.train.batch_size * _BATCHES)
        for trainee in trainees:
            trainee.indices = data.train[: max(2, images)]
        seconds = typical_seconds(epoch, data.device)
    return seconds / max(1, sum(trainee.images.examples for trainee in trainees))


def distilling_seconds(data: SeedData, role: str) -> float:
    """Returns seconds for one image of a student's training by its teacher, without augmentation."""
    return training_seconds(data, role, distilled=True)


def probing_seconds(data: SeedData, role: str) -> float:
    """Returns seconds that one measurement of the gradients' norms adds to a student's step."""
    trainees = [one_batch_training(data, role, True)]
    plain = typical_seconds(lambda: _run(trainees, measured=False), data.device)
    return max(0.0, typical_seconds(lambda: _run(trainees, measured=True), data.device) - plain)


def _run(trainees: Sequence[Trainee], *, measured: bool) -> None:
    """Trains one epoch, after which the next is again the first."""
    if len(trainees) == 1:
        with suppress(NonFiniteError):
            trainees[0].run_epoch(measured=measured)
    else:
        advance_stacked(trainees, 1)
    for trainee in trainees:
        trainee.epoch = trainee.step = 0


def one_batch_training(data: SeedData, role: str, distilled: bool, settings: TrainSettings | None = None) -> Trainee:
    """Returns a training of one batch, of networks as they are drawn.

    Args:
        data: the data of a seed.
        role: ``teacher``, or a student's name.
        distilled: include the teacher and the methods.
        settings: of the training; by default the role's, as far as they do for an estimate.
    """
    section = section_of(data.config, role)
    if settings is None:
        settings = builders.train_settings(section.train, data.config)
        # Compiling takes longer than a timing may, and no step must lead to weights that are not finite.
        slow = settings.optimizer.changed(learning_rate=1e-9)
        settings = settings.changed(compile=False, optimizer=slow, groups=(), accumulate=1)
    model = builders.at_bits(section, data.network(section.model, role))
    models = {one: section_of(data.config, one).model for one in (section.teachers if distilled else ())}
    teachers = {one: data.network(network, one).to(data.device).eval() for one, network in models.items()}
    indices, source = data.train[: max(2, section.train.batch_size)], data.seen_by(role)
    if isinstance(source, JoinedSources) and not distilled:
        # Without classes there is no loss but a teacher's: any class does for the time.
        source = source.with_labels(source.labels.clamp(min=0))
    trainee = Trainee(
        # Of all images that may come: more of them are trained on where one batch is too short to be timed.
        builders.distiller(data, section, model, teachers, data.train),
        source,
        indices,
        **plain_views(data.config, distilled=distilled),  # augmentations are timed for themselves
        settings=settings,
        seed=data.seed,
        device=data.device,
        mixing=builders.mixing_of(section.mix, data.config),
    )
    add_strong_view(trainee, data.config, distilled=distilled)
    return trainee


def teaching_seconds(data: SeedData, role: str = "teacher") -> float:
    """Returns seconds for one image that the teacher gives its outputs for."""
    return evaluating_seconds(data, "teacher")


def augmenting_seconds(data: SeedData, name: str) -> float:
    """Returns seconds for the augmentation of one image.

    Args:
        data: the data of a seed.
        name: label of one of the experiment's augmentations, as `rolewise.experiment.arms.label` has it, a space, and
            the role whose images it augments. Of one that is searched, a random policy is timed.
    """
    label, _, role = name.rpartition(" ")
    source = data.seen_by(role)
    images = source.batch(data.train[: min(_DRAWN, section_of(data.config, role).images or _DRAWN)])
    augmentation, stream = _augmentation(data, label), generator(data.seed, "estimate")
    if isinstance(source, TextData):
        return _augmenting_texts(source, images, augmentation, stream, data.device)
    shape, settings = (images.shape[1], images.shape[2], images.shape[3]), data.config.augment
    on_device = images.to(data.device)

    def step() -> None:
        plan = augmentation.draw(len(images), shape, stream)
        apply(on_device, plan, interpolation=settings.interpolation, fill=settings.fill)

    return typical_seconds(step, data.device) / len(images)


def _augmenting_texts(
    source: TextData,
    texts: dict[str, torch.Tensor],
    augmentation: Augmentation,
    stream: torch.Generator,
    device: torch.device,
) -> float:
    count, facts = len(texts["input_ids"]), source.facts
    rules = TokenRules(facts.padding, facts.mask, facts.special)

    def step() -> None:
        apply_to_tokens(texts, augmentation.draw(count, (1, *source.size), stream), rules)

    return typical_seconds(step, device) / count


def _augmentation(data: SeedData, label: str) -> Augmentation:
    config = data.config
    with suppress(KeyError, ValueError):  # ValueError: a name that only a search gives a schedule
        return builders.preset(config, specs(config)[label]).at(0.5)
    drawn = policy_space(config, "random", "teacher").start(generator(data.seed, "estimate", label))
    return augmentation_of(config, drawn)


_SECONDS: dict[str, Callable[[SeedData, str], float]] = {
    "training": training_seconds,
    "distilling": distilling_seconds,
    "stacked training": partial(training_seconds, stacked=True),
    "stacked distilling": partial(training_seconds, distilled=True, stacked=True),
    "probing": probing_seconds,
    "teaching": teaching_seconds,
    "augmenting": augmenting_seconds,
    "evaluating": evaluating_seconds,
    "resampling": resampling_seconds,
}


def seconds_of(what: str, data: SeedData, name: str) -> float:
    """Returns the seconds of a step.

    Args:
        what: ``training``, ``distilling``, the same with ``stacked`` and a space before it, ``teaching``,
            ``augmenting``, ``evaluating`` or ``resampling``, for one image; ``probing``, for one measurement of
            gradients.
        data: the data of a seed.
        name: the role; of an augmentation, its label, a space, and the role.
    """
    return _SECONDS[what](data, name)
