"""A second view of each image, from a config to the batches of a training, and its faults."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import rolewise as rw
from rolewise.augment import build_schedule
from rolewise.config import ConfigError, as_values
from rolewise.config.training_sections import TrainSettings
from rolewise.data import ImageData
from rolewise.distill import Distiller
from rolewise.experiment import load
from rolewise.models import build
from rolewise.train import Trainee

DIGITS = Path(__file__).resolve().parents[2] / "configs" / "digits.yaml"
VIEWED = ["distill.methods=[{name: crld}]", "distill.strong=randaugment"]
PIXELS = torch.randint(0, 256, (24, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def trainee(*, strong: bool, method: str = "mlkd") -> Trainee:
    arguments: dict[str, Any] = {"num_classes": 3, "channels": 1, "size": (8, 8)}
    teacher, student = (build("small_cnn", widths=(4, 5), seed=seed, **arguments) for seed in (1, 2))
    spec = rw.InputSpec((0.5,), (0.5,))
    inputs = {"teacher_input": spec, "student_input": spec}
    distiller = Distiller(teacher, student, [rw.distill.build_methods([{"name": method}])[0]], **inputs)  # type: ignore[attr-defined]
    made = Trainee(
        distiller,
        ImageData(PIXELS, torch.arange(24) % 3, ["a", "b", "c"]),
        torch.arange(24),
        augmentation=build_schedule("none"),
        settings=TrainSettings(epochs=2, batch_size=8, chunk=8),
        seed=3,
    )
    if strong:
        made.images.strong = build_schedule("randaugment")  # type: ignore[union-attr]
    return made


def test_batches_have_a_view_of_the_same_images_and_the_rest_stays() -> None:
    plain, viewed = trainee(strong=False), trainee(strong=True)
    for one, other in zip(plain.feed.batches(1), viewed.feed.batches(1), strict=True):
        assert torch.equal(one.inputs, other.inputs) and not one.views and list(other.views) == ["strong"]
        assert other.views["strong"].shape == other.inputs.shape and not torch.equal(other.views["strong"], one.inputs)
    # Draws belong to positions of the epoch, whatever is read at once and wherever it begins.
    whole = [batch.views["strong"] for batch in viewed.feed.batches(1)]
    viewed.settings = viewed.images.settings = TrainSettings(epochs=2, batch_size=8)
    again = [batch.views["strong"] for batch in viewed.feed.batches(1)]
    rest = [batch.views["strong"] for batch in viewed.feed.batches(1, start=2)]
    assert all(torch.equal(*pair) for pair in zip([*whole, *whole[2:]], [*again, *rest], strict=True))


def test_a_training_on_two_views_resumes_exactly() -> None:
    def weights(made: Trainee) -> list[torch.Tensor]:
        return list(made.student.state_dict().values())

    whole = trainee(strong=True, method="crld")
    whole.run_epochs(0, 2)
    first, second = trainee(strong=True, method="crld"), trainee(strong=True, method="crld")
    first.run_epochs(0, 1)
    second.load_state_dict(first.state_dict())
    second.run_epochs(1, 2)
    assert all(torch.equal(*pair) for pair in zip(weights(whole), weights(second), strict=True))


def test_a_config_has_it_and_its_faults_are_named() -> None:
    config = load(DIGITS, VIEWED)
    assert config.distill.strong == "randaugment" and as_values(config)["distill"]["strong"] == "randaugment"
    assert "strong" not in as_values(load(DIGITS))["distill"]
    for overrides, rule in (
        (VIEWED[:1], r'must have a second view, as "crld" compares two: write distill.strong: randaugment'),
        (VIEWED[1:], "must go with a method that reads a second view, crld or mlkd, got none"),
        ([*VIEWED, "students[0].mix={method: mixup}"], "must be without mixing, as the second view is of one image"),
        (["distill.methods=[{name: mlkd}]", "distill.strong=randaugmnt"], r"distill\.strong.*randaugment"),
    ):
        with pytest.raises(ConfigError, match=rule):
            load(DIGITS, overrides)
