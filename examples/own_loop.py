"""Distillation in one's own loop: a teacher and a student on scikit-learn's digits, in seconds."""

import torch
from sklearn.datasets import load_digits
from torch import nn

import rolewise as rw


def network(width: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 10))


def main() -> None:
    torch.manual_seed(0)
    digits = load_digits()
    images = torch.tensor(digits.images, dtype=torch.float32).unsqueeze(1) / 16
    labels = torch.tensor(digits.target)
    train, held_out = slice(0, 1200), slice(1200, None)
    teacher, student = network(256), network(12)

    def fit(loss_of, model: nn.Module, epochs: int) -> float:
        optimizer = torch.optim.Adam(model.parameters(), 3e-3)
        for _ in range(epochs):
            for part in torch.randperm(1200).split(100):
                optimizer.zero_grad()
                loss_of(images[train][part], labels[train][part]).backward()
                optimizer.step()
        with torch.no_grad():
            return (model(images[held_out]).argmax(1) == labels[held_out]).float().mean().item()

    print(f"teacher: {fit(lambda x, y: nn.functional.cross_entropy(teacher(x), y), teacher, 20):.3f}")
    distiller = rw.Distiller(teacher, student, methods=[rw.kd(temperature=4, weight=0.9)], label_weight=0.1)
    print(f"student: {fit(lambda x, y: distiller(x, y).total, student, 20):.3f}")


if __name__ == "__main__":
    main()
