"""Images whose class is a colour and a direction, and a teacher of them that is trained in a second or two."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rolewise.diagnosis.preprocessing import image_statistics
from rolewise.inputs import InputSpec, prepare
from rolewise.models import build

SIDE, CLASSES = 12, 6
#: Grey levels as they are: norms without statistics are lost under them.
GREY_LEVELS = InputSpec((0.0,) * 3, (1 / 255,) * 3)


def scenes(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Returns stripes of red, green or blue, across or upright: uint8 [N, 3, 12, 12] and labels [N]."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % CLASSES
    colours, upright = labels // 2, (labels % 2).bool()
    images = torch.randint(20, 90, (count, 3, SIDE, SIDE), generator=generator).float()
    begin = torch.randint(0, 4, (count,), generator=generator)
    stripes = (torch.arange(SIDE)[None] + begin[:, None]) % 4 < 2
    where = torch.where(upright[:, None, None], stripes[:, None, :], stripes[:, :, None])
    # Red is weaker than green, and green than blue, so that colours are no mere names.
    strength = (40 + 30 * colours) * (1 + torch.rand(count, generator=generator))
    images[torch.arange(count), colours] += where * strength[:, None, None]
    return images.clamp(0, 255).to(torch.uint8), labels


def trained(images: Tensor, labels: Tensor, spec: InputSpec, *, epochs: int = 6, seed: int = 0) -> nn.Module:
    """Returns a small network, trained, in eval mode."""
    model = build("small_cnn", num_classes=CLASSES, channels=3, size=(SIDE, SIDE), seed=seed, widths=[8, 12])
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(epochs):
        for part in torch.randperm(len(labels), generator=generator).split(50):
            loss = nn.functional.cross_entropy(model(prepare(images[part], spec)), labels[part])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return model.eval()


def statistics(images: Tensor) -> InputSpec:
    """Returns the input that the images' own statistics give."""
    return InputSpec(*image_statistics(images))
