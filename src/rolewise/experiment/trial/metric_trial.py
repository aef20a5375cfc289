"""A metric on trial: its numbers of a few made-up outputs, before a training is spent on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from rolewise.batch import Batch
from rolewise.config.faults import Steps
from rolewise.config.schema import ExperimentConfig
from rolewise.errors import InputError
from rolewise.experiment.trial.detector_trial import example_boxes, made_detector_output
from rolewise.experiment.trial.image_facts import ImageFacts
from rolewise.experiment.trial.network_outputs import Returning
from rolewise.networks import shape_or_type
from rolewise.seeds import generator
from rolewise.tasks import METRICS, build_task, metric_entry

#: Examples of a trial.
_EXAMPLES = 8
#: (H, W) of the images of a detector's trial.
_BOXES = (16, 16)


def metric_trial_faults(
    config: ExperimentConfig, images: ImageFacts, faulty: Callable[..., bool], once: Callable[..., Any]
) -> Iterator[tuple[Steps, str]]:
    """Yields (path, message) for each metric of a config that fails on a few made-up outputs.

    Args:
        config: the experiment.
        images: facts of the data's images, and the task.
        faulty: returns whether a setting has a fault already.
        once: returns the result of a trial, from memory where its key is known.
    """
    for at, entry in enumerate(config.metrics):
        if not faulty("metrics", at):
            fault = once(["metric", entry, images], partial(metric_fault, entry, images))
            if fault is not None:
                yield ("metrics", at, *fault.path), fault.rule


def metric_fault(entry: str | Mapping[str, Any], images: ImageFacts) -> InputError | None:
    """Returns the fault of a metric that is sound by itself; None where it has none, or is one of the task's own.

    Args:
        entry: as the config holds it.
        images: facts of the data's images, and the task.

    Raises:
        ForeignError: the metric is the user's own, and raised.
    """
    task, (name, settings) = build_task(images.task), metric_entry(entry)
    if name in [info.key for info in task.metrics]:
        return None
    stream = generator(0, "trial")
    # Of masks some pixels, of which each image has as many.
    side = (4, 4) if images.kind == "masks" else (1, 1)
    shape = (_EXAMPLES, images.classes, *(side if images.kind == "masks" else ()))
    if images.kind == "tags":
        shape = (_EXAMPLES, 4, images.classes)
    made: Any = torch.randn(shape, generator=stream)
    if images.kind == "boxes":
        made, side = made_detector_output(_EXAMPLES, images.classes, stream), _BOXES
    inputs = torch.zeros(_EXAMPLES, images.channels, *side)
    try:
        outputs = task.run(Returning(made), inputs)
        targets = _targets(images, stream, side)
        task.check_outputs(outputs, Batch(inputs, targets), values=True)
    except Exception:
        return None  # a task of the user, whose outputs are of another kind
    metric = METRICS[name](**settings).empty()
    try:
        metric.add(outputs, Batch(inputs, targets, torch.arange(_EXAMPLES)))
        metric.compute()
        metric.compute(torch.arange(1.0, _EXAMPLES + 1))
        each = metric.per_example()
    except InputError as error:
        if type(error) is not InputError:
            raise
        return error
    if each is None or (isinstance(each, Tensor) and each.shape == (_EXAMPLES,)):
        return None
    got = shape_or_type(each)
    return InputError(f"per_example must return None or a value for each of {_EXAMPLES} examples, [N], got {got}")


def _targets(images: ImageFacts, stream: torch.Generator, side: tuple[int, int]) -> Any:
    if images.kind == "boxes":
        return example_boxes(_EXAMPLES, side, images.classes, torch.device("cpu"))
    if images.kind == "masks":
        return torch.randint(0, images.classes, (_EXAMPLES, *side), generator=stream)
    if images.kind == "tags":
        return torch.randint(0, images.classes, (_EXAMPLES, 4), generator=stream)
    if images.kind == "points":
        return torch.rand(_EXAMPLES, images.classes, 2, generator=stream) * torch.tensor([side[1], side[0]])
    if images.kind == "classes":
        return torch.arange(_EXAMPLES) % images.classes
    numbers = torch.randn(_EXAMPLES, images.classes, generator=stream)
    return numbers if images.kind == "numbers" else (numbers > 0).float()
