"""Segmentation in one's own loop: a teacher, a student of a quarter of its widths alone, and the same with the teacher.

The pictures are drawn here: discs and squares on noise, whose edges do not count. Less than a minute on one core.
"""

import numpy as np
import torch
from torch import Tensor, nn

import rolewise as rw
from rolewise.models import build
from rolewise.tasks import Segmentation

SIZE, CLASSES = (40, 56), ("ground", "disc", "square")
TASK = Segmentation()


def pictures(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Draws images [N, 1, H, W] in [0, 1] with up to three objects each, and their masks; 255 does not count."""
    draw = np.random.default_rng(seed)
    y, x = np.mgrid[: SIZE[0], : SIZE[1]] + 0.5
    images, masks = [], []
    for _ in range(count):
        image, mask = draw.normal(0.4, 0.12, SIZE), np.zeros(SIZE, np.int64)
        for _ in range(draw.integers(1, 4)):
            radius, label = draw.uniform(4, 9), int(draw.integers(1, 3))
            cy, cx = draw.uniform(radius, SIZE[0] - radius), draw.uniform(radius, SIZE[1] - radius)
            far = np.hypot(y - cy, x - cx) if label == 1 else np.maximum(abs(y - cy), abs(x - cx))
            image, mask = np.where(far < radius, image + 0.25, image), np.where(far < radius, label, mask)
            mask[abs(far - radius) < 0.5] = 255
        images.append(image.clip(0, 1))
        masks.append(mask)
    return torch.tensor(np.stack(images), dtype=torch.float32)[:, None], torch.from_numpy(np.stack(masks))


def train(distiller: rw.Distiller, images: Tensor, masks: Tensor, epochs: int) -> None:
    optimizer = torch.optim.Adam(distiller.trainable_parameters(), lr=0.005)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    distiller.train()
    for _ in range(epochs):
        for batch in torch.randperm(len(images)).split(16):
            terms = distiller(images[batch], masks[batch])
            optimizer.zero_grad()
            terms.total.backward()
            optimizer.step()
        schedule.step()


def mean_iou(network: nn.Module, images: Tensor, masks: Tensor) -> float:
    """Returns the mean IoU of the classes."""
    metric = TASK.metric()
    network.eval()
    with torch.no_grad():
        for part in torch.arange(len(images)).split(64):
            metric.add(TASK.run(network, images[part]), rw.Batch(images[part], masks[part]))
    return metric.compute()["mean_iou"]


def main(train_images: int = 160, epochs: int = 10, test_images: int = 80) -> dict[str, float]:
    torch.manual_seed(0)
    torch.set_num_threads(1)  # networks as small as these are slower on several
    images, masks = pictures(train_images, 0)
    held_out = pictures(test_images, 1)
    few = slice(0, train_images // 4)

    def network(*widths: int) -> nn.Module:
        # Logits of half the images' resolution are brought to the masks by the task.
        return build("unet", num_classes=len(CLASSES), channels=1, size=SIZE, widths=widths, stride=2)

    teacher, alone, student = network(16, 24, 32), network(4, 6, 8), network(4, 6, 8)
    train(rw.Distiller(None, teacher, task=TASK), images, masks, epochs)
    train(rw.Distiller(None, alone, task=TASK), images[few], masks[few], 2 * epochs)
    methods = [rw.kd(temperature=2.0, weight=1.0), rw.cwd(student_taps=["logits"], teacher_taps=["logits"], weight=1.0)]
    distiller = rw.Distiller(teacher, student, methods, task=TASK, example=images[:2])
    train(distiller, images[few], masks[few], 2 * epochs)
    found = {
        name: mean_iou(model, *held_out)
        for name, model in (("teacher", teacher), ("student alone", alone), ("student distilled", student))
    }
    for name, value in found.items():
        print(f"{name}: mean IoU {value:.1%}")
    return found


if __name__ == "__main__":
    main()
