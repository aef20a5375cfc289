"""The rows of all processes that train together, for methods that relate examples and for memories of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from torch import Tensor, distributed, nn
from torch.autograd.function import once_differentiable

from rolewise.batch import HALF, Batch, Mixture, Outputs, number_of_examples
from rolewise.distill.single_process import check_plain, is_alone, ranks
from rolewise.errors import InputError
from rolewise.process_sums import sum_over_processes

if TYPE_CHECKING:
    from rolewise.distill.distiller import Distiller


#: The outputs by role and the batch of all processes.
Wide: TypeAlias = tuple[dict[str, Outputs], Batch]


class _Joined(torch.autograd.Function):
    """The rows of all processes; the gradient of this one's is the sum of what all processes have for them."""

    @staticmethod
    def forward(ctx: Any, own: Tensor, start: int, total: int) -> Tensor:
        ctx.place = slice(start, start + len(own))
        rows = own.new_zeros(total, *own.shape[1:])
        rows[ctx.place] = own
        # A sum with zeros is exact, and parts may differ in size.
        sum_over_processes(rows)
        return rows

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        total = gradients[0].clone()
        sum_over_processes(total)
        return total[ctx.place], None, None


def join_rows(distiller: Distiller) -> list[nn.Module]:
    """Has a Distiller join the rows of all processes where methods need them; returns the terms of these methods.

    Its passes are then to be taken by all processes in step, as a `rolewise.train.Trainee` has it.

    Args:
        distiller: it trains in several processes, or in one, where this changes nothing.
    """
    distiller.joins_rows = True
    terms = zip(distiller.methods, distiller.listed_terms(), strict=True)
    return [term for method, term in terms if not is_alone(method, term)]


def rows_of_all(distiller: Distiller, outputs: Mapping[str, Outputs], batch: Batch) -> Wide | None:
    """Returns the outputs and the batch of all processes, in the order of their ranks; None where no method needs them.

    Every process has the same rows then, and the same loss of each such method and the same state after it. A
    gradient goes back to the process that a row came from, so that the mean of all processes' gradients is that of one
    process with the whole batch.

    Args:
        distiller: it trains in several processes.
        outputs: of this process's rows, by role.
        batch: this process's.

    Raises:
        InputError: the loss is no plain sum where rows are not joined, or there is something that cannot be joined.
    """
    if ranks() == 1:
        return None
    check_plain(distiller.methods, distiller.terms, distiller.reduction, joined=distiller.joins_rows)
    active = distiller.active
    related = [
        (method, link)
        for method, link, term in zip(distiller.methods, distiller.links, distiller.listed_terms(), strict=True)
        if not is_alone(method, term) and (active is None or method.name in active)
    ]
    if not related:
        return None
    own, device = number_of_examples(batch.inputs), outputs[distiller.roles[0]].first.device
    counts = torch.zeros(ranks(), dtype=torch.int64, device=device)
    counts[distributed.get_rank()] = own
    sum_over_processes(counts)
    sizes = counts.tolist()
    start, total = sum(sizes[: distributed.get_rank()]), sum(sizes)

    def joined(value: Any) -> Any:
        if value is None:
            return None
        if isinstance(value, Mapping):
            return {name: joined(part) for name, part in value.items()}
        if isinstance(value, Outputs):
            values, features, views = (joined(part) for part in (value.values, value.features, value.views))
            return Outputs(values, features, views=views)
        if not isinstance(value, Tensor) or value.ndim == 0 or len(value) != own:
            raise InputError(
                f"methods must take each example by itself where outputs or targets are no tensors [B, ...], got "
                f'"{related[0][0].name}", which needs the rows of all {len(sizes)} processes; train in one process'
            )
        kind = value.dtype
        # What processes cannot add as it is.
        plain = value.to(torch.uint8) if kind == torch.bool else value.float() if kind in HALF else value
        whole: Tensor = _Joined.apply(plain, start, total)  # type: ignore[no-untyped-call]
        return whole.to(kind)

    mixture = batch.mixture
    # Their outputs are mixed afterwards: every process has seen the whole of them.
    unmixed = mixture is not None and mixture.targets == "outputs"
    if mixture is not None:
        sources, partners, ratios = (joined(part) for part in (mixture.sources, mixture.partners, mixture.ratios))
        mixture = Mixture(sources, partners, ratios, mixture.labels, mixture.targets)
    read = dict.fromkeys(role for _, link in related for role in (link.student, *link.teachers))
    found = {
        role: outputs[role] if unmixed and role not in distiller.roles else joined(outputs[role].at_least_float32())
        for role in read
    }
    views = batch.views if unmixed else joined(batch.views)
    return found, Batch(joined(batch.inputs), joined(batch.targets), joined(batch.indices), views, mixture)
