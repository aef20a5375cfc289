"""The result of a distillation in one call: the student, its history, and what it and its teacher reach."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from rolewise.config.training_sections import TrainSettings
from rolewise.errors import InputError
from rolewise.files import AnyPath, as_path
from rolewise.metric_info import MetricInfo
from rolewise.train.checkpoint import save_weights
from rolewise.train.evaluate import Metrics
from rolewise.words import counted, duration


@dataclass(frozen=True, repr=False)
class Distilled:
    """A student that was distilled; shown by `print`.

    Args:
        student: the network that was trained, or the moving average of its weights, in eval mode.
        teacher: the network that taught, or None.
        history: a mapping for each epoch: ``epoch``, ``train_loss``, ``terms``, ``learning_rate``, and the first
            validation metric, ``validation_accuracy`` in classification.
        metrics: the student's on the validation examples at the end, or None without any.
        teacher_metrics: the teacher's on the same examples, or None.
        info: the first metric.
        seconds: that the training took, evaluations included.
        folder: with the record and the weights, or None.
        settings: of the training, with what was chosen in place of every ``auto``.
    """

    student: nn.Module
    teacher: nn.Module | None
    history: list[dict[str, Any]]
    metrics: Metrics | None
    teacher_metrics: Metrics | None
    info: MetricInfo
    seconds: float
    folder: Path | None = None
    settings: TrainSettings | None = None

    @property
    def validation(self) -> dict[int, float]:
        """The first validation metric by epoch, from 1 on."""
        key = f"validation_{self.info.key}"
        return {line["epoch"]: line[key] for line in self.history if line.get(key) is not None}

    def save(self, path: AnyPath) -> Path:
        """Writes the student's weights; ``rolewise.train.load_weights(network, path)`` reads them.

        Args:
            path: of the file, which ends with ``.safetensors``.

        Returns:
            The path.

        Raises:
            InputError: the path ends otherwise.
        """
        target = as_path(path, "path")
        if target.suffix != ".safetensors":
            raise InputError(f"path must end with .safetensors, got {target.name}; name it {target.stem}.safetensors")
        save_weights(self.student, target)
        return target

    def __repr__(self) -> str:
        last = self.history[-1]
        lines = [
            f"Distilled: {counted(len(self.history), 'epoch')} in {duration(self.seconds)}, "
            f"training loss {last['train_loss']:.3f} at the end"
        ]
        measured = {"student": (self.student, self.metrics), "teacher": (self.teacher, self.teacher_metrics)}
        for role, (network, metrics) in measured.items():
            if network is not None:
                size = sum(weight.numel() for weight in network.parameters())
                shown = f"{metrics.shown()}, " if metrics is not None else ""
                lines.append(f"  {role}: {shown}{counted(size, 'parameter')}")
        if len(self.validation) > 1:
            lines.append(f"  student by epoch, {self.info.axis}: {self._course()}")
        if self.folder is not None:
            lines.append(f"  folder: {self.folder}")
        return "\n".join(lines)

    def _course(self) -> str:
        """Returns the first metric at up to six epochs, the first and the last among them."""
        epochs = list(self.validation)
        count = min(6, len(epochs))
        chosen = dict.fromkeys(epochs[round(index * (len(epochs) - 1) / (count - 1))] for index in range(count))
        return ", ".join(f"{self.info.value(self.validation[epoch])} ({epoch})" for epoch in chosen)
