"""The same losses in torchdistill, where that is installed (pip install --no-deps torchdistill)."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from distill_cases import features, pair
from torch import Tensor

from rolewise.distill import METHODS

peer = pytest.importorskip("torchdistill.losses.mid_level", exc_type=ImportError)

WHERE = {
    f"{role}_{key}": value
    for role in ("student", "teacher")
    for key, value in (("module_path", "it"), ("module_io", "output"))
}
OUTPUTS = {"student_output_path": "it", "teacher_output_path": "it"}
LINEAR = {"student_linear_path": "it", "teacher_linear_path": "it"}


def theirs(name: str, student: Tensor, teacher: Tensor, settings: dict[str, Any], **given: Any) -> Tensor:
    loss: Tensor = getattr(peer, name)(**settings)({"it": {"output": student}}, {"it": {"output": teacher}}, **given)
    return loss


def both(name: str, batch: int = 6) -> tuple[Tensor, Tensor]:
    """Maps as vectors where torchdistill takes nothing else."""
    student, teacher = pair(name, batch)
    return (student, teacher) if METHODS[name].reads == "logits" else (student.flatten(1), teacher.flatten(1))


def ours(name: str, student: Tensor, teacher: Tensor, **settings: Any) -> Tensor:
    return METHODS[name].loss(student, teacher, **settings).mean()


def test_kd() -> None:
    student, teacher = both("kd")
    found = theirs("KDLoss", student, teacher, {**WHERE, "temperature": 4.0, "alpha": 0, "beta": 1}, targets=None)
    torch.testing.assert_close(ours("kd", student, teacher), 16 * found)


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_logit_standardisation(temperature: float) -> None:
    student, teacher = both("logit_standardisation")
    settings = {**WHERE, "temperature": temperature, "alpha": 0, "beta": 9}
    found = temperature**2 * theirs("LogitStdKDLoss", student, teacher, settings, targets=None)
    torch.testing.assert_close(ours("logit_standardisation", student, teacher, temperature=temperature), found)
    # Their epsilon of 1e-7 is all that is between this and the rescaled divergence of mixstd.
    if temperature == 1:
        settings = {"labels": torch.zeros(6, dtype=torch.int64), "label_share": 0.0, "teacher_share": 1.0}
        torch.testing.assert_close(ours("mixstd", student, teacher, **settings), found)


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_dist(temperature: float) -> None:
    student, teacher = both("dist")
    found = theirs("DISTLoss", student, teacher, {**WHERE, "beta": 2.0, "gamma": 0.5, "tau": temperature})
    torch.testing.assert_close(ours("dist", student, teacher, inter=2.0, intra=0.5, temperature=temperature), found)


def test_similarity(monkeypatch: pytest.MonkeyPatch) -> None:
    # Theirs passes a 1 to normalize, where it is the norm's order; the paper's and RepDistiller's norm is the second.
    monkeypatch.setattr(peer, "normalize", lambda rows, dim: torch.nn.functional.normalize(rows, dim=dim))
    student, teacher = both("similarity")
    found = theirs("SPKDLoss", student, teacher, {**OUTPUTS, "reduction": "batchmean"})
    torch.testing.assert_close(ours("similarity", student, teacher), found)


def test_pkt() -> None:
    student, teacher = both("pkt")
    found = theirs("PKTLoss", student.clone(), teacher.clone(), WHERE)
    torch.testing.assert_close(ours("pkt", student, teacher), found, rtol=1e-5, atol=0.0)


def test_correlation() -> None:
    # Their features are the learned map's output: brought to unit length, they are ours. Theirs is a root, ours is not.
    student, teacher = (some / some.norm(dim=1, keepdim=True) for some in both("correlation"))
    settings = {"kernel_config": {"type": "gaussian", "gamma": 0.4, "max_p": 2}, "reduction": "sum"}
    found = theirs("CCKDLoss", student, teacher, {**LINEAR, **settings})
    torch.testing.assert_close(ours("correlation", student, teacher), found**2 / 36)


def test_fsp() -> None:
    # Their loss is another norm of the same matrices; maps of one size spare the pooling, which differs.
    student, teacher = ([features("nst", 3, seed), features("nst", 3, seed + 9)] for seed in (1, 2))
    matrices = [peer.FSPLoss.compute_fsp_matrix(*some) for some in (student, teacher)]
    torch.testing.assert_close(ours("fsp", student, teacher), (matrices[0] - matrices[1]).square().mean())
