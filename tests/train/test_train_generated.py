"""Training without data: the generator, its losses, its objectives beside a Distiller, and exact resume."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from rolewise.batch import Batch, Context
from rolewise.distill import Distiller, configure
from rolewise.errors import InputError
from rolewise.models import build
from rolewise.models.image_generator import ImageGenerator
from rolewise.train import GeneratedFeed, OptimizerSettings, Trainee, TrainSettings, Update, fit
from rolewise.train.generator_losses import activation_loss, agreement_loss, class_balance_loss, one_hot_loss
from rolewise.train.generator_objective import GeneratorObjective, dafl_objective, zskt_objective


def log_softmax(x: np.ndarray) -> np.ndarray:
    x = x - x.max(1, keepdims=True)
    return x - np.log(np.exp(x).sum(1, keepdims=True))


def one_hot(x: np.ndarray) -> float:
    return -log_softmax(x).max(1).mean()


def class_balance(x: np.ndarray) -> float:
    mean = np.exp(log_softmax(x)).mean(0)
    return (mean * np.log10(mean)).sum()


def agreement(both: np.ndarray) -> float:
    own, aim = log_softmax(both[:5]), log_softmax(both[5:])
    return -(np.exp(aim) * (aim - own)).mean()


def slopes(function, x: np.ndarray, step: float = 1e-5) -> np.ndarray:
    gradient = np.zeros_like(x)
    for place in np.ndindex(x.shape):
        away = np.zeros_like(x)
        away[place] = step
        gradient[place] = (function(x + away) - function(x - away)) / (2 * step)
    return gradient


@pytest.mark.parametrize(
    ("loss", "oracle", "rows"),
    [
        (one_hot_loss, one_hot, 5),
        (class_balance_loss, class_balance, 5),
        (lambda x: agreement_loss(x[:5], x[5:]), agreement, 10),
        (activation_loss, lambda x: -np.abs(x).mean(), 5),
    ],
    ids=["one_hot", "class_balance", "agreement", "activation"],
)
def test_losses_and_their_gradients_are_those_of_numpy(loss, oracle, rows: int) -> None:
    x = np.random.default_rng(0).normal(size=(rows, 4)) * 3
    given = torch.tensor(x, requires_grad=True)
    value = loss(given)
    value.backward()
    assert value.item() == pytest.approx(oracle(x), rel=1e-12)
    np.testing.assert_allclose(given.grad.numpy(), slopes(oracle, x), rtol=1e-6, atol=1e-9)


def test_losses_have_their_limits_and_stay_finite_where_a_class_is_never_shown() -> None:
    sure = torch.eye(4) * 400
    assert one_hot_loss(sure).item() == 0 and class_balance_loss(sure).item() == pytest.approx(-np.log10(4))
    alone = (torch.tensor([[400.0, 0.0, 0.0]]) * torch.ones(3, 1)).requires_grad_()
    balance = class_balance_loss(alone)
    balance.backward()
    assert balance.item() == pytest.approx(0, abs=1e-6) and alone.grad.isfinite().all()
    assert agreement_loss(sure, sure).item() == 0
    with pytest.raises(InputError, match="logits"):
        agreement_loss(sure, sure[:2])


def test_generated_images_are_normalised_and_no_forward_pass_moves_the_generator() -> None:
    made = ImageGenerator(noise=6, channels=3, size=(8, 12), width=8)
    images = made(torch.randn(16, 6))
    assert images.shape == (16, 3, 8, 12) and not list(made.buffers())
    torch.testing.assert_close(images.mean((0, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(images.var((0, 2, 3), correction=0), torch.ones(3), atol=1e-2, rtol=0)
    with pytest.raises(InputError, match=r"noise must be \[B, 6\] with B at least 2, got \[1, 6\]"):
        made(torch.randn(1, 6))
    for wrong, words in (({"size": (9, 8)}, "multiples of 4, got"), ({"noise": 0}, "noise must"), ({"width": 1}, "2")):
        with pytest.raises(InputError, match=words):
            ImageGenerator(**wrong)


def network(seed: int) -> nn.Module:
    return build("small_cnn", num_classes=3, channels=1, size=(8, 8), seed=seed, widths=[4, 6])


def trained(kind: str) -> Trainee:
    torch.manual_seed(0)
    teacher, student, made = network(2), network(1), ImageGenerator(noise=5, width=4)
    own = dafl_objective(made, teacher) if kind == "dafl" else zskt_objective(made, teacher, student)
    distiller = Distiller(teacher, student, [configure("kd", temperature=1.0, weight=1.0)], label_weight=0)
    return Trainee(
        distiller,
        GeneratedFeed(made, noise=5, batch_size=8, steps=4, seed=3, repeats=1 if kind == "dafl" else 3),
        settings=TrainSettings(epochs=2, batch_size=8, optimizer=OptimizerSettings(name="adam", learning_rate=0.01)),
        seed=3,
        updates=[
            Update(own, torch.optim.Adam(made.parameters(), lr=0.01), every=1 if kind == "dafl" else 3, name="made")
        ],
    )


def everything(trainee: Trainee) -> Tensor:
    return torch.cat(
        [value.flatten().double() for part in trainee.updates for value in part.objective.state_dict().values()]
    )


@pytest.mark.parametrize("kind", ["dafl", "zskt"])
def test_a_training_without_data_resumes_exactly_at_any_step(kind: str, tmp_path: Path) -> None:
    whole = trained(kind)
    began = everything(whole)
    records = whole.run_epochs(0, 2)
    assert not torch.equal(began, everything(whole))
    assert {"one_hot", "agreement"} & {name.removeprefix("made.") for name in records[0]["terms"]}
    for stop in (1, 4, 6):
        first = trained(kind)
        left = iter(range(1, 9))
        while first.epoch * 4 + first.step < stop:
            first.run_epoch(pause=lambda left=left, stop=stop: next(left) >= stop - (stop > 4))
        assert first.epoch * 4 + first.step == stop
        second = trained(kind)
        second.load_state_dict(first.state_dict())
        while second.epoch < 2:
            second.run_epoch()
        assert torch.equal(everything(whole), everything(second)), stop
    resumed = trained(kind)
    fit(resumed, tmp_path)
    assert torch.equal(everything(whole), everything(resumed))


@pytest.mark.parametrize("kind", ["dafl", "zskt"])
def test_the_generator_s_step_moves_the_generator_alone(kind: str) -> None:
    trainee = trained(kind)
    teacher, student = trainee.distiller.teachers["teacher"], trainee.student
    teacher.requires_grad_(True)  # a network that somebody else trains
    before = [value.clone() for part in (teacher, student) for value in part.state_dict().values()]
    modes = [part.training for part in (*teacher.modules(), *student.modules())]
    update = trainee.updates[1]
    batch = next(trainee.feed.batches(0))
    terms = update.objective(batch, context=Context())
    terms.total.backward()
    assert all(weight.grad.isfinite().all() for weight in update.parameters) and update.parameters[0].grad.any()
    assert all(weight.grad is None for part in (teacher, student) for weight in part.parameters())
    after = [value for part in (teacher, student) for value in part.state_dict().values()]
    assert all(torch.equal(*pair) for pair in zip(before, after, strict=True))
    assert modes == [part.training for part in (*teacher.modules(), *student.modules())]
    assert all(weight.requires_grad for weight in (*teacher.parameters(), *student.parameters()))
    if kind == "dafl":
        total = terms["one_hot"] + 5 * terms["class_balance"] + 0.1 * terms["activation"]
        torch.testing.assert_close(terms.total, total)
        logits = teacher.eval()(batch.inputs)
        torch.testing.assert_close(terms["one_hot"], one_hot_loss(logits))
        torch.testing.assert_close(terms["activation"], -teacher.pool(teacher.stages(batch.inputs)).abs().mean())


def test_noise_belongs_to_its_place_and_is_repeated() -> None:
    feed = GeneratedFeed(ImageGenerator(noise=5, width=4), noise=5, batch_size=4, steps=4, seed=0, repeats=3)
    noise = [batch.views["noise"] for epoch in (0, 1) for batch in feed.batches(epoch)]
    same = [[torch.equal(left, right) for right in noise] for left in noise]
    assert same == [[left // 3 == right // 3 for right in range(8)] for left in range(8)]
    assert torch.equal(next(feed.batches(1, 2)).views["noise"], noise[6])


def test_bad_input_is_refused_with_its_remedy() -> None:
    made = ImageGenerator(noise=5, width=4)
    for wrong in ({"batch_size": 1}, {"steps": 0}, {"repeats": 0}, {"noise": 0}, {"seed": -1}):
        with pytest.raises(InputError, match=f"{next(iter(wrong))} must be"):
            GeneratedFeed(made, **{"noise": 5, "batch_size": 4, "steps": 2, "seed": 0, **wrong})
    own = dafl_objective(made, network(2))
    with pytest.raises(InputError, match="train on a GeneratedFeed"):
        own(Batch(torch.zeros(2, 1, 8, 8)), context=Context())
    nothing = GeneratorObjective(made, lambda images: {"a": images.sum()}, {"a": 0.0})
    with pytest.raises(InputError, match="weights must have one that is not 0"):
        nothing(Batch(None, views={"noise": torch.zeros(2, 5)}), context=Context())
    with pytest.raises(InputError, match="the teacher has no"):
        dafl_objective(made, network(2), tap="nowhere")
