"""SSKD: outputs for turned images, and which turned image belongs to which, are learned from the teacher."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from rolewise.batch import Batch, Context, Outputs, at_least_float32
from rolewise.distill.checks import check_same_shape
from rolewise.distill.made_views import TURNED
from rolewise.distill.method_registry import method
from rolewise.distill.term import Shapes, Term, through
from rolewise.distill.vectors import divergence, unit


@method(
    reads="features",
    name="sskd",
    mixed_labels="unsound",
    taps=("penultimate",),
    weight=1.0,
    limits={
        "temperature": "temperature",
        "contrast_temperature": "temperature",
        "kept_outputs": "fraction",
        "kept_similarities": "fraction",
    },
    parts=("plain", "transformed", "contrast"),
)
class SSKD(Term):
    r"""Divergences of outputs for plain and turned images, and of similarities between turned images and plain ones.

    .. math:: \ell = \lambda_p T^2 D(t, s) + \frac{\lambda_t T^2}{|I|} \sum_{i \in I} D(\tilde t_i, \tilde s_i)
        + \frac{\lambda_c \tau^2}{|J|} \sum_{i \in J} \mathrm{KL}(q^t_i \,\|\, q^s_i), \quad
        q_{ib} = \mathrm{softmax}_b\big(\cos(h(\tilde f_i), h(f_b)) / \tau\big)

    with three images for each of the batch, turned by 90, 180 and 270 degrees (tilde), D the divergence of softened
    class probabilities, f the penultimate features, and h a head of two linear layers in each network. I and J are the
    turned images whose class, or whose own plain image, the teacher has first, and a fraction of the others, those of
    the least rank first. The teacher's head learns q by the cross-entropy with the right plain image, on features
    without gradient: the term ``sskd_estimator``, which moves nothing else. The labels' own weight is 0.1 beside it.

    Source: Xu, Liu, Li, Loy (2020), section 3, https://arxiv.org/abs/2006.07114; weights, temperatures and fractions of
    the authors' code.
    Differs from source: the teacher's head learns beside the student, and not for 60 epochs before it (`weight` with a
    ``step`` gives it a start); each turn of the images is a pass of its own, with its own norms of the batch; of equal
    ranks the surer ones are kept.

    Args:
        shapes: of one pair of features, [B, D] or [B, D, H, W].
        plain: lambda_p, weight of the plain images' divergence.
        transformed: lambda_t, weight of the turned images' divergence.
        contrast: lambda_c, weight of the similarities' divergence.
        temperature: T > 0, of the outputs, dimensionless.
        contrast_temperature: tau > 0, of the similarities.
        kept_outputs: fraction kept of the turned images that the teacher has wrong.
        kept_similarities: fraction kept of those that it assigns to the wrong image.

    Raises:
        InputError: the networks have other classes, or the inputs are no images.
    """

    reads_outputs, of_examples = True, True
    targets, views = "labels", TURNED

    def __init__(
        self,
        shapes: Shapes,
        *,
        plain: float = 0.9,
        transformed: float = 2.7,
        contrast: float = 10.0,
        temperature: float = 4.0,
        contrast_temperature: float = 0.5,
        kept_outputs: float = 1.0,
        kept_similarities: float = 0.75,
    ) -> None:
        super().__init__()
        self.plain, self.transformed, self.contrast = plain, transformed, contrast
        self.temperature, self.contrast_temperature = temperature, contrast_temperature
        self.kept_outputs, self.kept_similarities = kept_outputs, kept_similarities
        self.head, self.estimator = (_head(shape[0][1]) for shape in (shapes.student, shapes.teacher))

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch, context: Context) -> dict[str, Tensor]:
        """Returns the loss [B], nats, unreduced, and that of the teacher's head, ``estimator`` [B]."""
        [(path, other)] = self.pairs
        own = self._similarities(self.head, student, path)
        aim = self._similarities(self.estimator, teacher.detached(), other)
        count = len(own[0])
        places = torch.arange(count, device=own.device).expand(len(TURNED), count)
        loss = self.plain * self._apart(teacher, student)
        if self.transformed:
            logits = torch.stack([teacher.views[view].logits for view in TURNED])
            apart = torch.stack([self._apart(teacher.views[view], student.views[view]) for view in TURNED])
            kept = kept_of(logits.detach(), batch.targets.expand(len(TURNED), count), self.kept_outputs)
            loss = loss + self.transformed * _averaged(apart, kept)
        first, second = ((one / self.contrast_temperature).log_softmax(2) for one in (aim.detach(), own))
        kept = kept_of(aim.detach(), places, self.kept_similarities)
        apart = self.contrast_temperature**2 * divergence(first, second)
        learned = functional.cross_entropy(aim.flatten(0, 1), places.flatten(), reduction="none")
        return {"": loss + self.contrast * _averaged(apart, kept), "estimator": learned.view_as(places).mean(0)}

    def _apart(self, teacher: Outputs, student: Outputs) -> Tensor:
        check_same_shape(student.logits, teacher.logits, "logits [B, K]", 2)
        target, predicted = ((one.logits / self.temperature).log_softmax(1) for one in (teacher, student))
        return self.temperature**2 * divergence(target, predicted)

    def _similarities(self, head: nn.Module, outputs: Outputs, path: str) -> Tensor:
        """Returns the cosines [3, B, B] of each turned image with the plain ones."""
        plain = _embedded(head, outputs.features[path])
        return torch.stack([_embedded(head, outputs.views[view].features[path]) @ plain.T for view in TURNED])


def kept_of(scores: Tensor, right: Tensor, fraction: float) -> Tensor:
    """Returns whether each row is kept: [V, B], true for those that are right and for a fraction of the others.

    Args:
        scores: [V, B, M] of M answers.
        right: int64 [V, B], the right answer of each.
        fraction: in [0, 1], of the rows that are wrong: those whose right answer has the least rank, the surer first.
    """
    flat = scores.flatten(0, 1).log_softmax(1)
    own = flat.gather(1, right.flatten()[:, None])
    rank = (flat > own).sum(1)
    order = own[:, 0].argsort(descending=True, stable=True)
    order = order[rank[order].argsort(stable=True)]
    place = torch.empty_like(order)
    place[order] = torch.arange(len(order), device=order.device)
    wrong = (rank > 0).sum()
    return (place < len(rank) - wrong + (wrong.double() * fraction).floor()).view_as(right)


def _averaged(losses: Tensor, kept: Tensor) -> Tensor:
    """Returns [B] whose mean is that of the kept ones of losses [V, B]."""
    return torch.where(kept, losses, 0.0).sum(0) * (losses.shape[1] / kept.sum().clamp_min(1).to(losses))


def _embedded(head: nn.Module, feature: Tensor) -> Tensor:
    pooled = at_least_float32(feature).flatten(2).mean(2) if feature.ndim > 2 else feature
    return unit(through(head, pooled))


def _head(width: int) -> nn.Module:
    return nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))
