"""Learned parts stay as they are where no step is taken: at construction and in evaluation."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import torch
from distill_cases import TERMS, batch_for, batch_of, make, seldom, with_rows
from torch import Tensor, nn

import rolewise.distill as rw
from rolewise.batch import Batch, Context
from rolewise.distill import METHODS, Distiller
from rolewise.distill.method_registry import method
from rolewise.errors import InputError
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


def state(distiller: Distiller) -> dict[str, Tensor]:
    """The state of the terms; the student's own norms are its own matter."""
    return {key: value.clone() for key, value in distiller.state_dict().items() if key.startswith("terms.")}


@pytest.mark.parametrize("name", list(METHODS))
def test_no_method_moves_its_parts_where_no_step_is_taken(name: str) -> None:
    distiller, batch = make(name), batch_for(name, 6)
    before = state(distiller)
    other = make(name)
    assert all(torch.equal(value, before[key]) for key, value in state(other).items()), "construction moved something"
    first = distiller.eval()(batch).total
    torch.testing.assert_close(distiller(batch).total, first, rtol=0, atol=0)
    distiller.train()(batch).total.backward()  # nobody says that a step was taken
    distiller.after_step(taken=False)
    with torch.no_grad():
        distiller(batch)
    distiller.after_step()
    assert all(torch.equal(before[key], value) for key, value in state(distiller).items())
    assert distiller.state_dict().keys() == other.state_dict().keys()


@pytest.mark.parametrize("name", seldom(TERMS))
def test_a_step_moves_the_state_once_and_a_refused_one_leaves_no_trace(name: str) -> None:
    """What is refused, and what is looked at, changes nothing of the steps around it."""
    plain, disturbed = make(name), make(name)
    for step in range(3):
        disturbed(batch_for(name, 9), context=Context(step=step)).total.backward()
        disturbed.zero_grad()
        disturbed.after_step(taken=False)
        disturbed.student.load_state_dict(plain.student.state_dict())
        disturbed.eval()(batch_for(name, 3))
        for distiller in (plain, disturbed.train()):
            distiller(batch_for(name, 6), context=Context(step=step)).total.backward()
            distiller.after_step()
    assert state(plain).keys() == state(disturbed).keys()
    assert all(torch.equal(value, state(disturbed)[key]) for key, value in state(plain).items())
    moved = not all(torch.equal(value, state(make(name))[key]) for key, value in state(plain).items())
    assert moved == (next(make(name).terms[name].buffers(), None) is not None)


def test_accumulated_passes_move_norms_in_turn_as_they_would_by_themselves() -> None:
    distiller = make("review_kd")
    norm: Any = distiller.terms["review_kd"].get_submodule("fusions.0.narrow.1")
    seen: list[Tensor] = []
    norm.register_forward_hook(lambda _module, given, _out: seen.append(given[0].detach()))
    other = nn.BatchNorm2d(norm.num_features)
    for batch in (with_rows(*batch_of(6)), with_rows(*batch_of(4))):
        distiller(batch).total.backward()
    distiller.after_step()
    for given in seen:
        other(given)
    assert norm.num_batches_tracked == 2
    torch.testing.assert_close(norm.running_mean, other.running_mean)
    torch.testing.assert_close(norm.running_var, other.running_var)


def train(name: str, distiller: Distiller, optimizer: torch.optim.Optimizer, steps: range) -> list[float]:
    totals = []
    whole = batch_for(name, 24)
    for step in steps:
        rows = torch.randperm(24, generator=torch.Generator().manual_seed(step))[:8]
        targets = whole.targets[rows] if isinstance(whole.targets, Tensor) else [whole.targets[row] for row in rows]
        views = {name: view[rows] for name, view in whole.views.items()}
        batch = Batch(whole.inputs[rows], targets, rows, views)
        terms = distiller(batch, context=Context(step / 6, step, step / 3, seed=5))
        optimizer.zero_grad()
        terms.total.backward()
        optimizer.step()
        distiller.after_step()
        totals.append(terms.total.item())
    return totals


@pytest.mark.parametrize("name", seldom(["mhgd", *TERMS]))
def test_an_interrupted_training_makes_the_bytes_of_an_undisturbed_one(name: str) -> None:
    def begun(seed: int) -> tuple[Distiller, torch.optim.Optimizer]:
        distiller = make(name)
        for weight in distiller.trainable_parameters():  # what is loaded must count, and not what was drawn
            nn.init.normal_(weight, 0, 0.1, generator=torch.Generator().manual_seed(seed))
        return distiller, torch.optim.SGD(distiller.trainable_parameters(), lr=0.02, momentum=0.9)

    whole, optimizer = begun(0)
    expected = train(name, whole, optimizer, range(6))
    totals: list[float] = []
    saved: tuple[bytes, ...] = ()
    for part in (range(2), range(2, 3), range(3, 6)):
        distiller, optimizer = begun(part.start)
        for target, content in zip((distiller, optimizer), saved, strict=False):
            target.load_state_dict(torch.load(io.BytesIO(content), weights_only=True))
        totals += train(name, distiller, optimizer, part)
        files = io.BytesIO(), io.BytesIO()
        for target, file in zip((distiller, optimizer), files, strict=True):
            torch.save(target.state_dict(), file)
        saved = tuple(file.getvalue() for file in files)
    assert totals == expected
    assert all(torch.equal(value, whole.state_dict()[key]) for key, value in distiller.state_dict().items())


@pytest.mark.parametrize("name", ["fitnets", "mhgd"])
def test_a_state_of_before_terms_loads(name: str) -> None:
    """Learned parts stood in one table, under the method's name with the pair's number or ``estimator``."""
    new = make(name)
    written = {}
    for key, value in new.state_dict().items():
        for piece, number in (("maps", r"\1_\2"), ("estimator", r"\1_estimator")):
            pattern = rf"terms\.(\w+)\.{piece}\." + (r"(\d+)\." if piece == "maps" else "")
            key = re.sub(pattern, f"adapters.{number}.", key)
        written[key] = value + 1 if value.is_floating_point() else value
    assert {"fitnets": "adapters.fitnets_0.weight", "mhgd": "adapters.mhgd_estimator.links.0.out.weight"}[
        name
    ] in written
    assert not any(key.startswith("terms.") for key in written)
    old = make(name)
    old.load_state_dict(written)
    for key, value in new.state_dict().items():
        torch.testing.assert_close(old.state_dict()[key], value + 1 if value.is_floating_point() else value)


def test_forgetting_to_say_that_steps_are_taken_is_remarked_on_and_then_refused() -> None:
    distiller, batch = make("crd"), with_rows(*batch_of(2))
    for _ in range(16):
        distiller(batch)
    with pytest.warns(UserWarning, match=r'"crd" has not moved in 16 forward passes: call distiller.after_step\(\)'):
        distiller(batch)
    for _ in range(239):
        distiller(batch)
    with pytest.raises(InputError, match=r'the state of "crd" must move with each step, got 256 forward passes'):
        distiller(batch)
    distiller.after_step()
    distiller(batch)


def test_a_step_of_many_forward_passes_is_no_step_that_was_forgotten(recwarn: pytest.WarningsRecorder) -> None:
    distiller, batch = make("crd"), with_rows(*batch_of(2))
    distiller.passes_per_step = 300
    for _ in range(300):
        distiller(batch)
    assert not recwarn.list
    distiller.after_step()
    assert distiller._state.steps == 1
