"""Embeddings of both networks with a memory of each, which terms that contrast examples share."""

from __future__ import annotations

import math
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional

from rolewise.batch import Batch, Context, Outputs
from rolewise.distill.memory import Bank
from rolewise.distill.negatives import Negatives
from rolewise.distill.term import Shapes, Term, through
from rolewise.errors import InputError

#: The examples that negatives are drawn from.
NegativesFrom = Literal["other_classes", "all"]


class RememberedEmbeddings(Term):
    """The base of a term that embeds one pair of features, and remembers an embedding of each example by each network.

    An embedding is a learned linear map of the flattened feature at unit length. The memories follow the embeddings of
    a step once it is taken.

    Args:
        shapes: of the features [B, ...]; ``examples`` is N, and ``labels`` those of all examples.
        owner: the term's method, for errors.
        width: D of the embeddings.
        negatives: M, for each example of a batch.
        momentum: of the memories (see `rolewise.distill.memory.Bank`).
        negatives_from: ``other_classes``: without repetition where there are M of them; or ``all`` examples.

    Raises:
        InputError: several pairs of taps, or the source's examples or their labels are not given.
    """

    needs_indices = True

    def __init__(
        self, shapes: Shapes, owner: str, *, width: int, negatives: int, momentum: float, negatives_from: NegativesFrom
    ) -> None:
        super().__init__()
        if len(shapes.student) != 1:
            raise InputError(
                f"{owner} must have one pair of taps, got {len(shapes.student)}; list it once for each pair"
            )
        examples, others = shapes.number_of_examples(owner), negatives_from == "other_classes"
        labels = shapes.labels_of_all(owner) if others else shapes.labels
        self.others = Negatives(examples, labels, other_classes=others)
        self.negatives = negatives
        sizes = (math.prod(shape[1:]) for shape in (shapes.student[0], shapes.teacher[0]))
        self.student_map, self.teacher_map = (nn.Linear(size, width) for size in sizes)
        self.student_bank, self.teacher_bank = (Bank(examples, width, momentum) for _ in range(2))

    def observe(self, student: Outputs, teacher: Outputs, batch: Batch, context: Context) -> tuple[Outputs, Outputs]:
        """Returns the embeddings of both, [B, D] at unit length, which `update` takes over."""
        first, second = self.embedded(student, teacher)
        return Outputs({"embedding": first}), Outputs({"embedding": second})

    def update(self, student: Outputs, teacher: Outputs, batch: Batch, context: Context) -> None:
        """Moves the memories."""
        assert batch.indices is not None
        self.student_bank.update(batch.indices, student.values["embedding"])
        self.teacher_bank.update(batch.indices, teacher.values["embedding"])

    def embedded(self, student: Outputs, teacher: Outputs) -> tuple[Tensor, Tensor]:
        """Returns the embeddings of the student and of the teacher, [B, D] at unit length."""
        pair = self.paired(student, teacher)[0]
        maps = self.student_map, self.teacher_map
        both = [through(learned, feature.flatten(1)) for learned, feature in zip(maps, pair, strict=True)]
        return functional.normalize(both[0], dim=1), functional.normalize(both[1], dim=1)

    def drawn(self, batch: Batch, context: Context) -> Tensor:
        """Returns the rows of a step's negatives, int64 [B, M], on the CPU."""
        assert batch.indices is not None
        return self.others.draw(batch.indices, self.negatives, context.generator(self.name))
