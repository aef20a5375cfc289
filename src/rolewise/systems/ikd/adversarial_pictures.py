"""Pictures that a detector's own classification errs on: the attack DI-FGSM, with boxes that move with the picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from rolewise.batch import Batch
from rolewise.data import ImageData, box_list
from rolewise.inputs import prepare
from rolewise.instruments.robustness.attacks import ascend
from rolewise.networks import evaluating
from rolewise.systems.ikd.boxed_pictures import SPEC
from rolewise.tasks import Task

#: Share of the steps in which a picture is made smaller, its least size, and the steps' length as a part of the radius.
_SHRUNK, _LEAST, _STEP = 0.5, 0.9, 0.25


def shrunk(images: Tensor, shares: Tensor, places: Tensor) -> Tensor:
    """Makes pictures smaller, and leaves the margin black.

    Args:
        images: [B, C, H, W]; gradients go through.
        shares: [B], the new size as a part of the old; 1 changes nothing.
        places: [B, 2] in [0, 1], of the picture in the margin along x and y; 0 is the left or upper edge.
    """
    centres = 2 * places * (1 - shares[:, None]) + shares[:, None] - 1
    maps = torch.zeros(len(images), 2, 3, dtype=images.dtype)
    maps[:, 0, 0] = maps[:, 1, 1] = 1 / shares
    maps[:, :, 2] = -centres / shares[:, None]
    grid = functional.affine_grid(maps, list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def shrunk_boxes(
    targets: Sequence[Mapping[str, Tensor]], shares: Tensor, places: Tensor, size: tuple[int, int]
) -> list[dict[str, Tensor]]:
    """Returns boxes of pictures that `shrunk` made smaller.

    Args:
        targets: of each picture.
        shares: [B].
        places: [B, 2].
        size: height and width of the pictures.
    """
    sides = torch.tensor([size[1], size[0]], dtype=torch.float32)
    moved = []
    for target, share, place in zip(targets, shares, places, strict=True):
        offset = (place * (1 - share) * sides).repeat(2)
        moved.append({**target, "boxes": target["boxes"] * share + offset})
    return moved


def adversarial_pictures(
    teacher: nn.Module,
    pictures: ImageData,
    task: Task,
    *,
    radius: int,
    steps: int,
    draws: torch.Generator,
    batch_size: int = 25,
) -> Tensor:
    r"""Returns pictures near the given ones that raise the teacher's loss of classification.

    .. math:: g_{t+1} = g_t + \frac{\nabla \ell(D(x_t))}{\lVert \nabla \ell(D(x_t)) \rVert_1} \qquad
        x_{t+1} = x + \Pi_\epsilon \big( x_t + \tfrac{\epsilon}{4} \, \mathrm{sign} \, g_{t+1} - x \big)

    where D makes the picture, and its boxes with it, smaller in half of the steps, by up to a tenth.

    Source: Xie et al. (2019), https://arxiv.org/abs/1803.06978, with the settings of
    https://github.com/JWLiang007/IKD: radius 8 of 255, steps of 2, five of them.
    Differs from source: sizes and places are drawn for each picture, and boxes move with the smaller one.

    Args:
        teacher: a dense detector; it runs in eval mode.
        pictures: with boxes.
        task: detection; the loss is its ``labels``.
        radius: of the ball in the maximum norm, in grey levels.
        steps: number of steps.
        draws: of sizes and places.
        batch_size: pictures at once.

    Returns:
        uint8 [N, C, H, W].
    """
    found = []
    with evaluating(teacher):
        for rows in torch.split(torch.arange(len(pictures)), batch_size):
            pixels = pictures.images[rows].float() / 255
            climb = _Momentum(teacher, task, box_list(pictures.labels[rows]), draws)
            moved = ascend(pixels, pixels, climb, radius / 255, "linf", steps, _STEP * radius / 255)
            found.append((moved * 255).round().to(torch.uint8))
    return torch.cat(found)


class _Momentum:
    """The sum of the gradients so far, each over its length in the sum norm."""

    def __init__(
        self, teacher: nn.Module, task: Task, targets: Sequence[Mapping[str, Tensor]], draws: torch.Generator
    ) -> None:
        self.teacher, self.task, self.targets, self.draws = teacher, task, targets, draws
        self.sum: Tensor | None = None

    def __call__(self, pixels: Tensor) -> Tensor:
        """Returns the sum at further pixels [B, C, H, W]."""
        drawn = torch.rand(len(pixels), 4, generator=self.draws)
        shares = torch.where(drawn[:, 0] < _SHRUNK, _LEAST + (1 - _LEAST) * drawn[:, 1], 1.0)
        targets = shrunk_boxes(self.targets, shares, drawn[:, 2:], (pixels.shape[2], pixels.shape[3]))
        with torch.enable_grad():
            leaf = pixels.detach().requires_grad_()
            batch = Batch(prepare(shrunk(leaf, shares, drawn[:, 2:]), SPEC), targets)
            loss = self.task.losses(self.task.run(self.teacher, batch.inputs), batch)["labels"].sum()
            (gradient,) = torch.autograd.grad(loss, leaf)
        length = gradient.abs().sum((1, 2, 3), keepdim=True)
        unit = gradient / length.masked_fill(length == 0, 1)
        self.sum = unit if self.sum is None else self.sum + unit
        return self.sum


def noisy_pictures(images: Tensor, radius: int, draws: torch.Generator) -> Tensor:
    """Returns pictures at the corners of the same ball that are drawn and not found, uint8: the attack's control.

    Args:
        images: uint8 [N, C, H, W].
        radius: in grey levels.
        draws: of the corners.
    """
    signs = torch.randint(0, 2, images.shape, generator=draws, dtype=torch.int16) * 2 - 1
    return (images.to(torch.int16) + radius * signs).clamp(0, 255).to(torch.uint8)
