"""Several students and teachers in one training: all are trained, the first is what is kept."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import nn
from train_toys import SPEC, data, several

from rolewise.batch import Batch
from rolewise.errors import NonFiniteError
from rolewise.train import evaluate, fit
from rolewise.train.failure_cause import why


def test_all_students_are_trained_and_the_first_is_kept(tmp_path: Path) -> None:
    made = several()
    students, teacher = made.distiller.students, made.distiller.teachers["big"]
    before = {role: {name: weight.clone() for name, weight in net.named_parameters()} for role, net in students.items()}
    frozen = {name: tensor.clone() for name, tensor in teacher.state_dict().items()}
    assert fit(made, tmp_path / "run", measurements=4)
    for role, network in students.items():
        assert all(not torch.equal(weight, before[role][name]) for name, weight in network.named_parameters())
    assert all(torch.equal(tensor, frozen[name]) for name, tensor in teacher.state_dict().items())
    assert made.model is students["a"] and not torch.equal(students["a"].fc.weight, students["b"].fc.weight)
    memory = made.distiller.state_dict()["terms.remembered.rows"]
    assert memory.abs().min() > 0
    assert 0 <= evaluate(made.model, made.source, made.indices, SPEC).accuracy <= 1


def test_the_average_follows_the_first_student() -> None:
    made = several(ema=0.5, epochs=1)
    assert made.average is not None and made.model is made.average.network
    made.run_epochs(0, 1)
    differences = [
        float((made.model.fc.weight - student.fc.weight).detach().abs().max())
        for student in made.distiller.students.values()
    ]
    assert 0 < differences[0] < differences[1]


def test_the_record_has_each_students_terms_and_the_norms_of_both() -> None:
    made = several(epochs=1)
    record = made.run_epochs(0, 1, measured={0})[0]
    assert set(record["terms"]) == {"a_labels", "b_labels", *(method.name for method in made.distiller.methods)}
    assert set(record["gradients"]["terms"]) == set(record["terms"]) and record["gradients"]["distillation"] > 0


def test_a_bound_is_relative_to_the_labels_of_all_students() -> None:
    record = several(epochs=1, distill_gradient="limited").run_epochs(0, 1, measured={0})[0]
    assert 0 < record["gradients"]["left"] < 1 and math.isfinite(record["train_loss"])


def test_a_failure_names_the_teacher_that_caused_it() -> None:
    made = several(epochs=1)
    batch = Batch(data().images[:4].float() / 255, data().labels[:4], torch.arange(4))
    assert why(made.distiller, batch, 3, "fitnets") == ""
    with torch.no_grad():
        made.distiller.teachers["big"].fc.weight.fill_(math.nan)
    assert why(made.distiller, batch, 3, "fitnets") == (
        'the teacher "big"\'s weights are not finite: load or train it anew'
    )
    assert why(made.distiller, batch, 3, "a_labels") == ""
    with pytest.raises(NonFiniteError, match='teacher "big"') as caught:
        made.run_epochs(0, 1)
    assert caught.value.step == 0
    assert isinstance(made.student, nn.Module) and made.step == 0
