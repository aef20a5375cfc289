"""A classifier's accuracy on corrupted images, and its error relative to that of another classifier."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from rolewise.errors import InputError, values_of
from rolewise.inputs import InputSpec
from rolewise.instruments.corruptions.corruption_table import check_corruption, chosen_corruptions, corrupt
from rolewise.instruments.prediction import batches_on
from rolewise.instruments.robustness.curves import correct
from rolewise.instruments.robustness.objectives import pixels_of
from rolewise.networks import device_of
from rolewise.seeds import generator as stream


@dataclass(frozen=True)
class CorruptionTable:
    """Accuracy under each corruption at each strength.

    Args:
        clean: accuracy in [0, 1] on the images as they are.
        accuracy: name -> accuracy at each strength, in the order of ``strengths``.
        strengths: those measured.
        count: images.
    """

    clean: float
    accuracy: dict[str, tuple[float, ...]]
    strengths: tuple[int, ...]
    count: int

    @property
    def mean(self) -> float:
        """Mean accuracy over corruptions and strengths."""
        return math.fsum(map(math.fsum, self.accuracy.values())) / (len(self.accuracy) * len(self.strengths))


@dataclass(frozen=True)
class RelativeError:
    """Errors relative to a baseline's, where 1 is as good as the baseline and less is better.

    Args:
        by_name: name -> the error summed over strengths, over that of the baseline.
        mean: over the names: the mean corruption error.
        added_by_name: name -> the error that corruption adds to the clean one, over that of the baseline; None where it
            adds nothing to the baseline's.
        added_mean: over the names; None where one of them is.
    """

    by_name: dict[str, float]
    mean: float
    added_by_name: dict[str, float | None]
    added_mean: float | None


def corruption_accuracy(
    model: nn.Module,
    batches: Iterable[Any],
    *,
    generator: torch.Generator,
    names: Sequence[str] | None = None,
    strengths: Sequence[int] = (1, 2, 3, 4, 5),
    spec: InputSpec | None = None,
    device: torch.device | str | None = None,
) -> CorruptionTable:
    """Measures a classifier on corrupted images; every corruption at every strength sees the same images.

    Two classifiers that are given the same batches and generators of the same seed see the same corrupted images,
    whatever the other names and strengths.

    Source: Hendrycks, Dietterich (2019), section 4, https://arxiv.org/abs/1903.12261.
    Differs from source: none; see `corrupt` for the images.

    Args:
        model: a classifier; it runs in eval mode and is not moved.
        batches: of (images [B, C, H, W], labels int64 [B]), read once; images in [0, 1] are rounded to levels.
        generator: gives one number, of which every corruption's own stream is derived.
        names: of `CORRUPTIONS`; None for all that suit the images' channels.
        strengths: 1 to 5, at least one.
        spec: the network's input; None for pixels in [0, 1].
        device: the device on which images are corrupted; None for the network's own.

    Raises:
        InputError: there is no image, no name or no strength, an image cannot be corrupted, or the logits are not
            finite.
    """
    strengths, names = values_of(strengths, "strengths"), None if names is None else values_of(names, "names")
    if not strengths or (names is not None and not names):
        raise InputError(f"names and strengths must hold at least one, got {names} and {list(strengths)}")
    where = torch.device(device) if device is not None else device_of(model)
    seed = int(torch.randint(2**62, (), generator=generator, device=generator.device))
    streams: dict[tuple[str, int], torch.Generator] = {}
    hits: dict[tuple[str, int] | None, int] = {None: 0}
    count = 0
    for pixels, labels in batches_on(batches, where):
        images = (pixels_of(pixels) * 255).round().to(torch.uint8)
        if not streams:
            for name in chosen_corruptions(names, images.shape[1]):
                for strength in strengths:
                    check_corruption(name, strength, images)
                    streams[name, strength] = stream(seed, name, strength, device=generator.device)
        count += len(images)
        hits[None] += int(correct(model, pixels_of(images), labels, spec).sum())
        for key, own in streams.items():
            corrupted = pixels_of(corrupt(images, *key, own))
            hits[key] = hits.get(key, 0) + int(correct(model, corrupted, labels, spec).sum())
    if not count:
        raise InputError("batches must give at least one image, got none")
    accuracy = {
        name: tuple(hits[name, strength] / count for strength in strengths)
        for name in dict.fromkeys(name for name, _ in streams)
    }
    return CorruptionTable(hits[None] / count, accuracy, tuple(strengths), count)


def relative_error(table: CorruptionTable, baseline: CorruptionTable) -> RelativeError:
    r"""Returns the mean corruption error against a baseline, and the relative one.

    .. math:: \mathrm{CE}_c = \frac{\sum_s E_{s c}}{\sum_s E'_{s c}}, \quad
        \mathrm{rCE}_c = \frac{\sum_s (E_{s c} - E_{\mathrm{clean}})}{\sum_s (E'_{s c} - E'_{\mathrm{clean}})}

    E is an error in [0, 1], E' that of the baseline; means are over the corruptions c.

    Source: Hendrycks, Dietterich (2019), section 4.1, https://arxiv.org/abs/1903.12261.
    Differs from source: any classifier is the baseline, not AlexNet; not times 100.

    Args:
        table: of the classifier.
        baseline: of the other, of the same names and strengths.

    Raises:
        InputError: names or strengths differ, or the baseline makes no error at all under a corruption.
    """
    if list(table.accuracy) != list(baseline.accuracy) or table.strengths != baseline.strengths:
        raise InputError(
            f"baseline must have the names and strengths of the table, got {list(baseline.accuracy)} at "
            f"{list(baseline.strengths)}; measure both alike"
        )
    errors, own, added = {}, {}, {}
    for name, accuracies in table.accuracy.items():
        total, other = (len(table.strengths) - math.fsum(row) for row in (accuracies, baseline.accuracy[name]))
        if other <= 0:
            raise InputError(f"baseline must err at least once under {name!r}, got no error; take a weaker one")
        errors[name] = total / other
        own[name] = total - len(table.strengths) * (1 - table.clean)
        extra = other - len(table.strengths) * (1 - baseline.clean)
        added[name] = own[name] / extra if extra > 1e-12 else None
    known = [value for value in added.values() if value is not None]
    return RelativeError(
        errors,
        math.fsum(errors.values()) / len(errors),
        added,
        math.fsum(known) / len(known) if len(known) == len(added) else None,
    )
