"""A trainee: one training with its full state, advanced by epochs."""

from __future__ import annotations

import copy
from collections.abc import Collection
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from rolewise.augment import Schedule
from rolewise.average import Average
from rolewise.data import ImageData, Source, batches, shuffled
from rolewise.distill import Distiller
from rolewise.errors import InputError
from rolewise.seeds import check_seed
from rolewise.train.failing import why
from rolewise.train.given import check_given, check_seen
from rolewise.train.gradients import GradientNorms
from rolewise.train.mixing import Mixing
from rolewise.train.optimizers import optimizer_of
from rolewise.train.rates import rate
from rolewise.train.record import Tally, check_weights
from rolewise.train.scalars import Scalars, scalars_at
from rolewise.train.settings import TrainSettings
from rolewise.train.step import train_step
from rolewise.train.views import Views, at_once


class Trainee:
    """A training of one student (or of a teacher, on labels alone).

    The draws of epoch e are those of the stream (seed, "epoch", e), the teacher's own and those of mixing each those of
    a stream beside it: nothing but weights, optimiser and the epoch need be kept to go on exactly, and no view changes
    what the student sees.

    Args:
        distiller: student, teacher and loss, on the device.
        source: where the images are.
        indices: int64 [N], the images to train on.
        augmentation: what the student sees, over training.
        teacher_augmentation: what the teacher sees under the view ``own``.
        view: ``shared`` (the student's images), ``clean`` (unaugmented) or ``own``.
        settings: of the training.
        seed: of all draws.
        device: where to train.
        scalars: (start fraction, values) of `set_scalars`, to be followed.
        mixing: how images are mixed; None for not at all.

    Raises:
        InputError: something is of another kind, ``own`` without the teacher's augmentation, mixing does not go with
            the methods, or several processes train together.
    """

    def __init__(
        self,
        distiller: Distiller,
        source: Source,
        indices: Tensor,
        *,
        augmentation: Schedule,
        settings: TrainSettings,
        seed: int,
        device: torch.device | str = "cpu",
        teacher_augmentation: Schedule | None = None,
        view: str = "shared",
        scalars: Scalars = (),
        mixing: Mixing | None = None,
    ) -> None:
        check_given(distiller, source, indices, settings)
        check_seen(augmentation, teacher_augmentation, view)
        check_seed("seed", seed)
        if mixing is not None:
            mixing.check(distiller)
        self.distiller, self.indices, self.settings, self.seed = distiller, indices, settings, seed
        self.device = torch.device(device)
        elsewhere = self.device.type != "cpu" and isinstance(source, ImageData)
        self.source: Source = source.to(self.device) if elsewhere else source  # type: ignore[attr-defined]
        self.augmentation, self.teacher_augmentation, self.view = augmentation, teacher_augmentation, view
        self.scalars, self.mixing = list(scalars), mixing
        self.epoch = 0
        self.learning_rate = settings.optimizer.learning_rate
        if settings.channels_last:
            distiller.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._parameters = list(distiller.trainable_parameters())
        self.optimizer = optimizer_of(settings.optimizer, self._parameters)
        half = settings.precision == "float16" and self.device.type == "cuda"
        self._scaler = torch.amp.GradScaler("cuda") if half else None
        self._average = Average(distiller.student, settings.ema) if settings.ema is not None else None
        if settings.compile:
            distiller.compile_networks()

    @property
    def model(self) -> nn.Module:
        """What is evaluated and kept: the student, or the moving average of its weights."""
        return self._average.network if self._average is not None else self.distiller.student

    @property
    def progress(self) -> float:
        """The fraction of training done."""
        return self.epoch / self.settings.epochs

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps of one epoch; a last batch of a single image is left out, since batch norm needs two."""
        full, rest = divmod(len(self.indices), self.settings.batch_size)
        return max(1, full + (rest > 1))

    @property
    def images_seen(self) -> int:
        """Images trained on so far, each as often as it was seen."""
        return self.epoch * min(len(self.indices), self.steps_per_epoch * self.settings.batch_size)

    def set_augmentation(self, augmentation: Schedule) -> None:
        """Takes another augmentation of the student's images from now on."""
        self.augmentation = augmentation

    def set_scalars(
        self,
        *,
        learning_rate: float | None = None,
        label_weight: float | None = None,
        temperature: float | None = None,
        mix_share: float | None = None,
        mix_alpha: float | None = None,
    ) -> None:
        """Takes other numbers from now on: learning rate, labels' weight, methods' temperature, how much is mixed."""
        if learning_rate is not None:
            self.learning_rate = learning_rate
        if label_weight is not None:
            self.distiller.label_weight = label_weight
        if temperature is not None:
            for method in self.distiller.methods:
                if "temperature" in method.info.settings:
                    self.distiller.configure(method.info.name, temperature=temperature)
        if self.mixing is not None:
            self.mixing = self.mixing.with_scalars(mix_share, mix_alpha)

    def run_epochs(self, start: int, stop: int, *, measured: Collection[int] = ()) -> list[dict[str, Any]]:
        """Trains the epochs from ``start`` to before ``stop``.

        Args:
            start: the epoch that comes next.
            stop: the epoch to end before.
            measured: epochs, from 0, at whose first step the gradients' norms are measured.

        Returns:
            For each epoch its record: mean of the loss and of its terms, learning rate at its end, the gradients' norms
            where they were measured, and the share of images that were mixed where any are.

        Raises:
            InputError: ``start`` is not the epoch that comes next.
            NonFiniteError: a term, or after the epoch a weight, is NaN or infinite; step and term are named.
        """
        if start != self.epoch:
            raise InputError(f"start must be {self.epoch}, the epoch that comes next, got {start}")
        return [self._run_epoch(epoch in measured) for epoch in range(start, stop)]

    def _run_epoch(self, measured: bool) -> dict[str, Any]:
        settings, epoch, steps = self.settings, self.epoch, self.steps_per_epoch
        self.set_scalars(**scalars_at(self.scalars, self.progress))
        self.distiller.train()
        views = Views(
            self.distiller,
            settings,
            len(self.source.classes),
            augmentation=self.augmentation,
            teacher_augmentation=self.teacher_augmentation,
            view=self.view,
            mixing=self.mixing,
            progress=self.progress,
            seed=self.seed,
            epoch=epoch,
        )
        order = shuffled(self.indices, views.stream)[: steps * settings.batch_size]
        step, total_steps, learning_rate = epoch * steps, steps * settings.epochs, self.learning_rate
        tally, norms, first = Tally(), list[GradientNorms](), step
        if self._average is not None:
            self._average.attach(self.distiller.student)
        for chunk in batches(self.source, order, at_once(self.source, settings), device=self.device):
            for given in views.steps(chunk):
                progress = step / total_steps
                learning_rate = self.learning_rate * rate(settings.schedule, progress)
                tally.add(
                    train_step(
                        self.distiller,
                        self.optimizer,
                        given.images,
                        given.labels,
                        given.teacher_images,
                        pairs=given.pairs,
                        progress=progress,
                        learning_rate=learning_rate,
                        precision=settings.precision,
                        scaler=self._scaler,
                        clip_norm=settings.clip_norm,
                        share=settings.distill_share(epoch),
                        parameters=self._parameters,
                        average=self._average,
                        measured=norms if measured and step == first else None,
                    )
                )
                step += 1
            tally.read(step, partial(why, self.distiller, given.images, given.teacher_images))
        check_weights(self.distiller, step - 1)
        if self._average is not None:
            self._average.take_counters()
        self.epoch += 1
        terms = tally.means()
        return {
            "epoch": epoch + 1,
            "progress": self.progress,
            "train_loss": terms.pop("total"),
            "terms": terms,
            "learning_rate": learning_rate,
            **({"gradients": norms[0].to_json()} if norms else {}),
            **({"mixed_share": views.mixed_share} if views.mixed_share is not None else {}),
        }

    def state_dict(self) -> dict[str, Any]:
        """Returns everything that the rest of the training depends on."""
        state: dict[str, Any] = {
            "epoch": self.epoch,
            "weights": self.distiller.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }
        if self._average is not None:
            state["average"] = self._average.network.state_dict()
        if self._scaler is not None:
            state["scaler"] = self._scaler.state_dict()
        return copy.deepcopy(state)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes what `state_dict` returned, of this or of another trainee of the same kind.

        Raises:
            InputError: it is of another kind.
        """
        try:
            self.distiller.load_state_dict(state["weights"])
            self.optimizer.load_state_dict(state["optimizer"])
            if self._average is not None:
                self._average.network.load_state_dict(state["average"])
            if self._scaler is not None:
                self._scaler.load_state_dict(state["scaler"])
            self.epoch = int(state["epoch"])
        except (KeyError, RuntimeError, ValueError, TypeError, AttributeError) as error:
            raise InputError(f"the state must be that of the same network and optimiser ({error})") from error
