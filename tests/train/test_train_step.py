"""A step of several updates, of several batches, and one that the scaler refuses."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn
from train_toys import SPEC, batch, data, update

from rolewise.average import Average
from rolewise.batch import Batch, Context
from rolewise.distill import Distiller, Terms, configure
from rolewise.errors import InputError
from rolewise.models import build
from rolewise.train import StepRule, Update, train_step


class Pull(nn.Module):
    """Pulls a weight of its own towards the mean of the inputs; counts the steps that were taken."""

    def __init__(self, other: Pull | None = None) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))
        self.other, self.taken, self.seen = [other], 0, list[float]()

    def forward(self, batch: Batch, /, *, context: Context) -> Terms:
        loss = (self.weight - batch.inputs).square().mean()
        if self.other[0] is not None:
            self.seen.append(self.other[0].weight.item())
        return Terms(loss, {"pull": loss}, torch.zeros(1, 2), weights={"pull": 1.0})

    def trainable_parameters(self) -> Iterator[nn.Parameter]:
        return self.parameters()

    def after_step(self, *, taken: bool = True) -> None:
        self.taken += taken


def pulled(objective: Pull, **settings) -> Update:
    return Update(objective, torch.optim.SGD(objective.parameters(), lr=0.5), **settings)


def test_updates_are_done_in_their_order_each_as_often_as_it_is_due() -> None:
    first = Pull()
    second = Pull(first)
    updates = [pulled(first, name="critic"), pulled(second, name="generator", every=2)]
    for step in range(4):
        terms = train_step(updates, Batch(torch.ones(2)), Context(step=step))
        assert set(terms.parts) == ({"critic.pull", "generator.pull"} if step % 2 == 0 else {"critic.pull"})
    # The critic's weight goes to 1 at once (a rate of a half, a gradient of twice the way), and the second sees it.
    assert (first.taken, second.taken, second.seen) == (4, 2, [1.0, 1.0])


def test_a_sum_of_updates_is_the_total() -> None:
    terms = train_step([pulled(Pull(), name="a"), pulled(Pull(), name="b")], Batch(torch.full((2,), 3.0)), Context())
    assert terms.total.item() == 18 and terms["a.pull"].item() == 9 and terms.weights == {"a.pull": 1, "b.pull": 1}


def test_no_update_and_a_wrong_number_are_refused() -> None:
    with pytest.raises(InputError, match="an update that is due"):
        train_step([pulled(Pull(), every=2)], batch(), Context(step=1))
    for every in (0, True, 1.5):
        with pytest.raises(InputError, match="every must be a whole number of at least 1"):
            pulled(Pull(), every=every)
    with pytest.raises(InputError, match="parameters to train, got none"):
        Update(update_without_weights(), torch.optim.SGD([nn.Parameter(torch.zeros(()))]))


def update_without_weights() -> Pull:
    made = Pull()
    made.weight.requires_grad_(False)
    made.trainable_parameters = lambda: iter(())  # type: ignore[method-assign]
    return made


@pytest.mark.parametrize("values", [[1.0, float("inf"), 1.0], [float("nan"), 1.0, 1.0]])
def test_a_step_that_the_scaler_refuses_moves_neither_state_nor_average(values: list[float]) -> None:
    objective, scaler = Pull(), torch.amp.GradScaler("cpu", init_scale=1024.0)
    average = Average(objective, 0.5)
    average.attach(objective)
    own = pulled(objective, average=(average, objective))
    kept = []
    for step, value in enumerate(values):
        train_step([own], Batch(torch.tensor([value])), Context(step=step), StepRule(scaler=scaler))
        kept.append((objective.taken, objective.weight.item(), average.network.get_parameter("weight").item()))
    # A step that is taken leads to the weight 1, and the average halfway from where it was.
    taken, expected = 0, []
    for value in values:
        taken += value == 1.0
        expected.append((taken, float(taken > 0), 1 - 0.5**taken))
    assert kept == expected and scaler.get_scale() == 512


def student(**settings) -> Distiller:
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, 3))
    with torch.no_grad():
        for number, weight in enumerate(network.parameters()):
            weight.copy_(torch.linspace(-0.3, 0.2 + 0.01 * number, weight.numel()).view_as(weight))
    teacher = build("small_cnn", num_classes=3, channels=1, size=(8, 8), seed=2, widths=[6, 8])
    inputs = {"student_input": SPEC, "teacher_input": SPEC}
    return Distiller(teacher, network, [configure("kd", weight=3.0)], **inputs, **settings).train()


def gradients(batches: Batch | list[Batch], rule: StepRule) -> tuple[list[Tensor], Terms]:
    made = student()
    terms = train_step([update(made, lr=0.0, momentum=0.0)], batches, Context(), rule)
    return [weight.grad for weight in made.student.parameters() if weight.grad is not None], terms


RULES = [StepRule(), StepRule(gradient_ratio=0.3), StepRule(clip_norm=0.1)]
RULES += [StepRule(scaler=torch.amp.GradScaler("cpu", init_scale=64.0), gradient_ratio=0.3)]


@pytest.mark.parametrize("rule", RULES, ids=["plain", "limited", "clipped", "scaled"])
def test_several_batches_are_the_step_of_one_large_batch(rule: StepRule) -> None:
    # The network has no batch norm, through which each example would see its batch.
    whole, large = gradients(batch(0, 48), rule)
    parts, small = gradients([batch(0, 16), batch(16, 16), batch(32, 16)], rule)
    assert len(whole) == 4
    for one, other in zip(whole, parts, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)
    for name in ("labels", "kd"):
        torch.testing.assert_close(small[name], large[name].detach())
    torch.testing.assert_close(small.total, large.total.detach())


def test_batches_of_other_sizes_count_alike() -> None:
    large, small = (gradients(some, StepRule())[0] for some in (batch(0, 40), batch(40, 8)))
    for mean, one, other in zip(gradients([batch(0, 40), batch(40, 8)], StepRule())[0], large, small, strict=True):
        torch.testing.assert_close(mean, (one + other) / 2)


def test_a_batch_is_what_the_networks_of_a_step_see() -> None:
    made, source = student(), data()
    terms = train_step([update(made)], Batch(source.images[:16], source.labels[:16]), Context())
    assert set(terms.parts) == {"labels", "kd"}
    shown = Batch(source.images[:16], source.labels[:16], views={"teacher": source.images[16:32]})
    other = train_step([update(student())], shown, Context())
    assert torch.equal(other["labels"], terms["labels"]) and not torch.equal(other["kd"], terms["kd"])
