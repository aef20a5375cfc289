"""Teachers' outputs that are kept: the same training as without, whoever computed them and however often it stopped."""

from __future__ import annotations

import errno
import importlib
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from train_toys import SPEC, data, weights

from rolewise.augment import build_schedule
from rolewise.config.cache_section import CacheSection
from rolewise.distill import Distiller, configure
from rolewise.errors import InputError
from rolewise.models import build
from rolewise.train import OptimizerSettings, Trainee, TrainSettings, fit
from rolewise.train.cached_outputs import packed, spread
from rolewise.train.view_file import ViewFile


def training(
    folder: Path | None,
    methods: tuple[Any, ...] = ("kd",),
    view: str = "shared",
    batches: Any = "shuffled",
    **cache: Any,
) -> Trainee:
    student, teacher = (
        build("small_cnn", num_classes=3, channels=1, size=(8, 8), seed=seed, widths=widths)
        for seed, widths in ((1, [4, 6]), (2, [6, 8]))
    )
    listed = [configure(one) if isinstance(one, str) else one for one in methods]
    distiller = Distiller(teacher, student, listed, student_input=SPEC, teacher_input=SPEC, example=data().images[:2])
    settings = TrainSettings(epochs=4, batch_size=16, optimizer=OptimizerSettings(learning_rate=0.02), batches=batches)
    return Trainee(
        distiller,
        data(),
        torch.arange(3, 60),
        augmentation=build_schedule("randaugment"),
        teacher_augmentation=build_schedule("trivialaugment"),
        view=view,
        settings=settings,
        seed=5,
        cache=None if folder is None else (CacheSection(**{"precision": "float32", **cache}), folder),
    )


def runs_of(trainee: Trainee) -> list[int]:
    """Counts the examples that the teacher sees from now on."""
    seen: list[int] = []
    trainee.distiller.teacher.register_forward_hook(lambda module, inputs, output: seen.append(len(output)))
    return seen


@pytest.mark.parametrize(("views", "view"), [("replay", "shared"), ("replay", "own"), ("clean", "clean")])
def test_a_cached_training_is_the_same_and_a_second_one_runs_no_teacher(views: str, view: str, tmp_path: Path) -> None:
    plain, first, second = (training(folder, view=view, views=views) for folder in (None, tmp_path, tmp_path))
    for trainee in (plain, first):
        trainee.run_epochs(0, 4)
    seen = runs_of(second)
    second.run_epochs(0, 4)
    torch.testing.assert_close(weights(first), weights(plain), atol=1e-5, rtol=1e-4)
    assert torch.equal(weights(first), weights(second))
    # 57 examples leave a last batch of 9; none is left out, and no batch runs the teacher.
    assert seen == []
    names = sorted(path.name for path in tmp_path.glob("*/view-*.bin"))
    assert names == [f"view-{number:05d}.bin" for number in range(1 if views == "clean" else 4)]


@pytest.mark.parametrize(("views", "number"), [("replay", 4), (2, 2), (3, 3), (9, 4)])
def test_every_view_that_a_training_shows_is_counted(views: Any, number: int, tmp_path: Path) -> None:
    cache = training(tmp_path, views=views).cache
    assert cache.views == number and cache.views == len({cache._view(epoch) for epoch in range(4)})
    assert cache.bytes == number * cache._file("teacher", 0).bytes


def test_the_teacher_runs_in_the_first_views_alone_and_each_recurs(tmp_path: Path) -> None:
    trainee = training(tmp_path, views=2)
    seen = runs_of(trainee)
    trainee.run_epochs(0, 2)
    assert sum(seen) == 2 * 57
    shown = {
        epoch: {
            int(row): image
            for batch in trainee.feed.batches(epoch)
            for row, image in zip(batch.indices, batch.inputs, strict=True)
        }
        for epoch in range(4)
    }
    for epoch in range(2):
        assert shown[epoch].keys() == shown[epoch + 2].keys()
        assert all(torch.equal(image, shown[epoch + 2][row]) for row, image in shown[epoch].items())
    assert any(not torch.equal(image, shown[1][row]) for row, image in shown[0].items())
    orders = [torch.cat([batch.indices for batch in trainee.feed.batches(epoch)]) for epoch in (0, 2)]
    assert not torch.equal(*orders)
    trainee.run_epochs(2, 4)
    assert sum(seen) == 2 * 57
    # What was read is what the teacher returns for that view.
    batch = next(trainee.cache.batches(3))
    with torch.no_grad():
        wanted = trainee.distiller.run_all(next(trainee.feed.batches(3)))["teacher"].logits
    torch.testing.assert_close(batch.outputs["teacher"], wanted, atol=1e-5, rtol=1e-5)


