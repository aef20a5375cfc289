"""Features on the plane of three class templates, for clean images and for mixed pairs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from rolewise.errors import InputError, values_of
from rolewise.inputs import InputSpec
from rolewise.instruments.features import features_in
from rolewise.instruments.prediction import batches_on
from rolewise.networks import device_of
from rolewise.taps import parse_tap, resolve


@dataclass(frozen=True)
class Plane:
    """A plane in the space of features.

    Args:
        origin: [D], float64.
        axes: [2, D], float64, orthonormal.
        corners: [3, 2], the three templates on the plane.
    """

    origin: Tensor
    axes: Tensor
    corners: Tensor

    def project(self, features: Tensor) -> Tensor:
        """Returns the points [N, 2], float64, of features [N, D]."""
        return (features.flatten(1).to(self.origin) - self.origin) @ self.axes.T


def class_templates(model: nn.Module, tap: str = "logits") -> Tensor:
    """Returns the rows of the last linear layer's weight, [K, D], float64 on the CPU.

    Source: Müller, Kornblith, Hinton (2019), section 2, https://arxiv.org/abs/1906.02629, where they are the templates.
    Differs from source: the bias, which counts there as one more coordinate, is left out.

    Args:
        model: a classifier.
        tap: of that layer, see `rolewise.taps.resolve`.

    Raises:
        InputError: the tap is no linear layer's output.
    """
    path = parse_tap(resolve(model, tap, "network"))
    module = model.get_submodule(path.module)
    if not isinstance(module, nn.Linear) or path.side == "input":
        raise InputError(
            f"tap {tap!r} must be a torch.nn.Linear's output, got {type(module).__name__}; use class_means instead"
        )
    return module.weight.detach().cpu().double()


def template_plane(templates: Tensor, classes: Sequence[int]) -> Plane:
    r"""Returns the plane through the templates of three classes.

    .. math:: e_1 = \frac{w_b - w_a}{\lVert w_b - w_a \rVert}, \quad
        e_2 \propto (w_c - w_a) - \big( (w_c - w_a) \cdot e_1 \big) e_1

    Source: Müller, Kornblith, Hinton (2019), section 2, https://arxiv.org/abs/1906.02629.
    Differs from source: none; the origin is the first template, and the first axis goes to the second.

    Args:
        templates: [K, D], of `class_templates` or `class_means`.
        classes: three different ones, in [0, K).

    Raises:
        InputError: the classes are not three different ones, or their templates lie on a line.
    """
    classes = values_of(classes, "classes")
    if len(set(classes)) != 3 or len(classes) != 3 or not all(0 <= index < len(templates) for index in classes):
        raise InputError(f"classes must be three different ones in [0, {len(templates)}), got {list(classes)}")
    first, second, third = (templates[index].double() for index in classes)
    right = second - first
    length = right.norm()
    across = third - first
    size = across.norm()
    right = right / length
    across = across - (across @ right) * right
    if not length > 0 or not across.norm() > 1e-9 * size:
        raise InputError(f"templates of classes {list(classes)} must not lie on a line; choose other classes")
    axes = torch.stack([right, across / across.norm()])
    corners = (torch.stack([first, second, third]) - first) @ axes.T
    return Plane(first, axes, corners)


@dataclass(frozen=True)
class ProjectedPairs:
    """Clean and mixed images of three classes on the plane of their templates.

    Args:
        plane: the plane.
        clean: [N, 2], of images of the three classes.
        labels: int64 [N], the images' classes.
        mixed: [P, 2], of mixtures of two images of different classes.
        pairs: int64 [P, 2], the two classes.
        straight: [P, 2], the same mixtures of the two images' own points: where a network that is linear between them
            would put the mixed image.
    """

    plane: Plane
    clean: Tensor
    labels: Tensor
    mixed: Tensor
    pairs: Tensor
    straight: Tensor


def project_pairs(
    model: nn.Module,
    batches: Iterable[Any],
    classes: Sequence[int],
    *,
    generator: torch.Generator,
    weight: float = 0.5,
    templates: Tensor | None = None,
    tap: str = "penultimate",
    spec: InputSpec | None = None,
    device: torch.device | str | None = None,
) -> ProjectedPairs:
    r"""Projects clean images of three classes, and mixed pairs of them, on the plane of the classes' templates.

    .. math:: \tilde x = \lambda x_a + (1 - \lambda) x_b

    For each two of the three classes, images are paired at random, each at most once.

    Source: Müller, Kornblith, Hinton (2019), section 2, https://arxiv.org/abs/1906.02629, for the plane.
    Differs from source: mixed pairs beside clean images.

    Args:
        model: a classifier. It is not moved.
        batches: of (images [B, C, H, W], labels int64 [B]), read once; images of other classes are passed over.
        classes: three different ones.
        generator: of the pairs.
        weight: lambda, in [0, 1].
        templates: [K, D]; None for the rows of the last linear layer.
        tap: of the features, [B, D] or [B, D, 1, 1].
        spec: the network's input; None to feed it the images as they are, uint8 ones in [0, 1].
        device: the images' device; None for the network's own.

    Raises:
        InputError: an argument is out of its range, a class has no image, or features and templates differ in length.
    """
    if not 0 <= weight <= 1:
        raise InputError(f"weight must be in [0, 1], got {weight}")
    plane = template_plane(class_templates(model) if templates is None else templates, classes)
    where = torch.device(device) if device is not None else device_of(model)

    def points_of(pixels: Tensor) -> Tensor:
        found = features_in(model, pixels, [tap], spec)[tap].flatten(1)
        if found.shape[1] != len(plane.origin):
            raise InputError(f"tap {tap!r} must give {len(plane.origin)} features, got {found.shape[1]}; take another")
        return plane.project(found.cpu())

    kept: list[Tensor] = []
    clean, labels, size = [], [], 1
    for images, answers in batches_on(batches, where):
        mine = torch.isin(answers, torch.tensor(list(classes), device=answers.device))
        if bool(mine.any()):
            size = max(size, len(images))
            kept.append(images[mine])
            clean.append(points_of(images[mine]))
            labels.append(answers[mine].cpu())
    if not kept or any(not bool((torch.cat(labels) == index).any()) for index in classes):
        raise InputError(f"batches must give images of each of the classes {list(classes)}; give more images")
    images, points, answers = torch.cat(kept), torch.cat(clean), torch.cat(labels)
    first, second = _partners(answers, classes, generator)
    mixed = [
        points_of(weight * images[first[at : at + size]] + (1 - weight) * images[second[at : at + size]])
        for at in range(0, len(first), size)
    ]
    straight = weight * points[first] + (1 - weight) * points[second]
    return ProjectedPairs(
        plane, points, answers, torch.cat(mixed), torch.stack([answers[first], answers[second]], 1), straight
    )


def _partners(labels: Tensor, classes: Sequence[int], generator: torch.Generator) -> tuple[Tensor, Tensor]:
    firsts, seconds = [], []
    for place, one in enumerate(classes):
        for other in classes[place + 1 :]:
            sides = []
            for index in (one, other):
                members = (labels == index).nonzero().squeeze(1)
                order = torch.randperm(len(members), generator=generator, device=generator.device).cpu()
                sides.append(members[order])
            count = min(map(len, sides))
            firsts.append(sides[0][:count])
            seconds.append(sides[1][:count])
    return torch.cat(firsts), torch.cat(seconds)
