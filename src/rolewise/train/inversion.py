"""DeepInversion: images out of a teacher's batch norms, by gradient descent on the images themselves."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from rolewise.batch import Batch, Context
from rolewise.distill import Terms
from rolewise.errors import InputError
from rolewise.networks import class_logits, device_of, evaluating
from rolewise.seeds import check_seed
from rolewise.seeds import generator as stream_of
from rolewise.taps import Taps
from rolewise.train.generator_objective import still
from rolewise.train.given import check_count
from rolewise.train.image_losses import competition_loss, moments_of, statistics_loss, total_variation_loss
from rolewise.train.inversion_judges import tracked_norms
from rolewise.train.step import Update, train_step

#: The stream of shifts and mirrors.
_STREAM = "inversion"


class InversionObjective(nn.Module):
    r"""The loss of images that a teacher takes for given classes, with batch statistics as it keeps them.

    The images are all that it trains and all of its state; each step's shifts and mirrors are those of the context's
    step, so that state dict, optimiser and number of the step resume it exactly.

    Source: Yin, Molchanov et al. (2020), section 3, https://arxiv.org/abs/1912.08795. The weights are defaults of the
    authors' code; its CIFAR script has ``statistics`` 100, ``variation`` 2.5e-5 and ``norm`` 0.
    Differs from source: one resolution; with a student, see `rolewise.train.image_losses.competition_loss`.

    Args:
        teacher: a classifier with batch norms that keep running statistics.
        labels: int64 [B], the classes of the images.
        images: [B, C, H, W], where the descent starts, as the teacher sees images: normalised.
        student: a network whose disagreement is looked for, in eval mode; None for none.
        statistics: weight of `rolewise.train.image_losses.statistics_loss`.
        variation: weight of `rolewise.train.image_losses.total_variation_loss`.
        norm: weight of the mean over images of each one's norm.
        competition: weight of `rolewise.train.image_losses.competition_loss`; read only with a student.
        first: factor of the first batch norm.
        jitter: pixels, the largest shift of a step, round the edge.
        mirrored: whether half of the steps see mirror images.

    Raises:
        InputError: the teacher has no such batch norm, a number is out of its range, or labels and images do not go
            together.
    """

    def __init__(
        self,
        teacher: nn.Module,
        labels: Tensor,
        images: Tensor,
        *,
        student: nn.Module | None = None,
        statistics: float = 0.05,
        variation: float = 1e-4,
        norm: float = 1e-5,
        competition: float = 1.0,
        first: float = 10.0,
        jitter: int = 2,
        mirrored: bool = True,
    ) -> None:
        super().__init__()
        check_count("jitter", jitter)
        if labels.dtype != torch.int64 or labels.ndim != 1 or images.ndim != 4 or len(labels) != len(images):
            raise InputError(
                "labels must be int64 [B] for images [B, C, H, W], got "
                f"{labels.dtype} {list(labels.shape)} and {list(images.shape)}"
            )
        norms = tracked_norms(teacher, "DeepInversion")
        self.images = nn.Parameter(images.detach().clone())
        self.weights = {"labels": 1.0, "statistics": statistics, "variation": variation, "norm": norm}
        if student is not None:
            self.weights["competition"] = competition
        self.first, self.jitter, self.mirrored = first, jitter, mirrored
        # In a list, so that the networks do not become parts of this module, which would save them.
        self._judges = [(teacher, student, Taps(teacher, [f"{name}:input" for name in norms]), list(norms.values()))]
        self._labels = labels

    def forward(self, batch: Batch, /, *, context: Context) -> Terms:
        """Returns the terms of the images.

        Args:
            batch: of no influence.
            context: its step and seed make the shift and the mirror.
        """
        ((teacher, student, taps, norms),) = self._judges
        draws, images = context.generator(_STREAM), self.images
        shift = torch.randint(-self.jitter, self.jitter + 1, (2,), generator=draws).tolist()
        seen = images.roll(shift, (2, 3))
        if self.mirrored and torch.rand((), generator=draws) < 0.5:
            seen = seen.flip(3)
        with evaluating(teacher), still(teacher):
            output, features = taps.run(lambda: teacher(seen))
        logits = class_logits(output)
        parts = {
            "labels": functional.cross_entropy(logits, self._labels.to(logits.device)),
            "statistics": statistics_loss([moments_of(features[path]) for path in taps.paths], norms, self.first),
            "variation": total_variation_loss(seen),
            "norm": seen.flatten(1).norm(dim=1).mean(),
        }
        if student is not None:
            with evaluating(student), still(student):
                parts["competition"] = competition_loss(class_logits(student(seen)), logits)
        total = torch.stack([parts[name] * weight for name, weight in self.weights.items() if weight]).sum()
        return Terms(total, parts, None, weights=self.weights)

    def trainable_parameters(self) -> Iterator[nn.Parameter]:
        """Gives the images."""
        yield self.images

    def after_step(self, *, taken: bool = True) -> None:
        """Does nothing: all state is in the images.

        Args:
            taken: whether the step was taken.
        """


def inverted_images(
    teacher: nn.Module,
    labels: Tensor,
    image_shape: tuple[int, int, int],
    *,
    steps: int = 2000,
    learning_rate: float = 0.2,
    seed: int = 0,
    student: nn.Module | None = None,
    **settings: float,
) -> Tensor:
    """Returns images that a teacher takes for given classes, made by `InversionObjective` from normal noise.

    Args:
        teacher: a classifier with batch norms.
        labels: int64 [B], such as drawn at random; the statistics are those of the B images together.
        image_shape: (C, H, W).
        steps: of Adam with betas (0.5, 0.9).
        learning_rate: of Adam.
        seed: of noise, shifts and mirrors.
        student: see `InversionObjective`.
        settings: of `InversionObjective`.

    Returns:
        [B, C, H, W] on the teacher's device, normalised as the teacher sees images; without a gradient.

    Raises:
        InputError: as of `InversionObjective`.
    """
    check_count("steps", steps, least=1)
    check_seed("seed", seed)
    start = torch.randn(len(labels), *image_shape, generator=stream_of(seed, _STREAM)).to(device_of(teacher))
    objective = InversionObjective(teacher, labels, start, student=student, **settings)  # type: ignore[arg-type]
    optimizer = torch.optim.Adam([objective.images], lr=learning_rate, betas=(0.5, 0.9), eps=1e-8)
    update = Update(objective, optimizer)
    for step in range(steps):
        train_step([update], Batch(None), Context(step / steps, step, seed=seed))
    return objective.images.detach()
