"""The bench that systems share: few labelled digits, a small student, and the rest of the digits as the test set."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from rolewise.batch import Batch
from rolewise.data import read, split
from rolewise.errors import Interrupted
from rolewise.jobs.job import JobContext
from rolewise.models import build
from rolewise.seeds import derive_seed
from rolewise.train import RateSchedule, TensorFeed, distill, rate

#: Images that are tested on, and of the rest those that a student learns from.
_TESTED, _LEARNED = 797, 200
#: Channels of the convolutions of a student and of a teacher.
STUDENT_WIDTHS, TEACHER_WIDTHS = (8, 12), (32, 64)
#: Learning rate and images of a batch.
_RATE, _BATCH = 0.02, 50


@dataclass(frozen=True)
class DigitBench:
    """The division of the digits for one seed; images are float32 [N, 1, 8, 8] in [0, 1], labels int64 [N].

    Args:
        pool: images and labels that a teacher learns from.
        few: those of them that a student learns from.
        rest: the others of the pool.
        test: images and labels that nobody learns from.
    """

    pool: tuple[Tensor, Tensor]
    few: tuple[Tensor, Tensor]
    rest: tuple[Tensor, Tensor]
    test: tuple[Tensor, Tensor]


def digit_bench(seed: int, images: int = _LEARNED) -> DigitBench:
    """Divides the embedded digits by a seed, so that every part has each class in its share.

    Args:
        seed: of the division.
        images: number of images that a student learns from.
    """
    data = read("digits").train
    parts = split(data.labels, validation=images, test=_TESTED, seed=derive_seed(seed, "digit bench"))

    def pair(indices: Tensor) -> tuple[Tensor, Tensor]:
        return data.batch(indices).float() / 255, data.labels[indices]

    whole = torch.cat([parts.train, parts.validation]).sort().values
    return DigitBench(pair(whole), pair(parts.validation), pair(parts.train), pair(parts.test))


def small_network(
    seed: int, *names: str | int, widths: tuple[int, int] = STUDENT_WIDTHS, classes: int = 10
) -> nn.Module:
    """Returns a network of two convolutions with weights of its own.

    Args:
        seed: of the repetition.
        names: of the network; equal names have equal weights.
        widths: channels of the convolutions.
        classes: number of classes.
    """
    weights = derive_seed(seed, "digit bench", "weights", *names)
    return build("small_cnn", num_classes=classes, channels=1, size=(8, 8), seed=weights, widths=list(widths))


def trained(
    network: nn.Module,
    examples: tuple[Tensor, Tensor],
    epochs: int,
    context: JobContext,
    *,
    seed: int,
    teacher: nn.Module | None = None,
    **settings: Any,
) -> nn.Module:
    """Trains a network and returns it in eval mode.

    Args:
        network: it is trained in place.
        examples: images and labels.
        epochs: passes over them.
        context: the surroundings; a stop ends the training.
        seed: of the order of the examples.
        teacher: a network to distil from; None to train on labels alone.
        settings: further ones of `rolewise.distill`.
    """

    def go_on(line: str) -> None:
        if context.should_stop():
            raise Interrupted("stopped while a network was trained")

    defaults = {"batch_size": _BATCH, "optimizer": "adam", "learning_rate": _RATE, "schedule": "cosine"}
    done = distill(teacher, network, examples, epochs=epochs, seed=seed, on_epoch=go_on, **{**defaults, **settings})
    return done.student


class CosineAdam:
    """Adam with a learning rate that falls along a cosine, for losses that are no distillation of one network.

    Args:
        network: its parameters that need gradients are trained.
        learning_rate: of the first step.
        steps: number of all steps; at their end the rate is 0.
    """

    def __init__(self, network: nn.Module, learning_rate: float, steps: int) -> None:
        self.optimizer = torch.optim.Adam([one for one in network.parameters() if one.requires_grad], learning_rate)
        self.learning_rate, self.steps, self.done = learning_rate, steps, 0

    def step(self, loss: Tensor) -> None:
        """Takes a step down the gradient of a loss, a scalar."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate * rate(RateSchedule(name="cosine"), self.done / self.steps)
        self.optimizer.zero_grad()
        torch.autograd.backward(loss)
        self.optimizer.step()
        self.done += 1


def minimised(
    network: nn.Module,
    loss: Callable[[Batch], Tensor],
    examples: tuple[Tensor, Tensor],
    epochs: int,
    context: JobContext,
    *,
    seed: int,
    learning_rate: float = _RATE,
) -> None:
    """Minimises a loss of batches over a network's parameters, and leaves it in eval mode.

    Args:
        network: it is trained in place; a Distiller is one.
        loss: of a batch, a scalar.
        examples: images and labels.
        epochs: passes over them.
        context: the surroundings; a stop ends the training.
        seed: of the order of the examples.
        learning_rate: of the first step.
    """
    feed = TensorFeed(*examples, _BATCH, seed=seed, device=torch.device("cpu"))
    optimizer = CosineAdam(network, learning_rate, epochs * feed.steps)
    network.train()
    for epoch in range(epochs):
        if context.should_stop():
            raise Interrupted("stopped between two epochs")
        for batch in feed.batches(epoch):
            optimizer.step(loss(batch))
    network.eval()


@torch.no_grad()
def eval_logits(network: nn.Module, images: Tensor) -> Tensor:
    """Returns logits [N, K] of all images at once, and leaves the network in eval mode.

    Args:
        network: it returns logits.
        images: [N, C, H, W].
    """
    logits: Tensor = network.eval()(images)
    return logits


def accuracy_of(network: nn.Module, examples: tuple[Tensor, Tensor]) -> float:
    """Returns the share of examples that a network gets right.

    Args:
        network: it returns logits.
        examples: images and labels.
    """
    images, labels = examples
    return float((eval_logits(network, images).argmax(dim=1) == labels).double().mean())


class MeanOf(nn.Module):
    """An ensemble whose logits are the mean of its members'.

    Args:
        members: networks of the same classes.
    """

    def __init__(self, members: list[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, images: Tensor) -> Tensor:
        """Returns logits [B, K]."""
        return torch.stack([member(images) for member in self.members]).mean(dim=0)
