"""A training step reads no number on the host: on a GPU the host would wait for all work before it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from host_reads import HostReads
from train_toys import trainee

from rolewise.batch import Context
from rolewise.train.rule import StepRule
from rolewise.train.step import train_step


def test_the_counter_finds_every_kind_of_read() -> None:
    values = torch.tensor([1.0, -2.0])
    with HostReads() as reads:
        values.sum().item(), float(values[0]), int(values[0]), bool(values[0]), values.tolist(), values.numpy()
    assert {name.partition(" ")[0] for name in reads.found} == {
        *("item", "__float__", "__int__", "__bool__", "tolist", "numpy", "_local_scalar_dense")
    }
    for read in (
        lambda: values.cpu(),
        lambda: values.to("cpu"),
        lambda: values[values > 0],
        lambda: values.nonzero(),
        lambda: values.masked_select(values > 0),
        lambda: torch.equal(values, values),
    ):
        with HostReads() as reads:
            read()
        assert reads.found.total() == 1, reads.found
    with HostReads() as reads:
        torch.where(values > 0, values, 0).softmax(0).sum()
    assert not reads.found


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"optimizer": "adam"},
        {"clip_norm": 1.0},
        {"ema": 0.9},
        {"precision": "bfloat16"},
        {"distill_gradient": "limited"},
        {"channels_last": True},
        {"distilled": False},
    ],
    ids=str,
)
def test_a_step_reads_nothing(settings: dict[str, Any]) -> None:
    training = trainee(**settings)
    training.run_epochs(0, 1)
    given = training.settings
    rule = StepRule(given.precision, training.scaler, given.clip_norm, given.gradient_ratio(1))
    batches = list(training.feed.batches(1))
    with HostReads() as reads:
        for number, batch in enumerate(batches):
            train_step(training.updates, batch, Context(0.3, 4 + number, 1.0, 5), rule)
    assert not reads.found


def test_an_epoch_reads_as_often_whatever_the_number_of_its_steps() -> None:
    totals = []
    for size in (60, 4):
        training = trainee()
        training.settings = training.settings.changed(batch_size=size)
        training.images.settings = training.settings
        assert training.steps_per_epoch == 60 // size
        training.run_epochs(0, 1)
        with HostReads() as reads:
            training.run_epochs(1, 2)
        totals.append({name: count for name, count in reads.found.items() if " at augment/" not in name})
    # Plans are drawn and read on the CPU; of the rest, the terms of 32 steps are read at once.
    assert totals[0] == totals[1] and sum(totals[0].values()) < 12
