"""One training in several processes: each has its part of every batch, and all of them the same weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor, distributed, nn

from rolewise.batch import Batch, Context, Mixture, Outputs, number_of_examples
from rolewise.distill import Distiller, Terms
from rolewise.distill.joined_rows import join_rows
from rolewise.distill.single_process import ranks
from rolewise.errors import InputError
from rolewise.process_sums import sum_over_processes
from rolewise.quant.initialisation import share_levels
from rolewise.train.global_norm import use_global_norms


@dataclass(frozen=True)
class Ranks:
    """The processes that train one student together.

    Batches are global: order, augmentation and mixing are those of one process, and each process trains on its rows of
    them. Gradients and terms are averaged by the numbers of rows, so that the weights follow those of one process but
    for the rounding of sums.

    Source: as `torch.nn.parallel.DistributedDataParallel`, which averages gradients of equal parts.
    Differs from source: parts may differ in size; gradients that are limited or measured are averaged before; norms
    see the whole batch unless they are ``local``; methods that relate examples, and memories, get the rows of all
    processes (`rolewise.distill.joined_rows`).

    Args:
        rank: number of this process, from 0; the first one writes.
        world: number of processes.
        batch_norm: ``global``: batch norms take mean and variance over the rows of all processes; ``local``: over
            their own, and the first process's running statistics count.
    """

    rank: int = 0
    world: int = 1
    batch_norm: Literal["global", "local"] = "global"

    @staticmethod
    def of_group(batch_norm: Literal["global", "local"] = "global") -> Ranks:
        """Returns the processes of the default process group, or this one alone where there is none.

        Args:
            batch_norm: see `Ranks`.
        """
        number = ranks()
        return Ranks(distributed.get_rank() if number > 1 else 0, number, batch_norm)

    def prepared(self, module: nn.Module, batch_size: int, examples: int | None) -> Ranks:
        """Gives every process the first one's weights, and norms the statistics of whole batches; returns itself.

        Args:
            module: students, learned parts and averages; a Distiller joins the rows of all processes from now on.
            batch_size: B of a whole batch.
            examples: of an epoch; None where that is not known.

        Raises:
            InputError: a batch has too few rows for so many processes.
        """
        least = self.world * (2 if self.batch_norm == "local" and self.world > 1 else 1)
        last = batch_size if examples is None else examples % batch_size or batch_size
        if min(batch_size, last) < least:
            raise InputError(
                f"batch_size must leave {least} or more examples to each batch of {self.world} processes, got "
                f"{batch_size}, and {last} in the last one; choose another batch_size"
            )
        self.share_first(module)
        whole = join_rows(module) if self.world > 1 and isinstance(module, Distiller) else ()
        if self.world > 1:
            share_levels(module)
        if self.world > 1 and self.batch_norm == "global":
            use_global_norms(module, whole)
            if isinstance(module, Distiller) and module.teacher_mode == "batch_statistics":
                for role in module.teaching:
                    use_global_norms(module.network(role))
        return self

    def share_first(self, module: nn.Module) -> None:
        """Gives every process the first one's parameters and buffers."""
        alike: dict[tuple[torch.dtype, torch.device], list[Tensor]] = {}
        for tensor in (*module.parameters(), *module.buffers()) if self.world > 1 else ():
            alike.setdefault((tensor.dtype, tensor.device), []).append(tensor.data)
        for tensors in alike.values():
            flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
            distributed.broadcast(flat, 0)
            for tensor, first in zip(tensors, torch.split(flat, [tensor.numel() for tensor in tensors]), strict=True):
                tensor.copy_(first.view_as(tensor))

    def part_of(self, batch: Batch) -> tuple[Batch, float]:
        """Returns this process's rows of a whole batch, and their number relative to the mean of all processes.

        Raises:
            InputError: there are fewer rows than processes.
        """
        count = number_of_examples(batch.inputs)
        part = self._rows_of(count)
        if count < self.world:
            raise InputError(f"a batch must have at least {self.world} examples, one for each process, got {count}")
        unmixed = batch.mixture is not None and batch.mixture.targets == "outputs"
        seen = dict(batch.views) if unmixed else _rows(batch.views, part)
        stored = dict(batch.outputs) if unmixed else _rows(batch.outputs, part)
        own = Batch(
            _rows(batch.inputs, part),
            _rows(batch.targets, part),
            _rows(batch.indices, part),
            seen,
            _rows(batch.mixture, part),
            stored,
        )
        return own, (part.stop - part.start) * self.world / count

    def place_in(self, batch: Batch, context: Context) -> Context:
        """Returns the context of this process's part of a whole batch: draws for examples are those of its rows."""
        count = number_of_examples(batch.inputs)
        return replace(context, part=(self._rows_of(count).start, count))

    def _rows_of(self, count: int) -> slice:
        return slice(self.rank * count // self.world, (self.rank + 1) * count // self.world)

    def mean(self, tensors: Sequence[Tensor | None]) -> list[Tensor | None]:
        """Returns the means of tensors over all processes; None where there is none.

        Args:
            tensors: of the same shapes in every process.
        """
        given = [tensor for tensor in tensors if tensor is not None]
        if self.world == 1 or not given:
            return list(tensors)
        flat = torch.cat([tensor.detach().reshape(-1).float() for tensor in given])
        sum_over_processes(flat)
        parts = iter(torch.split(flat / self.world, [tensor.numel() for tensor in given]))
        return [None if old is None else next(parts).view_as(old).to(old) for old in tensors]

    def mean_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Replaces the gradients of parameters by their means over all processes."""
        if self.world > 1:
            for parameter, mean in zip(parameters, self.mean([one.grad for one in parameters]), strict=True):
                if mean is not None:
                    assert parameter.grad is not None
                    parameter.grad.copy_(mean)

    def mean_terms(self, terms: Terms) -> Terms:
        """Returns terms, without gradients, as their means over all processes."""
        if self.world == 1:
            return terms
        total, *means = self.mean([terms.total, *terms.parts.values()])
        assert total is not None
        parts = {name: mean for name, mean in zip(terms.parts, means, strict=True) if mean is not None}
        return replace(terms, total=total, parts=parts)

    def any(self, flag: bool, device: torch.device) -> bool:
        """Returns whether a flag is set in any process."""
        if self.world == 1:
            return flag
        total = torch.tensor([float(flag)], device=device)
        sum_over_processes(total)
        return bool(total.item() > 0)

    def wait(self) -> None:
        """Waits until every process has come here."""
        if self.world > 1:
            distributed.barrier()


def by_rows(terms: Terms, share: float) -> Terms:
    """Returns terms times a number: that of a process's rows relative to the mean of all."""
    if share == 1:
        return terms
    parts = {name: part * share for name, part in terms.parts.items()}
    return replace(terms, total=terms.total * share, parts=parts)


def _rows(value: Any, part: slice) -> Any:
    """Returns some rows of a tensor, a list, outputs, or a mapping of these."""
    if isinstance(value, Mapping):
        return {name: _rows(one, part) for name, one in value.items()}
    if isinstance(value, Outputs):
        return Outputs(_rows(value.values, part), _rows(value.features, part), value.losses)
    if isinstance(value, Mixture):
        rows = (value.sources[part], value.partners[part], value.ratios[part])
        return Mixture(*rows, value.labels, value.targets)
    return None if value is None else value[part]
