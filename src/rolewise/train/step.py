"""One training step, from a batch to moved weights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from rolewise.average import Average
from rolewise.batch import Batch, Context
from rolewise.distill import Terms, limit_gradients
from rolewise.distill.gradient_limit import limited
from rolewise.distill.weight_balance import unbounded_rule
from rolewise.errors import InputError
from rolewise.train.graphs import begin_step
from rolewise.train.momenta_apart import MomentaApart
from rolewise.train.objective import Objective
from rolewise.train.ranks import by_rows
from rolewise.train.rule import StepRule

_DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16}
_PLAIN = StepRule()
_Gradients = Sequence[Tensor | None]


@dataclass
class Update:
    """One objective, and the optimiser that follows its gradient.

    Args:
        objective: the loss that is minimised.
        optimizer: of the objective's parameters.
        every: the update is done at steps whose number is a multiple of this.
        average: an average and the network that it follows after each update that was taken.
        name: stands before the names of the objective's terms; needed where there are several updates.

    Raises:
        InputError: ``every`` is below 1, or there is nothing to train.
    """

    objective: Objective
    optimizer: torch.optim.Optimizer
    every: int = 1
    average: tuple[Average, nn.Module] | None = None
    name: str = ""
    parameters: list[nn.Parameter] = field(init=False)

    def __post_init__(self) -> None:
        if isinstance(self.every, bool) or not isinstance(self.every, int) or self.every < 1:
            raise InputError(f"every must be a whole number of at least 1, got {self.every!r}")
        self.parameters = list(self.objective.trainable_parameters())
        if not self.parameters:
            raise InputError("an objective must have parameters to train, got none; unfreeze a network")


def train_step(
    updates: Sequence[Update], batch: Batch | Sequence[Batch], context: Context, rule: StepRule = _PLAIN
) -> Terms:
    """Takes one step: each update in its order, from forward passes to moved weights.

    A step that the scaler refuses moves neither the state of terms nor an average.

    Args:
        updates: at least one; a GAN has two of them, for its critic and its generator.
        batch: inputs and targets. The gradients of several batches are averaged before the weights move: for terms
            that are means over examples this is the step of one large batch where all are equally large, and a
            relation between examples sees those of its own batch only.
        context: progress, step and epoch of the training.
        rule: precision, clipping, bounds.

    Returns:
        The terms of the loss: of several batches their means, of several updates all of them and their sum.

    Raises:
        InputError: no update is due; there is a ``gradient_ratio`` and the labels' weight is 0; or there is one, or a
            probe, and several processes train together without ``ranks``.
    """
    batches = [batch] if isinstance(batch, Batch) else batch
    done: dict[str, Terms] = {}
    if rule.graphs:
        begin_step()
    for update in updates:
        if context.step % update.every:
            continue
        update.optimizer.zero_grad(set_to_none=True)
        losses = (_forward(update.objective, part, context, rule, update.parameters[0]) for part in batches)
        apart = update.optimizer if isinstance(update.optimizer, MomentaApart) else None
        terms = _leave_gradients(update.parameters, losses, len(batches), rule, apart)
        finish_update(update, rule)
        done[update.name] = _mean(terms) if rule.ranks is None else rule.ranks.mean_terms(_mean(terms))
    return _joined(done)


def finish_update(update: Update, rule: StepRule) -> None:
    """Moves weights by the gradients that stand on them, and then what follows a step that was taken.

    Args:
        update: with gradients.
        rule: scaler and clipping.
    """
    taken = _move(update, rule)
    update.objective.after_step(taken=taken)
    if taken and update.average is not None:
        update.average[0].update()


def _forward(objective: Objective, batch: Batch, context: Context, rule: StepRule, example: nn.Parameter) -> Terms:
    if rule.ranks is not None:
        part, share = rule.ranks.part_of(batch)
        placed = rule.ranks.place_in(batch, context)
        return by_rows(_forward(objective, part, placed, replace(rule, ranks=None), example), share)
    if rule.precision == "float32":
        return objective(batch, context=context)
    with torch.autocast(example.device.type, _DTYPES[rule.precision]):
        return objective(batch, context=context)


def _leave_gradients(
    parameters: Sequence[nn.Parameter],
    losses: Iterator[Terms],
    count: int,
    rule: StepRule,
    apart: MomentaApart | None = None,
) -> list[Terms]:
    """Leaves the gradient of the mean of several losses on the parameters.

    A bound holds for the mean: the gradients of labels and of methods are averaged over the batches first.

    Args:
        parameters: of the update, without gradients.
        losses: of the step's batches. Each is computed when the graph of the one before is gone.
        count: the number of losses.
        rule: scaler, bound and probe.
        apart: an optimiser that gets the gradient of the methods beside that of the labels; None for their sum.

    Returns:
        The losses.

    Raises:
        InputError: there is a ``gradient_ratio``, and the labels' weight is 0.
    """
    done: list[Terms] = []
    sums: tuple[_Gradients, _Gradients] | None = None
    for terms in losses:
        if rule.probe is not None:
            mean = None if rule.ranks is None else rule.ranks.mean
            rule.probe.measure(terms, scaler=rule.scaler, gradient_ratio=rule.gradient_ratio, mean=mean)
        divided = rule.gradient_ratio is not None or (apart is not None and terms.task is not None)
        if divided and terms.distillation is not None:
            pair = _two_gradients(terms, parameters, count, rule.scaler)
            sums = pair if sums is None else (_added(sums[0], pair[0]), _added(sums[1], pair[1]))
        else:
            torch.autograd.backward(_scaled(terms.total, count, rule.scaler))
        done.append(terms)
    if rule.ranks is not None:
        if sums is None:
            rule.ranks.mean_gradients(parameters)
        else:
            sums = rule.ranks.mean(sums[0]), rule.ranks.mean(sums[1])
    if sums is not None and apart is not None:
        for parameter, gradient in zip(parameters, sums[0], strict=True):
            parameter.grad = gradient
        apart.take(parameters, sums[1])
    elif sums is not None:
        assert rule.gradient_ratio is not None
        limit = limit_gradients if rule.ranks is None else limited
        for parameter, gradient in zip(parameters, limit(*sums, rule.gradient_ratio), strict=True):
            if gradient is not None and gradient.stride() != parameter.stride():
                # Fused optimisers go through both in the order of memory.
                gradient = torch.empty_like(parameter).copy_(gradient)
            parameter.grad = gradient
    return done


def _two_gradients(
    terms: Terms, parameters: Sequence[nn.Parameter], count: int, scaler: torch.amp.GradScaler | None
) -> tuple[_Gradients, _Gradients]:
    """Returns the gradients of the labels and of the methods; it runs two backward passes over one forward pass."""
    task, distillation = terms.task, terms.distillation
    if task is None:
        raise InputError.at(("label_weight",), unbounded_rule())
    assert distillation is not None
    # The bound is in proportion to what it bounds: it may be taken of scaled gradients.
    task, distillation = _scaled(task, count, scaler), _scaled(distillation, count, scaler)
    first = torch.autograd.grad(task, parameters, retain_graph=True, allow_unused=True)
    return first, torch.autograd.grad(distillation, parameters, allow_unused=True)


def _scaled(loss: Tensor, count: int, scaler: torch.amp.GradScaler | None) -> Tensor:
    mean = loss if count == 1 else loss / count
    return mean if scaler is None else scaler.scale(mean)


def _added(first: _Gradients, second: _Gradients) -> list[Tensor | None]:
    return [
        right if left is None else left if right is None else left + right
        for left, right in zip(first, second, strict=True)
    ]


def _move(update: Update, rule: StepRule) -> bool:
    """Clips the gradient and moves the weights; returns whether they were moved."""
    if rule.scaler is not None:
        rule.scaler.unscale_(update.optimizer)
    if rule.clip_norm is not None:
        nn.utils.clip_grad_norm_(update.parameters, rule.clip_norm)
    if rule.scaler is None:
        update.optimizer.step()
        return True
    scale = rule.scaler.get_scale()
    rule.scaler.step(update.optimizer)
    rule.scaler.update()
    # It falls after a step that was refused, and at no other time.
    return bool(rule.scaler.get_scale() >= scale)


def _mean(terms: Sequence[Terms]) -> Terms:
    """Returns the mean of the terms of several batches."""
    if len(terms) == 1:
        return terms[0]
    parts = {name: torch.stack([part[name].detach() for part in terms]).mean(0) for name in terms[0].parts}
    return replace(terms[0], total=torch.stack([part.total.detach() for part in terms]).mean(0), parts=parts)


def _joined(done: dict[str, Terms]) -> Terms:
    """Returns the terms of several updates as those of one: each under its update's name."""
    if not done:
        raise InputError("a step must have an update that is due, got none; give one with every=1")
    first = next(iter(done.values()))
    if len(done) == 1 and "" in done:
        return first
    parts: dict[str, Tensor] = {}
    weights: dict[str, float] = {}
    for name, terms in done.items():
        parts |= {f"{name}.{part}" if name else part: value.detach() for part, value in terms.parts.items()}
        weights |= {f"{name}.{part}" if name else part: weight for part, weight in terms.weights.items()}
    total = torch.stack([terms.total.detach() for terms in done.values()]).sum()
    return replace(first, total=total, parts=parts, weights=weights)
