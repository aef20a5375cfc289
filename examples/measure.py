"""What distillation changes beside accuracy: teacher, student alone and distilled student on unseen digits."""

from collections.abc import Callable

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional

import rolewise as rw
from rolewise.inputs import prepare
from rolewise.instruments import (
    UNITS,
    loss_line,
    measure,
    predict,
    reliability,
)

digits = load_digits()
images = torch.tensor(digits.images, dtype=torch.float32).unsqueeze(1) / 16
labels = torch.tensor(digits.target)
many, few, validation, test = slice(0, 1000), slice(0, 100), slice(1000, 1300), slice(1300, None)
spec = rw.InputSpec(mean=(0.3,), std=(0.38,))


def network(width: int) -> nn.Module:
    layers = [nn.Conv2d(1, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(2)]
    layers += [nn.Conv2d(width, 2 * width, 3, padding=1), nn.BatchNorm2d(2 * width), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2 * width, 10))


def train(model: nn.Module, part: slice, epochs: int, loss: Callable[[Tensor, Tensor], Tensor]) -> None:
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    model.train()
    for _ in range(epochs):
        for batch in torch.randperm(len(labels[part])).split(50):
            loss(images[batch], labels[batch]).backward()
            optimizer.step()
            optimizer.zero_grad()
        schedule.step()


def batches(part: slice) -> list[tuple[Tensor, Tensor]]:
    return list(zip(images[part].split(100), labels[part].split(100), strict=True))


def main() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)  # networks as small as these are slower on several
    teacher, alone = network(32), network(16)
    student = network(16)
    student.load_state_dict(alone.state_dict())  # the same start
    train(teacher, many, 12, lambda x, y: functional.cross_entropy(teacher(prepare(x, spec)), y))
    train(alone, few, 60, lambda x, y: functional.cross_entropy(alone(prepare(x, spec)), y))
    kd = rw.kd(temperature=4, weight=0.9)
    distiller = rw.Distiller(teacher, student, [kd], label_weight=0.1, teacher_input=spec, student_input=spec)
    train(student, few, 60, lambda x, y: distiller(x, y).total)

    rows = [
        measure(
            model,
            batches(test),
            validation=batches(validation),
            teacher=teacher,
            generator=torch.Generator().manual_seed(0),
            spec=spec,
            teacher_spec=spec,
        )
        for model in (teacher, alone, student)
    ]
    print(f"{'':28}{'teacher':>9}{'alone':>9}{'distilled':>11}  unit")
    for name in rows[0]:
        cells = ["" if row[name] is None else f"{row[name]:.3f}" for row in rows]
        print(f"{name:28}{cells[0]:>9}{cells[1]:>9}{cells[2]:>11}  {UNITS[name]}")

    diagram = reliability(*predict(alone, batches(test), spec=spec), bins=5)
    print("\nThe student alone, images by confidence:")
    for upper, confidence, accuracy, count in zip(
        diagram.edges[1:], diagram.confidence, diagram.accuracy, diagram.counts, strict=True
    ):
        print(f"up to {upper:.1f}: {count:4d} images, confidence {confidence:.2f}, accuracy {accuracy:.2f}")

    line = loss_line(alone, student, batches(test), train_batches=batches(few), spec=spec)
    print(f"\nFrom one student to the other the loss rises by {line.barrier:.2f} nats above the straight line.")


if __name__ == "__main__":
    main()
