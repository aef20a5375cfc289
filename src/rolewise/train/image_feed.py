"""The images of a training: read, augmented, mixed, and given to the teacher under one of the views."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from rolewise.augment import Plan, Schedule, apply, geometric, in_turn
from rolewise.batch import Batch
from rolewise.config.training_sections import TrainSettings
from rolewise.data import ImageBatch, ImageData, Source, batches, shuffled
from rolewise.data.box_targets import box_list
from rolewise.data.targets import are_unlabelled, kind_of_targets
from rolewise.distill import Distiller
from rolewise.seeds import generator
from rolewise.train.batch_order import arranged, check_classes, epoch_length
from rolewise.train.feed import number_of_batches
from rolewise.train.given import check_seen
from rolewise.train.mixer import Mixer, laid_out, parts_of
from rolewise.train.mixing import Mixing
from rolewise.train.moved_labels import lie_in_image, moved_labels
from rolewise.train.position_plans import EpochPlans, PositionPlans, plans_of_epoch

#: Large images are augmented fewer at once: the work takes several times their bytes.
CHUNK_BYTES = 1 << 24


class ImageFeed:
    """The batches of images and classes that a student, and its teacher, are trained on.

    Draws belong to positions of the epoch (see `PositionPlans`), the teacher's own and those of mixing to streams
    beside the student's: neither a view nor the size of the chunks changes what the student sees, and an epoch may
    begin at any batch.

    Args:
        distiller: student and teacher; pairs by entropy are decided by one of them.
        source: the images, on the device or to be read.
        indices: int64 [N], the images to train on.
        settings: of the training.
        augmentation: of the student's images, over training.
        teacher_augmentation: of the teacher's images under ``own``.
        view: the teacher's images: ``shared`` (the student's), ``clean`` (unaugmented) or ``own``.
        mixing: the rule of mixing; None for none.
        seed: of all draws.
        device: of the batches.
    """

    #: V, where epoch e shows each image as view e modulo V does; None where each epoch is drawn anew.
    views: int | None = None
    #: The augmentation of a second view of each image, ``strong`` in batches that are not mixed; None for no such view.
    strong: Schedule | None = None

    def __init__(
        self,
        distiller: Distiller,
        source: Source,
        indices: Tensor,
        settings: TrainSettings,
        *,
        augmentation: Schedule,
        teacher_augmentation: Schedule | None = None,
        view: str = "shared",
        mixing: Mixing | None = None,
        seed: int,
        device: torch.device | str = "cpu",
    ) -> None:
        self.distiller, self.source, self.indices, self.settings = distiller, source, indices, settings
        self.augmentation, self.teacher_augmentation, self.view = augmentation, teacher_augmentation, view
        self.mixing, self.seed, self.device = mixing, seed, device
        self.counts: dict[str, int] = {}

    @property
    def steps(self) -> int:
        """The number of batches of one epoch (see `number_of_batches`)."""
        return number_of_batches(self._length, self.settings.batch_size)

    @property
    def examples(self) -> int:
        """The number of images that one epoch trains on."""
        return min(self._length, self.steps * self.settings.batch_size)

    @property
    def _length(self) -> int:
        return epoch_length(len(self.indices), self.settings.batch_size, self.settings.batches)

    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """Gives the batches of an epoch from number ``start`` on.

        Args:
            epoch: from 0.
            start: the number of batches that are left out.
        """
        size, images = self.settings.batch_size, at_once(self.source, self.settings)
        order = shuffled(self.indices, generator(self.seed, "epoch", epoch, "order"))
        if (kind := self.settings.batches) != "shuffled":
            order = arranged(order, kind, size, self.source.labels, generator(self.seed, "epoch", epoch, "partners"))
        order = order[: self.examples]
        boxes = kind_of_targets(self.source.labels) == "boxes"
        unlabelled = are_unlabelled(self.source.labels[order])
        plans, mixer = plans_of_epoch(self, epoch, order), self._mixer(epoch, order)
        if not start:
            self.counts = {"rows": 0, "mixed": 0} if mixer is not None else {}
        for chunk in batches(self.source, order[start * size :], images, device=self.device):
            student, teacher, labels = self._augmented(chunk, plans, start * size)
            chunk = replace(chunk, indices=chunk.indices.to(chunk.labels.device))
            if mixer is None:
                student = laid_out(student, self.settings.channels_last is True)
                teacher = laid_out(teacher, self.settings.channels_last is True) if teacher is not None else None
                strong = self._strong(chunk.images, epoch, start * size)
                for part in parts_of(len(student), size):
                    views = {} if teacher is None else {"teacher": teacher[part]}
                    views |= {} if strong is None else {"strong": strong[part]}
                    targets = None if unlabelled else box_list(labels[part]) if boxes else labels[part]
                    yield Batch(student[part], targets, chunk.indices[part], views)
            else:
                for batch, mixed in mixer.batches(chunk, student, teacher, start):
                    self.counts["rows"] += len(batch.inputs)
                    self.counts["mixed"] += mixed
                    yield batch
            start += images // size

    def _mixer(self, epoch: int, order: Tensor) -> Mixer | None:
        if self.mixing is None:
            return None
        return Mixer(
            self.distiller,
            self.mixing,
            progress=epoch / self.settings.epochs,
            batch_size=self.settings.batch_size,
            num_classes=len(self.source.classes),
            channels_last=self.settings.channels_last is True,
            labels=self.source.labels[order],
            size=self.source.size,
            seed=self.seed,
            names=("epoch", epoch, "mix"),
        )

    def _augmented(self, chunk: ImageBatch, plans: EpochPlans, place: int) -> tuple[Tensor, Tensor | None, Tensor]:
        """Returns the student's images, the teacher's (None where it sees these, or is not run), and the targets.

        Masks and boxes move with the student's images, and the teacher's images too: the two are compared place by
        place, so that a role's own augmentation, and a clean view, are of grey levels and colours alone.
        """
        student, teacher = plans
        images, stop, dense = chunk.images, place + len(chunk.images), lie_in_image(chunk.labels)
        plan = student.between(place, stop)
        seen = self._apply(images, plan)
        targets = moved_labels(chunk.labels, plan, self.source.size, self.settings.batch_size)
        if teacher is not None:
            own = teacher.between(place, stop)
            own = in_turn(geometric(plan), geometric(own, keep=False)) if dense else own
            return seen, self._apply(images, own), targets
        if self.view != "clean" or not self.distiller.methods:
            return seen, None, targets
        return seen, self._apply(images, geometric(plan)) if dense else images, targets

    def _strong(self, images: Tensor, epoch: int, place: int) -> Tensor | None:
        if self.strong is None:
            return None
        policy, size = self.strong.at(epoch / self.settings.epochs), (self.source.channels, *self.source.size)
        plans = PositionPlans(policy, size, self.seed, "epoch", epoch, "strong")
        seen = self._apply(images, plans.between(place, place + len(images)))
        return laid_out(seen, self.settings.channels_last is True)

    def _apply(self, images: Tensor, plan: Plan) -> Tensor:
        if not plan.ops.shape[1]:
            return images
        settings = self.settings
        return apply(images, plan, interpolation=settings.interpolation, fill=settings.fill, group=settings.batch_size)


def at_once(source: Source, settings: TrainSettings) -> int:
    """Returns the number of images that are augmented at once: whole batches, since tiny ones are mostly overhead."""
    height, width = source.size
    count = min(settings.chunk, CHUNK_BYTES // (source.channels * height * width))
    return max(1, count // settings.batch_size) * settings.batch_size


def image_feed_of(
    distiller: Distiller,
    source: Source,
    indices: Tensor,
    settings: TrainSettings,
    *,
    device: torch.device,
    **given: Any,
) -> ImageFeed:
    """Returns the feed of a training, with the images on the device where they are in memory.

    Args:
        distiller: student and teacher.
        source: the images.
        indices: int64 [N], the images to train on.
        settings: of the training.
        device: of the training.
        given: the other arguments of `ImageFeed`.

    Raises:
        InputError: an argument is of another kind, or mixing does not go with the methods.
    """
    check_seen(given["augmentation"], given["teacher_augmentation"], given["view"])
    check_classes(settings.batches, source.labels)
    if given["mixing"] is not None:
        given["mixing"].check(distiller)
    elsewhere = device.type != "cpu" and isinstance(source, ImageData)
    source = source.to(device) if elsewhere else source  # type: ignore[attr-defined]
    return ImageFeed(distiller, source, indices, settings, device=device, **given)
