"""The journey through everybody's loop: the same data through each kind of loop give the same losses and weights."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

import rolewise as rw
from rolewise.train import OptimizerSettings

IMAGES = torch.rand(48, 1, 8, 8, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(48) % 4
EPOCHS, SIZE, RATE = 3, 12, 0.05


class Net(nn.Module):
    """A network as people write them; `forward` takes images by position or as ``pixel_values``."""

    def __init__(self, width: int, seed: int) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.default_generator.manual_seed(seed)
            self.body = nn.Sequential(nn.Conv2d(1, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU())
            self.head = nn.Linear(width, 4)

    def forward(self, pixel_values: Tensor) -> dict[str, Tensor]:
        return {"logits": self.head(self.body(pixel_values).mean((2, 3)))}


def parts() -> tuple[Net, Net]:
    return Net(8, 1), Net(4, 2)


def made(teacher: nn.Module, student: nn.Module, methods: Any = None, **settings: Any) -> rw.Distiller:
    methods = methods or ["kd", rw.fitnets(weight=0.5, student_taps="body", teacher_taps="body")]
    return rw.Distiller(teacher, student, methods, label_weight=0.1, example=IMAGES[:2], **settings)


def batches() -> Iterator[tuple[Tensor, Tensor]]:
    for _ in range(EPOCHS):
        yield from zip(IMAGES.split(SIZE), LABELS.split(SIZE), strict=True)


Result = tuple[list[float], dict[str, Tensor]]


def plain(call: Callable[[rw.Distiller, Tensor, Tensor], rw.Terms], methods: Any = None) -> Result:
    """The five lines of the README, around one call."""
    teacher, student = parts()
    distiller = made(teacher, student, methods)
    optimizer = torch.optim.SGD(distiller.trainable_parameters(), RATE)
    losses = []
    for images, labels in batches():
        terms = call(distiller, images, labels)
        terms.total.backward()
        optimizer.step(), optimizer.zero_grad()
        losses.append(terms.total.item())
    return losses, student.state_dict()


def own_loop() -> Result:
    return plain(lambda distiller, images, labels: distiller(images, labels))


def mappings() -> Result:
    return plain(lambda distiller, images, labels: distiller({"pixel_values": images, "labels": labels}))


def whole_batches() -> Result:
    return plain(lambda distiller, images, labels: distiller(rw.Batch(images, labels)))


class Module(nn.Module):
    """A module with the hooks that Lightning calls."""

    def __init__(self, teacher: nn.Module, student: nn.Module) -> None:
        super().__init__()
        self.distiller = made(teacher, student)
        self.losses: list[float] = []

    def training_step(self, batch: list[Tensor], index: int) -> Tensor:
        terms = self.distiller(*batch)
        self.losses.append(terms.total.item())
        return terms.total

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.distiller.trainable_parameters(), RATE)


def lightning_style() -> Result:
    teacher, student = parts()
    module = Module(teacher, student).train()
    optimizer = module.configure_optimizers()
    for index, batch in enumerate(batches()):
        loss = module.training_step(list(batch), index)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        module.distiller.after_step()
    return module.losses, student.state_dict()


def trainer_style() -> Result:
    """A trainer that owns the student alone, and asks for its loss."""
    teacher, student = parts()
    distiller, losses = made(teacher, student), []

    def compute_loss(model: nn.Module, inputs: dict[str, Tensor], return_outputs: bool = False) -> Any:
        assert model is student
        terms = distiller(inputs)
        return (terms.total, {"logits": terms.student_logits}) if return_outputs else terms.total

    optimizer = torch.optim.SGD(distiller.trainable_parameters(), RATE)
    for images, labels in batches():
        student.train()
        loss = compute_loss(student, {"pixel_values": images, "labels": labels})
        losses.append(loss.item())
        loss.backward()
        optimizer.step()
        student.zero_grad()
        optimizer.zero_grad()
        student.eval()
        with torch.no_grad():
            compute_loss(student, {"pixel_values": IMAGES, "labels": LABELS}, return_outputs=True)
    return losses, student.state_dict()


def one_call() -> Result:
    teacher, student = parts()
    loader = DataLoader(TensorDataset(IMAGES, LABELS), SIZE)
    result = rw.distill(
        teacher,
        student,
        loader,
        epochs=EPOCHS,
        methods=["kd", rw.fitnets(weight=0.5, student_taps="body", teacher_taps="body")],
        optimizer=OptimizerSettings(name="sgd", learning_rate=RATE, momentum=0, nesterov=False, weight_decay=0),
        schedule="constant",
    )
    # The record has means over epochs.
    return [line["train_loss"] for line in result.history], student.state_dict()


def equal(result: Result, expected: Result) -> bool:
    losses, weights = result
    if len(losses) == EPOCHS:
        means = torch.tensor(expected[0], dtype=torch.float64).view(EPOCHS, -1).mean(1)
        torch.testing.assert_close(torch.tensor(losses, dtype=torch.float64), means)
    else:
        assert losses == expected[0] and losses[-1] < losses[0]
    return all(torch.equal(weights[name], value) for name, value in expected[1].items())


@pytest.mark.parametrize("loop", [mappings, whole_batches, lightning_style, trainer_style, one_call])
def test_each_loop_gives_the_losses_and_weights_of_one_s_own(
    loop: Callable[[], Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert equal(loop(), own_loop())
    assert not list(tmp_path.iterdir()), "nothing is written where nobody asked for it"


def test_stored_outputs_and_a_plain_function_train_as_the_teacher_and_the_method_do() -> None:
    expected = plain(lambda distiller, images, labels: distiller(images, labels), "kd")
    with torch.no_grad():
        stored = parts()[0].eval()(IMAGES)["logits"]

    def from_store(distiller: rw.Distiller, images: Tensor, labels: Tensor) -> rw.Terms:
        rows = [(image == IMAGES).flatten(1).all(1).nonzero().item() for image in images]
        return distiller(images, labels, teacher_outputs=stored[rows])

    losses, weights = plain(from_store, "kd")
    torch.testing.assert_close(torch.tensor(losses), torch.tensor(expected[0]))
    torch.testing.assert_close(weights, expected[1])

    def my_loss(student_logits: Tensor, teacher_logits: Tensor) -> Tensor:
        target = functional.softmax(teacher_logits / 4, 1)
        return (
            0.9 * 16 * functional.kl_div(functional.log_softmax(student_logits / 4, 1), target, reduction="batchmean")
        )

    losses, weights = plain(lambda distiller, images, labels: distiller(images, labels), my_loss)
    torch.testing.assert_close(torch.tensor(losses), torch.tensor(expected[0]))
    torch.testing.assert_close(weights, expected[1])


def test_accumulated_gradients_under_autocast_are_those_of_the_whole_batch() -> None:
    def gradients(size: int) -> Tensor:
        teacher, student = parts()
        student.body[1] = nn.Identity()  # a norm sees its own batch only
        distiller = made(teacher, student, "kd")
        for images, labels in zip(IMAGES.split(size), LABELS.split(size), strict=True):
            with torch.autocast("cpu", torch.bfloat16):
                terms = distiller(images, labels)
            assert terms.total.dtype == torch.float32 and terms.student_logits.dtype == torch.bfloat16
            (terms.total * size / len(IMAGES)).backward()
        return torch.cat([weight.grad.flatten() for weight in student.parameters()])

    whole = gradients(48)
    torch.testing.assert_close(gradients(12), whole, rtol=0.05, atol=0.02 * whole.abs().max().item())


# The libraries themselves, where they are installed: CI runs the examples with them.


@pytest.mark.filterwarnings("ignore")  # the libraries' own
def test_lightning_gives_the_same() -> None:
    pl = pytest.importorskip("pytorch_lightning", reason="needs pytorch-lightning: pip install 'rolewise[examples]'")

    class Distillation(Module, pl.LightningModule):  # type: ignore[name-defined]
        def optimizer_step(self, *arguments: Any, **named: Any) -> None:
            super().optimizer_step(*arguments, **named)
            self.distiller.after_step()

    teacher, student = parts()
    module = Distillation(teacher, student)
    quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    trainer = pl.Trainer(max_epochs=EPOCHS, accelerator="cpu", **quiet)
    trainer.fit(module, DataLoader(TensorDataset(IMAGES, LABELS), SIZE))
    assert equal((module.losses, student.state_dict()), own_loop())
    saved = module.state_dict()
    assert not any("teacher" in name for name in saved)
    other = Distillation(Net(8, 9), parts()[1])
    with pytest.raises(RuntimeError, match="teacher must be the network beside which the state was saved"):
        other.load_state_dict(saved)


@pytest.mark.filterwarnings("ignore")
def test_the_trainer_of_hugging_face_gives_the_same(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers", reason="needs transformers: pip install 'rolewise[examples]'")
    pytest.importorskip("accelerate", reason="needs accelerate: pip install 'rolewise[examples]'")
    teacher, student = parts()
    distiller, losses = made(teacher, student), []

    class Trainer(transformers.Trainer):  # type: ignore[name-defined]
        def compute_loss(self, model: nn.Module, inputs: dict[str, Tensor], **_: Any) -> Tensor:
            terms = model(inputs)
            losses.append(terms.total.item())
            return terms.total

        def _get_train_sampler(self, *_: Any) -> Any:
            return torch.utils.data.SequentialSampler(examples)

    examples = [{"pixel_values": image, "labels": int(label)} for image, label in zip(IMAGES, LABELS, strict=True)]
    arguments = transformers.TrainingArguments(
        str(tmp_path), num_train_epochs=EPOCHS, per_device_train_batch_size=SIZE, use_cpu=True, max_grad_norm=0,
        lr_scheduler_type="constant", report_to="none", save_strategy="no", logging_strategy="no", disable_tqdm=True,
        learning_rate=RATE, dataloader_pin_memory=False, remove_unused_columns=False,
    )  # fmt: skip
    optimizer = torch.optim.SGD(distiller.trainable_parameters(), RATE)
    Trainer(model=distiller, args=arguments, train_dataset=examples, optimizers=(optimizer, None)).train()
    assert equal((losses, student.state_dict()), own_loop())


def test_accelerate_gives_the_same() -> None:
    accelerate = pytest.importorskip("accelerate", reason="needs accelerate: pip install 'rolewise[examples]'")
    teacher, student = parts()
    distiller = made(teacher, student)
    optimizer = torch.optim.SGD(distiller.trainable_parameters(), RATE)
    accelerator = accelerate.Accelerator(cpu=True)
    loader = DataLoader(TensorDataset(IMAGES, LABELS), SIZE)
    distiller, optimizer, loader = accelerator.prepare(distiller, optimizer, loader)
    losses = []
    for _ in range(EPOCHS):
        for batch in loader:
            with accelerator.accumulate(distiller):
                terms = distiller(*batch)
                accelerator.backward(terms.total)
                optimizer.step()
                optimizer.zero_grad()
            losses.append(terms.total.item())
    assert equal((losses, copy.deepcopy(student.state_dict())), own_loop())
