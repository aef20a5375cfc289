"""Learned parts stay as they are where no step is taken: at construction and in evaluation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import rolewise.distill as rw
from rolewise.distill import METHODS, Distiller
from rolewise.distill.registry import method
from rolewise.models import build


def network(seed: int) -> nn.Module:
    return build("small_cnn", num_classes=3, channels=1, size=(8, 8), widths=(4, 6), seed=seed)


IMAGES = torch.randn(6, 1, 8, 8, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(6) % 3


class Memory(nn.Module):
    """A learned part that remembers what it was shown: a norm, and a count and a queue that no mode stops."""

    count: Tensor
    queue: Tensor

    def __init__(self, shapes: Sequence[Sequence[int]]) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(shapes[0][1])
        self.drop = nn.Dropout()
        self.linear = nn.Linear(shapes[0][1], 1)
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))
        self.register_buffer("queue", torch.zeros(shapes[0][1]))

    def forward(self, teacher: Sequence[Tensor]) -> Tensor:
        features = self.drop(self.norm(teacher[0])).mean((2, 3))
        self.count += 1
        self.queue = self.queue * 0.9 + features.detach().mean(0)
        return (self.linear(features + self.queue)[:, 0] - 1).square()


@pytest.fixture
def remembering() -> Iterator[None]:
    def remembering_loss(student: Tensor, teacher: Tensor, *, estimator: Memory) -> Tensor:
        """Distance between pooled features, scaled by what the memory has seen."""
        return (student - teacher).square().mean((1, 2, 3)) * (1 + estimator.queue.square().mean())

    method(reads="features", mixed_labels="sound", taps=("stage2",), estimator=Memory)(remembering_loss)
    try:
        yield
    finally:
        METHODS._entries.pop("remembering")


@pytest.mark.usefixtures("remembering")
def test_buffers_of_learned_parts_move_by_steps_alone() -> None:
    state = torch.get_rng_state()
    distiller = Distiller(network(0), network(1), [rw.configure("remembering")], example=IMAGES)
    part: Any = distiller.terms["remembering"].estimator
    assert torch.equal(state, torch.get_rng_state()), "trying a method drew from the stream of everybody"
    assert part.training and part.norm.training and part.count == 0 and not part.queue.any()
    assert part.norm.num_batches_tracked == 0 and not part.norm.running_mean.any()

    before = {name: value.clone() for name, value in distiller.state_dict().items()}
    places = {name: value.data_ptr() for name, value in distiller.state_dict().items()}
    terms = distiller.eval()(IMAGES, LABELS)
    assert all(torch.equal(before[name], value) for name, value in distiller.state_dict().items())
    assert places == {name: value.data_ptr() for name, value in distiller.state_dict().items()}
    terms.total.backward()  # the graph of an evaluation is whole

    distiller.train()(IMAGES, LABELS)
    part = distiller.terms["remembering"].estimator
    assert part.count == 1 and part.queue.any() and part.norm.num_batches_tracked == 1


@pytest.mark.parametrize("name", list(METHODS))
def test_no_method_of_ours_moves_its_parts_where_no_step_is_taken(name: str) -> None:
    distiller = Distiller(network(0), network(1), [rw.configure(name)], example=IMAGES).eval()
    before = {key: value.clone() for key, value in distiller.state_dict().items()}
    first = distiller(IMAGES, LABELS).total
    torch.testing.assert_close(distiller(IMAGES, LABELS).total, first, rtol=0, atol=0)
    assert all(torch.equal(before[key], value) for key, value in distiller.state_dict().items())
