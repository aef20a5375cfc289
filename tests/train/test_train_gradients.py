"""A step whose distillation gradient is bounded by that of the labels, and one where it is not."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from train_toys import SPEC, batch, data, trainee, update, weights

from rolewise.batch import Batch, Context
from rolewise.distill import Distiller, configure
from rolewise.errors import InputError
from rolewise.models import build
from rolewise.train import StepRule, TrainSettings, train_step


def distiller(**settings) -> Distiller:
    student = build("small_cnn", num_classes=3, channels=1, size=(8, 8), seed=1, widths=[4, 6])
    teacher = build("small_cnn", num_classes=3, channels=1, size=(8, 8), seed=2, widths=[6, 8])
    methods = [configure("kd", weight=5.0), configure("fitnets", weight=50.0), configure("mhgd", weight=30.0)]
    inputs = {"student_input": SPEC, "teacher_input": SPEC}
    return Distiller(teacher, student, methods, example=data().images[:2], **inputs, **settings).train()


def gradients(share: float | None, **settings) -> dict[str, Tensor]:
    """What one step leaves on the parameters."""
    made = distiller(**settings)
    train_step([update(made, lr=0.0)], batch(), Context(), StepRule(gradient_ratio=share))
    return {name: weight.grad for name, weight in made.named_parameters() if weight.grad is not None}


def test_the_bound_acts_on_each_tensor_of_the_student() -> None:
    made, source = distiller(), data()
    parts = made(source.images[:16], source.labels[:16])
    named = {name: weight for name, weight in made.named_parameters() if weight.requires_grad}
    first = torch.autograd.grad(parts["labels"], list(named.values()), allow_unused=True, retain_graph=True)
    weighted = 5 * parts["kd"] + 50 * parts["fitnets"] + 30 * parts["mhgd"] + parts["mhgd_estimator"]
    second = torch.autograd.grad(weighted, list(named.values()), allow_unused=True)
    got = gradients(0.5)
    cut = 0
    for name, task, distillation in zip(named, first, second, strict=True):
        if task is None:  # the learned map's and the attention's weights: no labels move them
            assert name.startswith("terms.") and distillation is not None
            torch.testing.assert_close(got[name], distillation)
            continue
        assert name.startswith("student.")
        if distillation is None:  # no method sees past the taps but kd, which sees all
            continue
        share = min(1.0, 0.5 * (task.norm() / distillation.norm()).item())
        cut += share < 1
        torch.testing.assert_close(got[name], task + share * distillation, rtol=1e-4, atol=1e-7)
        assert (got[name] - task).norm() <= 0.501 * task.norm()
    assert cut > 4


def test_without_a_bound_or_with_one_far_away_it_is_the_sum() -> None:
    plain, far = gradients(None), gradients(1e20)
    assert plain.keys() == far.keys()
    for name, gradient in plain.items():
        assert (far[name] - gradient).norm() <= 1e-3 * gradient.norm()


def test_weights_act_on_the_gradient() -> None:
    # Under a bound that is far away; near it the bound says how much, and the weights say of what.
    plain, labels = gradients(1e20), gradients(1e20, label_weight=3.0)
    name = "student.fc.weight"
    assert not torch.allclose(plain[name], labels[name])
    half, double = gradients(0.5), gradients(0.5, label_weight=2.0)
    assert not torch.allclose(half[name], double[name])


def test_off_it_is_the_same_bytes_as_one_backward() -> None:
    made, by_hand, source = distiller(), distiller(), data()
    own, optimizer = update(made), torch.optim.SGD(by_hand.trainable_parameters(), lr=0.05, momentum=0.9)
    for _ in range(3):
        for at in range(0, 60, 20):
            images, labels = source.images[at : at + 20], source.labels[at : at + 20]
            train_step([own], Batch(images, labels), Context())
            optimizer.zero_grad()
            by_hand(images, labels).total.backward()
            optimizer.step()
    for one, other in zip(made.state_dict().values(), by_hand.state_dict().values(), strict=True):
        assert torch.equal(one, other)


def test_the_setting_reaches_the_step_and_off_is_the_default() -> None:
    default, off, limited = trainee(), trainee(distill_gradient="sum"), trainee(distill_gradient="limited")
    records = [made.run_epochs(0, 3) for made in (default, off, limited)]
    assert records[0] == records[1] and torch.equal(weights(default), weights(off))
    assert not torch.equal(weights(default), weights(limited))
    assert all(math.isfinite(record["train_loss"]) for record in records[2])
    settings = TrainSettings(epochs=1, batch_size=1, distill_gradient="limited")
    assert [settings.gradient_ratio(epoch) for epoch in (0, 1)] == [0.5, pytest.approx(1 / (1 + math.exp(-1)))]
    assert settings.gradient_ratio(10_000) == 1 and TrainSettings(epochs=1, batch_size=1).gradient_ratio(0) is None


def test_on_labels_alone_there_is_nothing_to_limit() -> None:
    plain, limited = trainee(distilled=False), trainee(distilled=False, distill_gradient="limited")
    assert plain.run_epochs(0, 2) == limited.run_epochs(0, 2)
    assert torch.equal(weights(plain), weights(limited))


@pytest.mark.parametrize(
    "settings",
    [{"channels_last": True}, {"precision": "bfloat16"}, {"clip_norm": 1.0}, {"ema": 0.9}],
    ids=lambda settings: next(iter(settings)),
)
def test_it_goes_with_the_other_settings_and_resumes_exactly(settings: dict) -> None:
    whole = trainee("adam", distill_gradient="limited", **settings)
    records = whole.run_epochs(0, 3)
    first, second = (trainee("adam", distill_gradient="limited", **settings) for _ in range(2))
    head = first.run_epochs(0, 1)
    second.load_state_dict(first.state_dict())
    assert head + second.run_epochs(1, 3) == records
    assert torch.equal(weights(second), weights(whole))


def test_the_layout_of_weights_does_not_change_what_is_learned() -> None:
    plain = trainee("adam", distill_gradient="limited")
    last = trainee("adam", distill_gradient="limited", channels_last=True)
    for made in (plain, last):
        made.run_epochs(0, 2)
    assert torch.allclose(weights(plain), weights(last), rtol=1e-2, atol=2e-3)
    for weight in last.distiller.trainable_parameters():
        assert weight.grad is None or weight.grad.stride() == weight.stride()


def test_a_share_of_no_label_gradient_is_refused() -> None:
    with pytest.raises(InputError, match='label_weight must be positive where distill_gradient is "limited"'):
        gradients(0.5, label_weight=0.0)
