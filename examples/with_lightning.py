"""Distillation as a LightningModule (pip install pytorch-lightning): the Distiller is a part of it."""

import logging
import warnings

import pytorch_lightning as pl
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

import rolewise as rw

digits = load_digits()
images = torch.tensor(digits.images, dtype=torch.float32).unsqueeze(1) / 8 - 1
labels = torch.tensor(digits.target)


def network(width: int) -> nn.Module:
    layers = [nn.Conv2d(1, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(2)]
    layers += [nn.Conv2d(width, 2 * width, 3, padding=1), nn.BatchNorm2d(2 * width), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2 * width, 10))


class Classifier(pl.LightningModule):
    """A module as people have it, on labels alone: what teaches, and what a student would be without a teacher."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def training_step(self, batch: list[Tensor], index: int) -> Tensor:
        images, labels = batch
        return functional.cross_entropy(self.model(images), labels)

    def validation_step(self, batch: list[Tensor], index: int) -> None:
        images, labels = batch
        self.log("accuracy", (self.model(images).argmax(1) == labels).float().mean(), prog_bar=True)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=0.01)


class Distillation(Classifier):
    """The same with a teacher: a Distiller in place of the loss, and its parameters for the optimiser."""

    def __init__(self, teacher: nn.Module, student: nn.Module) -> None:
        super().__init__(student)
        self.distiller = rw.Distiller(teacher, student, methods=[rw.kd(temperature=4, weight=0.9)], label_weight=0.1)

    def training_step(self, batch: list[Tensor], index: int) -> Tensor:
        images, labels = batch
        terms = self.distiller(images, labels, progress=self.global_step / self.trainer.estimated_stepping_batches)
        self.log_dict({f"train/{name}": value for name, value in terms.named().items()})
        return terms.total

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.distiller.trainable_parameters(), lr=0.01)

    def optimizer_step(self, *arguments: object, **named: object) -> None:
        super().optimizer_step(*arguments, **named)
        self.distiller.after_step()  # of methods that keep a memory, such as crd, and of averages


def fit(module: pl.LightningModule, train: slice, epochs: int) -> float:
    trainer = pl.Trainer(
        max_epochs=epochs, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, log_every_n_steps=1, num_sanity_val_steps=0, check_val_every_n_epoch=epochs,
    )  # fmt: skip
    loader = DataLoader(TensorDataset(images[train], labels[train]), 50, shuffle=True)
    held_out = DataLoader(TensorDataset(images[1000:], labels[1000:]), 797)
    trainer.fit(module, loader, held_out)
    return float(trainer.callback_metrics["accuracy"])


def main() -> None:
    warnings.filterwarnings("ignore", module="pytorch_lightning|lightning_fabric")  # advice on workers and versions
    for name in ("pytorch_lightning", "lightning_fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    pl.seed_everything(0, verbose=False)
    torch.set_num_threads(1)  # networks as small as these are slower on several
    teacher, alone, student = network(32), network(16), network(16)
    print(f"teacher, 1000 images: {fit(Classifier(teacher), slice(0, 1000), 12):.1%}")
    print(f"student, 100 images, alone: {fit(Classifier(alone), slice(0, 100), 120):.1%}")
    print(f"student, 100 images, distilled: {fit(Distillation(teacher, student), slice(0, 100), 120):.1%}")


if __name__ == "__main__":
    main()
