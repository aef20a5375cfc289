"""Mixing over a training: how strong and how much at each moment, and which network decides what is mixed."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from rolewise.augment import Mix
from rolewise.augment.mix_pick import UNIX_SHARPNESS, entropy
from rolewise.distill import Distiller, Weight, weight_of
from rolewise.distill.guards import check_soft_labels
from rolewise.distill.mixed import TARGETS, Targets, check_outputs
from rolewise.errors import InputError, near
from rolewise.inputs import InputSpec, prepare
from rolewise.logits import logits_in
from rolewise.networks import evaluating

#: Pairs that a network decides on, beside those of `rolewise.augment.mix.PAIRS`.
BY_ENTROPY = ("student_entropy", "teacher_entropy")
RULES = ("pick", "unix")


@dataclass(frozen=True)
class Mixing:
    """The rule by which a network's images are mixed while it is trained.

    Args:
        mix: method, kind of share and ratio, and pairs; its ``alpha`` and ``mixed_fraction`` are those that follow.
        alpha: of the ratios' Beta distribution over training, taken anew at each epoch.
        mixed_fraction: of mixed images over training.
        by: ``student_entropy`` or ``teacher_entropy``, where that network decides what is mixed; else None. While a
            teacher is trained it is the Distiller's student.
        rule: of that decision: ``pick`` draws each batch twice and keeps the half of highest entropy; ``unix`` is
            UNIX-KD's rule, for mixup, without a share.
        sharpness: of ``unix``, positive.
        clean_too: whether each batch is its clean images followed by the mixed ones, in one forward pass: it costs
            1 + share times the step.
        targets: the teacher's outputs for mixed images (see `rolewise.batch.Mixture`).

    Raises:
        InputError: a name is unknown, a number out of range, or a combination means nothing.
    """

    mix: Mix = field(default_factory=Mix)
    alpha: Weight = field(default_factory=lambda: weight_of(1.0))
    mixed_fraction: Weight = field(default_factory=lambda: weight_of(1.0))
    by: str | None = None
    rule: str = "pick"
    sharpness: float = UNIX_SHARPNESS
    clean_too: bool = False
    targets: Targets = "image"

    def __post_init__(self) -> None:
        for what, value, names in (
            ("pairs", self.by or BY_ENTROPY[0], BY_ENTROPY),
            ("entropy_rule", self.rule, RULES),
            ("mixed_targets", self.targets, TARGETS),
        ):
            if value not in names:
                raise InputError(f"{what} must be one of {', '.join(names)}, got {value!r}{near(str(value), names)}")
        for alpha, share in ((self.alpha.start, self.mixed_fraction.start), (self.alpha.end, self.mixed_fraction.end)):
            replace(self.mix, alpha=alpha, mixed_fraction=share)
        if self.alpha.window != (0.0, 1.0):
            raise InputError("alpha must hold during all of training, got a window; give mixed_fraction one")
        if self.sharpness <= 0:
            raise InputError(f"sharpness must be positive, got {self.sharpness}")
        if self.by is not None and self.rule == "unix" and self.mix.method != "mixup":
            raise InputError(f'method must be "mixup" for the entropy_rule "unix", got {self.mix.method!r}')
        if (
            self.by is not None
            and self.rule == "unix"
            and (self.mixed_fraction.start, self.mixed_fraction.end) != (1, 1)
        ):
            raise InputError(
                'mixed_fraction must be 1 for the entropy_rule "unix", which has its own number of mixed images'
            )

    @property
    def unix(self) -> bool:
        """Whether UNIX-KD's rule draws the pairs."""
        return self.by is not None and self.rule == "unix"

    def at(self, progress: float) -> Mix:
        """Returns the mix that plans are drawn from at a fraction of training in [0, 1]."""
        return replace(self.mix, alpha=self.alpha(progress), mixed_fraction=self.mixed_fraction(progress))

    def over(self, epochs: int, steps: int) -> Mixing:
        """Returns the same with moments that are fractions of a training (see `rolewise.distill.Weight.over`)."""
        return replace(
            self, alpha=self.alpha.over(epochs, steps), mixed_fraction=self.mixed_fraction.over(epochs, steps)
        )

    def with_scalars(
        self, share: float | None = None, alpha: float | None = None, sharpness: float | None = None
    ) -> Mixing:
        """Returns the same with another constant share, alpha or sharpness; what is None stays."""
        share_now = self.mixed_fraction if share is None or self.unix else weight_of(share)
        return replace(
            self,
            mixed_fraction=share_now,
            alpha=self.alpha if alpha is None else weight_of(alpha),
            sharpness=self.sharpness if sharpness is None else sharpness,
        )

    def check(self, distiller: Distiller) -> None:
        """Raises InputError where mixing does not go with the networks or the methods."""
        check_soft_labels(distiller.methods)
        if self.targets == "outputs":
            for method in distiller.methods:
                check_outputs(method)
        if self.by == "teacher_entropy" and distiller.teacher is None:
            raise InputError('pairs must be others than "teacher_entropy" where there is no teacher')


@torch.no_grad()
def entropies(network: nn.Module, images: Tensor, spec: InputSpec | None) -> Tensor:
    """Returns the entropy [B] of a network's outputs for images, in eval mode; nothing of it stays behind."""
    with evaluating(network):
        return entropy(logits_in(network(prepare(images, spec) if spec is not None else images)))
