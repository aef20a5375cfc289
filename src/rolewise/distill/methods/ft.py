"""Factor transfer: the student's translated factors imitate those that a paraphraser makes of the teacher's feature."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional

from rolewise.batch import Batch, Context, Outputs
from rolewise.distill.maps import same_size
from rolewise.distill.method_registry import method
from rolewise.distill.term import Shapes, Term, through
from rolewise.distill.vectors import mean_distance, mean_square
from rolewise.errors import InputError

#: Slope of the leaky ReLUs below zero, as in the authors' code.
SLOPE = 0.1


def layers(widths: tuple[int, ...], kind: type[nn.Conv2d | nn.ConvTranspose2d]) -> nn.Sequential:
    """Returns 3x3 convolutions from width to width, each followed by a leaky ReLU.

    Args:
        widths: of the input and of each layer.
        kind: of convolution.
    """
    pairs = itertools.pairwise(widths)
    made = [(kind(before, after, 3, padding=1), nn.LeakyReLU(SLOPE)) for before, after in pairs]
    return nn.Sequential(*itertools.chain.from_iterable(made))


class Paraphraser(nn.Module):
    """Makes factors of the teacher's feature, from which it can be made again.

    Args:
        width: D of the feature.
        factors: number of factors.
    """

    def __init__(self, width: int, factors: int) -> None:
        super().__init__()
        self.encoder = layers((width, width, factors, factors), nn.Conv2d)
        self.decoder = layers((factors, factors, width, width), nn.ConvTranspose2d)


@method(
    reads="stages",
    name="ft",
    mixed_labels="sound",
    alone=True,
    taps=("last_stage",),
    weight=500.0,
    limits={"rate": "positive"},
)
class FT(Term):
    r"""Mean difference of the student's factors from the teacher's, each at unit length.

    .. math:: \ell_b = \frac{1}{N} \Big\lVert \frac{f^s_b}{\lVert f^s_b \rVert} - \frac{f^t_b}{\lVert f^t_b \rVert}
        \Big\rVert_1, \quad f^t = \mathrm{encoder}(F^t), \quad f^s = \mathrm{translator}(F^s)

    summed over pairs of taps. The term ``ft_estimator``, of weight 1, is the mean squared error with which the decoder
    makes the teacher's feature of its factors; it alone trains the paraphraser.

    Source: Kim, Park, Kwak (2018), Paraphrasing complex network, section 3, https://arxiv.org/abs/1802.04977; three
    layers each way, the slope 0.1 and the weight 500 of the authors' code for CIFAR.
    Differs from source: the error of the paraphraser is a mean, not a sum; larger maps are averaged down to the
    smaller. Without phases the paraphraser is trained beside the student, where the source trains it first.

    Args:
        shapes: of the features: maps [B, D, H, W].
        rate: number of factors relative to the teacher's width.

    Raises:
        InputError: a tap gives no map, or the rate leaves no factor.
    """

    def __init__(self, shapes: Shapes, *, rate: float = 0.5) -> None:
        super().__init__()
        pairs = list(zip(shapes.student, shapes.teacher, strict=True))
        for student, teacher in pairs:
            if {len(student), len(teacher)} != {4}:
                raise InputError(
                    f"ft must tap two maps [B, D, H, W], got {list(student)} and {list(teacher)}; choose other taps"
                )
            if not 0 < rate <= 16 or int(rate * teacher[1]) < 1:
                rule = f"must make at least one factor of the teacher's {teacher[1]} channels, and at most 16 of each"
                raise InputError.at(("rate",), f"{rule}, got {rate!r}")
        widths = [(student[1], teacher[1], int(rate * teacher[1])) for student, teacher in pairs]
        self.estimator = nn.ModuleList(Paraphraser(width, factors) for _, width, factors in widths)
        self.translators = nn.ModuleList(
            layers((width, width, factors, factors), nn.Conv2d) for width, _, factors in widths
        )

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch, context: Context) -> dict[str, Tensor]:
        """Returns the difference of factors [B], and the error of the paraphraser [B]."""
        losses, errors = [], []
        parts = zip(self.estimator, self.translators, self.paired(student, teacher), strict=True)
        for paraphraser, translator, pair in parts:
            feature, wanted = same_size(*pair)
            factors = through(paraphraser.get_submodule("encoder"), wanted)
            made = through(paraphraser.get_submodule("decoder"), factors)
            errors.append(mean_square(made, wanted))
            translated = functional.normalize(through(translator, feature).flatten(1), dim=1)
            # What the student is measured against does not give way to it.
            aims = functional.normalize(factors.detach().flatten(1), dim=1)
            losses.append(mean_distance(translated, aims))
        return {"": torch.stack(losses).sum(0), "estimator": torch.stack(errors).sum(0)}