def test_stopped_anywhere_it_ends_with_the_same_bytes(tmp_path: Path) -> None:
    whole = training(tmp_path / "one", views="replay")
    fit(whole, tmp_path / "whole")
    for stop in range(1, 9, 3):
        steps = [0]

        def stopping(stop: int = stop, steps: list[int] = steps) -> bool:
            steps[0] += 1
            return steps[0] > stop

        cache, folder = tmp_path / f"cache{stop}", tmp_path / f"run{stop}"
        while not fit(training(cache, views="replay"), folder, should_stop=stopping, seconds_between_checkpoints=0):
            steps[0] = 0
        ours, wanted = ((at / "weights.safetensors").read_bytes() for at in (folder, tmp_path / "whole"))
        assert ours == wanted
        for path in (tmp_path / "one").glob("*/*.bin"):
            assert path.read_bytes() == (cache / path.relative_to(tmp_path / "one")).read_bytes()


def test_a_half_written_view_goes_on_where_it_was(tmp_path: Path) -> None:
    file = ViewFile(tmp_path / "key/view-00000.bin", 10, {"logits": ("float16", (3,))})
    values = torch.randn(10, 3).half()

    def batches(stop: int) -> Any:
        for start in range(0, 10, 2):
            if start == stop:
                raise KeyboardInterrupt
            yield np.arange(start, start + 2), {"logits": values[start : start + 2]}

    assert file.done == (0, False)
    with pytest.raises(KeyboardInterrupt):
        file.write(0, batches(6))
    assert not file.done[1]
    file.write(0, batches(-1))
    assert file.done == (5, True) and torch.equal(file.read(np.arange(10))["logits"], values)
    file.path.write_bytes(b"short")
    with pytest.raises(InputError, match="must have 100 bytes"):
        _ = file.done


