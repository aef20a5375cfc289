"""Objectives of a generator that is trained beside a student, without data: DAFL's, ZSKT's."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping

from torch import Tensor, nn

from rolewise.batch import Batch, Context
from rolewise.distill import Terms
from rolewise.distill.running import unmoved
from rolewise.errors import InputError
from rolewise.networks import class_logits, evaluating
from rolewise.taps import Taps, resolve
from rolewise.train.generated_feed import NOISE
from rolewise.train.generator_losses import activation_loss, agreement_loss, class_balance_loss, one_hot_loss

#: Images [B, C, H, W] -> each term of the loss, a scalar.
LossOfImages = Callable[[Tensor], Mapping[str, Tensor]]


class GeneratorObjective(nn.Module):
    """The loss of a generator's images; an `rolewise.train.Objective`, for an `rolewise.train.Update`.

    The generator is all that it trains, and all of its state: networks that judge the images are not part of it.

    Args:
        generator: noise [B, Z] -> images [B, C, H, W].
        loss: the terms of a batch of images.
        weights: the factor of each term.
    """

    def __init__(self, generator: nn.Module, loss: LossOfImages, weights: Mapping[str, float]) -> None:
        super().__init__()
        self.generator = generator
        # In a list, so that a loss which is a module does not become part of this one.
        self._loss, self.weights = [loss], dict(weights)

    def forward(self, batch: Batch, /, *, context: Context) -> Terms:
        """Returns the terms of the images made of the batch's noise.

        Args:
            batch: of a `rolewise.train.GeneratedFeed`.
            context: the moment of the training.

        Raises:
            InputError: the batch holds no noise.
        """
        if NOISE not in batch.views:
            raise InputError(
                f'batch must have its noise as the view "{NOISE}", got {sorted(batch.views)}; train on a GeneratedFeed'
            )
        parts = dict(self._loss[0](self.generator(batch.views[NOISE])))
        total = sum(parts[name] * weight for name, weight in self.weights.items() if weight)
        if not isinstance(total, Tensor):
            raise InputError(f"weights must have one that is not 0, got {self.weights}; give a term a weight")
        return Terms(total, parts, None, weights=self.weights, task_parts=())

    def trainable_parameters(self) -> Iterator[nn.Parameter]:
        """Gives the generator's parameters."""
        return (weight for weight in self.generator.parameters() if weight.requires_grad)

    def after_step(self, *, taken: bool = True) -> None:
        """Does nothing: all state is in the weights.

        Args:
            taken: whether the step was taken.
        """


@contextlib.contextmanager
def still(*networks: nn.Module) -> Iterator[None]:
    """Lets gradients through networks to their inputs, and neither to their weights nor anything to their buffers.

    Args:
        networks: each keeps its mode.
    """
    weights = [weight for network in networks for weight in network.parameters() if weight.requires_grad]
    for weight in weights:
        weight.requires_grad_(False)
    try:
        with unmoved(networks):
            yield
    finally:
        for weight in weights:
            weight.requires_grad_(True)


def dafl_objective(
    generator: nn.Module,
    teacher: nn.Module,
    *,
    one_hot: float = 1.0,
    class_balance: float = 5.0,
    activation: float = 0.1,
    tap: str = "penultimate",
) -> GeneratorObjective:
    """Returns DAFL's objective: images of which the teacher is sure, of all classes, that excite its features.

    The weights are the authors' for MNIST; for CIFAR-10 they have 0.05, 5 and 0.01, for CIFAR-100 0.5, 20 and 0.1. The
    student beside it has ``kd`` of temperature 1. Source: Chen et al. (2019), https://arxiv.org/abs/1904.01186.

    Args:
        generator: noise -> images.
        teacher: a classifier of at least two classes, judged in eval mode.
        one_hot: weight of `one_hot_loss`.
        class_balance: weight of `class_balance_loss`.
        activation: weight of `activation_loss`.
        tap: the place of the teacher's features, a name or a path.

    Raises:
        InputError: the teacher has no such place.
    """
    path = resolve(teacher, tap, "teacher")
    taps = Taps(teacher, [path])

    def loss(images: Tensor) -> dict[str, Tensor]:
        with evaluating(teacher), still(teacher):
            output, features = taps.run(lambda: teacher(images))
        logits = class_logits(output)
        return {
            "one_hot": one_hot_loss(logits),
            "class_balance": class_balance_loss(logits),
            "activation": activation_loss(features[path]),
        }

    weights = {"one_hot": one_hot, "class_balance": class_balance, "activation": activation}
    return GeneratorObjective(generator, loss, weights)


def zskt_objective(generator: nn.Module, teacher: nn.Module, student: nn.Module) -> GeneratorObjective:
    """Returns ZSKT's objective: images about which student and teacher disagree.

    Source: Micaelli, Storkey (2019), https://arxiv.org/abs/1905.09768. The student beside it has ``kd`` of temperature
    1 and ``attention``; the authors move the generator once in ten steps of the student.
    Differs from source: the student's batch norms compute with the batch's statistics and keep their running ones where
    they are; the student's steps see what the generator makes of the same noise after its step.

    Args:
        generator: noise -> images.
        teacher: a classifier, judged in eval mode.
        student: in the mode that it is trained in.
    """

    def loss(images: Tensor) -> dict[str, Tensor]:
        with evaluating(teacher), still(teacher, student):
            logits = class_logits(student(images)), class_logits(teacher(images))
        return {"agreement": agreement_loss(*logits)}

    return GeneratorObjective(generator, loss, {"agreement": 1.0})
