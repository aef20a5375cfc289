"""FastDFKD: its gradient against a loop of its own, the pool, exact resume, and what it refuses."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from rolewise.batch import Batch, Context
from rolewise.distill import Distiller, configure
from rolewise.errors import InputError
from rolewise.models import build
from rolewise.models.image_generator import ImageGenerator
from rolewise.train import FastDFKDObjective, OptimizerSettings, PoolFeed, Trainee, TrainSettings, Update, fit
from rolewise.train.moved_images import cropped_and_mirrored


def network(seed: int) -> nn.Module:
    return build("small_cnn", num_classes=3, channels=1, size=(8, 8), seed=seed, widths=[4, 6])


def made(**settings: object) -> FastDFKDObjective:
    torch.manual_seed(0)
    given = {"noise": 5, "classes": 3, "batch_size": 8, "rounds": 2, "inner_steps": 3, "warmup": 1, "padding": 1}
    return FastDFKDObjective(ImageGenerator(noise=5, width=4), network(2), network(1), **{**given, **settings})


def by_hand(own: FastDFKDObjective, teacher: nn.Module, student: nn.Module, rounds: int) -> tuple[list[Tensor], Tensor]:
    """Returns the outer gradients and the pool after some rounds, from a copy of the generator that is a module."""
    teacher, student = copy.deepcopy(teacher).eval(), copy.deepcopy(student).eval()
    norms = [module for module in teacher.modules() if isinstance(module, nn.BatchNorm2d)]
    seen: dict[nn.Module, Tensor] = {}
    for norm in norms:
        norm.register_forward_pre_hook(lambda module, given: seen.__setitem__(module, given[0]))
    before: dict[nn.Module, tuple[Tensor, Tensor]] = {}
    pool = []
    for step in range(rounds):
        draws = Context(step=step, seed=7).generator("fast_dfkd")
        labels = torch.randint(3, (8,), generator=draws)
        noise = torch.randn(8, 5, generator=draws).requires_grad_()
        fast = copy.deepcopy(own.generator)
        adam = torch.optim.Adam(
            [{"params": fast.parameters()}, {"params": [noise], "lr": 0.01}], lr=2e-3, betas=(0.5, 0.999)
        )
        sums, best = [torch.zeros_like(weight) for weight in fast.parameters()], (float("inf"), torch.empty(0))
        for _ in range(3):
            images = fast(noise)
            view = cropped_and_mirrored(images, draws, padding=1, mirrored=True)
            logits, answer = teacher(view), student(view)
            loss = 0.4 * functional.cross_entropy(logits, labels)
            now = {norm: (seen[norm].mean((0, 2, 3)), seen[norm].var((0, 2, 3), correction=0)) for norm in norms}
            for norm, pair in now.items():
                if norm in before:
                    pair = tuple(0.9 * old + 0.1 * new for old, new in zip(before[norm], pair, strict=True))
                loss = loss + 10 * ((pair[0] - norm.running_mean).norm() + (pair[1] - norm.running_var).norm())
            if step >= 1:
                apart = functional.kl_div(answer.log_softmax(1), logits.softmax(1), reduction="none").sum(1)
                loss = loss - 1.1 * (apart * (answer.argmax(1) == logits.argmax(1))).mean()
            adam.zero_grad()
            loss.backward()
            sums = [total + weight.grad for total, weight in zip(sums, fast.parameters(), strict=True)]
            if loss.item() < best[0]:
                best = (loss.item(), images.detach())
            adam.step()
        for norm, pair in now.items():
            kept = before.get(norm, pair)
            before[norm] = tuple((0.9 * old + 0.1 * new).detach() for old, new in zip(kept, pair, strict=True))
        pool.append(best[1])
    return sums, torch.cat(pool)


@pytest.mark.parametrize("rounds", [1, 2])
def test_gradient_and_pool_are_those_of_first_order_maml_with_modules(rounds: int) -> None:
    own = made()
    judges = own._judges[0]
    for step in range(rounds):
        own.zero_grad()
        terms = own(Batch(None), context=Context(step=step, seed=7))
        terms.total.backward()
    sums, pool = by_hand(own, judges.teacher, judges.student, rounds)
    for weight, total in zip(own.generator.parameters(), sums, strict=True):
        torch.testing.assert_close(weight.grad, total, rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(own.pool[: len(pool)], pool, rtol=1e-4, atol=1e-5)
    assert terms["adversarial"].item() == 0 if rounds == 1 else terms["adversarial"].item() < 0
    weighted = 0.4 * terms["labels"] + 10 * terms["statistics"] + 1.1 * terms["adversarial"]
    torch.testing.assert_close(terms.total.detach(), weighted)


def test_a_round_moves_no_network_and_takes_the_place_of_the_oldest() -> None:
    own = made()
    judges = own._judges[0]
    judges.teacher.requires_grad_(True).train()
    networks = nn.ModuleList([judges.teacher, judges.student, own.generator])
    before = copy.deepcopy(networks.state_dict())
    pools = []
    for step in range(3):
        own(Batch(None), context=Context(step=step))
        pools.append(own.pool.clone())
    assert all(torch.equal(value, before[name]) for name, value in networks.state_dict().items())
    assert all(weight.grad is None and weight.requires_grad for weight in networks.parameters())
    assert judges.teacher.training and int(own.made) == 3
    assert not pools[0][8:].any() and torch.equal(pools[0][:8], pools[1][:8])
    assert not torch.equal(pools[1][:8], pools[2][:8]) and torch.equal(pools[1][8:], pools[2][8:])


def test_crops_and_mirrors_are_each_image_s_own_and_let_gradients_through() -> None:
    image = torch.arange(1.0, 7).view(1, 1, 2, 3)
    images = image.repeat(200, 1, 1, 1).requires_grad_()
    draws = torch.Generator().manual_seed(0)
    moved = cropped_and_mirrored(images, draws, padding=1, mirrored=True)
    padded = functional.pad(image[0, 0], (1, 1, 1, 1))
    crops = [padded[y : y + 2, x : x + 3] for y in range(3) for x in range(3)]
    allowed = {tuple(crop.flatten().tolist()) for crop in [*crops, *(crop.flip(1) for crop in crops)]}
    assert {tuple(one.flatten().tolist()) for one in moved} == allowed
    moved.sum().backward()
    torch.testing.assert_close((images.grad * images).sum(), moved.sum())
    still = cropped_and_mirrored(images, draws, padding=0, mirrored=False)
    assert torch.equal(still, images)


def trained() -> Trainee:
    own = made(rounds=3)
    student = own._judges[0].student
    distiller = Distiller(
        own._judges[0].teacher, student, [configure("kd", temperature=20.0, weight=1.0)], label_weight=0
    )
    adam = torch.optim.Adam(own.generator.parameters(), lr=0.01, betas=(0.5, 0.999))
    settings = TrainSettings(epochs=2, batch_size=8, optimizer=OptimizerSettings(name="adam", learning_rate=0.01))
    feed = PoolFeed(own, batch_size=8, steps=4, seed=3)
    return Trainee(distiller, feed, settings=settings, seed=3, updates=[Update(own, adam, every=2, name="made")])


def everything(trainee: Trainee) -> Tensor:
    return torch.cat(
        [value.flatten().double() for part in trainee.updates for value in part.objective.state_dict().values()]
    )


def test_it_resumes_exactly_at_any_step(tmp_path: Path) -> None:
    whole = trained()
    records = whole.run_epochs(0, 2)
    assert {"made.labels", "made.statistics", "made.adversarial"} <= set(records[0]["terms"])
    assert int(whole.updates[1].objective.made) == 4
    for stop in range(1, 8):
        first = trained()
        left = iter(range(1, 9))
        while first.epoch * 4 + first.step < stop:
            first.run_epoch(pause=lambda left=left, stop=stop: next(left) >= stop - (stop > 4))
        assert first.epoch * 4 + first.step == stop
        second = trained()
        second.load_state_dict(first.state_dict())
        while second.epoch < 2:
            second.run_epoch()
        assert torch.equal(everything(whole), everything(second)), stop
    resumed = trained()
    fit(resumed, tmp_path)
    assert torch.equal(everything(whole), everything(resumed))


def test_bad_input_is_refused_with_its_remedy() -> None:
    for name, value in (
        ("noise", 0), ("classes", 1), ("batch_size", 1), ("rounds", 0), ("inner_steps", 0), ("warmup", -1),
        ("padding", -1), ("momentum", 1.0), ("inner_rate", 0.0), ("noise_rate", -1.0),
    ):  # fmt: skip
        with pytest.raises(InputError, match=f"{name} must be"):
            made(**{name: value})
    with pytest.raises(InputError, match="weights must have one that is not 0"):
        made(labels=0.0, statistics=0.0, adversarial=0.0)
    bare = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    with pytest.raises(InputError, match=r"batch norms with running statistics for FastDFKD, .* \(dafl_objective\)"):
        FastDFKDObjective(ImageGenerator(noise=5, width=4), bare, network(1), noise=5, classes=3)
    for wrong in ({"batch_size": 1}, {"steps": 0}, {"seed": -1}):
        with pytest.raises(InputError, match=f"{next(iter(wrong))} must be"):
            PoolFeed(made(), **{"batch_size": 4, "steps": 2, "seed": 0, **wrong})
