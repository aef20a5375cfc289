"""HKD: embeddings of single examples and of their neighbourhoods in the batch, contrasted between two networks."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from rolewise.batch import Batch, Context, Outputs
from rolewise.distill.checks import check_same_shape
from rolewise.distill.maps import columns, width_of
from rolewise.distill.memory import Bank
from rolewise.distill.method_registry import method
from rolewise.distill.negatives import Negatives
from rolewise.distill.term import Shapes, Term, through
from rolewise.errors import InputError


def neighbours_of(logits: Tensor, count: int) -> Tensor:
    """Returns int64 [B, k], for each example itself and then those of the batch with the most similar outputs.

    Args:
        logits: [B, K]; similarity is the cosine of probabilities.
        count: k; B where the batch is smaller.
    """
    unit = functional.normalize(logits.softmax(1), dim=1)
    # No cosine is above 1, so that an example is always its own first neighbour.
    alike = (unit @ unit.T).fill_diagonal_(2.0)
    return alike.topk(min(count, len(logits)), dim=1).indices


@method(
    reads="stages",
    name="hkd",
    mixed_labels="unsound",
    taps=("penultimate",),
    weight=3.0,
    limits={
        "width": "count",
        "negatives": "count",
        "neighbours": "count",
        "temperature": "temperature",
        "momentum": "not negative",
        "holistic": "not negative",
    },
)
class HKD(Term):
    r"""Contrast of individual embeddings, and of embeddings of neighbourhoods in the batch, between two networks.

    .. math:: \ell_b = \sum_{s, t} \Big( \mathrm{NCE}\big(e^s_b, v^t_b\big) + \omega \, \mathrm{NCE}\big(g^s_b,
        \mathrm{norm}(\tfrac{3}{4} v^t_b + \tfrac{1}{4} g^t_b)\big) \Big), \quad \mathrm{NCE}(z, u) = -\log
        \frac{e^{\langle z, u \rangle / T}}{e^{\langle z, u \rangle / T} + \sum_j e^{\langle z, v^t_{i_j} \rangle / T}}

    summed over the student as s with the teacher as t, and the reverse. e is a learned linear map of a network's
    feature at unit length, v its memory, and g a learned linear map of e beside the mean of e over the example's
    neighbours, at unit length: those of the batch, itself among them, whose probabilities have the highest cosine in
    the same network. Memories follow the embeddings e of a step once it is taken; positives get no gradient.

    Source: Zhou et al. (2021), Distilling Holistic Knowledge with Graph Neural Networks,
    https://arxiv.org/abs/2108.05507, as the authors' code has it.
    Differs from source: negatives come from the memory that the positive comes from, as in CRD, where the code takes
    them from the network's own; a batch smaller than the neighbourhood is the neighbourhood.

    Args:
        shapes: of the features: maps, tokens (their means over places), or vectors [B, D]; ``examples`` is N, and
            ``labels`` those of all examples.
        width: of the embeddings.
        negatives: number of them for each example of a batch.
        neighbours: size of a neighbourhood, the example itself among them.
        temperature: T > 0, dimensionless.
        momentum: of the memories (see `rolewise.distill.memory.Bank`).
        holistic: omega, weight of the contrast of neighbourhoods.
        negatives_from: ``other_classes``: without repetition where there are enough of them; or ``all`` examples.

    Raises:
        InputError: several pairs of taps, or the source's examples or their labels are not given.
    """

    needs_indices, reads_outputs, of_examples = True, True, True

    def __init__(
        self,
        shapes: Shapes,
        *,
        width: int = 128,
        negatives: int = 16384,
        neighbours: int = 8,
        temperature: float = 0.07,
        momentum: float = 0.9,
        holistic: float = 1.0,
        negatives_from: Literal["other_classes", "all"] = "other_classes",
    ) -> None:
        super().__init__()
        if len(shapes.student) != 1:
            raise InputError(f"hkd must have one pair of taps, got {len(shapes.student)}; list it once for each pair")
        examples, others = shapes.number_of_examples("hkd"), negatives_from == "other_classes"
        labels = shapes.labels_of_all("hkd") if others else shapes.labels
        self.others, self.negatives = Negatives(examples, labels, other_classes=others), negatives
        self.neighbours, self.temperature, self.holistic = neighbours, temperature, holistic
        sizes = width_of(shapes.student[0]), width_of(shapes.teacher[0])
        self.student_map, self.teacher_map = (nn.Linear(size, width) for size in sizes)
        self.student_graph, self.teacher_graph = (nn.Linear(2 * width, width) for _ in range(2))
        self.student_bank, self.teacher_bank = (Bank(examples, width, momentum) for _ in range(2))

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch, context: Context) -> Tensor:
        """Returns the loss [B], nats, unreduced."""
        assert batch.indices is not None
        single = self._embedded(student, teacher)
        whole = [
            self._around(vectors, outputs.logits.detach(), graph)
            for vectors, outputs, graph in zip(
                single, (student, teacher), (self.student_graph, self.teacher_graph), strict=True
            )
        ]
        rows = self.others.draw(batch.indices, self.negatives, context.generator(self.name)).to(single[0].device)
        losses = []
        for side, bank in enumerate((self.teacher_bank, self.student_bank)):
            kept = bank.values[batch.indices.to(bank.values.device)].to(single[side].dtype)
            nearby = functional.normalize(0.75 * kept + 0.25 * whole[1 - side].detach(), dim=1)
            losses.append(self._contrast(single[side], kept, bank, rows))
            losses.append(self.holistic * self._contrast(whole[side], nearby, bank, rows))
        return torch.stack(losses).sum(0)

    def observe(self, student: Outputs, teacher: Outputs, batch: Batch, context: Context) -> tuple[Outputs, Outputs]:
        """Returns the embeddings of both, [B, width] at unit length, which `update` takes over."""
        first, second = self._embedded(student, teacher)
        return Outputs({"embedding": first}), Outputs({"embedding": second})

    def update(self, student: Outputs, teacher: Outputs, batch: Batch, context: Context) -> None:
        """Moves the memories."""
        assert batch.indices is not None
        self.student_bank.update(batch.indices, student.values["embedding"])
        self.teacher_bank.update(batch.indices, teacher.values["embedding"])

    def _embedded(self, student: Outputs, teacher: Outputs) -> tuple[Tensor, Tensor]:
        first, second = (columns(feature).mean(2) for feature in self.paired(student, teacher)[0])
        own, other = through(self.student_map, first), through(self.teacher_map, second)
        return functional.normalize(own, dim=1), functional.normalize(other, dim=1)

    def _around(self, vectors: Tensor, logits: Tensor, graph: nn.Module) -> Tensor:
        check_same_shape(logits, logits, "logits [B, K]", 2)
        mean = vectors[neighbours_of(logits, self.neighbours)].mean(1)
        return functional.normalize(through(graph, torch.cat([vectors, mean], 1)), dim=1)

    def _contrast(self, anchors: Tensor, positives: Tensor, bank: Bank, rows: Tensor) -> Tensor:
        right = (anchors * positives).sum(1, keepdim=True)
        scores = torch.cat([right, bank.products(anchors, rows)], 1) / self.temperature
        return -scores.log_softmax(1)[:, 0]
