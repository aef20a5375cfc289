"""The slimmable network against ordinary ones, its norms, joint training, and a student's stages."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from rolewise.errors import InputError, Interrupted
from rolewise.jobs.job import JobContext
from rolewise.models import build
from rolewise.systems import SYSTEMS, Piece
from rolewise.systems.known_systems import system_settings
from rolewise.systems.pwkd.pwkd_system import PwkdSettings, part_rows, train_parts
from rolewise.systems.pwkd.slimmable import PartOf, SlimmableCNN

QUIET = JobContext(lambda line: None, lambda: False)
PARTS = (0.25, 0.5, 1.0)


def slimmable(parts: tuple[float, ...] = PARTS, widths: tuple[int, int] = (8, 12)) -> Any:
    return build(SlimmableCNN, num_classes=10, channels=1, size=(8, 8), seed=0, widths=list(widths), parts=list(parts))


def images(count: int = 6) -> torch.Tensor:
    return torch.rand(count, 1, 8, 8, generator=torch.Generator().manual_seed(1))


def ordinary(network: Any, part: int) -> Any:
    """Returns the ordinary network of a part's channels, with the part's weights in it."""
    first, second = (counts[part] for counts in network.kept)
    alone: Any = build("small_cnn", num_classes=10, channels=1, size=(8, 8), seed=1, widths=[first, second])
    for stage, before, after in ((0, 1, first), (1, first, second)):
        weight = network.convolutions[stage].weight[:after, :before]
        alone.stages[stage][0].load_state_dict({"weight": weight})
        alone.stages[stage][1].load_state_dict(network.norms[stage][part].state_dict())
    alone.fc.load_state_dict({"weight": network.fc.weight[:, :second], "bias": network.fc.bias})
    return alone


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("part", [0, 1, 2])
def test_every_part_is_an_ordinary_network(part: int, training: bool) -> None:
    network = slimmable().train()
    for other in range(3):
        network(images(20), other)  # so that running statistics are not those of the beginning
    alone = ordinary(network, part).train(training)
    network.train(training)
    assert torch.allclose(network(images(), part), alone(images()), atol=1e-6)


def test_width_one_is_the_whole_network() -> None:
    network = slimmable().eval()
    whole = ordinary(network, -1).eval()
    assert torch.allclose(network(images()), whole(images()), atol=1e-6)
    assert torch.equal(PartOf(network, 2).eval()(images()), network(images()))
    assert network.kept == [[2, 4, 8], [3, 6, 12]]


def test_each_width_has_norms_of_its_own() -> None:
    network = slimmable().train()
    assert [len(norms) for norms in network.norms] == [3, 3]
    before = {name: value.clone() for name, value in network.state_dict().items()}
    network(images(), 1)
    moved = {name for name, value in network.state_dict().items() if not torch.equal(value, before[name])}
    kinds = ("running_mean", "running_var", "num_batches_tracked")
    assert moved == {f"norms.{layer}.1.{kind}" for layer in (0, 1) for kind in kinds}


def test_the_joint_loss_is_the_sum_of_the_parts() -> None:
    network, labels = slimmable().eval(), torch.arange(6)
    weight = network.convolutions[0].weight
    losses = [F.cross_entropy(network(images(), part), labels) for part in range(3)]
    single = [torch.autograd.grad(loss, weight, retain_graph=True)[0] for loss in losses]
    assert single[0][2:].abs().max() == 0 and single[1][4:].abs().max() == 0 and single[2][4:].abs().max() > 0
    (joint,) = torch.autograd.grad(torch.stack(losses).sum(), weight)
    assert torch.allclose(joint, sum(single), atol=1e-6)


def test_joint_training_teaches_every_part() -> None:
    labels = torch.arange(40) % 2
    shown = images(40) * 0.2 + labels[:, None, None, None] * 0.7
    network, settings = slimmable(), PwkdSettings(parts=PARTS, epochs=3, teacher_epochs=30)
    train_parts(network, (shown, labels), settings, 0, QUIET)
    for part in range(3):
        assert (network(shown, part).argmax(dim=1) == labels).double().mean() > 0.9
    with pytest.raises(Interrupted):
        train_parts(network, (shown, labels), settings, 0, JobContext(print, lambda: True))


def test_a_short_run_has_all_courses_and_equal_epochs(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, int | None]] = []

    def instead(network: Any, examples: Any, epochs: int, context: Any, **settings: Any) -> Any:
        teacher = settings["teacher"]
        seen.append((epochs, None if teacher is None else teacher.part))
        return network.eval()

    monkeypatch.setattr("rolewise.systems.pwkd.pwkd_system.trained", instead)
    rows = part_rows(Piece(0), PwkdSettings(parts=PARTS, epochs=6, teacher_epochs=1), QUIET)
    assert seen[:4] == [(6, None), *[(2, None)] * 3]
    assert seen[4:8] == [(6, 2), *[(2, 2)] * 3]
    assert seen[8:] == [(2, 0), (2, 1), (2, 2), (2, 2), (2, 1), (2, 0)]
    assert len(rows) == 9 and [row["taught"] for row in rows[-3:]] == [f"teacher of width {part:g}" for part in PARTS]
    assert len({row["accuracy"] for row in rows[:6]}) == 1  # nobody was trained, and all begin with the same weights


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        (["parts=[0,1]"], r"parts\[0\]"),
        (["parts=[0.01,1]"], "parts must leave each layer a channel, got 0.01 of 32 channels"),
        (["parts=[0.5,0.25,1]", "epochs=6"], r"parts must be fractions that ascend to 1, got \[0.5, 0.25, 1"),
        (["parts=[0.25,0.5]"], "parts must be fractions that ascend to 1"),
        (["parts=[1]"], "parts"),
        (["epochs=10"], "epochs must be a multiple of 4, the stages"),
    ],
)
def test_a_width_of_zero_and_others_that_do_not_fit_are_refused(settings: list[str], text: str) -> None:
    with pytest.raises(InputError, match=text):
        system_settings(SYSTEMS["pwkd"], settings)
