"""Evaluation under every task."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

import rolewise as rw
from rolewise.data import ImageData
from rolewise.errors import InputError

N = 30


def network(outputs: int) -> nn.Module:
    made = nn.Sequential(nn.Flatten(), nn.Linear(16, outputs))
    generator = torch.Generator().manual_seed(1)
    for weight in made.parameters():
        nn.init.normal_(weight, 0.0, 0.5, generator=generator)
    return made


def data(labels: torch.Tensor, names: int) -> ImageData:
    images = torch.randint(256, (N, 1, 4, 4), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    return ImageData(images, labels, tuple(str(index) for index in range(names)))


def test_a_classifier_is_measured_to_the_last_digit():
    source, made, order = data(torch.arange(N) % 3, 3), network(3), torch.arange(N).flip(0)
    found = rw.evaluate(made, source, order, None, batch_size=7)
    hits, losses = [], []
    for part in order.split(7):
        logits = made(source.batch(part).float() / 255).detach()
        hits.append(logits.argmax(1) == source.labels[part])
        losses.append(functional.cross_entropy(logits.double(), source.labels[part], reduction="none"))
    correct = torch.cat(hits)
    assert (found.accuracy, found.loss) == (int(correct.sum()) / N, float(torch.cat(losses).double().mean()))
    assert torch.equal(found.correct, correct)
    assert found.first == found.score == found.accuracy
    assert found.values == {"accuracy": found.accuracy, "loss": found.loss}
    shown = f"accuracy {100 * found.accuracy:.1f}%, cross-entropy {found.loss:.3f} nats"
    assert repr(found) == f"Metrics({shown}; {N} examples)"


def test_labels_and_numbers_are_measured_by_their_own_metrics():
    there = (torch.arange(N)[:, None] % torch.tensor([2, 3, 5]) == 0).to(torch.uint8)
    found = rw.evaluate(network(3), data(there, 3), torch.arange(N), None, task=rw.MultiLabel())
    assert found.infos[0].key == "mean_average_precision"
    assert found.score == found.first == found.values["mean_average_precision"]
    with pytest.raises(InputError, match="accuracy must be a metric of the task, which has mean_average_precision,"):
        _ = found.accuracy
    with pytest.raises(InputError, match="accuracy must be"):
        _ = found.correct
    numbers = torch.linspace(-1, 1, N)[:, None]
    errors = rw.evaluate(network(1), data(numbers, 1), torch.arange(N), None, batch_size=8, task=rw.Regression())
    assert errors.score == -errors.first == -errors.values["rmse"] < 0
    whole = rw.evaluate(network(1), data(numbers, 1), torch.arange(N), None, task=rw.Regression())
    assert whole.values == pytest.approx(errors.values)


def test_a_network_keeps_its_modes_whatever_it_is_measured_by():
    made = nn.Sequential(nn.Flatten(), nn.Linear(16, 1), nn.Dropout()).train()
    made[2].eval()
    rw.evaluate(made, data(torch.zeros(N, 1), 1), torch.arange(N), None, task=rw.Regression())
    assert [module.training for module in made] == [True, True, False]


def test_targets_of_another_task_are_refused():
    with pytest.raises(InputError, match=r"targets of the task multi_label must be \[B, K\]"):
        rw.evaluate(network(3), data(torch.arange(N) % 3, 3), torch.arange(N), None, task=rw.MultiLabel())
    with pytest.raises(InputError, match="labels must be int64"):
        rw.evaluate(network(1), data(torch.zeros(N, 1, dtype=torch.uint8), 1), torch.arange(N), None)
