"""The two tasks of the learning styles: few digits to classify, and few microscope images to segment."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from rolewise.data import read, split
from rolewise.jobs.job import JobContext
from rolewise.models import build
from rolewise.seeds import derive_seed
from rolewise.systems.digit_bench import digit_bench, small_network, trained
from rolewise.tasks import Classification, Segmentation, Task
from rolewise.train import TensorFeed, evaluate_batches

#: Folders of the images and masks of nuclei below the folder of data.
IMAGES, MASKS = "nuclei/images", "nuclei/instances"
_TESTED_NUCLEI = 84


@dataclass(frozen=True)
class StyleBench:
    """The data and networks of one task and seed.

    Args:
        task: kind of prediction.
        pool: inputs and targets that the teacher learns from.
        few: those of them that the students learn from.
        test: inputs and targets that nobody learns from.
        batch_size: examples of a step.
        temperature: temperature of links that carry predictions.
        tap: the features that links carry.
        student: returns an untrained student, by its role.
        teacher: trains and returns the teacher.
    """

    task: Task
    pool: tuple[Tensor, Tensor]
    few: tuple[Tensor, Tensor]
    test: tuple[Tensor, Tensor]
    batch_size: int
    temperature: float
    tap: str
    student: Callable[[str], nn.Module]
    teacher: Callable[[JobContext], nn.Module]

    def scores(self, network: nn.Module) -> Mapping[str, float]:
        """Returns the metrics of a network on the test set, in eval mode, by the task's own keys."""
        feed = TensorFeed(*self.test, 256, seed=None, device=torch.device("cpu"))
        return evaluate_batches(network, feed.batches(0), task=self.task).values


def digits_bench_of_styles(seed: int, images: int, teacher_epochs: int) -> StyleBench:
    """Returns the bench of the digits: two convolutions teach two of a quarter of their width.

    Args:
        seed: of the division and of all weights.
        images: images of the students.
        teacher_epochs: epochs of the teacher.
    """
    bench = digit_bench(seed, images)

    def teacher(context: JobContext) -> nn.Module:
        network = small_network(seed, "teacher", widths=(32, 64))
        return trained(network, bench.pool, teacher_epochs, context, seed=seed, learning_rate=0.01)

    def student(role: str) -> nn.Module:
        return small_network(seed, role)

    return StyleBench(
        Classification(), bench.pool, bench.few, bench.test, 50, 4.0, "stage2", student=student, teacher=teacher
    )


def nuclei_bench(seed: int, images: int, side: int, teacher_epochs: int) -> StyleBench:
    """Returns the bench of the nuclei in microscope images: a U-Net teaches two of a quarter of its width.

    Source: the Data Science Bowl of 2018, its images of 256x256 pixels.

    Args:
        seed: of the division and of all weights.
        images: images of the students.
        side: height and width that images are brought to.
        teacher_epochs: epochs of the teacher.

    Raises:
        InputError: there are too few images.
    """
    data = read(
        "image_masks",
        images=IMAGES,
        masks=MASKS,
        binary=True,
        classes=["background", "nucleus"],
        size=side,
        resize="squash",
    ).train
    parts = split(data.labels, validation=images, test=_TESTED_NUCLEI, seed=derive_seed(seed, "nuclei bench"))

    def pair(rows: Tensor) -> tuple[Tensor, Tensor]:
        return data.batch(rows).float() / 255, data.labels[rows].long()

    def network(name: str, widths: list[int]) -> nn.Module:
        weights = derive_seed(seed, "nuclei bench", "weights", name)
        return build("unet", num_classes=2, channels=3, size=(side, side), seed=weights, widths=widths)

    pool = pair(torch.cat([parts.train, parts.validation]).sort().values)
    task = Segmentation()

    def teacher(context: JobContext) -> nn.Module:
        settings: dict[str, Any] = {"batch_size": 8, "learning_rate": 0.002, "task": task}
        return trained(network("teacher", [16, 32, 64]), pool, teacher_epochs, context, seed=seed, **settings)

    def student(role: str) -> nn.Module:
        return network(role, [4, 8, 16])

    few, test = pair(parts.validation), pair(parts.test)
    return StyleBench(task, pool, few, test, 8, 2.0, "penultimate", student=student, teacher=teacher)
