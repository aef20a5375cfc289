"""Detectors that learn alone or from a teacher: their networks, and one training for all."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from rolewise.augment import BoxSizeAugmentation
from rolewise.batch import Batch
from rolewise.data import ImageData, box_list
from rolewise.distill import Distiller, Method, build_methods
from rolewise.distill.running import unmoved
from rolewise.errors import Interrupted
from rolewise.instruments import corrupt
from rolewise.jobs.job import JobContext
from rolewise.models import build, init_from
from rolewise.seeds import derive_seed, generator
from rolewise.systems.digit_bench import CosineAdam
from rolewise.systems.ikd.boxed_pictures import SPEC
from rolewise.tasks import Task
from rolewise.train import BoxSizeFeed
from rolewise.train.box_size_feed import BESIDE

#: Channels of the stages of a teacher and of a student, and distances that a side may have, in strides.
WIDTHS = {"teacher": (16, 32, 64, 64), "student": (4, 8, 16, 16)}
_BINS = 9
#: The strength of normal noise whose deviation is 0.08 of the range, that of the source.
_NOISE = 3
#: The places that both networks have at the same width.
LEVELS = ("level1", "level2")


@dataclass(frozen=True)
class Teaching:
    """The distillation and the parts of the system that a student gets beside labels.

    Args:
        methods: of distillation on pictures as the student sees them.
        beside: a further picture of each, uint8 [N, C, H, W], on which features are matched; None for none.
        beside_weight: weight of that match.
        augmentation: by the size of boxes; None for mirroring alone.
        inherits: whether the student begins with the teacher's levels and heads.
    """

    methods: tuple[Method, ...] = ()
    beside: Tensor | None = None
    beside_weight: float = 0.0
    augmentation: BoxSizeAugmentation | None = None
    inherits: bool = False


def detector(role: str, classes: int, neck: int, size: tuple[int, int], seed: int) -> nn.Module:
    """Returns an untrained detector with initial weights of its own.

    Args:
        role: ``teacher`` or ``student``.
        classes: number of classes.
        neck: channels of the levels and heads, the same in both roles.
        size: height and width of pictures.
        seed: of the repetition.
    """
    arguments: dict[str, Any] = {"widths": list(WIDTHS[role]), "neck": neck, "bins": _BINS}
    weights = derive_seed(seed, "ikd", "weights", role)
    return build("fcos_small", num_classes=classes, channels=3, size=size, seed=weights, **arguments)


def train_detector(
    network: nn.Module,
    teacher: nn.Module | None,
    pictures: ImageData,
    teaching: Teaching,
    context: JobContext,
    *,
    task: Task,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    seed: int,
) -> nn.Module:
    r"""Trains a detector by Adam along a cosine, and returns it in eval mode.

    .. math:: L = L_\mathrm{labels} + L_\mathrm{method}(x) +
        w \sum_l \mathop{\mathrm{mean}} \big( F^s_l(x_\mathrm{beside}) - F^t_l(x_\mathrm{beside}) \big)^2

    Norms of the student keep no statistics of the pictures beside.

    Args:
        network: it is trained in place.
        teacher: it is frozen; None for labels alone.
        pictures: with boxes.
        teaching: all that is given beside labels.
        context: the surroundings; a stop ends the training.
        task: detection.
        epochs: passes over the pictures.
        batch_size: pictures of a step.
        learning_rate: of the first step.
        seed: of the order, of augmentation and of learned maps.
    """
    example = Batch(pictures.images[:2], box_list(pictures.labels[:2]))
    common: dict[str, Any] = {"student_input": SPEC, "task": task, "example": example, "stop_teacher": True}
    if teacher is not None:
        common["teacher_input"] = SPEC
        if teaching.inherits:
            # Encoders have other widths: what is behind them has the same.
            init_from(network, teacher)
    whole = Distiller(teacher, network, teaching.methods, generator=derive_seed(seed, "ikd", "maps"), **common).train()
    match = None
    if teaching.beside is not None and teacher is not None:
        levels = matched_levels(teaching.beside_weight)
        match = Distiller(teacher, network, levels, label_weight=0.0, **common).train()
    feed = BoxSizeFeed(
        pictures,
        batch_size,
        epochs,
        functools.partial(generator, seed, "ikd"),
        augmentation=teaching.augmentation,
        noise=lambda images, draws: corrupt(images, "gaussian_noise", _NOISE, draws),
        beside=teaching.beside,
    )
    optimizer = CosineAdam(whole, learning_rate, steps := epochs * feed.steps)
    for epoch in range(epochs):
        if context.should_stop():
            raise Interrupted("stopped while a detector was trained")
        for batch in feed.batches(epoch):
            loss = whole(batch, progress=optimizer.done / steps).total
            if match is not None:
                with unmoved([network]):
                    loss = loss + match(Batch(batch.views[BESIDE])).total
            optimizer.step(loss)
            whole.after_step()
    return network.eval()


def matched_levels(weight: float) -> Sequence[Method]:
    """Returns the match of both levels without a learned map, the mean of squares of each; adversarial features.

    Source: https://github.com/JWLiang007/IKD, where it is 1e-5 of the sum of squares at all places of a picture.
    Differs from source: a mean, so that the weight does not depend on the size of pictures.

    Args:
        weight: of the match.
    """
    taps = list(LEVELS)
    return build_methods(
        [{"name": "match", "loss": "mse", "map": "none", "student_taps": taps, "teacher_taps": taps, "weight": weight}]
    )
