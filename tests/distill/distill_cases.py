"""What the tests of methods are run on: features of every kind, labels, networks, and a loss with all its parts."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from rolewise.batch import Batch
from rolewise.distill import METHODS, Distiller, Method, configure
from rolewise.models import build

#: Methods that are functions of tensors, and those that are terms with learned parts or state.
FUNCTIONS = [name for name in METHODS if METHODS[name].term is None]
TERMS = [name for name in METHODS if METHODS[name].term is not None]
#: Settings with which a term is small enough for tests.
SMALL: dict[str, dict[str, Any]] = {"crd": {"width": 5, "negatives": 12}, "review_kd": {"middle": 5}}
#: The classes of the source that the tests' images are the first rows of, and its size.
CLASSES = torch.arange(24) % 5
#: What a loss gets of one network: a tensor, or one of each stage.
Given = Any
#: The shapes of stages: the last has more channels than places.
STAGES = ((6, 3, 4), (4, 2, 3), (7, 2, 2))


def features(name: str, batch: int, seed: int, dtype: torch.dtype = torch.float64) -> Given:
    """What a method reads: logits [B, 5], maps [B, 6, 3, 4] after a ReLU, or several such."""
    generator = torch.Generator().manual_seed(seed)
    if METHODS[name].reads == "logits":
        return 3 * torch.randn(batch, 5, generator=generator, dtype=dtype)
    if METHODS[name].reads == "stages":
        return [torch.randn(batch, *shape, generator=generator, dtype=dtype).relu() for shape in STAGES]
    return torch.randn(batch, *STAGES[0], generator=generator, dtype=dtype).relu()


def pair(name: str, batch: int, dtype: torch.dtype = torch.float64) -> tuple[Given, Given]:
    return features(name, batch, 1, dtype), features(name, batch, 2, dtype)


def each(change: Callable[..., Any], *given: Given) -> Given:
    """Applies to each stage what is written for one tensor."""
    if isinstance(given[0], list):
        return [change(*stages) for stages in zip(*given, strict=True)]
    return change(*given)


def tensors(given: Given) -> list[Tensor]:
    return given if isinstance(given, list) else [given]


def estimator_of(name: str, given: Given) -> nn.Module | None:
    """The learned part that a loss gets, with weights of its own but always the same."""
    make = METHODS[name].estimator
    if make is None:
        return None
    made = make([some.shape for some in tensors(given)]).to(tensors(given)[0].dtype)
    generator = torch.Generator().manual_seed(9)
    for weight in made.parameters():
        nn.init.normal_(weight, 0.0, 0.7, generator=generator)
    return made


def labels_of(name: str, batch: int) -> list[Tensor | None]:
    """What a loss gets as labels: classes, then shares of two of them (of one in the last example); or None."""
    if not METHODS[name].wants_labels:
        return [None]
    first, second = torch.arange(batch) % 5, (3 * torch.arange(batch) + 1) % 5
    share = torch.linspace(0.1, 1, batch, dtype=torch.float64)[:, None]
    two = share * functional.one_hot(first, 5) + (1 - share) * functional.one_hot(second, 5)
    return [first, two]


def loss_of(name: str, given: Given, labels: Tensor | None = None, **settings: Any) -> Callable[..., Tensor]:
    """The method's loss, complete with its learned part and labels: classes where none are given."""
    estimator = estimator_of(name, given)
    if estimator is not None:
        settings["estimator"] = estimator
    if METHODS[name].wants_labels:
        settings["labels"] = labels_of(name, len(tensors(given)[0]))[0] if labels is None else labels
    return functools.partial(METHODS[name].loss, **settings)


def numpy_of(module: nn.Module) -> dict[str, np.ndarray]:
    return {key: value.detach().numpy() for key, value in module.named_parameters()}


def networks(seed: int = 0) -> tuple[nn.Module, nn.Module]:
    arguments = {"num_classes": 5, "channels": 1, "size": (8, 8)}
    student = build("small_cnn", widths=(4, 6), seed=seed + 1, **arguments)
    return build("small_cnn", widths=(6, 8), seed=seed + 2, **arguments), student


def batch_of(num: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    images = torch.rand(num, 1, 8, 8, generator=generator, dtype=torch.float64).to(dtype)
    return images, torch.randint(0, 5, (num,), generator=generator)


def small(name: str, **settings: Any) -> Method:
    """The method as its defaults have it, but for sizes."""
    return configure(name, **SMALL.get(name, {}), **settings)


def make(name: str, seed: int = 0) -> Distiller:
    teacher, student = networks(seed)
    return Distiller(teacher, student, [small(name)], example=batch_of(2)[0], generator=seed, labels=CLASSES)


def with_rows(images: Tensor, labels: Tensor) -> Batch:
    """A batch of the first rows of the source."""
    return Batch(images, labels, torch.arange(len(images)))
