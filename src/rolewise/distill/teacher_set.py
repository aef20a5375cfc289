"""Several teachers of one student: their rows of logits beside the student's, and the divergence from each."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from rolewise.batch import Batch, Outputs, Rows
from rolewise.distill.mixed import mixed_logits
from rolewise.distill.term import Term
from rolewise.distill.vectors import divergence

#: Outputs of all teachers, by role: the second argument of a term that several teach.
TeacherOutputs = Mapping[str, Outputs]


def rows_of_all(
    term: Term, student: Outputs, teachers: TeacherOutputs, batch: Batch, temperature: float
) -> tuple[Rows, Tensor]:
    """Returns the student's rows, and the logits [M, R, K] of all M teachers for the same things.

    Args:
        term: of a task.
        student: outputs of the network that learns.
        teachers: outputs by role.
        batch: of all of them.
        temperature: at which the outputs of a mixture are mixed, where the teachers' are (see `Mixture`).
    """
    assert term.task is not None
    pairs = []
    for teacher in teachers.values():
        if batch.mixture is not None:
            logits = mixed_logits(batch.mixture, teacher.logits, temperature)
            teacher = Outputs({**teacher.values, "logits": logits})
        pairs.append(term.task.rows(student, teacher, batch))
    return pairs[0][0], torch.stack([wanted.logits for _, wanted in pairs])


def divergences(predicted: Tensor, wanted: Tensor, temperature: float) -> Tensor:
    r"""Returns T^2 KL(softmax(t_k / T) || softmax(s / T)) of a student from each teacher, [M, R], nats.

    Args:
        predicted: logits [R, K] of the student.
        wanted: logits [M, R, K].
        temperature: T > 0.
    """
    target, own = ((logits / temperature).log_softmax(-1) for logits in (wanted, predicted))
    return temperature**2 * divergence(target, own.expand_as(target))


def shares_of_least(costs: Tensor) -> Tensor:
    """Returns weights [M, R] of sum 1 that fall as costs rise: (1 - c_k / sum of c) / (M - 1), alike where all are 0.

    Args:
        costs: [M, R], at least 0.
    """
    number = len(costs)
    if number == 1:
        return torch.ones_like(costs)
    total = costs.sum(0, keepdim=True)
    fractions = torch.where(total > 0, costs / torch.where(total > 0, total, 1.0), 1 / number)
    return (1 - fractions) / (number - 1)
