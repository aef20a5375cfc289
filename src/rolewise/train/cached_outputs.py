"""A teacher's outputs as a cache keeps them, and the trainings that may read one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from rolewise.batch import Batch, number_of_examples
from rolewise.config.cache_section import CacheSection
from rolewise.distill import Distiller
from rolewise.errors import InputError
from rolewise.inputs import prepare
from rolewise.train.source_feed import SourceFeed

#: Methods that read a teacher's probabilities alone, whichever of them are small.
TOP_METHODS = ("kd", "soft_cross_entropy")


def rows_of(batch: Batch) -> Tensor:
    """Returns the rows of a batch's examples in their source, int64 [B]."""
    assert batch.indices is not None  # a feed of a source gives them
    return batch.indices


def teacher_values(distiller: Distiller, role: str, inputs: Any) -> dict[str, Tensor]:
    """Runs a teacher in eval mode, without gradients and autocast.

    Args:
        distiller: with the teacher.
        role: the teacher's.
        inputs: of B examples, as a feed gives them.

    Returns:
        Float32 [B, ...] on the CPU, by name.

    Raises:
        InputError: an output is no tensor of a row for each example.
    """
    network, spec = distiller.network(role), distiller.specs[role]
    network.eval()
    with torch.no_grad():
        ready = inputs if spec is None else prepare(inputs, spec)
        values = distiller.task.run(network, ready, None).values
    rows = number_of_examples(inputs)
    for name, value in values.items():
        if not isinstance(value, Tensor) or not value.ndim or len(value) != rows:
            raise InputError(
                f'distill.cache must go with outputs that are tensors [B, ...], got "{name}" of another form; leave '
                "cache out"
            )
    return {name: value.float().cpu() for name, value in values.items()}


def packed(values: Mapping[str, Tensor], settings: CacheSection) -> dict[str, Tensor]:
    """Returns outputs as they are kept.

    Args:
        values: float32 [B, ...] by name; ``logits`` [B, K] alone where only the largest are kept.
        settings: of the cache.

    Returns:
        The same in the settings' precision; or ``largest`` [B, k], log-probabilities in falling order, ``classes``
        int32 [B, k], and ``left`` [B], the log-probability of all other classes together.

    Raises:
        InputError: a number is too large for the precision.
    """
    kind = getattr(torch, settings.precision)
    if settings.top is None:
        kept = {name: value.to(kind) for name, value in values.items()}
        for name, value in values.items():
            if bool((value.isfinite() & ~kept[name].isfinite()).any()):
                raise InputError(
                    f"distill.cache.precision must be float32 where outputs exceed {torch.finfo(kind).max:,.0f}, got "
                    f'{settings.precision} and "{name}" of {float(value.abs().max()):.4g}; set it, or leave cache out'
                )
        return kept
    probabilities = values["logits"].log_softmax(1)
    largest, classes = probabilities.topk(settings.top, 1)
    # What is left is kept by itself: beside a sure teacher's largest, which add up to nearly 1, it would be lost.
    left = probabilities.scatter(1, classes, float("-inf")).logsumexp(1)
    least = torch.finfo(kind).min
    return {
        "largest": largest.clamp(min=least).to(kind),
        "left": left.clamp(min=least).to(kind),
        "classes": classes.to(torch.int32),
    }


def columns_of(kept: Mapping[str, Tensor]) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Returns the form of a file of outputs: by the name of each array its type and the shape of one row.

    Args:
        kept: [B, ...] by name, as `packed` returns them.
    """
    return {name: (str(value.dtype).removeprefix("torch."), tuple(value.shape[1:])) for name, value in kept.items()}


def size_fault(settings: CacheSection, views: int, rows: int, size: int) -> str:
    """Returns the reason why outputs exceed the limit, and the remedy; empty where they do not.

    Args:
        settings: of the cache.
        views: number of views.
        rows: number of examples.
        size: bytes of all views.
    """
    if size <= settings.limit_gb * 1e9:
        return ""
    shown = "one view" if views == 1 else f"{views:,} views"
    return (
        f"the outputs of {shown} of {rows:,} examples take {size / 1e9:.3g} GB, more than limit_gb "
        f"{settings.limit_gb:g}; raise it, set top to a few classes, or take fewer views"
    )


def spread(largest: Tensor, left: Tensor, classes: Tensor, num_classes: int) -> Tensor:
    """Returns log-probabilities [B, K] of which a few are known and the others share what is left evenly.

    Args:
        largest: [B, k], the known log-probabilities.
        left: [B], the log-probability of all other classes together.
        classes: int64 [B, k], the known classes.
        num_classes: K, above k.
    """
    each = left[:, None] - math.log(num_classes - largest.shape[1])
    return each.expand(-1, num_classes).scatter(1, classes, largest)


def check_cached(settings: CacheSection, distiller: Distiller, feed: SourceFeed) -> None:
    """Raises InputError unless a training's teachers may be read from a cache."""
    if feed.mixing is not None:
        raise InputError("distill.cache must be left out where images are mixed: pairs differ in each epoch")
    if distiller.teacher_mode != "eval":
        raise InputError(
            "distill.cache must be left out under teacher_mode batch_statistics, where outputs depend on the batch"
        )
    moving = [role for role in distiller.teaching if role in distiller.averages or role in distiller.roles]
    if moving or not distiller.teaching:
        what = f"{', '.join(moving)}, which moves" if moving else "none"
        raise InputError(f"distill.cache must go with frozen teachers, got {what}; leave cache out")
    for method, link in zip(distiller.methods, distiller.links, strict=True):
        if link.pairs:
            raise InputError(
                f'distill.cache must go with methods that read outputs alone, got "{method.name}", which reads '
                "features; take it out, or leave cache out"
            )
        if settings.top is not None and distiller.task.name != "classification":
            raise InputError(
                f"distill.cache.top must go with the task classification, got {distiller.task.name}, whose outputs are "
                "no probabilities of classes for each example; leave top out"
            )
        if settings.top is not None and method.info.name not in TOP_METHODS:
            raise InputError(
                f'distill.cache.top must go with {" or ".join(TOP_METHODS)}, got "{method.name}", which reads all '
                "outputs; leave top out"
            )
    if (settings.views == "clean") != (feed.view == "clean"):
        way = "set distill.view to clean" if settings.views == "clean" else "set distill.cache.views to clean"
        raise InputError(f"distill.cache.views must fit distill.view, got {settings.views} and {feed.view}; {way}")
    if settings.views != "clean" and feed.settings.batches != "shuffled":
        # A file holds one answer for an example, and here an epoch shows it twice, each time under other draws.
        raise InputError(
            f'batches must be "shuffled" beside distill.cache with the views {settings.views}, got '
            f'"{feed.settings.batches}", which shows examples several times in an epoch; leave cache out, or set '
            "views and distill.view to clean"
        )
