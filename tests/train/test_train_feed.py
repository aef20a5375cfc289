"""Feeds: batches that begin within an epoch are those of the whole one, and other feeds than images."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import pytest
import torch
from torch import Tensor
from train_toys import SPEC, batch, data, trainee

from rolewise.augment import Mix, build_schedule
from rolewise.batch import Batch
from rolewise.distill import Distiller, Weight, weight_of
from rolewise.errors import InputError
from rolewise.models import build
from rolewise.train import Feed, ImageFeed, Mixing, Trainee, TrainSettings
from rolewise.train.example_feed import TensorFeed
from rolewise.train.position_plans import PositionPlans

MIXINGS: dict[str, Mixing | None] = {
    "plain": None,
    "mixup": Mixing(Mix(pairs="within"), alpha=weight_of(0.7)),
    "cutmix": Mixing(Mix("cutmix", pairs="across"), mixed_fraction=Weight(0.4, 1.0)),
    "clean too": Mixing(Mix(), mixed_fraction=weight_of(0.5), clean_too=True, targets="isotonic"),
    "picked": Mixing(Mix("cutmix"), by="student_entropy"),
    "unix": Mixing(by="teacher_entropy", rule="unix", alpha=weight_of(0.3), sharpness=10.0),
    "unix, each": Mixing(Mix(ratio="sample"), by="student_entropy", rule="unix"),
}


def flat(batch: Batch) -> dict[str, Tensor]:
    tensors: dict[str, Any] = {
        "inputs": batch.inputs,
        "targets": batch.targets,
        "indices": batch.indices,
        **batch.views,
    }
    if batch.mixture is not None:
        tensors |= {field.name: getattr(batch.mixture, field.name) for field in fields(batch.mixture)}
    return {name: tensor for name, tensor in tensors.items() if isinstance(tensor, Tensor)}


def same(one: Batch, other: Batch) -> bool:
    first, second = flat(one), flat(other)
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("name", MIXINGS)
@pytest.mark.parametrize(("chunk", "view"), [(16, "own"), (32, "clean"), (2048, "shared")])
def test_an_epoch_may_begin_at_any_batch(name: str, chunk: int, view: str) -> None:
    made = trainee(view=view, chunk=chunk)
    made.mixing = MIXINGS[name]
    made.distiller.methods = made.distiller.methods[:1]  # one that reads logits
    made.distiller.eval()
    feed = made.images
    assert isinstance(feed, Feed)
    whole = list(feed.batches(2))
    assert len(whole) == feed.steps == 4
    for start in range(5):
        feed.counts = dict.fromkeys(feed.counts, 0)
        rest = list(feed.batches(2, start))
        assert len(rest) == 4 - start
        assert all(same(*pair) for pair in zip(rest, whole[start:], strict=True))
        if MIXINGS[name] is not None and start:
            assert feed.counts["rows"] == sum(len(each.inputs) for each in rest)


def test_batches_carry_the_rows_of_their_source() -> None:
    made, source = trainee(), data()
    for mixing in (None, MIXINGS["clean too"]):
        made.mixing = mixing
        for each in list(made.images.batches(0))[:3]:
            assert each.indices is not None and len(each.indices) == len(each.inputs)
            classes = each.targets if mixing is None else each.targets[:16].argmax(1)
            assert torch.equal(source.labels[each.indices[: len(classes)]], classes)


class Rows:
    """A feed of something else than augmented images."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}

    @property
    def steps(self) -> int:
        return 3

    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        for number in range(start, 3):
            yield batch(16 * number + epoch)


def test_a_training_takes_any_feed() -> None:
    network = build("small_cnn", num_classes=3, channels=1, size=(8, 8), seed=1, widths=[4, 6])
    made = Trainee(
        Distiller(None, network, student_input=SPEC), Rows(), settings=TrainSettings(epochs=2, batch_size=16), seed=0
    )
    records = made.run_epochs(0, 2)
    assert made.steps_per_epoch == 3 and records[1]["train_loss"] < records[0]["train_loss"]
    with pytest.raises(InputError, match="must have an ImageFeed for this, got Rows"):
        _ = made.source
    assert not isinstance(made.feed, ImageFeed)


@pytest.mark.parametrize("name", MIXINGS)
@pytest.mark.parametrize("view", ["own", "clean"])
def test_chunks_of_any_size_give_the_same_batches(name: str, view: str) -> None:
    given = []
    for chunk in (16, 32, 2048):
        made = trainee(view=view, chunk=chunk)
        made.mixing = MIXINGS[name]
        made.distiller.methods = made.distiller.methods[:1]
        made.distiller.eval()
        given.append(list(made.images.batches(1)))
    for one, *others in zip(*given, strict=True):
        assert all(same(one, other) for other in others)


@pytest.mark.parametrize(
    "name", ["none", "standard", "randaugment", "trivialaugment", "autoaugment", "autoaugment_torchvision"]
)
def test_a_plan_belongs_to_its_position(name: str) -> None:
    policy = build_schedule(name).at(0.5)
    whole = PositionPlans(policy, (3, 8, 8), 5, "epoch", 0).between(0, 700)
    assert len(whole) == 700
    again, cuts = PositionPlans(policy, (3, 8, 8), 5, "epoch", 0), [0, 1, 250, 256, 258, 511, 700]
    for start, stop in itertools.pairwise(cuts):
        piece = again.between(start, stop)
        for key in ("ops", "values", "draws"):
            assert torch.equal(getattr(piece, key), getattr(whole, key)[start:stop])
    if whole.ops.shape[1]:
        assert not torch.equal(whole.draws[:256], whole.draws[256:512])
        other = PositionPlans(policy, (3, 8, 8), 5, "epoch", 1).between(0, 256)
        assert not torch.equal(other.draws, whole.draws[:256])


@pytest.mark.parametrize(("seed", "sizes"), [(3, [4, 4]), (None, [4, 4, 1])])
def test_a_last_batch_of_one_example_is_not_trained_on_but_evaluated(seed: int | None, sizes: list[int]) -> None:
    feed = TensorFeed(torch.arange(9.0), None, 4, seed=seed, device=torch.device("cpu"))
    assert feed.steps == len(sizes) and [len(one.inputs) for one in feed.batches(0)] == sizes
    assert [len(one.inputs) for one in feed.batches(0, start=1)] == sizes[1:]
