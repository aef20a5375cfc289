"""Terms called by themselves on drawn features, and their gradients held to those of an independent computation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from distill_oracles_terms import slope
from torch import Tensor

from rolewise.batch import Batch, Context, Outputs
from rolewise.distill import Shapes, Term


def drawn(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def arrays(module: torch.nn.Module) -> dict[str, np.ndarray]:
    return {key: value.detach().numpy().copy() for key, value in module.state_dict().items()}


def shaken(term: Term) -> Term:
    """The term with every weight and running statistic of its own, in double precision."""
    term.double()
    for index, (name, value) in enumerate(term.state_dict().items()):
        if value.is_floating_point():
            value.copy_(0.5 * drawn(*value.shape, seed=100 + index))
        if name.endswith("running_var"):
            value.abs_().add_(0.5)
    return term


def stages(batch: int, pairs: list[Any]) -> tuple[list[Tensor], list[Tensor]]:
    students = [drawn(batch, *pair[0], seed=index).requires_grad_() for index, pair in enumerate(pairs)]
    return students, [drawn(batch, *pair[1], seed=50 + index) for index, pair in enumerate(pairs)]


def called(
    term: Term,
    students: list[Tensor],
    teachers: list[Tensor],
    *,
    logits: tuple[Tensor | None, Tensor | None] = (None, None),
    targets: Tensor | None = None,
) -> Tensor:
    paths = [str(index) for index in range(len(students))]
    term.pairs = tuple(zip(paths, paths, strict=True))
    given = (
        Outputs({} if values is None else {"logits": values}, dict(zip(paths, some, strict=False)))
        for some, values in zip((students, teachers), logits, strict=True)
    )
    loss = term(*given, Batch(None, targets), Context())
    assert isinstance(loss, Tensor)
    return loss


def shapes_of(pairs: list[Any]) -> Shapes:
    return Shapes(*([torch.Size((2, *pair[side])) for pair in pairs] for side in (0, 1)))


def check_term(term: Term, students: list[Tensor], teachers: list[Tensor], oracle: Any, **given: Any) -> None:
    """Value and gradients are those of an independent computation of the students' features and all weights."""
    expected = oracle([student.detach().numpy() for student in students], arrays(term))
    np.testing.assert_allclose(called(term, students, teachers, **given).detach().numpy(), expected, rtol=1e-9)
    check_slopes(term, students, teachers, oracle, **given)


def check_slopes(term: Term, students: list[Tensor], teachers: list[Tensor], oracle: Any, **given: Any) -> None:
    """The gradients by features and weights are the oracle's, along some directions."""
    called(term, students, teachers, **given).mean().backward()
    at = {str(index): student.detach().numpy() for index, student in enumerate(students)} | arrays(term)
    leaves = {str(index): student for index, student in enumerate(students)} | dict(term.named_parameters())
    for seed in range(3):
        towards = {key: drawn(*leaf.shape, seed=7 * seed + i).numpy() for i, (key, leaf) in enumerate(leaves.items())}
        expected = slope(lambda values: oracle([values[str(i)] for i in range(len(students))], values), at, towards)
        found = sum(
            float((leaf.grad.numpy() * towards[key]).sum()) for key, leaf in leaves.items() if leaf.grad is not None
        )
        assert found == pytest.approx(expected, rel=1e-6)
    assert all(leaf.grad is not None for leaf in leaves.values())
