"""Batches of pairs of a class, and batches that come again: what stands in them, and trainings that resume."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from torch import Tensor

import rolewise as rw
from rolewise.augment import build_schedule
from rolewise.config.experiment_values import as_values
from rolewise.data import ImageData
from rolewise.distill import Distiller
from rolewise.errors import InputError
from rolewise.experiment import load
from rolewise.models import build
from rolewise.train import Trainee, TrainSettings
from rolewise.train.batch_order import BatchKind, arranged, check_classes, epoch_length

LABELS = torch.tensor([0, 1, 1, 2, 2, 2, 0, 3, 1, 2, 0, 2])


def stream(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def data() -> ImageData:
    images = torch.randint(256, (12, 1, 8, 8), generator=stream(1), dtype=torch.uint8)
    return ImageData(images, LABELS, tuple("abcd"))


def trainee(kind: BatchKind, methods: list[object], batch_size: int = 4, indices: Tensor | None = None) -> Trainee:
    student = build("small_cnn", num_classes=4, channels=1, size=(8, 8), widths=(4, 6), seed=1)
    spec = rw.InputSpec((0.5,), (0.25,))
    example = data().images[:2]
    distiller = Distiller(None, student, methods, student_input=spec, example=example, labels=LABELS)  # type: ignore[arg-type]
    settings = TrainSettings(epochs=3, batch_size=batch_size, batches=kind)
    rows = torch.arange(12) if indices is None else indices
    return Trainee(distiller, data(), rows, augmentation=build_schedule("trivialaugment"), settings=settings, seed=5)


def test_partners_are_others_of_the_class_and_every_one_has_its_turn() -> None:
    met: dict[int, set[int]] = {}
    for seed in range(60):
        order = torch.randperm(12, generator=stream(seed))
        both = arranged(order, "class_pairs", 4, LABELS, stream(100 + seed))
        assert len(both) == epoch_length(12, 4, "class_pairs") == 24
        batches = both.view(6, 2, 2)
        assert batches[:, 0].flatten().equal(order)
        for first, second in zip(batches[:, 0].flatten().tolist(), batches[:, 1].flatten().tolist(), strict=True):
            met.setdefault(first, set()).add(second)
    for row, partners in met.items():
        others = {other for other in range(12) if LABELS[other] == LABELS[row] and other != row}
        assert partners == (others or {row})


@pytest.mark.parametrize(("number", "size", "length"), [(12, 4, 24), (11, 4, 20), (3, 8, 6), (8, 8, 16)])
def test_half_of_a_batch_was_the_first_half_of_the_one_before(number: int, size: int, length: int) -> None:
    order = torch.randperm(number, generator=stream(3))
    both = arranged(order, "repeated", size, LABELS, stream())
    assert len(both) == epoch_length(number, size, "repeated") == length
    parts = both.split(min(size, len(both)))
    for number, part in enumerate(parts):
        half = len(part) // 2
        assert part[half:].equal(parts[number - 1][:half])
    assert both.unique(return_counts=True)[1].tolist() == [2] * (length // 2)
    assert arranged(order, "shuffled", size, LABELS, stream()) is order


def test_an_epoch_s_batches_are_these_and_each_look_is_augmented_anew() -> None:
    for kind in ("class_pairs", "repeated"):
        feed = trainee(kind, []).feed
        batches = list(feed.batches(0))  # type: ignore[union-attr]
        assert len(batches) == feed.steps == 6  # type: ignore[union-attr]
        for number, batch in enumerate(batches):
            assert batch.indices is not None
            if kind == "class_pairs":
                assert batch.targets[:2].equal(batch.targets[2:])
            else:
                assert batch.indices[2:].equal(batches[number - 1].indices[:2])  # type: ignore[index]
        assert not batches[1].inputs[2:].equal(batches[0].inputs[:2])
        begun = list(feed.batches(0, 4))  # type: ignore[union-attr]
        assert all(one.inputs.equal(other.inputs) for one, other in zip(begun, batches[4:], strict=True))


def test_a_training_resumes_in_the_middle_of_an_epoch() -> None:
    for kind, methods in (("class_pairs", [rw.cs_kd(), rw.ps_kd()]), ("repeated", [rw.dlb(size=4)])):
        whole, part = trainee(kind, methods), trainee(kind, methods)
        whole.run_epochs(0, 2)
        assert whole.images_seen == 48
        part.run_epoch()
        left = iter([False, False, True])
        assert part.run_epoch(pause=lambda left=left: next(left)) is None  # type: ignore[misc]
        rest = trainee(kind, methods)
        rest.load_state_dict(copy.deepcopy(part.state_dict()))
        rest.run_epoch()
        wanted = whole.distiller.state_dict()
        assert all(torch.equal(value, wanted[key]) for key, value in rest.distiller.state_dict().items())


def test_what_does_not_go_together_is_refused() -> None:
    with pytest.raises(InputError, match='batch_size must be even for the batches "repeated", got 5'):
        TrainSettings(batch_size=5, batches="repeated")
    numbers = torch.rand(12)
    with pytest.raises(InputError, match=r'targets are no classes, int64 \[N\], got float32 \[12\] and "class_pairs"'):
        check_classes("class_pairs", numbers)
    tensors = (torch.rand(8, 1, 8, 8), LABELS[:8])
    student = trainee("shuffled", []).student
    with pytest.raises(InputError, match='batches must be "shuffled" where examples come in batches of their own'):
        rw.distill(None, student, tensors, epochs=1, batches="repeated", batch_size=4)


def test_configs_from_before_keep_their_digests(tmp_path: Path) -> None:
    config = Path(__file__).resolve().parents[2] / "configs" / "digits.yaml"
    assert "batches" not in str(as_values(load(config)))
    (tmp_path / "own.yaml").write_text(f"extends: {config}\nteacher: {{train: {{batches: class_pairs}}}}\n")
    assert as_values(load(tmp_path / "own.yaml"))["teacher"]["train"]["batches"] == "class_pairs"
