"""Learning rates, by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from rolewise.config.training_sections import Training, TrainSection
from rolewise.errors import InputError
from rolewise.train import OptimizerSettings, RateSchedule, TrainSettings, rate


def test_multistep() -> None:
    schedule = RateSchedule(name="multistep", milestones=(0.3, 0.6, 0.8), gamma=0.1)
    assert [round(rate(schedule, x), 6) for x in (0, 0.29, 30 / 100, 0.6, 0.79, 0.8, 1)] == [
        1,
        1,
        0.1,
        0.01,
        0.01,
        0.001,
        0.001,
    ]


def test_cosine_with_warm_up() -> None:
    schedule = RateSchedule(name="cosine", warmup=0.1, final=0.2)
    assert rate(schedule, 0.05) == pytest.approx(0.5)
    assert 0 < rate(schedule, 0.0) <= 1e-3
    assert rate(schedule, 0.1) == 1
    assert rate(schedule, 0.55) == pytest.approx(0.6)
    assert rate(schedule, 1.0) == pytest.approx(0.2)


def test_onecycle_rises_then_falls() -> None:
    schedule = RateSchedule(name="onecycle", final=0.0)
    values = [rate(schedule, x / 100) for x in range(101)]
    assert (
        values[0] == pytest.approx(0.04)
        and max(values) == values[30] == 1
        and values[-1] == pytest.approx(0, abs=1e-12)
    )
    assert values[:31] == sorted(values[:31]) and values[30:] == sorted(values[30:], reverse=True)
    assert rate(schedule, 0.65) == pytest.approx((1 + math.cos(math.pi * 0.5)) / 2)


def torchs(kind: type[Any], steps: int, **settings: Any) -> list[float]:
    """The same schedule as torch has it, step by step."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler = kind(optimizer, **settings)
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found


def test_they_are_torchs_own() -> None:
    from torch.optim import lr_scheduler

    steps = 200
    fractions = [step / steps for step in range(steps)]
    multistep = torchs(lr_scheduler.MultiStepLR, steps, milestones=[60, 120, 160], gamma=0.2)
    assert [rate(RateSchedule(name="multistep", gamma=0.2), x) for x in fractions] == pytest.approx(multistep)
    cosine = torchs(lr_scheduler.CosineAnnealingLR, steps, T_max=steps, eta_min=0.1)
    assert [rate(RateSchedule(name="cosine", final=0.1), x) for x in fractions] == pytest.approx(cosine)
    # torch's one cycle turns a step early, since its last step is to have the last rate: hence the tolerance.
    onecycle = torchs(lr_scheduler.OneCycleLR, steps, max_lr=1.0, total_steps=steps + 1, final_div_factor=1e6)
    assert [rate(RateSchedule(name="onecycle"), x) for x in fractions] == pytest.approx(onecycle, abs=0.02)


def test_linear_and_poly() -> None:
    from torch.optim import lr_scheduler

    steps = 50
    for name, power in (("linear", 1.0), ("poly", 0.9), ("poly", 2.0)):
        schedule = RateSchedule(name=name, power=power)
        torch_s = torchs(lr_scheduler.PolynomialLR, steps, total_iters=steps, power=power)
        assert [rate(schedule, step / steps) for step in range(steps)] == pytest.approx(torch_s)
    warm = RateSchedule(name="linear", warmup=0.5, final=0.2)
    assert [rate(warm, x) for x in (0.25, 0.5, 0.75, 1.0)] == pytest.approx([0.5, 1.0, 0.6, 0.2])


