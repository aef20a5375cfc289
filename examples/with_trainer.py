"""Distillation with Hugging Face's Trainer (pip install transformers accelerate): `compute_loss` is a Distiller."""

import tempfile
from typing import Any

import numpy as np
import torch
import transformers
from sklearn.datasets import load_digits
from torch import Tensor, nn

import rolewise as rw

digits = load_digits()
images = torch.tensor(digits.images, dtype=torch.float32).unsqueeze(1) / 8 - 1
examples = [{"pixel_values": image, "labels": int(label)} for image, label in zip(images, digits.target, strict=True)]


def network(*widths: int) -> transformers.ResNetForImageClassification:
    """Returns a network of transformers, small and not trained; `from_pretrained` gives one that is."""
    config = transformers.ResNetConfig(
        num_channels=1, embedding_size=widths[0], hidden_sizes=list(widths), depths=[1] * len(widths),
        layer_type="basic", num_labels=10,
    )  # fmt: skip
    return transformers.ResNetForImageClassification(config)


class DistillationTrainer(transformers.Trainer):
    """A Trainer of a Distiller, whose parameters are the student's and those of learned parts of the methods."""

    def compute_loss(
        self, model: nn.Module, inputs: dict[str, Tensor], return_outputs: bool = False, **_: Any
    ) -> Tensor | tuple[Tensor, dict[str, Any]]:
        terms = model(inputs)  # {"pixel_values": ..., "labels": ...}, as it comes
        return (terms.total, {"logits": terms.student_logits}) if return_outputs else terms.total


class AfterStep(transformers.TrainerCallback):
    """Tells methods that keep a memory, such as crd, that a step was taken; without such methods it is not needed."""

    def on_step_end(self, arguments: Any, state: Any, control: Any, *, model: rw.Distiller, **_: Any) -> None:
        model.after_step()


def accuracy(prediction: transformers.EvalPrediction) -> dict[str, float]:
    return {"accuracy": float((np.asarray(prediction.predictions).argmax(1) == prediction.label_ids).mean())}


def settings(folder: str, epochs: int) -> dict[str, Any]:
    arguments = transformers.TrainingArguments(
        folder, num_train_epochs=epochs, learning_rate=0.005, per_device_train_batch_size=50, use_cpu=True, seed=0,
        per_device_eval_batch_size=400, report_to="none", save_strategy="no", logging_strategy="no", disable_tqdm=True,
        dataloader_pin_memory=False,
        remove_unused_columns=False, label_names=["labels"],  # a Distiller takes the mapping whole
    )  # fmt: skip
    return {"args": arguments, "eval_dataset": examples[1000:], "compute_metrics": accuracy}


def main() -> None:
    torch.set_num_threads(1)  # networks as small as these are slower on several
    transformers.set_seed(0)
    teacher, alone, student = network(16, 32), network(8, 16), network(8, 16)
    with tempfile.TemporaryDirectory() as folder:
        for name, model, count, epochs in (("teacher", teacher, 1000, 15), ("student, alone", alone, 100, 150)):
            trainer = transformers.Trainer(model=model, train_dataset=examples[:count], **settings(folder, epochs))
            trainer.train()
            print(f"{name}, {count} images: {trainer.evaluate()['eval_accuracy']:.1%}")
        distiller = rw.Distiller(teacher, student, methods=[rw.kd(temperature=4, weight=0.9)], label_weight=0.1)
        trainer = DistillationTrainer(
            model=distiller, train_dataset=examples[:100], callbacks=[AfterStep()], **settings(folder, 150)
        )
        trainer.train()
        print(f"student, distilled, 100 images: {trainer.evaluate()['eval_accuracy']:.1%}")


if __name__ == "__main__":
    main()