def test_a_full_disk_is_an_error_that_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory of a file that has no room on the disk cannot be written: the process would be killed without a word."""

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    file = ViewFile(tmp_path / "view-00000.bin", 4, {"logits": ("float32", (2,))})
    with pytest.raises(OSError, match=r"No space left on device.*view-00000\.bin"):
        file.write(0, iter([]))
    assert file.done == (0, False)


@pytest.mark.parametrize("place", [0, 13, 33])
def test_a_changed_bit_is_found_and_the_file_is_named(place: int, tmp_path: Path) -> None:
    form = (tmp_path / "view-00000.bin", 4, {"logits": ("float32", (2,))})
    ViewFile(*form).write(0, [(np.arange(4), {"logits": torch.ones(4, 2)})])
    content = bytearray(form[0].read_bytes())
    content[place] ^= 8
    form[0].write_bytes(content)
    with pytest.raises(
        InputError, match=r"view-00000\.bin must hold .* in 1 of 4 rows; delete it and view-00000\.json"
    ):
        ViewFile(*form).read(np.arange(4))


def test_a_cache_that_is_deleted_while_it_is_filled_is_filled_again(tmp_path: Path) -> None:
    trainee, whole = training(tmp_path, views="replay"), training(tmp_path / "whole", views="replay")
    whole.run_epochs(0, 1)
    seen = []

    def delete(*_: Any) -> None:
        seen.append(1)
        if len(seen) == 2:
            shutil.rmtree(trainee.cache.files["teacher"])

    trainee.distiller.teacher.register_forward_hook(delete)
    trainee.run_epochs(0, 1)
    assert torch.equal(weights(trainee), weights(whole))


def test_a_row_that_a_view_lacks_is_found_missing(tmp_path: Path) -> None:
    file = ViewFile(tmp_path / "view-00000.bin", 4, {"logits": ("float32", (2,))})
    file.write(0, [(np.array([0, 2]), {"logits": torch.ones(2, 2)})])
    assert file.read(np.array([0, 1])) is None and file.read(np.array([2, 0])) is not None


def test_another_teacher_schedule_or_data_has_another_folder(tmp_path: Path) -> None:
    first = training(tmp_path, views="replay")
    other = training(tmp_path, views="replay")
    with torch.no_grad():
        next(other.distiller.teacher.parameters()).add_(1)
    keys = {first.cache.files["teacher"], training(tmp_path, views=3).cache.files["teacher"]}
    keys.add(training(tmp_path, view="clean", views="clean").cache.files["teacher"])
    again = type(first.cache)(first.cache.settings, tmp_path, other.distiller, other.feed)
    keys.add(again.files["teacher"])
    assert len(keys) == 4
    assert training(tmp_path, views="replay").cache.files == first.cache.files
    # Methods, weights and temperatures share it.
    assert training(tmp_path, ("dkd",), views="replay").cache.files == first.cache.files


def test_a_folder_of_another_key_is_refused_with_what_differs(tmp_path: Path) -> None:
    trainee = training(tmp_path, views="replay")
    trainee.run_epochs(0, 1)
    key = trainee.cache.files["teacher"] / "key.json"
    key.write_text(json.dumps({**json.loads(key.read_text()), "weights": "0"}))
    with pytest.raises(InputError, match="got other weights"):
        trainee.run_epochs(1, 2)


def test_the_largest_probabilities_and_an_even_rest() -> None:
    logits = torch.tensor([[2.0, 1.0, 0.0, -1.0]])
    probabilities = logits.softmax(1)
    kept = packed({"logits": logits}, CacheSection(top=2, precision="float32"))
    found = spread(kept["largest"], kept["left"], kept["classes"].long(), 4).exp()
    rest = (probabilities[0, 2] + probabilities[0, 3]) / 2
    torch.testing.assert_close(found, torch.stack([*probabilities[0, :2], rest, rest]).view(1, 4))


@pytest.mark.parametrize(("precision", "digits"), [("float32", 1e-5), ("float16", 2e-2)])
def test_a_sure_teacher_s_rest_is_kept_at_every_temperature(precision: Any, digits: float) -> None:
    """Beside a probability of nearly 1 the rest is far below its last bit, and at temperature 4 it still counts."""
    logits = torch.randn(50, 10, generator=torch.Generator().manual_seed(0)) * 20
    probabilities = logits.double().softmax(1)
    known, classes = probabilities.topk(3, 1)
    rest = probabilities.scatter(1, classes, 0.0).sum(1, keepdim=True) / 7
    wanted = (rest.expand(-1, 10).scatter(1, classes, known).log() / 4).softmax(1)
    kept = packed({"logits": logits}, CacheSection(top=3, precision=precision))
    found = spread(kept["largest"].float(), kept["left"].float(), kept["classes"].long(), 10)
    torch.testing.assert_close((found / 4).softmax(1).double(), wanted, atol=1e-7, rtol=digits)
    # Numbers beyond the type's stay finite, and so does the loss.
    huge = packed({"logits": logits * 1e5}, CacheSection(top=3, precision=precision))
    assert all(bool(huge[name].isfinite().all()) for name in ("largest", "left"))


def test_outputs_too_large_for_half_precision_are_refused() -> None:
    values = {"predictions": torch.tensor([[1.0], [250000.0]])}
    with pytest.raises(InputError, match=r"precision must be float32 where outputs exceed 65,504, .* of 2\.5e\+05"):
        packed(values, CacheSection())
    assert torch.equal(packed(values, CacheSection(precision="float32"))["predictions"], values["predictions"])


class Scaled(torch.nn.Module):
    """A network whose factor neither its weights nor its text shows."""

    def __init__(self, factor: float, *, fixed: float = 1.0) -> None:
        super().__init__()
        self.factor = factor
        self.head = build("small_cnn", num_classes=3, channels=1, size=(8, 8), seed=2, widths=[6, 8])
        self.register_buffer("fixed", torch.tensor(fixed), persistent=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(images) * self.factor * self.fixed


def key_of(teacher: torch.nn.Module, folder: Path, **settings: Any) -> Path:
    student = build("small_cnn", num_classes=3, channels=1, size=(8, 8), seed=1, widths=[4, 6])
    distiller = Distiller(teacher, student, ["kd"], student_input=SPEC, teacher_input=SPEC)
    chosen = TrainSettings(epochs=2, batch_size=16, **settings)
    given = {"augmentation": build_schedule("none"), "view": "clean", "settings": chosen, "seed": 5}
    cached = Trainee(distiller, data(), torch.arange(60), cache=(CacheSection(), folder), **given).cache
    return cached.files["teacher"]


def test_what_a_network_computes_with_is_part_of_the_key(tmp_path: Path) -> None:
    keys = [key_of(Scaled(*given), tmp_path) for given in ((1.0,), (1.0,), (2.0,))]
    keys.append(key_of(Scaled(1.0, fixed=2.0), tmp_path))
    # Each way to compute rounds in other places, and the first one's bytes would be everybody's.
    keys.append(key_of(Scaled(1.0), tmp_path, channels_last=True))
    assert keys[0] == keys[1] and len(set(keys)) == 4


def test_the_code_of_a_network_is_part_of_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("sys.dont_write_bytecode", True)
    lines = "import torch\n\n\nclass Net(torch.nn.Module):\n    def __init__(self):\n        super().__init__()\n"
    lines += "        self.head = torch.nn.Linear(64, 3)\n        torch.nn.init.ones_(self.head.weight)\n"
    lines += "        torch.nn.init.zeros_(self.head.bias)\n\n    def forward(self, images):\n        return "
    keys = []
    for code in ("self.head(images.flatten(1))", "-self.head(images.flatten(1))", "self.head(images.flatten(1))"):
        (tmp_path / "net_of_code.py").write_text(f"{lines}{code}\n")
        sys.modules.pop("net_of_code", None)
        importlib.invalidate_caches()
        keys.append(key_of(importlib.import_module("net_of_code").Net(), tmp_path / "cache"))
    sys.modules.pop("net_of_code")
    assert keys[0] != keys[1] and keys[0] == keys[2]


def test_with_top_all_the_same_when_it_keeps_nearly_all(tmp_path: Path) -> None:
    trainee, plain = training(tmp_path, views="replay", top=2), training(None)
    trainee.run_epochs(0, 4)
    plain.run_epochs(0, 4)
    # Of three classes two are kept, and the third has what is left: nothing is lost.
    torch.testing.assert_close(weights(trainee), weights(plain), atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"methods": ("kd", "fitnets"), "views": "replay"}, '"fitnets", which reads features'),
        ({"methods": ("dkd",), "views": "replay", "top": 2}, '"dkd", which reads all outputs'),
        ({"views": "clean"}, "set distill.view to clean"),
        ({"view": "clean", "views": "replay"}, "set distill.cache.views to clean"),
        ({"views": "replay", "top": 3}, "below the number of classes"),
        ({"views": "replay", "limit_gb": 1e-6}, "more than limit_gb 1e-06"),
        ({"views": "replay", "batches": "repeated"}, 'got "repeated", which shows examples several times'),
        ({"views": 2, "batches": "class_pairs"}, "with the views 2"),
    ],
)
def test_what_does_not_go_with_it_is_refused(given: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        training(tmp_path / "cache", **given)
    assert words in str(caught.value), str(caught.value)
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("batches", ["class_pairs", "repeated"])
def test_clean_outputs_serve_examples_that_an_epoch_shows_twice(batches: str, tmp_path: Path) -> None:
    cached = training(tmp_path / "cache", view="clean", batches=batches, views="clean")
    plain = training(None, view="clean", batches=batches)
    for trainee in (cached, plain):
        trainee.run_epochs(0, 4)
    torch.testing.assert_close(weights(cached), weights(plain), atol=1e-5, rtol=1e-4)