def test_moments_are_counted_in_epochs_and_steps() -> None:
    schedule = RateSchedule(name="multistep", milestones=("1 epoch", 0.5, "30 epochs", "70 steps"), warmup="5 steps")
    with pytest.raises(InputError, match="must be fractions of training here"):
        rate(schedule, 0.5)
    over = schedule.over(10, 10)
    assert over.milestones == (0.1, 0.5, 0.7) and over.warmup == 0.05
    # A milestone is met at the first step of its epoch, whatever the division rounds to.
    for epochs in (3, 7, 49):
        made = RateSchedule(
            name="multistep", milestones=tuple(f"{epoch} epochs" for epoch in range(1, epochs)), gamma=0.5
        )
        rates = [rate(made.over(epochs, 11), step / (epochs * 11)) for step in range(epochs * 11)]
        assert rates == [0.5 ** (step // 11) for step in range(epochs * 11)]
    with pytest.raises(InputError, match="shorter than the training, 10 epochs of 10 steps, got 12 epochs"):
        RateSchedule(warmup="12 epochs").over(10, 10)


def test_constant() -> None:
    assert rate(RateSchedule(name="constant"), 0.7) == 1
    assert rate(RateSchedule(name="constant", warmup=0.5), 0.25) == 0.5


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RateSchedule(name="cosin"), 'name must be .* did you mean "cosine"'),
        (lambda: OptimizerSettings(name="adamm"), 'name must be .* did you mean "adam'),
        (lambda: OptimizerSettings(learning_rate=0), "learning_rate must be above 0, got 0"),
        (lambda: OptimizerSettings(learning_rate=math.nan), "learning_rate must be .*, got nan"),
        (lambda: OptimizerSettings(momentum=1), "momentum must be below 1, got 1"),
        (lambda: OptimizerSettings(betas=(0.9, 1.0)), "betas must be below 1"),
        (lambda: OptimizerSettings(rate=1), "rate: no such setting"),
        (lambda: RateSchedule(milestones=(30, 60)), "milestones must be a fraction of training"),
        (lambda: RateSchedule(warmup=1.0), "warmup must be below 1, got 1; shorten it"),
        (lambda: RateSchedule(warmup="5 weeks"), "warmup must be .* such as \"5 epochs\" or .*, got '5 weeks'"),
        (lambda: RateSchedule(milestones=("1.5 steps",)), "milestones must be a fraction of training"),
        (lambda: RateSchedule(name="poly", power=0), "power must be above 0, got 0"),
        (lambda: TrainSettings(epochs=0, batch_size=16), "epochs must be at least 1, got 0"),
        (lambda: TrainSettings(epochs=1, batch_size=0), "batch_size must be at least 1, got 0"),
        (lambda: TrainSettings(epochs=1, batch_size=1, ema=1.0), "ema must be below 1"),
        (lambda: TrainSettings(epochs=1, batch_size=1, clip_norm=0.0), "clip_norm must be above 0"),
        (
            lambda: TrainSettings(epochs=1, batch_size=1, distill_gradient="limit"),
            'distill_gradient must be .* did you mean "limited"',
        ),
        (
            lambda: TrainSettings(epochs=1, batch_size=1, precision="float8"),
            "precision must be 'float32', 'bfloat16', 'float16' or 'auto'",
        ),
        (
            lambda: TrainSettings(epochs=1, batch_size=1, interpolation="cubic"),
            "interpolation must be 'nearest' or 'bilinear'",
        ),
    ],
)
def test_settings_out_of_range_are_refused(make: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()


def test_settings_are_made_by_position_too_and_changed() -> None:
    made: Any = TrainSettings
    settings = made(3, 16, OptimizerSettings(name="adam"), ema=0.9)
    assert (settings.epochs, settings.batch_size, settings.optimizer.name, settings.ema) == (3, 16, "adam", 0.9)
    assert settings.changed(epochs=4) == TrainSettings(epochs=4, batch_size=16, optimizer=settings.optimizer, ema=0.9)
    with pytest.raises(InputError, match="epochs must be at least 1, got 0"):
        settings.changed(epochs=0)
    for values, given in (((3,), {"epochs": 4}), (range(40), {})):
        with pytest.raises(TypeError, match="has the settings epochs, batch_size"):
            made(*values, **given)


def test_what_configs_and_trainings_share_is_one_class() -> None:
    # A field that is added to the one is the other's too.
    assert TrainSection.__mro__[1] is TrainSettings.__mro__[1] is Training
    assert set(TrainSection.model_fields) - set(Training.model_fields) == {"label_smoothing"}
    assert set(TrainSettings.model_fields) - set(Training.model_fields) == {"interpolation", "fill", "chunk"}
