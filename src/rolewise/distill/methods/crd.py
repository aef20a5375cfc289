"""Contrastive representation distillation: embeddings of one example by both networks, apart from all others."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from rolewise.batch import Batch, Context, Outputs
from rolewise.distill.embedding_memories import RememberedEmbeddings
from rolewise.distill.method_registry import method
from rolewise.distill.term import Shapes

#: Added to the noise's density, as in the authors' code.
EPSILON = 1e-7


@method(
    reads="features",
    mixed_labels="unsound",
    taps=("penultimate",),
    weight=0.8,
    limits={"width": "count", "negatives": "count", "temperature": "temperature", "momentum": "momentum"},
)
class CRD(RememberedEmbeddings):
    r"""Noise-contrastive estimate of an example's embedding among those of others in the other network's memory.

    .. math:: \ell_b = \sum_{(z, v)} \Big( -\log \frac{p_0}{p_0 + m/N} - \sum_{j=1}^m \log \frac{m/N}{p_j + m/N} \Big),
        \quad p_j = \frac{1}{Z} \exp(\langle v_{i_j}, z_b \rangle / T)

    with z the embedding of one network, v the memory of the other's, i_0 the example's own row and the others m
    negatives, summed over the student's embedding with the teacher's memory and the reverse; N is the number of
    examples that are trained on. An embedding is a learned linear map of the flattened feature at unit length. Z is N
    times the mean of the exponentials in the first step. Memories follow the embeddings of a step once it is taken.

    Source: Tian, Krishnan, Isola (2020), section 3.2, https://arxiv.org/abs/1910.10699, and its authors' code.
    Differs from source: given for each example, whose mean over the batch is the source's.

    Args:
        shapes: of the features [B, ...]; ``examples`` is N, and ``labels`` those of all examples.
        width: of the embeddings.
        negatives: m, for each example of a batch.
        temperature: T > 0, dimensionless.
        momentum: of the memories (see `rolewise.distill.memory.Bank`).
        negatives_from: ``other_classes``: without repetition where there are m of them; or ``all`` examples.

    Raises:
        InputError: several pairs of taps, or the source's examples or their labels are not given.
    """

    log_scale: Tensor

    def __init__(
        self,
        shapes: Shapes,
        *,
        width: int = 128,
        negatives: int = 16384,
        temperature: float = 0.07,
        momentum: float = 0.5,
        negatives_from: Literal["other_classes", "all"] = "other_classes",
    ) -> None:
        super().__init__(
            shapes, "crd", width=width, negatives=negatives, momentum=momentum, negatives_from=negatives_from
        )
        self.examples, self.temperature = self.others.number, temperature
        self.register_buffer("log_scale", torch.full((2,), math.inf))  # log Z of both, infinite before the first step

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch, context: Context) -> Tensor:
        """Returns the loss [B], nats, unreduced."""
        noise = self.negatives / self.examples
        losses = []
        for scores, log_scale in self._scores(self.embedded(student, teacher), batch, context):
            ratios = scores - log_scale - math.log(noise + EPSILON)
            losses.append(functional.softplus(-ratios[:, 0]) + functional.softplus(ratios[:, 1:]).sum(1))
        return losses[0] + losses[1] + 2 * self.negatives * math.log1p(EPSILON / noise)

    def update(self, student: Outputs, teacher: Outputs, batch: Batch, context: Context) -> None:
        """Settles Z in the first step, and moves the memories."""
        own, other = student.values["embedding"], teacher.values["embedding"]
        if self.log_scale[0].isinf():
            self.log_scale.copy_(torch.stack([scale for _, scale in self._scores((own, other), batch, context)]))
        super().update(student, teacher, batch, context)

    def _scores(self, vectors: tuple[Tensor, Tensor], batch: Batch, context: Context) -> list[tuple[Tensor, Tensor]]:
        """Returns <v, z> / T [B, 1 + m], and log Z, of the student's embeddings, then of the teacher's."""
        assert batch.indices is not None
        rows = torch.cat([batch.indices.cpu()[:, None], self.drawn(batch, context)], 1).to(vectors[0].device)
        pairs = []
        for embedding, bank, scale in zip(vectors, (self.teacher_bank, self.student_bank), self.log_scale, strict=True):
            scores = bank.products(embedding, rows) / self.temperature
            if scale.isinf():
                scale = scores.detach().flatten().logsumexp(0) + math.log(self.examples / scores.numel())
            pairs.append((scores, scale.to(scores.dtype)))
        return pairs
