"""What a training refuses before it trains: parts of another kind, and files wherever people put them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import distributed, nn
from train_toys import SPEC, data, trainee, weights

from rolewise import distill
from rolewise.augment import build_schedule
from rolewise.batch import Batch
from rolewise.errors import InputError, NonFiniteError
from rolewise.train import Trainee, TrainSettings, evaluate, fit, load_weights, save_weights
from rolewise.train.failure_cause import why


class Wrapper(nn.Module):
    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"distiller": nn.Linear(2, 2)}, "distiller must be a rolewise.Distiller, got Linear; make one"),
        ({"distiller": "wrapped"}, "got Wrapper; give its Distiller as it is: a Trainee trains in one process"),
        ({"source": torch.zeros(3)}, r"source must hold uint8 images and labels, got Tensor; .*ImageData\("),
        ({"indices": [0, 1]}, r"indices must be int64 \[N\], got list; make them with torch.as_tensor\(indices\)"),
        ({"indices": torch.ones(60, dtype=torch.bool)}, r"got torch.bool \[60\]; take mask.nonzero\(\).flatten\(\)"),
        ({"indices": torch.arange(60.0)}, r"got torch.float32 \[60\]"),
        ({"indices": torch.arange(0)}, "indices must name at least one image, got none"),
        ({"indices": torch.arange(61)}, "indices must be from 0 to 59, the images of the source, got 60"),
        ({"indices": torch.tensor([-1])}, "indices must be from 0 to 59, the images of the source, got -1"),
        ({"augmentation": "standard"}, r"got str; write rolewise.augment.build_schedule\('standard'\)"),
        ({"augmentation": None}, "augmentation must be a rolewise.Schedule, got NoneType; build one"),
        (
            {"teacher_augmentation": build_schedule("none").at(0.0)},
            "teacher_augmentation must be a rolewise.Schedule, got Policy",
        ),
        ({"settings": {"epochs": 1}}, "settings must be a rolewise.train.TrainSettings, got dict"),
        ({"seed": -1}, r"seed must be a whole number from 0 to 2\^63 - 1, got -1"),
        ({"seed": True}, "seed must be a whole number"),
        ({"seed": 2**63}, "seed must be a whole number"),
        ({"seed": "0"}, "seed must be a whole number .* got '0'"),
    ],
)
def test_a_trainee_is_given_what_it_can_train(arguments: dict[str, Any], message: str) -> None:
    distiller = trainee(distilled=False).distiller
    if arguments.get("distiller") == "wrapped":
        arguments = {"distiller": Wrapper(distiller)}
    given = {
        "distiller": distiller,
        "source": data(),
        "indices": torch.arange(60),
        "augmentation": build_schedule("none"),
        "settings": TrainSettings(epochs=1, batch_size=16),
        "seed": 2**63 - 1,
    }
    Trainee(**given)
    with pytest.raises(InputError, match=message):
        Trainee(**{**given, **arguments})


def test_a_trainee_trains_in_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(distributed, "get_world_size", lambda: 2)
    with pytest.raises(InputError, match=r"a Trainee must be in one process, got a group of 2: .*Ranks\.of_group"):
        trainee()
    with pytest.raises(
        InputError, match=r"rolewise\.distill must be in one process, got a group of 2: .*Trainee ranks="
    ):
        distill(nn.Linear(4, 2), nn.Linear(4, 2), (torch.rand(4, 4), torch.zeros(4, dtype=torch.int64)), epochs=1)


def test_fit_takes_a_path_as_text_and_refuses_the_rest(tmp_path: Path) -> None:
    for name, value in (("validations", -1), ("validations", 2.5), ("measurements", -1), ("measurements", True)):
        with pytest.raises(InputError, match=f"{name} must be a whole number of at least 0, got {value}"):
            fit(trainee(epochs=1), tmp_path / "none", **{name: value})  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"trainee must be a rolewise.Trainee, got Distiller"):
        fit(trainee(epochs=1).distiller, tmp_path / "none")  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"folder must be a path, as text or as a pathlib.Path, got None"):
        fit(trainee(epochs=1), None)  # type: ignore[arg-type]
    assert not (tmp_path / "none").exists()
    made = trainee(epochs=1, distilled=False)
    assert fit(made, str(tmp_path / "text"))
    network = trainee(distilled=False).model
    load_weights(network, str(tmp_path / "text" / "weights.safetensors"))
    assert all(
        torch.equal(one, other) for one, other in zip(network.parameters(), made.model.parameters(), strict=True)
    )
    save_weights(network, str(tmp_path / "again.safetensors"))
    assert (tmp_path / "again.safetensors").read_bytes() == (tmp_path / "text" / "weights.safetensors").read_bytes()


def test_an_evaluation_is_given_what_it_can_evaluate() -> None:
    network = trainee(distilled=False).model
    for indices, more, message in (
        ([0, 1], {}, r"indices must be int64 \[N\], got list"),
        (torch.arange(0), {}, "indices must name at least one image"),
        (torch.arange(61), {}, "indices must be from 0 to 59"),
        (torch.arange(3), {"batch_size": 0}, "batch_size must be a whole number of at least 1, got 0"),
    ):
        with pytest.raises(InputError, match=message):
            evaluate(network, data(), indices, SPEC, **more)  # type: ignore[arg-type]


# why a loss is not finite


def _spoilt(network: nn.Module, value: float) -> None:
    with torch.no_grad():
        next(network.parameters()).fill_(value)


def test_what_made_a_loss_not_finite_is_said_and_no_learning_rate_is_blamed_for_it() -> None:
    def said(made: Trainee) -> str:
        with pytest.raises(NonFiniteError) as caught:
            made.run_epochs(0, 1)
        return str(caught.value)

    made = trainee()
    assert made.distiller.teacher is not None
    _spoilt(made.distiller.teacher, math.nan)
    assert "'kd' became nan at step 0; the teacher's weights are not finite: load or train it anew" in said(made)

    made = trainee()
    assert made.distiller.teacher is not None
    made.distiller.teacher.register_forward_hook(lambda module, given, logits: logits * math.inf)
    assert "the teacher's logits are not finite: look at its input (mean and std)" in said(made)

    made = trainee()
    _spoilt(made.distiller.student, math.inf)
    text = said(made)
    assert "'labels' became nan at step 0; no step had been taken, so that the learning rate is not the cause" in text
    assert "lower the learning rate" not in text

    # It was finite, and ran away.
    assert "lower the learning rate or the term's weight, or clip the gradient" in said(trainee("sgd", rate=1000.0))


def test_images_that_are_not_finite_are_named() -> None:
    distiller = trainee(distilled=False).distiller
    images = torch.full((2, 1, 8, 8), math.nan)
    assert why(distiller, Batch(images), 5, "labels").startswith("images are not finite")
    assert why(distiller, Batch(images.nan_to_num(), views={"teacher": images}), 5, "labels").startswith(
        "the teacher's images are not finite"
    )
    assert why(distiller, Batch(images.nan_to_num()), 5, "labels") == ""


@pytest.mark.parametrize("chunk", [16, 48, 64])
def test_chunks_of_another_size_give_the_same_network(chunk: int) -> None:
    assert torch.equal(weights(trained(chunk)), weights(trained(2048)))


def trained(chunk: int) -> Trainee:
    made = trainee(epochs=1, distilled=False, chunk=chunk)
    made.run_epochs(0, 1)
    return made
