"""Training: exact resume, views, averages, failures."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from train_toys import SPEC, data, trainee, weights

from rolewise.augment import Plan, Schedule
from rolewise.augment.ops import INDEX
from rolewise.data import ImageData
from rolewise.distill import Distiller
from rolewise.errors import InputError, NonFiniteError
from rolewise.inputs import InputSpec, prepare
from rolewise.models import build as network
from rolewise.train import (
    Trainee,
    TrainSettings,
    evaluate,
)
from rolewise.train.image_feed import at_once
from rolewise.train.position_plans import BLOCK


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
@pytest.mark.parametrize("settings", [{}, {"ema": 0.9, "clip_norm": 1.0}], ids=["plain", "ema"])
def test_state_carries_a_training_over_at_every_epoch(optimizer: str, settings: dict) -> None:
    whole = trainee(optimizer, **settings)
    records = whole.run_epochs(0, 4)
    for stop in range(1, 4):
        first = trainee(optimizer, **settings)
        head = first.run_epochs(0, stop)
        second = trainee(optimizer, **settings)
        second.load_state_dict(first.state_dict())
        assert head + second.run_epochs(stop, 4) == records
        assert torch.equal(weights(second), weights(whole))
        for a, b in zip(second.model.state_dict().values(), whole.model.state_dict().values(), strict=True):
            assert torch.equal(a, b)


def test_a_state_of_other_draws_is_refused_unless_it_is_finished() -> None:
    made = trainee("sgd", epochs=2)
    made.run_epochs(0, 1)
    earlier = {name: value for name, value in made.state_dict().items() if name != "draws"}
    fresh = trainee("sgd", epochs=2)
    with pytest.raises(InputError, match=r"draws of version 2, got 1: .*start the training anew"):
        fresh.load_state_dict(earlier)
    assert fresh.epoch == 0
    made.run_epochs(1, 2)
    fresh.load_state_dict({**made.state_dict(), "draws": 1})
    assert fresh.progress == 1 and torch.equal(weights(fresh), weights(made))


def test_it_learns() -> None:
    made = trainee("adam", distilled=False, epochs=15)
    made.run_epochs(0, 15)
    assert evaluate(made.model, made.source, made.indices, SPEC).accuracy > 0.8
    assert made.progress == 1 and made.images_seen == 15 * 60


def test_the_average_is_what_it_says() -> None:
    made = trainee("sgd", distilled=False, epochs=1, ema=0.5)
    before = {name: tensor.clone() for name, tensor in made.distiller.student.state_dict().items()}
    single = trainee("sgd", distilled=False, epochs=1, ema=0.5)
    single.indices = torch.arange(16)
    single.run_epochs(0, 1)
    for name, average in single.model.state_dict().items():
        now = single.distiller.student.state_dict()[name]
        expected = (before[name] + now) / 2 if average.is_floating_point() else now
        assert torch.allclose(average.double(), expected.double(), atol=1e-6), name


def seen_under(view: str) -> tuple[torch.Tensor, torch.Tensor]:
    """What the two networks themselves were fed in an epoch, as grey levels [60, 1, 8, 8]."""
    made = trainee(view=view, epochs=1)
    fed: tuple[list[torch.Tensor], list[torch.Tensor]] = ([], [])
    assert made.distiller.teacher is not None
    for network_, kept in zip((made.distiller.student, made.distiller.teacher), fed, strict=True):
        network_.register_forward_pre_hook(lambda module, inputs, kept=kept: kept.append(inputs[0]))
    made.run_epochs(0, 1)
    student, teacher = (((torch.cat(kept) * 0.4 + 0.3) * 255).round().to(torch.uint8) for kept in fed)
    return student, teacher


def clean_ones(images: torch.Tensor) -> set[tuple[int, ...]]:
    originals = {tuple(image.flatten().tolist()) for image in data().images}
    return originals & {tuple(image.flatten().tolist()) for image in images}


def test_views_show_the_networks_what_they_say() -> None:
    student, teacher = seen_under("shared")
    assert torch.equal(student, teacher) and len(clean_ones(student)) < 30
    under_clean, clean = seen_under("clean")
    assert len(clean_ones(clean)) == 60
    under_own, own = seen_under("own")
    assert not torch.equal(own, under_own) and len(clean_ones(own)) < 60
    # The teacher's draws are a stream of their own: whatever it sees, the student's images stay the same.
    assert torch.equal(student, under_clean) and torch.equal(student, under_own)


def test_the_view_own_is_resumed_exactly() -> None:
    whole, first, second = trainee(view="own"), trainee(view="own"), trainee(view="own")
    records = whole.run_epochs(0, 3)
    head = first.run_epochs(0, 2)
    second.load_state_dict(first.state_dict())
    assert head + second.run_epochs(2, 3) == records


def test_clipping_bounds_the_step() -> None:
    # Without momentum and decay a step is rate x clipped gradient: its norm is at most rate x the bound.
    made = trainee("sgd", distilled=False, epochs=1, rate=1.0, clip_norm=1e-3)
    made.indices = torch.arange(16)
    for group in made.optimizer.param_groups:
        group.update(momentum=0.0, weight_decay=0.0, nesterov=False)
    before = [parameter.detach().clone() for parameter in made.distiller.parameters()]
    made.run_epochs(0, 1)
    step = torch.cat([(new - old).flatten() for new, old in zip(made.distiller.parameters(), before, strict=True)])
    assert step.norm().item() == pytest.approx(1e-3, rel=1e-3)


def test_a_loss_that_is_not_finite_stops_and_names_step_and_term() -> None:
    made = trainee("sgd", rate=1000.0, epochs=4)
    with pytest.raises(NonFiniteError) as caught:
        made.run_epochs(0, 4)
    assert caught.value.step < 16 and caught.value.term in ("labels", "kd", "fitnets", "total")
    assert f"step {caught.value.step}" in str(caught.value)


def test_weights_that_the_last_step_spoils_are_found() -> None:
    # The loss was finite; only the step after it was not.
    made = trainee("sgd", distilled=False, epochs=1)
    made.indices = torch.arange(16)
    next(iter(made.distiller.parameters())).register_hook(lambda gradient: gradient * math.inf)
    with pytest.raises(NonFiniteError, match="a weight or a statistic of the networks became inf") as caught:
        made.run_epochs(0, 1)
    assert caught.value.step == 0 and made.epoch == 0


def test_half_precision_and_layout_train() -> None:
    for settings in ({"precision": "bfloat16"}, {"precision": "float16"}, {"channels_last": True}):
        made = trainee("adam", epochs=2, **settings)
        records = made.run_epochs(0, 2)
        assert math.isfinite(records[-1]["train_loss"])


def test_schedules_and_scalars_are_followed() -> None:
    made = trainee("sgd", epochs=4)
    made.scalars = [
        (0.0, {"learning_rate": 0.1}),
        (0.5, {"learning_rate": 0.4, "temperature": 2.0, "label_weight": 0.3}),
    ]
    calls: list[float] = []

    class Spy:
        def __init__(self, name: float) -> None:
            self.name = name

        def draw(self, num, size, generator):
            calls.append(self.name)
            return Plan(torch.full((num, 1), INDEX["invert"]), torch.ones(num, 1), torch.zeros(num, 1, 2))

        def to_json(self):
            return {}

    made.set_augmentation(Schedule(((0.0, Spy(0)), (0.75, Spy(1)))))
    made.run_epochs(0, 2)
    assert made.learning_rate == 0.1
    made.run_epochs(2, 4)
    assert made.learning_rate == 0.4 and made.distiller.label_weight == 0.3
    assert made.distiller.methods[0].settings["temperature"] == 2.0
    assert calls == [0, 0, 0, 1]


def test_wrong_views_and_states_are_refused() -> None:
    with pytest.raises(InputError, match="view"):
        trainee(view="mine")
    made = trainee()
    with pytest.raises(InputError, match="same network"):
        made.load_state_dict({"epoch": 1, "draws": 2})
    with pytest.raises(InputError, match="at least one image"):
        evaluate(made.model, made.source, torch.arange(0), SPEC)


def test_a_last_batch_of_one_is_left_out() -> None:
    made = trainee(distilled=False, epochs=1)
    made.indices = torch.arange(33)
    assert made.steps_per_epoch == 2
    made.run_epochs(0, 1)
    assert made.images_seen == 32
    with pytest.raises(InputError, match="start must be 1"):
        made.run_epochs(0, 1)


def test_large_images_are_augmented_in_smaller_chunks() -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (100, 3, 256, 256), generator=generator).to(torch.uint8)
    student = network("small_cnn", num_classes=2, channels=3, size=(256, 256), seed=1, widths=[1])
    drawn: list[int] = []

    class Spy:
        def draw(self, num, size, generator):
            drawn.append(num)
            return Plan(torch.zeros(num, 0, dtype=torch.int64), torch.zeros(num, 0), torch.zeros(num, 0, 2))

        def to_json(self):
            return {}

    made = Trainee(
        Distiller(None, student, student_input=InputSpec((0.5,) * 3, (0.5,) * 3)),
        ImageData(images, torch.arange(100) % 2, ("a", "b")),
        torch.arange(100),
        augmentation=Schedule.constant(Spy()),
        settings=TrainSettings(epochs=1, batch_size=20),
        seed=0,
    )
    made.run_epochs(0, 1)
    # 16 MiB hold 85 of these images, which is 4 whole batches; draws are made in blocks of positions all the same.
    assert at_once(made.source, made.settings) == 80 and drawn == [BLOCK]


def test_evaluation_leaves_no_trace() -> None:
    made = trainee(distilled=False)
    frozen = next(module for module in made.model.modules() if isinstance(module, nn.BatchNorm2d))
    made.model.train()
    frozen.eval()
    spec = InputSpec((0.21,), (0.37,))
    evaluate(made.model, made.source, made.indices, spec)
    assert made.model.training and not frozen.training
    # Constants that were first made while evaluating serve gradients to the images later.
    images = torch.rand(2, 1, 8, 8, requires_grad=True)
    prepare(images, spec).sum().backward()
    assert torch.allclose(images.grad, torch.full_like(images, 1 / 0.37))
