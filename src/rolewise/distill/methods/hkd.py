"""HKD: embeddings of examples, and of each with those that look alike to its network, near those of the other one."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from rolewise.batch import Batch, Context, Outputs
from rolewise.distill.embedding_memories import RememberedEmbeddings
from rolewise.distill.method_registry import method
from rolewise.distill.term import Shapes, through


@method(
    reads="features",
    mixed_labels="unsound",
    taps=("penultimate",),
    weight=3.0,
    limits={
        "width": "count",
        "neighbours": "count",
        "negatives": "count",
        "temperature": "temperature",
        "momentum": "momentum",
        "share": "fraction",
    },
    parts=("individual", "holistic"),
)
class HKD(RememberedEmbeddings):
    r"""Cross-entropy of an example among negatives, by its embedding alone and by that of its place in a graph.

    .. math:: \ell_b = \sum_{s} \Big( \alpha \, C\big(e^s_b; v^{\bar s}_b\big) + \beta \, C\big(g^s_b;
        u\big((1 - \gamma) v^{\bar s}_b + \gamma g^{\bar s}_b\big)\big) \Big), \quad
        C(z; p) = -\log \frac{\exp(\langle z, p \rangle / T)}
        {\exp(\langle z, p \rangle / T) + \sum_j \exp(\langle z, v_{i_j} \rangle / T)}

    summed over the student s and the teacher, with e the embedding of a network, v its memory and those of the other
    with a bar, u(x) = x at unit length, i the rows of the negatives, and positives without gradient. Each network has a
    graph of its own: an example's neighbours are the k of its batch, itself among them, whose probabilities have the
    highest cosine with its own, and g is a learned linear map of the embedding and its neighbours' mean, at unit
    length. Memories follow the embeddings of a step once it is taken.

    Source: Zhou, Wang, Chen, Zhou (2021), https://arxiv.org/abs/2108.05507, by the authors' code, where the labels
    weigh 1 beside it, and ``kd`` 0 or 1.
    Differs from source: a batch below k is a graph of fewer neighbours, where the code leaves out the graph and does
    not move the memories.

    Args:
        shapes: of the features [B, ...]; ``examples`` is N, and ``labels`` those of all examples.
        width: of the embeddings.
        neighbours: k, an example itself among them.
        negatives: M, for each example of a batch.
        temperature: T > 0, dimensionless.
        momentum: of the memories (see `rolewise.distill.memory.Bank`).
        share: gamma, the other network's share in a positive of the graph; in [0, 1].
        individual: alpha, at least 0.
        holistic: beta, at least 0.
        negatives_from: ``other_classes``: without repetition where there are M of them; or ``all`` examples.
        memory: the memory that negatives are of: the network's ``own``, as in the code, or that of the ``other`` as
            positives are, as in `crd` and by the names in the code.

    Raises:
        InputError: several pairs of taps, or the source's examples or their labels are not given.
    """

    reads_outputs, of_examples = True, True

    def __init__(
        self,
        shapes: Shapes,
        *,
        width: int = 128,
        neighbours: int = 8,
        negatives: int = 16384,
        temperature: float = 0.07,
        momentum: float = 0.9,
        share: float = 0.25,
        individual: float = 1.0,
        holistic: float = 1.0,
        negatives_from: Literal["other_classes", "all"] = "other_classes",
        memory: Literal["own", "other"] = "own",
    ) -> None:
        super().__init__(
            shapes, "hkd", width=width, negatives=negatives, momentum=momentum, negatives_from=negatives_from
        )
        self.neighbours, self.temperature, self.share = neighbours, temperature, share
        self.individual, self.holistic, self.memory = individual, holistic, memory
        self.student_graph, self.teacher_graph = (nn.Linear(2 * width, width) for _ in range(2))

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch, context: Context) -> Tensor:
        """Returns the loss [B], nats, unreduced."""
        assert batch.indices is not None
        embeddings, banks = self.embedded(student, teacher), (self.student_bank, self.teacher_bank)
        layers = self.student_graph, self.teacher_graph
        placed = [
            functional.normalize(through(layer, with_neighbours(own, outputs.logits, self.neighbours)), dim=1)
            for layer, own, outputs in zip(layers, embeddings, (student, teacher), strict=True)
        ]
        device = embeddings[0].device
        own_rows, rows = batch.indices.to(device), self.drawn(batch, context).to(device)
        total = torch.zeros_like(embeddings[0][:, 0])
        for side in range(2):
            remembered = banks[1 - side].values[own_rows].to(total.dtype)
            bank = banks[side if self.memory == "own" else 1 - side]
            mixed = (1 - self.share) * remembered + self.share * placed[1 - side].detach()
            pairs = (embeddings[side], remembered), (placed[side], functional.normalize(mixed, dim=1))
            for weight, (vectors, positives) in zip((self.individual, self.holistic), pairs, strict=True):
                first = torch.linalg.vecdot(vectors, positives)[:, None]
                scores = torch.cat([first, bank.products(vectors, rows)], 1) / self.temperature
                total = total + weight * (scores.logsumexp(1) - scores[:, 0])
        return total


def with_neighbours(embeddings: Tensor, logits: Tensor, neighbours: int) -> Tensor:
    """Returns embeddings beside the means over their neighbours: what a graph layer of one hop maps.

    Args:
        embeddings: [B, D].
        logits: [B, K], whose probabilities decide who is near; no gradient goes there.
        neighbours: k; all of the batch where it is smaller.

    Returns:
        [B, 2 D].
    """
    outputs = functional.normalize(logits.detach().softmax(1), dim=1)
    # An example is its own neighbour, whoever else is as near.
    near = (outputs @ outputs.T).fill_diagonal_(2.0)
    rows = near.topk(min(neighbours, len(near)), dim=1).indices
    return torch.cat([embeddings, embeddings[rows].mean(1)], 1)
