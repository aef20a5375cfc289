"""A trainee: one training with its full state, advanced by steps and epochs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from rolewise.augment import Schedule
from rolewise.average import Average
from rolewise.config.cache_section import CacheSection
from rolewise.config.phase_sections import Phase
from rolewise.config.training_sections import TrainSettings
from rolewise.data import Source
from rolewise.distill import Distiller
from rolewise.errors import InputError
from rolewise.files import AnyPath
from rolewise.seeds import check_seed
from rolewise.train.epoch import read_terms, run_epoch
from rolewise.train.feed import Feed
from rolewise.train.given import check_given
from rolewise.train.graphs import compile_mode
from rolewise.train.mixing import Mixing
from rolewise.train.moments import count_moments
from rolewise.train.optimizers import optimizer_of, scaler_of
from rolewise.train.parameter_groups import freeze_selected
from rolewise.train.phase_course import course_of
from rolewise.train.ranks import Ranks
from rolewise.train.rates import Scalars, scalars_at
from rolewise.train.record import EpochRecord
from rolewise.train.scalar_changes import change_scalars
from rolewise.train.source_feed import SourceFeed, checked_feed, set_mixing, source_feed_of
from rolewise.train.state import state_of, take_state
from rolewise.train.step import Update
from rolewise.train.teacher_cache import TeacherCache


class Trainee:
    """A training of students (or of a teacher, on labels alone).

    To resume exactly it keeps weights, optimisers and the number of the step, since a feed's batches depend on the
    epoch's number alone, and within an epoch the record of its first steps.

    Args:
        distiller: students, teachers and loss, on the device.
        source: the images, or a `Feed` of other batches, for which neither indices nor augmentation is given.
        indices: int64 [N], the images to train on.
        augmentation: of the student's images, over training.
        teacher_augmentation: of the teacher's images under the view ``own``.
        view: the teacher's images: ``shared`` (the student's), ``clean`` (unaugmented) or ``own``.
        settings: of the training.
        seed: of all draws.
        device: of the training.
        scalars: (start fraction, values) of `set_scalars`, to be followed.
        mixing: the rule of mixing; None for none.
        updates: those that follow the Distiller's own in each step, in this order; each has a name.
        phases: parts of the training, one after another; the Distiller has the methods of all of them.
        cache: settings of a cache of the teachers' outputs, and the folder of its files; None for none.
        ranks: the processes that train together (see `rolewise.train.Ranks`); None for this one alone.

    Raises:
        InputError: arguments do not go together, or several processes train together without ``ranks``.
    """

    def __init__(
        self,
        distiller: Distiller,
        source: Source | Feed,
        indices: Tensor | None = None,
        *,
        augmentation: Schedule | None = None,
        settings: TrainSettings,
        seed: int,
        device: torch.device | str = "cpu",
        teacher_augmentation: Schedule | None = None,
        view: str = "shared",
        scalars: Scalars = (),
        mixing: Mixing | None = None,
        updates: Sequence[Update] = (),
        phases: Sequence[Phase] = (),
        cache: tuple[CacheSection, AnyPath] | None = None,
        ranks: Ranks | None = None,
    ) -> None:
        check_given(distiller, source, indices, settings, alone=ranks is None)
        check_seed("seed", seed)
        self.distiller, self.settings, self.seed = distiller, settings, seed
        self.device = torch.device(device)
        self.feed = source_feed_of(
            distiller,
            source,
            indices,
            settings,
            augmentation=augmentation,
            teacher_augmentation=teacher_augmentation,
            view=view,
            mixing=mixing,
            seed=seed,
            device=self.device,
        )
        self.cache = None if cache is None else TeacherCache(*cache, distiller, self.images)
        self.scalars = list(scalars)
        self.epoch, self.step = 0, 0
        self.learning_rate = settings.optimizer.learning_rate
        distiller.passes_per_step = settings.accumulate
        self.course = course_of(distiller, phases, settings.epochs, scalars=bool(scalars))
        self.schedule = count_moments(distiller, self.feed, settings, self.steps_per_epoch)
        if settings.channels_last:
            distiller.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.still = freeze_selected(distiller, settings.freeze)
        self.optimizer, self.rate_factors = optimizer_of(settings, distiller)
        self.scaler = scaler_of(settings, self.device)
        self.average = Average(self.student, settings.ema) if settings.ema is not None else None
        average = (self.average, self.student) if self.average is not None else None
        self.updates = [Update(distiller, self.optimizer, average=average), *updates]
        self.ranks = (ranks or Ranks()).prepared(distiller, settings.batch_size, getattr(self.feed, "examples", None))
        self.record = EpochRecord()
        self.course.begin(self)
        if settings.compile:
            distiller.compile_networks(**compile_mode(settings, self.device))

    @property
    def model(self) -> nn.Module:
        """The network that is evaluated and kept: the first student, or the moving average of its weights."""
        return self.average.network if self.average is not None else self.student

    @property
    def student(self) -> nn.Module:
        """The first student. All students of a Distiller are trained, by one update."""
        return next(iter(self.distiller.students.values()))

    @property
    def progress(self) -> float:
        """The fraction of training done."""
        return (self.epoch + self.step / self.steps_per_epoch) / self.settings.epochs

    @property
    def steps_per_epoch(self) -> int:
        """The number of optimiser steps of one epoch."""
        return -(-self.feed.steps // self.settings.accumulate)

    @property
    def images_seen(self) -> int:
        """The number of images trained on so far, each as often as it was seen."""
        # A feed that does not know its examples has full batches.
        whole = getattr(self.feed, "examples", self.feed.steps * self.settings.batch_size)
        return self.epoch * whole + min(whole, self.step * self.settings.accumulate * self.settings.batch_size)

    @property
    def images(self) -> SourceFeed:
        """The feed of a training on a source, of images or texts; InputError where the training has another feed."""
        return checked_feed(self.feed)

    @property
    def source(self) -> Source:
        """The images."""
        return self.images.source

    @property
    def indices(self) -> Tensor:
        """The images that are trained on, int64 [N]."""
        return self.images.indices

    @indices.setter
    def indices(self, indices: Tensor) -> None:
        """Replaces the images that are trained on."""
        self.images.indices = indices

    @property
    def mixing(self) -> Mixing | None:
        """The rule of mixing; None for none."""
        return self.images.mixing

    @mixing.setter
    def mixing(self, mixing: Mixing | None) -> None:
        """Replaces how images are mixed; InputError where they are texts."""
        set_mixing(self.images, mixing)

    def set_augmentation(self, augmentation: Schedule) -> None:
        """Replaces the augmentation of the student's images from now on."""
        self.images.augmentation = augmentation

    def set_scalars(self, values: Mapping[str, float] | None = None, **named: float | None) -> None:
        """Replaces numbers from now on.

        Args:
            values: by the dotted path of a setting that may change between epochs, such as
                ``train.optimizer.weight_decay``, ``distill.methods.kd.temperature`` or ``mix.share`` (see
                `rolewise.train.scalar_changes.movable_of`).
            named: in the same way, or by a short name: ``learning_rate``, ``label_weight``, ``temperature`` (of every
                method that has one), ``mix_share`` and ``mix_alpha``. None leaves a number as it is.

        Raises:
            InputError: a name is unknown, a setting cannot change, or a value is out of its range.
        """
        change_scalars(self, {**(values or {}), **named})

    def run_epochs(self, start: int, stop: int, *, measured: Collection[int] = ()) -> list[dict[str, Any]]:
        """Trains the epochs from ``start`` to before ``stop``.

        Args:
            start: the epoch that comes next, or that is half done.
            stop: the epoch to end before.
            measured: epochs, from 0, at whose first step the gradients' norms are measured.

        Returns:
            The record of each epoch: mean of the loss and of its terms, learning rate at its end, the gradients' norms
            where they were measured, the fraction of images that were mixed where any are, and the settings that were
            changed by path.

        Raises:
            InputError: ``start`` is not the epoch that comes next.
            NonFiniteError: a term, or after the epoch a weight, is NaN or infinite; step and term are named.
        """
        if start != self.epoch:
            raise InputError(f"start must be {self.epoch}, the epoch that comes next, got {start}")
        records = [self.run_epoch(measured=epoch in measured) for epoch in range(start, stop)]
        return [record for record in records if record is not None]

    def run_epoch(self, *, measured: bool = False, pause: Callable[[], bool] | None = None) -> dict[str, Any] | None:
        """Trains the next epoch, or the rest of one that is half done.

        Args:
            measured: whether the gradients' norms are measured at its first step.
            pause: called between two steps; where it returns True, the epoch is left half done.

        Returns:
            The epoch's record (see `run_epochs`); None where it was left half done.

        Raises:
            NonFiniteError: a term, or after the epoch a weight, is NaN or infinite; step and term are named.
        """
        values = scalars_at(self.scalars, self.epoch / self.settings.epochs)
        self.set_scalars(values)
        record, paths = run_epoch(self, measured, pause), {name: values[name] for name in values if "." in name}
        return {**record, "scalars": paths} if record is not None and paths else record

    def state_dict(self) -> dict[str, Any]:
        """Returns everything that the rest of the training depends on; within an epoch between any two steps.

        Raises:
            NonFiniteError: a term of the last steps is NaN or infinite.
        """
        read_terms(self)
        return state_of(self)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes what `state_dict` returned, of this or of a like trainee; InputError where it is of another kind."""
        take_state(self, state)
