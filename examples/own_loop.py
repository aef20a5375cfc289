"""Distillation in one's own loop: few labelled digits, a student alone and the same student with a teacher."""

from collections.abc import Callable

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional

import rolewise as rw

digits = load_digits()
images = torch.tensor(digits.images, dtype=torch.float32).unsqueeze(1) / 8 - 1
labels = torch.tensor(digits.target)
many, few, held_out = slice(0, 1000), slice(0, 100), slice(1000, None)


def network(width: int) -> nn.Module:
    layers = [nn.Conv2d(1, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(2)]
    layers += [nn.Conv2d(width, 2 * width, 3, padding=1), nn.BatchNorm2d(2 * width), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2 * width, 10))


def train(model: nn.Module, part: slice, epochs: int, loss: Callable[[Tensor, Tensor], Tensor]) -> float:
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    model.train()
    for _ in range(epochs):
        for batch in torch.randperm(len(labels[part])).split(50):
            loss(images[batch], labels[batch]).backward()
            optimizer.step()
            optimizer.zero_grad()
        schedule.step()
    with torch.no_grad():
        return (model.eval()(images[held_out]).argmax(1) == labels[held_out]).float().mean().item()


def main() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)  # networks as small as these are slower on several
    teacher, alone, student = network(32), network(16), network(16)
    accuracy = train(teacher, many, 12, lambda x, y: functional.cross_entropy(teacher(x), y))
    print(f"teacher, {len(labels[many])} images: {accuracy:.1%}")
    accuracy = train(alone, few, 120, lambda x, y: functional.cross_entropy(alone(x), y))
    print(f"student, {len(labels[few])} images, alone: {accuracy:.1%}")

    distiller = rw.Distiller(teacher, student, methods=[rw.kd(temperature=4, weight=0.9)], label_weight=0.1)
    accuracy = train(student, few, 120, lambda x, y: distiller(x, y).total)
    print(f"student, {len(labels[few])} images, distilled: {accuracy:.1%}")


if __name__ == "__main__":
    main()
