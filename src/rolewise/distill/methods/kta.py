"""KTA: the student adapts to what an auto-encoder keeps of the teacher's map, and to how its places relate."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from rolewise.batch import Batch, Context, Outputs
from rolewise.distill.maps import columns, same_size
from rolewise.distill.method_registry import method
from rolewise.distill.methods.ft import Paraphraser
from rolewise.distill.projectors import check_maps, check_norm_batch
from rolewise.distill.term import Shapes, Term, through
from rolewise.distill.vectors import mean_distance, mean_square, unit
from rolewise.errors import InputError


def adapter(width: int, out: int, *, norm: bool) -> nn.Sequential:
    """Returns a 3x3 convolution, with a batch norm and a ReLU behind it where ``norm`` is set."""
    behind = [nn.BatchNorm2d(out), nn.ReLU()] if norm else []
    return nn.Sequential(nn.Conv2d(width, out, 3, padding=1, bias=not norm), *behind)


@method(
    reads="stages",
    name="kta",
    mixed_labels="sound",
    taps=("last_stage",),
    weight=50.0,
    limits={"rate": "positive", "affinity": "not negative", "sparsity": "not negative"},
)
class KTA(Term):
    r"""Difference of an adapted map from the teacher's translated one, and of the cosines between places of both.

    .. math:: \ell_b = \frac{1}{N} \Big\lVert \frac{a(F^s_b)}{\lVert a(F^s_b) \rVert} - \frac{e(F^t_b)}{\lVert e(F^t_b)
        \rVert} \Big\rVert_1 + \gamma \operatorname*{mean}_{n,m} \big(\cos(a'_{bn}, a'_{bm}) - \cos(e_{bn}, e_{bm})
        \big)^2

    with e the encoder of an auto-encoder of the teacher's map, and two adapters a and a' of the student's. The term
    ``kta_estimator``, of weight 1, trains the auto-encoder alone: the mean squared error of what it decodes, and
    ``sparsity`` times the summed absolute values of its code.

    Source: He, Shen, Tian, Gong, Sun, Yan (2019), Knowledge adaptation for efficient semantic segmentation, section 3,
    https://arxiv.org/abs/1903.04688; layers, the rate and the sparsity as in torchdistill 1.1.5.
    Differs from source: squares of cosines in place of a norm, whose gradient is not a number between equal networks,
    and of places, where torchdistill has each channel by itself; the code's absolute values are summed in each example,
    not over the batch; without phases the auto-encoder is trained beside the student.

    Args:
        shapes: of the features: maps [B, D, H, W], such as the logits of two segmenters.
        rate: channels of the code relative to the teacher's.
        affinity: gamma, weight of the relation between places.
        sparsity: weight of the absolute values of the code, in the auto-encoder's own loss.

    Raises:
        InputError: a tap gives no map, or the rate leaves no channel.
    """

    def __init__(self, shapes: Shapes, *, rate: float = 0.5, affinity: float = 1.0, sparsity: float = 1e-7) -> None:
        super().__init__()
        check_maps("kta", *shapes.student, *shapes.teacher)
        self.affinity, self.sparsity = affinity, sparsity
        widths = [(own[1], aim[1], int(rate * aim[1])) for own, aim in zip(shapes.student, shapes.teacher, strict=True)]
        if rate > 16 or any(code < 1 for *_, code in widths):
            rule = "must leave at least one channel of the code, and make at most 16 of each"
            raise InputError.at(("rate",), f"{rule}, got {rate!r}", owner="kta")
        self.estimator = nn.ModuleList(Paraphraser(aim, code) for _, aim, code in widths)
        self.adapters = nn.ModuleList(adapter(own, code, norm=True) for own, _, code in widths)
        self.relations = nn.ModuleList(adapter(own, code, norm=False) for own, _, code in widths)

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch, context: Context) -> dict[str, Tensor]:
        """Returns the loss [B], and that of the auto-encoder [B]."""
        losses, errors = [], []
        parts = zip(self.estimator, self.adapters, self.relations, self.paired(student, teacher), strict=True)
        for autoencoder, adapt, relate, pair in parts:
            feature, wanted = same_size(*pair)
            check_norm_batch(self, "kta", feature)
            code = through(autoencoder.get_submodule("encoder"), wanted)
            made = through(autoencoder.get_submodule("decoder"), code)
            error = mean_square(made, wanted)
            errors.append(error + self.sparsity * code.abs().flatten(1).sum(1))
            # What the student is measured against does not give way to it.
            aim = code.detach()
            ends = (functional.normalize(one.flatten(1), dim=1) for one in (through(adapt, feature), aim))
            apart = mean_distance(next(ends), next(ends))
            cosines = (_cosines(one) for one in (through(relate, feature), aim))
            losses.append(apart + self.affinity * (next(cosines) - next(cosines)).square().mean((1, 2)))
        return {"": torch.stack(losses).sum(0), "estimator": torch.stack(errors).sum(0)}


def _cosines(maps: Tensor) -> Tensor:
    """Returns the cosines between places, [B, N, N]."""
    places = columns(maps)
    count, width, number = places.shape
    units = unit(places.transpose(1, 2).reshape(-1, width)).view(count, number, width)
    return units @ units.transpose(1, 2)
