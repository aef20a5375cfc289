"""Detection in one's own loop: a teacher, a student of a quarter of its width alone, and the same with the teacher.

The pictures are drawn here: discs and squares of two sizes on noise. Less than a minute on one core.
"""

import numpy as np
import torch
from torch import Tensor, nn

import rolewise as rw
from rolewise.models import build
from rolewise.tasks import Detection

SIZE, CLASSES = (64, 96), ("disc", "square")
TASK = Detection(areas=(14, 20))
Targets = list[dict[str, Tensor]]


def pictures(count: int, seed: int) -> tuple[Tensor, Targets]:
    """Draws images [N, 1, H, W] in [0, 1] with up to four objects each, and their boxes."""
    draw = np.random.default_rng(seed)
    y, x = np.mgrid[: SIZE[0], : SIZE[1]] + 0.5
    images, targets = [], []
    for _ in range(count):
        image, boxes, labels = draw.normal(0.4, 0.12, SIZE), [], []
        for _ in range(draw.integers(1, 5)):
            radius, label = draw.uniform(5, 12), int(draw.integers(2))
            cy, cx = draw.uniform(radius, SIZE[0] - radius), draw.uniform(radius, SIZE[1] - radius)
            far = np.hypot(y - cy, x - cx) if label == 0 else np.maximum(abs(y - cy), abs(x - cx))
            image = np.where(far < radius, image + 0.25, image)
            boxes.append([cx - radius, cy - radius, cx + radius, cy + radius])
            labels.append(label)
        images.append(image.clip(0, 1))
        targets.append({"boxes": torch.tensor(boxes, dtype=torch.float32), "labels": torch.tensor(labels)})
    return torch.tensor(np.stack(images), dtype=torch.float32)[:, None], targets


def train(distiller: rw.Distiller, images: Tensor, targets: Targets, epochs: int) -> None:
    optimizer = torch.optim.Adam(distiller.trainable_parameters(), lr=0.004)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    distiller.train()
    for _ in range(epochs):
        for batch in torch.randperm(len(images)).split(16):
            terms = distiller(images[batch], [targets[row] for row in batch.tolist()])
            optimizer.zero_grad()
            terms.total.backward()
            optimizer.step()
        schedule.step()


def precision(network: nn.Module, images: Tensor, targets: Targets) -> float:
    """Returns COCO's average precision."""
    metric = TASK.metric()
    network.eval()
    with torch.no_grad():
        for start in range(0, len(images), 64):
            part = slice(start, start + 64)
            metric.add(TASK.run(network, images[part]), rw.Batch(images[part], targets[part]))
    return metric.compute()["ap"]


def main(train_images: int = 240, epochs: int = 10, test_images: int = 100) -> dict[str, float]:
    torch.manual_seed(0)
    torch.set_num_threads(1)  # networks as small as these are slower on several
    images, targets = pictures(train_images, 0)
    held_out = pictures(test_images, 1)
    few = slice(0, train_images // 4)

    def network(*widths: int) -> nn.Module:
        return build("fcos_small", num_classes=len(CLASSES), channels=1, widths=widths, bins=5)

    teacher, alone, student = network(16, 32, 64, 64), network(4, 8, 16, 16), network(4, 8, 16, 16)
    train(rw.Distiller(None, teacher, task=TASK), images, targets, epochs)
    train(rw.Distiller(None, alone, task=TASK), images[few], targets[few], 2 * epochs)
    methods = [rw.kd(temperature=2.0, weight=1.0), rw.ld(weight=0.25)]
    train(rw.Distiller(teacher, student, methods, task=TASK, example=images[:2]), images[few], targets[few], 2 * epochs)
    found = {
        name: precision(model, *held_out)
        for name, model in (("teacher", teacher), ("student alone", alone), ("student distilled", student))
    }
    for name, value in found.items():
        print(f"{name}: AP {value:.1%}")
    return found


if __name__ == "__main__":
    main()
