"""A teacher and the images that its readings are tried on, few of them where the network is large."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from rolewise.diagnosis.preprocessing import UNFIT, Preprocessing, preprocessed_logits, recomputed_norms

#: Multiplications of one reading of all images from which each correction is tried on few first, some seconds of a
#: core, and the most that one reading of all takes.
LONG, _LONGEST = 2.5e10, 1.25e11
#: Images at least; images of a first look at each correction; corrections that go on then.
_FEWEST, _LOOK, FOLLOWED = 256, 64, 2


@dataclass(frozen=True)
class TeacherCase:
    """A teacher, held-out images, and its logits under the readings that were tried.

    Args:
        teacher: returns logits [B, K].
        images: uint8 [N, C, H, W].
        labels: int64 [N].
        train_images: uint8 [M, C, H, W], for statistics.
        seed: of draws.
        look: the number of images that show whether a correction is worth all of them.
        norm_images: the number of training images that give norms their statistics.
        classes: the number of first outputs that are the data's classes; None for all.
        known: logits of the first images, by reading.
        norms: the teacher's buffers under readings whose statistics were computed from the training images.
    """

    teacher: nn.Module
    images: Tensor
    labels: Tensor
    train_images: Tensor
    seed: int
    look: int
    norm_images: int
    classes: int | None = None
    known: dict[Preprocessing, Tensor] = field(default_factory=dict)
    norms: dict[Preprocessing, list[Tensor]] = field(default_factory=dict)

    def hits(self, reading: Preprocessing, count: int | None = None) -> Tensor:
        """Returns whether the teacher is right [N] under a reading, of the first ``count`` images."""
        return self.logits(reading, count).argmax(1) == self.labels[:count]

    def logits(self, reading: Preprocessing, count: int | None = None) -> Tensor:
        """Returns the logits [N, K] under a reading, of the first ``count`` images."""
        held = self.known.get(reading, torch.empty(0))
        count = len(self.images) if count is None else count
        if len(held) < count:
            norms = self.train_images[: self.norm_images]
            with recomputed_norms(self.teacher, reading, norms, self.norms):
                rest = preprocessed_logits(self.teacher, self.images[len(held) : count], reading)
            held = self.known[reading] = torch.cat([held, rest]) if len(held) else rest
        return held[:count]

    def certainty(self, reading: Preprocessing, count: int) -> float:
        """Returns the mean probability of the right class: it shows on fewer images what hits show on many."""
        chances = self.logits(reading, count).double().softmax(1)
        return float(chances.gather(1, self.labels[:count, None]).mean())

    def affordable(self, other: Preprocessing, present: Preprocessing) -> int:
        """Returns the number of images to run: fewer of larger ones, so that no size takes longer than the present."""
        return min(len(self.images), max(_LOOK, round(len(self.images) / self._larger(other, present))))

    def first_look(self, other: Preprocessing, present: Preprocessing) -> int:
        """Returns the number of images that show whether a correction is worth more, as `affordable`."""
        if self.look == len(self.images):
            return self.affordable(other, present)
        return max(_LOOK // 4, min(self.look, round(self.look / self._larger(other, present))))

    def _larger(self, other: Preprocessing, present: Preprocessing) -> float:
        shape = (self.images.shape[2], self.images.shape[3])
        (height, width), (high, wide) = (one.spec.size or shape for one in (other, present))
        return height * width / (high * wide)


def teacher_case(
    teacher: nn.Module,
    images: Tensor,
    labels: Tensor,
    train_images: Tensor,
    reading: Preprocessing,
    seed: int,
    classes: int | None = None,
) -> TeacherCase:
    """Returns a case of as many images as the network's work for each allows.

    The choice follows from the network's multiplications and not from a clock, so that advice is the same anywhere.

    Args:
        teacher: returns logits [B, K].
        images: uint8 [N, C, H, W], in the order in which they are looked at.
        labels: int64 [N].
        train_images: uint8 [M, C, H, W].
        reading: the present one.
        seed: of draws.
        classes: the number of first outputs that are the data's classes; None for all.
    """
    each = multiplications(teacher, images, reading)
    if each * len(images) <= LONG:
        return TeacherCase(teacher, images, labels, train_images, seed, len(images), len(train_images), classes)
    few = max(_FEWEST, round(_LONGEST / each))
    return TeacherCase(
        teacher, images[:few], labels[:few], train_images, seed, min(_LOOK, len(images)), _FEWEST, classes
    )


def multiplications(teacher: nn.Module, images: Tensor, reading: Preprocessing) -> int:
    """Returns the multiplications for one image at the larger of its own size and the reading's.

    Args:
        teacher: returns logits [B, K].
        images: uint8 [N, C, H, W].
        reading: the preprocessing.
    """
    own = (images.shape[2], images.shape[3])
    size = max(own, reading.spec.size or own)
    # Its import takes seconds where Triton is installed.
    from torch.utils.flop_counter import FlopCounterMode

    try:
        with FlopCounterMode(display=False) as counter:
            preprocessed_logits(teacher, images[:1], replace(reading, spec=replace(reading.spec, size=size)))
    except UNFIT:  # a network of one size
        with FlopCounterMode(display=False) as counter:
            preprocessed_logits(teacher, images[:1], reading)
    return max(1, int(counter.get_total_flops()) // 2)
