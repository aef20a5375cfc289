"""The multi-label task against scikit-learn, numpy and a hand-worked case."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn import metrics as sk
from torch import nn

from rolewise.batch import Batch, Outputs
from rolewise.distill.methods.kd import kd_loss
from rolewise.distill.methods.reverse_kd import reverse_kd_loss
from rolewise.distill.methods.soft_cross_entropy import soft_cross_entropy_loss
from rolewise.errors import InputError
from rolewise.tasks import Classification, MultiLabel, build_task

B, K = 40, 5


def draws(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    stream = torch.Generator().manual_seed(seed)
    logits = torch.randn(B, K, generator=stream, dtype=torch.double).round(decimals=1)  # with ties
    teacher = 2 * torch.randn(B, K, generator=stream, dtype=torch.double)
    targets = (torch.rand(B, K, generator=stream) < 0.3).double()
    return logits, teacher, targets


def batch_of(targets: torch.Tensor) -> Batch:
    return Batch(torch.zeros(len(targets), 1, 4, 4), targets)


def sigmoid(values: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-values))


@pytest.mark.parametrize(("labels", "weight"), [("mean", 1.0), ("sum", 1.0), ("mean", 3.0), ("sum", [1, 2, 3, 4, 5])])
def test_the_loss_is_the_binary_cross_entropy_of_each_example(labels: str, weight: float | list[float]):
    logits, _, targets = draws()
    losses = MultiLabel(labels=labels, positive_weight=weight).losses(Outputs({"logits": logits}), batch_of(targets))
    z, y = logits.numpy(), targets.numpy()
    each = -(np.asarray(weight) * y * np.log(sigmoid(z)) + (1 - y) * np.log(1 - sigmoid(z)))
    np.testing.assert_allclose(losses["labels"].numpy(), getattr(each, labels)(1), rtol=1e-12)


def test_reductions_are_over_examples():
    logits, _, targets = draws()
    outputs, batch, task = Outputs({"logits": logits}), batch_of(targets.bool()), MultiLabel()
    each = task.losses(outputs, batch)["labels"]
    assert torch.equal(task.losses(outputs, batch, reduction="mean")["labels"], each.mean())
    assert torch.equal(task.losses(outputs, batch, reduction="sum")["labels"], each.sum())


@pytest.mark.parametrize("weighted", [False, True])
def test_every_metric_is_scikit_learns(weighted: bool):
    logits, _, targets = draws(1)
    weights = torch.randint(0, 4, (B,), generator=torch.Generator().manual_seed(2)).double() if weighted else None
    metric = MultiLabel(threshold=0.4).metric()
    for part in (slice(0, 17), slice(17, B)):
        metric.add(Outputs({"logits": logits[part].float()}), batch_of(targets[part]))
    values = metric.compute(weights)
    z, y, given = logits.float().double().numpy(), targets.numpy().astype(int), {"sample_weight": weights}
    found = (sigmoid(z) >= 0.4).astype(int)
    assert values["mean_average_precision"] == pytest.approx(sk.average_precision_score(y, z, average="macro", **given))
    assert values["f1_micro"] == pytest.approx(sk.f1_score(y, found, average="micro", **given))
    assert values["f1_macro"] == pytest.approx(sk.f1_score(y, found, average="macro", **given))
    assert values["exact_match"] == pytest.approx(sk.accuracy_score(y, found, **given))
    assert values["label_accuracy"] == pytest.approx(1 - sk.hamming_loss(y, found, **given))
    each = MultiLabel().losses(Outputs({"logits": torch.tensor(z)}), batch_of(targets))["labels"].numpy()
    assert values["loss"] == pytest.approx(np.average(each, weights=weights))
    assert list(values) == [info.key for info in MultiLabel.metrics]
    assert metric.per_example() is None


def test_labels_that_nobody_has_are_left_out_of_the_means():
    logits = torch.tensor([[2.0, -3.0], [-1.0, -2.0]])
    metric = MultiLabel().metric()
    metric.add(Outputs({"logits": logits}), batch_of(torch.tensor([[1, 0], [0, 0]])))
    values = metric.compute()
    assert values["mean_average_precision"] == values["f1_macro"] == values["exact_match"] == 1
    empty = MultiLabel().metric()
    empty.add(Outputs({"logits": logits}), batch_of(torch.zeros(2, 2)))
    values = empty.compute()
    # Nothing is there to be ranked; of what is found wrongly F1 is 0, and of a label that is neither, no number.
    assert np.isnan(values["mean_average_precision"]) and values["f1_micro"] == values["f1_macro"] == 0
    assert values["exact_match"] == 0.5 and values["label_accuracy"] == 0.75
    none = MultiLabel().metric()
    none.add(Outputs({"logits": -logits.abs()}), batch_of(torch.zeros(2, 2)))
    values = none.compute()
    assert all(np.isnan(values[key]) for key in ("mean_average_precision", "f1_micro", "f1_macro"))
    assert values["exact_match"] == values["label_accuracy"] == 1 and 0 < values["loss"] < 1


@pytest.mark.parametrize("temperature", [1.0, 4.0])
@pytest.mark.parametrize("method", ["kd", "reverse_kd", "soft_cross_entropy"])
def test_methods_on_rows_are_those_of_binary_probabilities(method: str, temperature: float):
    student, teacher, targets = draws(3)
    task, student = MultiLabel(), student.requires_grad_()
    rows, wanted = task.rows(Outputs({"logits": student}), Outputs({"logits": teacher}), batch_of(targets))
    loss = {"kd": kd_loss, "reverse_kd": reverse_kd_loss, "soft_cross_entropy": soft_cross_entropy_loss}[method]
    each = rows.by_example(loss(rows.logits, wanted.logits, temperature=temperature), B)
    s, t = (sigmoid(some.detach().numpy() / temperature) for some in (student, teacher))
    p, q = (t, s) if method != "reverse_kd" else (s, t)
    cross = -(p * np.log(q) + (1 - p) * np.log(1 - q))
    entropy = -(p * np.log(p) + (1 - p) * np.log(1 - p))
    expected = temperature**2 * (cross - (entropy if method != "soft_cross_entropy" else 0)).mean(1)
    np.testing.assert_allclose(each.detach().numpy(), expected, rtol=1e-9)
    if method != "reverse_kd":
        # d/dz of T^2 KL(t || s) of one label is T (s - t).
        (gradient,) = torch.autograd.grad(each.sum(), student)
        np.testing.assert_allclose(gradient.numpy(), temperature * (s - t) / K, rtol=1e-9, atol=1e-12)


def test_rows_name_their_owners_and_labels():
    student, teacher, targets = draws()
    outputs = Outputs({"logits": student}), Outputs({"logits": teacher})
    rows, wanted = MultiLabel().rows(*outputs, batch_of(targets.long()))
    assert rows.logits.shape == wanted.logits.shape == (B * K, 2)
    assert torch.equal(rows.owner, torch.arange(B * K) // K)
    assert torch.equal(rows.labels, 1 - targets.long().reshape(-1))  # class 0 is: there
    soft, _ = MultiLabel().rows(*outputs, batch_of(targets * 0.7))
    assert torch.equal(soft.labels.sum(1), torch.ones(B * K, dtype=torch.double))
    assert torch.equal(soft.labels[:, 0].reshape(B, K), targets * 0.7)


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        (torch.zeros(3, dtype=torch.int64), r"\[B, K\].*got torch.int64 \[3\]; classes become labels with"),
        (torch.zeros(3), r"\[B, K\].*got torch.float32 \[3\]$"),
        (torch.zeros(2, 4), r"one row for each of 3 inputs, got \[2, 4\]"),
        (torch.zeros(3, 0), "at least one example"),
        ([[0, 1]], "got list; make them with torch.as_tensor"),
        (None, "got NoneType"),
    ],
)
def test_targets_of_another_kind_are_refused(targets: object, message: str):
    with pytest.raises(InputError, match=message):
        MultiLabel().check(Batch(torch.zeros(3, 1, 4, 4), targets))


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        (torch.full((2, 3), 1.5), "from 0 to 1, got 1.5; numbers to be predicted are of the task regression"),
        (torch.full((2, 3), -1), "from 0 to 1, got -1"),
        (torch.full((2, 3), torch.nan), "finite numbers, got nan"),
        (torch.zeros(2, 4), r"a logit for each of the 4 labels, \[2, 4\], got \[2, 3\]"),
    ],
)
def test_targets_that_do_not_go_with_the_network_are_refused(targets: torch.Tensor, message: str):
    with pytest.raises(InputError, match=message):
        MultiLabel().check_outputs(Outputs({"logits": torch.zeros(2, 3)}), batch_of(targets), values=True)


def test_several_labels_are_never_soft_labels_of_one_class():
    targets = torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    with pytest.raises(InputError, match="several labels at once are of the task multi_label"):
        Classification().check_outputs(Outputs({"logits": torch.zeros(2, 3)}), batch_of(targets), values=True)
    with pytest.raises(InputError, match="several labels at once are of the task multi_label"):
        Classification().check(batch_of(targets.long()))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"labels": "max"}, "labels must be mean or sum, got 'max'"),
        ({"threshold": 1}, "threshold must be above 0 and below 1, got 1"),
        ({"positive_weight": 0}, "positive_weight must be a positive number.*got 0"),
        ({"positive_weight": []}, "got None"),
        ({"threshhold": 0.3}, 'task.threshhold no such setting of "multi_label"; did you mean "threshold"'),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, object], message: str):
    with pytest.raises(InputError, match=message):
        build_task({"name": "multi_label", **settings})


def test_a_weight_for_each_label_must_be_of_them():
    task = MultiLabel(positive_weight=[1, 2])
    with pytest.raises(InputError, match="one for each of 3 labels, got 2"):
        task.check_outputs(Outputs({"logits": torch.zeros(2, 3)}), batch_of(torch.zeros(2, 3)), values=False)


def test_a_network_learns_its_labels():
    stream = torch.Generator().manual_seed(0)
    inputs = torch.randn(64, 6, generator=stream)
    batch, task = Batch(inputs, (inputs[:, :3] > 0).int()), MultiLabel()
    network = nn.Linear(6, 3)
    nn.init.zeros_(network.weight)
    optimizer = torch.optim.Adam(network.parameters(), 0.1)
    for _ in range(60):
        outputs = task.run(network, batch.inputs)
        task.check(batch)
        task.check_outputs(outputs, batch, values=True)
        optimizer.zero_grad()
        task.losses(outputs, batch, reduction="mean")["labels"].backward()
        optimizer.step()
    metric = task.metric()
    metric.add(task.run(network, inputs), batch)
    assert metric.compute()["mean_average_precision"] > 0.99
