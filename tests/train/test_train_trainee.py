"""Training: exact resume, views, averages, failures, checkpoints."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import nn

from rolewise.augment import Plan, Schedule, build
from rolewise.augment.ops import INDEX
from rolewise.data import ImageData
from rolewise.distill import Distiller, configure
from rolewise.errors import InputError, NonFiniteError
from rolewise.inputs import InputSpec
from rolewise.models import build as network
from rolewise.train import (
    OptimizerSettings,
    Trainee,
    TrainSettings,
    evaluate,
    fit,
    load_checkpoint,
    load_weights,
    save_checkpoint,
)

SPEC = InputSpec((0.3,), (0.4,))


def data(count: int = 60) -> ImageData:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(count) % 3
    images = torch.randint(0, 120, (count, 1, 8, 8), generator=generator)
    images += (labels.view(-1, 1, 1, 1) * 60).int()
    return ImageData(images.to(torch.uint8), labels, ("a", "b", "c"))


def trainee(
    optimizer: str = "sgd",
    *,
    distilled: bool = True,
    epochs: int = 4,
    rate: float = 0.02,
    view: str = "shared",
    **settings,
) -> Trainee:
    student = network("small_cnn", num_classes=3, channels=1, size=(8, 8), seed=1, widths=[4, 6])
    teacher = network("small_cnn", num_classes=3, channels=1, size=(8, 8), seed=2, widths=[6, 8]) if distilled else None
    methods = [configure("kd", weight=0.9), configure("fitnets", weight=0.1)] if distilled else []
    inputs = {"teacher_input": SPEC} if distilled else {}
    distiller = Distiller(teacher, student, methods, student_input=SPEC, example=data().images[:2], **inputs)
    return Trainee(
        distiller,
        data(),
        torch.arange(60),
        augmentation=build("randaugment"),
        teacher_augmentation=build("trivialaugment"),
        view=view,
        settings=TrainSettings(epochs, 16, OptimizerSettings(optimizer, rate), **settings),
        seed=5,
    )


def weights(made: Trainee) -> torch.Tensor:
    return torch.cat([tensor.double().flatten() for tensor in made.distiller.state_dict().values()])


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


def test_views_show_the_networks_what_they_say(monkeypatch: pytest.MonkeyPatch) -> None:
    for view in ("shared", "clean", "own"):
        made = trainee(view=view, epochs=1)
        seen: list[tuple[torch.Tensor, torch.Tensor | None]] = []
        forward = made.distiller.forward

        def spy(images, labels, *, teacher_images=None, progress=0.0, forward=forward, seen=seen):
            seen.append((images, teacher_images))
            return forward(images, labels, teacher_images=teacher_images, progress=progress)

        monkeypatch.setattr(made.distiller, "forward", spy)
        made.run_epochs(0, 1)
        student, teacher = (torch.cat([pair[k] for pair in seen]) if seen[0][k] is not None else None for k in (0, 1))
        originals = {tuple(image.flatten().tolist()) for image in made.source.images}
        clean = [tuple(image.flatten().tolist()) in originals for image in student]
        assert not all(clean)
        if view == "shared":
            assert teacher is None
        elif view == "clean":
            assert all(tuple(image.flatten().tolist()) in originals for image in teacher)
        else:
            assert not torch.equal(student, teacher)
            assert not all(tuple(image.flatten().tolist()) in originals for image in teacher)


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
    made = trainee("sgd", rate=1e9, epochs=4)
    with pytest.raises(NonFiniteError) as caught:
        made.run_epochs(0, 4)
    assert caught.value.step < 16 and caught.value.term in ("labels", "kd", "fitnets", "total")
    assert f"step {caught.value.step}" in str(caught.value)


def test_half_precision_and_layout_train() -> None:
    for settings in ({"precision": "bfloat16"}, {"channels_last": True}):
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
        made.load_state_dict({"epoch": 1})
    with pytest.raises(InputError, match="at least one image"):
        evaluate(made.model, made.source, torch.arange(0), SPEC)


def test_a_last_batch_of_one_is_left_out() -> None:
    made = trainee(distilled=False, epochs=1)
    made.indices = torch.arange(33)
    assert made.steps_per_epoch == 2
    made.run_epochs(0, 1)


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in ("record.jsonl", "weights.safetensors")}


def test_a_fit_that_is_stopped_anywhere_ends_with_the_same_bytes(tmp_path: Path) -> None:
    assert fit(trainee(), tmp_path / "whole", validate=lambda: 0.5)
    for every in (1, 2, 3):
        folder = tmp_path / str(every)
        count = 0

        def stop(every: int = every) -> bool:
            nonlocal count
            count += 1
            return count % every == 0

        rounds = 0
        while not fit(trainee(), folder, validate=lambda: 0.5, should_stop=stop):
            rounds += 1
            # What a killed process wrote after its last checkpoint, the last line half.
            with (folder / "record.jsonl").open("a") as file:
                file.write('{"epoch": 99}\n{"ep')
        assert rounds >= 1 and contents(folder) == contents(tmp_path / "whole")


def test_a_damaged_checkpoint_falls_back_to_the_one_before(tmp_path: Path) -> None:
    made = trainee()
    for epoch in (1, 2, 3):
        made.run_epochs(epoch - 1, epoch)
        save_checkpoint(tmp_path, epoch, made.state_dict())
    assert sorted(path.name for path in tmp_path.glob("*.pt")) == ["epoch-000002.pt", "epoch-000003.pt"]
    newest = load_checkpoint(tmp_path)
    assert newest is not None and newest["epoch"] == 3
    for name in ("epoch-000003.safetensors", "epoch-000003.pt"):
        path = tmp_path / name
        content = path.read_bytes()
        for damaged in (content[: len(content) // 2], b"", b"\x80\x04garbage", bytes(len(content))):
            path.write_bytes(damaged)
            older = load_checkpoint(tmp_path)
            assert older is not None and older["epoch"] == 2
        path.write_bytes(content)
    fresh = trainee()
    fresh.load_state_dict(newest)
    assert torch.equal(weights(fresh), weights(made))
    for path in tmp_path.glob("*.pt"):
        path.write_bytes(b"none")
    with pytest.raises(InputError, match="no checkpoint"):
        load_checkpoint(tmp_path)
    assert load_checkpoint(tmp_path / "nowhere") is None


def test_foreign_weights_are_refused(tmp_path: Path) -> None:
    made = trainee(distilled=False)
    fit(made, tmp_path)
    load_weights(trainee(distilled=False).model, tmp_path / "weights.safetensors")
    with pytest.raises(InputError, match="another network"):
        load_weights(nn.Linear(2, 2), tmp_path / "weights.safetensors")
    (tmp_path / "weights.safetensors").write_bytes(b"12")
    with pytest.raises(InputError, match="damaged"):
        load_weights(made.model, tmp_path / "weights.safetensors")
    with pytest.raises(InputError, match="cannot be read"):
        load_weights(made.model, tmp_path / "missing")
