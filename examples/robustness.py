"""How robust two classifiers of digits are, and how they see: a plain network, and one that was trained on noise."""

from functools import partial

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional

from rolewise.instruments import (
    cka_matrix,
    corruption_accuracy,
    dispersion,
    features_of,
    fgsm,
    masking_check,
    pgd,
    project_pairs,
    relative_error,
    robust_accuracy,
)
from rolewise.models import build

digits = load_digits()
images = torch.tensor(digits.images, dtype=torch.float32).unsqueeze(1) / 16
labels = torch.tensor(digits.target)
test = [(images[1200:1500], labels[1200:1500]), (images[1500:], labels[1500:])]


def trained(noise: float) -> nn.Module:
    generator = torch.Generator().manual_seed(0)
    model = build("small_cnn", num_classes=10, channels=1, size=(8, 8), seed=0)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(12):
        for batch in torch.randperm(1200, generator=generator).split(50):
            shaken = images[batch] + noise * torch.randn(images[batch].shape, generator=generator)
            functional.cross_entropy(model(shaken), labels[batch]).backward()
            optimizer.step()
            optimizer.zero_grad()
    return model.eval()


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def line(name: str, values: list[float]) -> None:
    print(f"  {name:<24}" + "".join(f"{value:8.1%}" for value in values))


def attacks(model: nn.Module) -> None:
    epsilons = [0.0, 0.05, 0.1, 0.2]
    print("  accuracy at an attack's radius" + "".join(f"{epsilon:>8}" for epsilon in epsilons))
    for name, attack in (("FGSM", fgsm), ("PGD", partial(pgd, generator=seeded(), steps=10))):
        rows = robust_accuracy(model, test, attack, epsilons=epsilons, logit_scales=("raw", "standardised"))
        line(f"  {name}, raw logits", [row.accuracy["raw"] for row in rows])
        line(f"  {name}, either head", [row.worst for row in rows])
    few: list[tuple[Tensor, Tensor]] = [(images[1200:1300], labels[1200:1300])]
    check = masking_check(model, few, epsilon=0.1, generator=seeded(), steps=10, draws=16)
    print("  signs of masked gradients: " + (", ".join(check.suspicious) or "none"))


def main() -> None:
    torch.set_num_threads(1)  # networks as small as these are slower on several
    plain, shaken = trained(0.0), trained(0.3)
    tables = []
    for name, model in (("plain", plain), ("trained on noise", shaken)):
        print(name)
        attacks(model)
        names = ["gaussian_noise", "motion_blur", "contrast", "elastic"]
        tables.append(corruption_accuracy(model, test, generator=seeded(), names=names))
        for corruption, accuracies in tables[-1].accuracy.items():
            line(corruption, list(accuracies))
        found = features_of(model, test)
        spread = dispersion(found.values["penultimate"], found.labels)
        print(f"  features: within / between classes {spread.ratio:.2f}, collapse {spread.collapse:.2f}")
        pairs = project_pairs(model, test, (1, 4, 8), generator=seeded())
        print(f"  mixed pairs off the straight line: {(pairs.mixed - pairs.straight).norm(dim=1).mean():.2f}")
    print(f"mean corruption error relative to plain: {relative_error(tables[1], tables[0]).mean:.2f}")
    similarity = cka_matrix(plain, shaken, test)
    for tap, row in zip(similarity.first, similarity.values.tolist(), strict=True):
        print(f"  CKA {tap:<12}" + "".join(f"{value:6.2f}" for value in row))


if __name__ == "__main__":
    main()
