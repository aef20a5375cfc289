"""One step of several trainings at once: their networks are stacked, and go forward and back as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.func import functional_call, vmap

from rolewise.batch import Batch, Context, Outputs
from rolewise.distill import Terms
from rolewise.errors import InputError
from rolewise.train.epoch import StepWork
from rolewise.train.step import finish_update

if TYPE_CHECKING:
    from rolewise.train.trainee import Trainee


class SharedContext(Context):
    """The context of a step that several trainings share: it has no random stream, which would be one of them's."""

    def generator(self, name: str) -> torch.Generator:
        """Raises InputError: a term that draws would draw alike for all."""
        raise InputError(f'methods of stacked trainings must draw nothing, got "{name}", which draws; train them apart')


class StackedTrainings:
    r"""The networks of P trainings of the same kind, that take their steps as one.

    Parameters :math:`\theta_1 \dots \theta_P` are stacked to [P, ...], and the gradient of
    :math:`\sum_p L_p(\theta_p)` is each training's own. The frozen teacher runs once, on the P batches together. Losses
    and gradients are those of separate steps but for the order of sums in convolutions and matrix products: they differ
    by rounding. Augmentation, order, optimisers, averages and records stay each training's own, and so does its state:
    the stack exists within a step alone.

    Args:
        trainees: checked by `rolewise.train.stackable.check_stack`.
    """

    def __init__(self, trainees: Sequence[Trainee]) -> None:
        self.trainees = tuple(trainees)
        named = [dict(trainee.distiller.named_parameters()) for trainee in trainees]
        held = [dict(trainee.distiller.named_buffers()) for trainee in trainees]
        self._parameters = {name: [own[name] for own in named] for name in named[0]}
        self._buffers = {name: [own[name] for own in held] for name in held[0]}

    def step(self, works: Mapping[int, StepWork]) -> dict[int, Terms]:
        """Takes one step of each training.

        Args:
            works: by the place of the training. One that is left out stays as it is: it computes with another one's
                batch, so that the stack keeps its size, and nothing follows from that.

        Returns:
            The terms of those that took a step, by place.

        Raises:
            InputError: a network or a method does something that cannot be stacked; the message names it.
        """
        some = next(iter(works.values()))
        batches = [works.get(place, some).batches[0] for place in range(len(self.trainees))]
        stacked = {name: torch.stack([one.detach() for one in own]) for name, own in self._parameters.items()}
        trained = {name: tensor for name, tensor in stacked.items() if self._parameters[name][0].requires_grad}
        for tensor in trained.values():
            tensor.requires_grad_()
        buffers = {name: torch.stack(own) for name, own in self._buffers.items()}
        total, parts, weights = self._losses(min(works), stacked, buffers, batches, some.context)
        gradients = torch.autograd.grad(total.sum(), list(trained.values()), allow_unused=True)
        for name, gradient in zip(trained, gradients, strict=True):
            # Fused optimisers go through both in the order of memory.
            each = [None] * len(batches) if gradient is None else list(gradient.contiguous().unbind())
            for parameter, part in zip(self._parameters[name], each, strict=True):
                parameter.grad = part
        done: dict[int, Terms] = {}
        for place, work in works.items():
            trainee = self.trainees[place]
            for name, kept in self._buffers.items():
                kept[place].copy_(buffers[name][place])
            finish_update(trainee.updates[0], work.rule)
            terms = {name: values[place].detach() for name, values in parts.items()}
            done[place] = Terms(total[place].detach(), terms, None, None, weights)
        return done

    def _losses(
        self,
        place: int,
        parameters: dict[str, Tensor],
        buffers: dict[str, Tensor],
        batches: Sequence[Batch],
        context: Context,
    ) -> tuple[Tensor, dict[str, Tensor], dict[str, float]]:
        """Returns totals [P], terms [P] by name, and the terms' weights; ``buffers`` are moved in place.

        The Distiller of the training at ``place`` computes for all: it is in training mode.
        """
        distiller, count = self.trainees[place].distiller, len(batches)
        inputs = torch.stack([batch.inputs for batch in batches])
        views = {name: torch.cat([batch.views[name] for batch in batches]) for name in batches[0].views}
        seen = distiller.run_teachers(Batch(inputs.flatten(0, 1), views=views), {})
        outputs = {role: (_apart(found.values, count), _apart(found.features, count)) for role, found in seen.items()}
        labels = None if batches[0].targets is None else torch.stack([batch.targets for batch in batches])
        shared = SharedContext(context.progress, context.step, context.epoch, context.seed)
        weights: dict[str, float] = {}

        def one(own: Any, kept: Any, images: Tensor, taught: Any, targets: Tensor | None) -> Any:
            batch = Batch(images, targets, outputs={role: Outputs(*parts) for role, parts in taught.items()})
            terms: Terms = functional_call(distiller, (own, kept), (batch,), {"context": shared})
            weights.update(terms.weights)
            return terms.total, dict(terms.parts)

        try:
            dimension = None if labels is None else 0
            total, parts = vmap(one, in_dims=(0, 0, 0, 0, dimension))(parameters, buffers, inputs, outputs, labels)
        except RuntimeError as error:
            if isinstance(error, torch.OutOfMemoryError):
                raise
            reason = str(error).strip().splitlines()[0]
            raise InputError(f"networks and methods must be such that torch can stack them, got: {reason}") from error
        return total, parts, weights


def _apart(values: Mapping[str, Tensor], count: int) -> dict[str, Tensor]:
    """Returns tensors [P B, ...] as [P, B, ...]."""
    return {name: value.view(count, -1, *value.shape[1:]) for name, value in values.items()}
