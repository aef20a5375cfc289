"""`rolewise.distill`: one call from plain networks and examples in any form to a student and its history."""

from __future__ import annotations

import copy
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

import rolewise as rw
from rolewise.data import ImageData
from rolewise.errors import InputError, Interrupted
from rolewise.train import LoaderFeed, OptimizerSettings, load_weights

IMAGES = torch.rand(40, 1, 8, 8, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(40) % 4
IMAGES += LABELS.view(-1, 1, 1, 1) / 4
HELD_OUT = (IMAGES[:12], LABELS[:12])


def network(width: int, seed: int = 0) -> nn.Module:
    with torch.random.fork_rng():
        torch.default_generator.manual_seed(seed)
        return nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 4))


def weights(result: rw.Distilled) -> Tensor:
    return torch.cat([weight.detach().flatten() for weight in result.student.parameters()])


def distilled(train: Any = (IMAGES, LABELS), val: Any = HELD_OUT, **given: Any) -> rw.Distilled:
    given = {"epochs": 2, "batch_size": 8, "learning_rate": 0.02, **given}
    return rw.distill(network(16), network(6, seed=1), train, val, **given)


class Noisy(Dataset[dict[str, Tensor]]):
    """Images as a data set of mappings, with a random transform."""

    def __len__(self) -> int:
        return len(IMAGES)

    def __getitem__(self, index: int) -> dict[str, Any]:
        noise = torch.rand(1, 8, 8)  # of the stream that everybody shares, as transforms do
        return {"pixel_values": IMAGES[index] + 0.1 * noise, "labels": LABELS[index]}


def test_tensors_train_a_student_as_an_own_loop_does() -> None:
    teacher, student = network(16), network(6, seed=1)
    before = copy.deepcopy(student)
    result = rw.distill(
        teacher,
        student,
        (IMAGES, LABELS),
        HELD_OUT,
        epochs=3,
        batch_size=40,
        optimizer=OptimizerSettings(name="sgd", learning_rate=0.1, momentum=0, nesterov=False, weight_decay=0),
        schedule="constant",
    )
    assert result.student is student and not student.training
    distiller = rw.Distiller(copy.deepcopy(teacher), before, ["kd"], label_weight=0.1)
    optimizer = torch.optim.SGD(before.parameters(), lr=0.1)
    for _ in range(3):
        distiller(IMAGES, LABELS).total.backward()
        optimizer.step()
        optimizer.zero_grad()
    for own, other in zip(before.parameters(), student.parameters(), strict=True):
        torch.testing.assert_close(own, other)
    assert [line["epoch"] for line in result.history] == [1, 2, 3] and set(result.history[0]["terms"]) == {
        "kd",
        "labels",
    }
    right = (student(HELD_OUT[0]).argmax(1) == HELD_OUT[1]).float().mean().item()
    assert result.metrics is not None and result.metrics.accuracy == pytest.approx(right)
    assert result.validation[3] == pytest.approx(right) and set(result.validation) == {1, 2, 3}
    assert result.teacher_metrics is not None and result.teacher_metrics.examples == 12


def test_it_is_shown_in_words_and_saved(tmp_path: Path) -> None:
    result = distilled()
    text = repr(result)
    assert text.startswith("Distilled: 2 epochs in about 1 s, training loss ")
    assert f"  student: accuracy {result.metrics.accuracy:.1%}, cross-entropy " in text and "418 parameters" in text
    assert "  teacher: accuracy " in text and "  student by epoch, accuracy, %: " in text
    assert max(map(len, text.splitlines())) <= 80
    again = network(6, seed=5)
    load_weights(again, result.save(tmp_path / "student.safetensors"))
    assert all(map(torch.equal, again.parameters(), result.student.parameters()))
    with pytest.raises(
        InputError, match=r"path must end with .safetensors, got student.pt; name it student.safetensors"
    ):
        result.save(tmp_path / "student.pt")
    assert "validation" not in distilled(val=None).history[0] and distilled(val=None).metrics is None


