"""Open-set semi-supervised distillation: the sets, one pass over both kinds of images, SRD's identities, refusals."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from rolewise.batch import Batch, Context, Outputs
from rolewise.distill import Shapes, build_methods
from rolewise.distill.heads import Head
from rolewise.distill.methods.quadratic_kd import quadratic_form
from rolewise.distill.methods.srrl import SRRL
from rolewise.errors import InputError, Interrupted
from rolewise.jobs.job import JobContext
from rolewise.systems import SYSTEMS, Piece
from rolewise.systems.digit_bench import digit_bench, small_network
from rolewise.systems.known_systems import system_settings
from rolewise.systems.srd_open_set.open_set_system import OpenSetSettings, open_set_rows
from rolewise.systems.srd_open_set.open_sets import open_sets, trained_on_both

QUIET = JobContext(lambda line: None, lambda: False)


def test_sets_are_apart_and_only_the_closed_one_has_labels() -> None:
    bench = digit_bench(1)
    sets = open_sets(bench, 1, closed=(3, 5, 7), opened=(0, 9), labelled=4)
    assert sets.labelled[1].bincount().tolist() == [4, 4, 4]
    assert (
        len(sets.labelled[1]) + len(sets.within)
        == len(sets.pool[1])
        == int(torch.isin(bench.pool[1], torch.tensor([3, 5, 7])).sum())
    )
    assert len(sets.outside) == int(torch.isin(bench.pool[1], torch.tensor([0, 9])).sum())
    assert torch.equal(
        sets.test[1], torch.tensor([(3, 5, 7).index(int(k)) for k in bench.test[1] if int(k) in (3, 5, 7)])
    )
    everything = torch.cat([sets.labelled[0], sets.within, sets.outside]).flatten(1)
    assert len(everything.unique(dim=0)) == len(everything)


class Seen(nn.Module):
    """A network that keeps the batches that it is given."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network, self.batches = network, []  # type: ignore[assignment]

    def forward(self, images: Tensor) -> Tensor:
        if self.training:
            self.batches.append(images.detach())  # type: ignore[union-attr, operator]
        return self.network(images)  # type: ignore[no-any-return]


@pytest.mark.parametrize("unlabelled", [0, 7])
def test_both_kinds_of_images_go_through_one_pass(unlabelled: int) -> None:
    images = torch.rand(12 + unlabelled, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(12) % 10
    teacher, student = small_network(0, "teacher"), Seen(small_network(0, "student"))
    frozen = [weight.clone() for weight in teacher.state_dict().values()]
    kd = build_methods([{"name": "kd", "weight": 1.0}])
    trained_on_both(student, teacher, kd, (images[:12], labels), images[12:], QUIET, steps=3, batch=4, seed=0)
    assert [len(batch) for batch in student.batches] == [4 + (4 if unlabelled else 0)] * 3  # type: ignore[arg-type, union-attr]
    known = {tuple(image.flatten().tolist()) for image in images[:12]}
    for batch in student.batches:  # type: ignore[union-attr]
        places = [tuple(image.flatten().tolist()) in known for image in batch]
        assert places == [True] * 4 + [False] * (len(batch) - 4)
    # The three steps are one pass over the labelled images.
    assert len(torch.cat([batch[:4] for batch in student.batches]).flatten(1).unique(dim=0)) == 12  # type: ignore[union-attr]
    assert all(torch.equal(a, b) for a, b in zip(frozen, teacher.state_dict().values(), strict=True))


def test_srd_compares_logits_behind_the_frozen_classifier_and_is_zero_for_equal_features() -> None:
    draws = torch.Generator().manual_seed(0)
    own, aim = (torch.randn(3, 4, 2, 2, generator=draws, dtype=torch.float64) for _ in range(2))
    layer = nn.Linear(4, 6).double().requires_grad_(False)
    shape = [torch.Size((3, 4, 2, 2))]

    def srd(feature: Tensor, regression: float) -> Tensor:
        term: Any = SRRL(Shapes(shape, shape), regression=regression)
        term.connector, term.head, term.pairs = nn.Identity(), Head(layer), (("0", "0"),)
        found: Tensor = term(Outputs({}, {"0": feature}), Outputs({}, {"0": aim}), Batch(None), Context())
        return found

    assert float(srd(aim, 1.0).abs().max()) == 0
    # The quadratic form of the matrix W'W: half the squared difference of K logits.
    form = quadratic_form((own - aim).mean((2, 3)), torch.ones(3, 6).double() / 6, layer.weight, matrix="head")
    torch.testing.assert_close(srd(own, 1.0) - srd(own, 0.0), 2 * form / 6, rtol=1e-10, atol=0)


def test_a_short_run_has_all_students_repeats_and_hears_a_stop() -> None:
    few = OpenSetSettings(seeds=(0,), steps=2, teacher_epochs=1, outside=(1.0,))
    first, second = (open_set_rows(Piece(0), few, QUIET) for _ in range(2))
    assert first == second
    assert [(row["unlabelled"], row["taught"]) for row in first] == [
        ("none", "labels"), ("none", "kd"), ("none", "srd"), ("closed set", "kd"), ("closed set", "srd"),
        ("100% outside", "kd"), ("100% outside", "srd"), ("none", "teacher"),
    ]  # fmt: skip
    with pytest.raises(Interrupted):
        open_set_rows(Piece(0), few, JobContext(lambda line: None, lambda: True))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["opened=[0,1,2,3,4,5]"], r"opened must have no class of the closed set, got \[0, 1, 2, 3, 4, 5\] in both"),
        (["opened=[5,6]"], r"opened must have no class of the closed set, got \[5\] in both"),
        (["closed=[1,1,2]"], r"closed must differ from one another, got \[1, 1, 2\]"),
        (["opened=[9]"], "unlabelled must be at most what the open set has, 96 images, got 360 of it"),
        (["unlabelled=600"], "unlabelled must be at most what the closed set has, 516 images, got 600 of it"),
    ],
)
def test_open_sets_that_are_none_are_refused(settings: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        system_settings(SYSTEMS["srd_open_set"], settings)
