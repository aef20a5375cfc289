"""Levels of inputs begin with the first training batch; whatever runs in eval mode before changes nothing."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from train_toys import SPEC, data

from rolewise.augment import build_schedule as augmentation
from rolewise.distill import Distiller, configure
from rolewise.errors import InputError
from rolewise.models import build
from rolewise.quant import AffineActivation, LsqActivation, PactActivation, operations, quantise, quantised_layers
from rolewise.train import OptimizerSettings, Trainee, TrainSettings, evaluate

LEARNED = ["lsq", "pact", "affine"]
KINDS = [LsqActivation, PactActivation, AffineActivation]


def draws(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def student(quantiser: str = "lsq") -> nn.Module:
    model = build("small_cnn", num_classes=3, channels=1, size=(8, 8), seed=1, widths=[4, 6])
    return quantise(model, 4, quantiser=quantiser, keep=())


def state(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def begun(model: nn.Module) -> set[bool]:
    return {bool(tensor) for name, tensor in model.state_dict().items() if name.endswith(".ready")}


def trainee(quantiser: str = "lsq", ema: float | None = None) -> Trainee:
    teacher = build("small_cnn", num_classes=3, channels=1, size=(8, 8), seed=2, widths=[6, 8])
    methods = [configure("kd", weight=0.9), configure("fitnets", weight=0.1)]
    example = data().images[:2]
    distiller = Distiller(teacher, student(quantiser), methods, teacher_input=SPEC, student_input=SPEC, example=example)
    settings = TrainSettings(
        epochs=4, batch_size=16, optimizer=OptimizerSettings(name="sgd", learning_rate=0.02), ema=ema
    )
    return Trainee(
        distiller, data(), torch.arange(60), augmentation=augmentation("randaugment"), settings=settings, seed=5
    )


@pytest.mark.parametrize("kind", KINDS)
def test_each_batch_has_levels_of_its_own_until_one_trains(kind: type) -> None:
    first, second = draws(4, 9).relu() * 3, draws(4, 9, seed=1).abs()
    quantiser = kind(4).eval()
    before = state(quantiser)
    for values in (first, second, first):
        assert torch.equal(quantiser(values), kind(4).train()(values))
    assert same(state(quantiser), before)
    with pytest.raises(InputError, match="must be set by a training batch"):
        quantiser.grid()
    quantiser.train()(second)
    kept = quantiser.eval()(first)
    assert torch.equal(kept, quantiser(first)) and not torch.equal(kept, kind(4).eval()(first))
    assert float(kept.detach().amax()) <= quantiser.grid().scale * 15 * (1 + 1e-6)


def test_the_first_training_batch_sets_them_by_the_formulas() -> None:
    values = draws(6, 20) * 2
    kinds: list[Any] = KINDS
    lsq, pact, affine = (kind(4) for kind in kinds)
    for quantiser in (lsq, pact, affine):
        quantiser.eval()(values * 100)
        quantiser.train()(values)
    raw = values.double().numpy()
    assert float(lsq.step.detach()) == pytest.approx(2 * np.abs(raw).mean() / np.sqrt(7), rel=1e-5)
    assert bool(lsq.signed)
    assert float(pact.height.detach()) == pytest.approx(3 * np.sqrt(np.square(np.maximum(raw, 0)).mean()), rel=1e-5)
    assert affine.ends.tolist() == pytest.approx([raw.min(), raw.max()])


@pytest.mark.parametrize("quantiser", LEARNED)
def test_an_evaluation_before_training_changes_nothing(quantiser: str) -> None:
    low = student(quantiser)
    before = state(low)
    first = evaluate(low, data(), torch.arange(60), SPEC)
    operations(low, (1, 8, 8))
    assert same(state(low), before) and begun(low) == {False}
    assert evaluate(low, data(), torch.arange(60), SPEC).loss == first.loss
    low.train()(draws(16, 1, 8, 8))
    assert begun(low) == {True}


@pytest.mark.parametrize("quantiser", LEARNED)
@pytest.mark.parametrize("reader", [False, True])
def test_the_distillers_trial_leaves_a_student_as_it_was(quantiser: str, reader: bool) -> None:
    low = student(quantiser)
    before, modes = state(low), [module.training for module in low.modules()]
    teacher = build("small_cnn", num_classes=3, channels=1, size=(8, 8), seed=2, widths=[6, 8])
    methods = [configure("fitnets" if reader else "kd", weight=0.5)]
    distiller = Distiller(teacher, low, methods, teacher_input=SPEC, student_input=SPEC, example=data().images[:2])
    assert bool(list(distiller.terms.parameters())) == reader
    assert same(state(low), before) and [module.training for module in low.modules()] == modes
    # The levels that training begins with are those of its first batch, not of the trial's two images.
    other, images = copy.deepcopy(low).train(), data().images[:16]
    distiller.train()(images, data().labels[:16])
    other((images / 255 - 0.3) / 0.4)
    for name, tensor in low.state_dict().items():
        torch.testing.assert_close(tensor, other.state_dict()[name])


@pytest.mark.parametrize("quantiser", LEARNED)
def test_states_and_copies_from_before_and_after_the_first_batch(quantiser: str) -> None:
    fresh, trained = student(quantiser), student(quantiser)
    early, copied = state(fresh), copy.deepcopy(fresh)
    trained.train()(draws(16, 1, 8, 8) * 3)
    late = state(trained)
    fresh.load_state_dict(late)
    values = draws(5, 1, 8, 8, seed=2)
    assert torch.equal(fresh.eval()(values), trained.eval()(values))
    assert torch.equal(copy.deepcopy(trained)(values), trained(values))
    # A state from before the first batch: the levels begin again, as in the copy that was made then.
    trained.load_state_dict(early)
    assert begun(trained) == {False}
    for model in (trained, copied):
        model.train()(draws(16, 1, 8, 8, seed=3))
    assert same(state(trained), state(copied))


@pytest.mark.parametrize("quantiser", LEARNED)
def test_a_training_goes_on_and_a_member_copies_another(quantiser: str) -> None:
    whole = trainee(quantiser, ema=0.9)
    records = whole.run_epochs(0, 2)
    untrained = trainee(quantiser, ema=0.9)
    start = untrained.state_dict()
    first = trainee(quantiser, ema=0.9)
    # A search scores its members; before training too.
    evaluate(first.model, first.source, first.indices, SPEC)
    head = first.run_epochs(0, 1)
    evaluate(first.model, first.source, first.indices, SPEC)
    second = trainee(quantiser, ema=0.9)
    second.load_state_dict(first.state_dict())
    assert head + second.run_epochs(1, 2) == records
    assert same(state(second.distiller), state(whole.distiller)) and same(state(second.model), state(whole.model))
    # And back to the start: nothing of the levels that were is left.
    second.load_state_dict(start)
    assert second.run_epochs(0, 2) == records
    assert same(state(second.distiller), state(whole.distiller)) and same(state(second.model), state(whole.model))


@pytest.mark.parametrize("quantiser", LEARNED)
def test_an_average_takes_the_first_levels_over_whole(quantiser: str) -> None:
    made = trainee(quantiser, ema=0.5)
    made.indices = torch.arange(16)
    made.run_epochs(0, 1)
    first = state(made.distiller.student)
    levels = [name for name in first if "activation_quantiser" in name]
    weights = [name for name in first if name.endswith("weight_quantiser.step") or name.endswith(".weight")]
    assert levels and all(torch.equal(made.model.state_dict()[name], first[name]) for name in levels)
    assert any(not torch.equal(made.model.state_dict()[name], first[name]) for name in weights)
    made.run_epochs(1, 2)
    second = state(made.distiller.student)
    for name in levels:
        if first[name].is_floating_point():
            torch.testing.assert_close(made.model.state_dict()[name], (first[name] + second[name]) / 2)
    # Evaluated, the average is as near to the student as its levels are.
    assert begun(made.model) == {True}


@pytest.mark.parametrize("nothing", [torch.zeros(3, 4), torch.zeros(0, 4), torch.full((3, 4), torch.inf)])
@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_that_says_nothing_sets_nothing(kind: type, nothing: Tensor) -> None:
    quantiser = kind(4).train()
    out = quantiser(nothing)
    assert out.shape == nothing.shape and not bool(quantiser.ready)
    if nothing.isfinite().all():
        assert not out.any()
    values = draws(3, 4) * 50
    assert torch.equal(quantiser(values), kind(4).train()(values)) and bool(quantiser.ready)
    # Once set, such a batch does not spoil them either.
    quantiser(nothing)
    assert np.isfinite(quantiser.grid().scale) and bool(quantiser(values).isfinite().all())


def test_an_error_names_its_layer() -> None:
    low = quantise(build("small_cnn", num_classes=3), {"activations": 1}, keep=("first",))
    path, layer = next(iter(quantised_layers(low)))
    with pytest.raises(InputError, match=f"layer {path}: levels of an input must be set"):
        layer.grid()
    with pytest.raises(InputError, match=f"layer {path}: bits must be a whole number from 2 to 8, got 1; its input"):
        layer.quantised_input(-torch.ones(2))  # type: ignore[operator]