def test_loader_data_set_and_tensors_hold_the_same_examples() -> None:
    whole = {"batch_size": 40, "epochs": 1}
    expected = weights(distilled(**whole))
    pairs = TensorDataset(IMAGES, LABELS)
    for train in (pairs, DataLoader(pairs, 40, shuffle=True), DataLoader(pairs, 40)):
        torch.testing.assert_close(weights(distilled(train, pairs, **whole)), expected)


def test_a_loader_s_batches_depend_on_the_epoch_alone() -> None:
    loader = DataLoader(Noisy(), 8, shuffle=True)
    feed = LoaderFeed(loader, seed=3, device=torch.device("cpu"))
    state = torch.get_rng_state()
    first = [batch.inputs for batch in feed.batches(1)]
    assert torch.equal(torch.get_rng_state(), state), "the stream that everybody shares has moved"
    torch.rand(3)
    assert all(map(torch.equal, first[2:], [batch.inputs for batch in feed.batches(1, start=2)]))
    assert not torch.equal(first[0], next(feed.batches(2)).inputs)
    torch.testing.assert_close(weights(distilled(loader)), weights(distilled(loader)), rtol=0, atol=0)


def test_an_interrupted_distillation_resumes_to_the_same_bytes(tmp_path: Path) -> None:
    def stop(line: str) -> None:
        if line.startswith("epoch 2/4"):
            signal.raise_signal(signal.SIGINT)

    given: dict[str, Any] = {"train": DataLoader(Noisy(), 8, shuffle=True), "epochs": 4, "methods": ["kd", "dist"]}
    expected = distilled(**given)
    with pytest.raises(Interrupted, match="stopped after epoch 2 of 4; run the same with"):
        distilled(**given, folder=tmp_path / "kept", on_epoch=stop)
    resumed = distilled(**given, folder=tmp_path / "kept")
    assert torch.equal(weights(resumed), weights(expected)) and resumed.validation == expected.validation
    finished = distilled(**given, folder=tmp_path / "kept")
    assert torch.equal(weights(finished), weights(expected)) and finished.history == resumed.history
    with pytest.raises(Interrupted, match="stopped after epoch 2 of 4; nothing of it is kept: give a folder"):
        distilled(**given, on_epoch=stop)
    with pytest.raises(InputError, match=r"folder must be new, or of the same training, .* whose seed is 0 and not 1"):
        distilled(**given, folder=tmp_path / "kept", seed=1)
    # Of many settings, the one that differs is named.
    with pytest.raises(InputError, match=r"whose settings\.optimizer\.learning_rate is [0-9.]+ and not 0\.5; give"):
        distilled(**{**given, "learning_rate": 0.5}, folder=tmp_path / "kept")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="folder must be a folder, got the file"):
        distilled(**given, folder=tmp_path / "file")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/weights.safetensors").write_text("mine")
    with pytest.raises(InputError, match=r"folder must be new, or of the same training, got .*mine, which has other"):
        distilled(**given, folder=tmp_path / "mine")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["weights.safetensors"]


def test_a_folder_is_that_of_its_teacher_its_weights_and_its_own_losses(tmp_path: Path) -> None:
    def pulled(student: Tensor, teacher: Tensor) -> Tensor:
        return (student - teacher).square().mean(1)

    given: dict[str, Any] = {"epochs": 1, "batch_size": 20, "folder": tmp_path / "kept"}
    own = {"methods": [rw.kd(weight=0.9), pulled]}
    student, data = network(6, seed=1), ((IMAGES, LABELS), HELD_OUT)
    rw.distill(network(16), student, *data, **own, **given)
    rw.distill(network(16), student, *data, **own, **given)
    with pytest.raises(InputError, match="whose teacher is"):
        rw.distill(network(16, seed=7), student, *data, **own, **given)
    with pytest.raises(InputError, match="whose methods is"):
        rw.distill(network(16), student, *data, methods=[rw.kd(weight=0.8), pulled], **given)

    def pulled(student: Tensor, teacher: Tensor) -> Tensor:  # type: ignore[no-redef]
        return 2 * (student - teacher).square().mean(1)

    with pytest.raises(InputError, match=r"whose sources\.\w+ is"):
        rw.distill(network(16), student, *data, methods=[rw.kd(weight=0.9), pulled], **given)


def test_labels_of_another_kind_are_named_before_the_training() -> None:
    with pytest.raises(InputError, match=r"labels must be int64 .*got torch.float32"):
        distilled((IMAGES, LABELS.float()))


def test_pictures_are_augmented_and_given_as_pixels() -> None:
    pictures = (IMAGES * 100).to(torch.uint8)
    data = ImageData(pictures, LABELS, tuple("abcd"))
    plain = distilled((pictures, LABELS), (pictures[:12], LABELS[:12]))
    assert torch.equal(weights(distilled(data, data)), weights(plain))
    seen = distilled(data, data, augmentation="randaugment", view="clean", methods=["kd"])
    assert not torch.equal(weights(seen), weights(plain))
    assert not torch.equal(weights(distilled((pictures.float(), LABELS))), weights(plain)), "pixels are in [0, 1]"


def test_other_settings_methods_and_no_labels() -> None:
    result = distilled(
        IMAGES, None, methods=lambda student, teacher: (student - teacher).square().mean(), label_weight=0
    )
    assert set(result.history[0]["terms"]) == {"loss"}
    alone = rw.distill(None, network(6), (IMAGES, LABELS), HELD_OUT, epochs=1, batch_size=8, ema=0.9, clip_norm=1.0)
    assert alone.teacher is None and set(alone.history[0]["terms"]) == {"labels"} and "teacher" not in repr(alone)
    remembered = distilled(methods=rw.crd(width=4, negatives=4, student_taps="1", teacher_taps="1"))
    assert set(remembered.history[0]["terms"]) == {"labels", "crd"}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"train": "images"}, "train must be a DataLoader, a data set, a pair of tensors .* got a str of 6"),
        ({"train": (IMAGES, LABELS[:3])}, "train must have a label for each of the 40 images, a tensor, got 3"),
        ({"train": (IMAGES, LABELS.tolist())}, "train must have a label for each of the 40 images, a tensor, got list"),
        ({"val": (IMAGES[:0], LABELS[:0])}, "val must hold at least one image, got none"),
        ({"train": [(IMAGES, LABELS, 3)] * 2}, "train must be a DataLoader"),
        (
            {"train": DataLoader(TensorDataset(IMAGES, LABELS, LABELS), 8)},
            "a loader must give .* got 3 values; give it",
        ),
        ({"augmentation": "randaugment"}, "augmentation must be left out unless train holds images of uint8"),
        ({"view": "clean"}, "view must be \"shared\" unless train holds images of uint8 .* got 'clean'"),
        ({"optimizer": "sdg"}, "name must be|name: must be"),
        (
            {"optimizer": OptimizerSettings(), "learning_rate": 1},
            "learning_rate must be left out where the optimiser's",
        ),
        ({"clip_nrom": 1.0}, 'no such setting.*"clip_norm"'),
        ({"lr": 0.1}, "no such setting of distill: 'lr'; known: .*learning_rate"),
        ({"methods": "kdd"}, "no method is called 'kdd'"),
        ({"train": IMAGES}, "labels must be a tensor, got none; where nothing reads them set label_weight=0"),
    ],
)
def test_what_is_wrong_is_refused_before_anything_is_trained(given: dict[str, Any], message: str) -> None:
    lines: list[str] = []
    with pytest.raises(InputError, match=message):
        distilled(**{"learning_rate": None, **given}, on_epoch=lines.append)
    assert not lines
