"""One call gives what the single measures give, and the example runs."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from rolewise import instruments
from rolewise.errors import InputError
from rolewise.inputs import InputSpec
from rolewise.instruments import UNITS, measure, predict

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "measure.py"
SPEC = InputSpec((0.5,), (0.25,))


def stream(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def network(seed: int, classes: int = 7) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(9, 16), nn.ReLU(), nn.Linear(16, classes))


def batches(seed: int, classes: int = 7) -> list[tuple[Tensor, Tensor]]:
    images = torch.randint(256, (30, 1, 3, 3), generator=stream(seed)).to(torch.uint8)
    labels = torch.randint(classes, (30,), generator=stream(seed + 1))
    return list(zip(images.split(8), labels.split(8), strict=True))


def test_one_call_gives_what_the_single_measures_give() -> None:
    model, teacher, pairs, validation = network(0), network(1), batches(2), batches(4)
    found = measure(
        model,
        iter(pairs),
        validation=iter(validation),
        teacher=teacher,
        generator=stream(9),
        spec=SPEC,
        logit_scale="standardised",
        bins=10,
    )
    assert list(found) == list(UNITS)
    how = {"spec": SPEC, "logit_scale": "standardised"}
    logits, labels = predict(model, pairs, **how)
    told = predict(teacher, pairs).logits
    fit = instruments.fit_temperature(*predict(model, validation, **how))
    effect = instruments.temperature_effect(logits, labels, fit.temperature, bins=10)
    faithful = instruments.fidelity(logits, told, labels, bins=10)
    generator = stream(9)
    expected = {
        "images": 30,
        "accuracy": instruments.accuracy(logits, labels),
        "top5_accuracy": instruments.top_k_accuracy(logits, labels, 5),
        "confidence": float(logits.softmax(1).max(1).values.mean()),
        "nll": instruments.negative_log_likelihood(logits, labels),
        "brier": instruments.brier_score(logits, labels),
        "ece": instruments.expected_calibration_error(logits, labels, bins=10),
        "ece_equal_mass": instruments.adaptive_calibration_error(logits, labels, bins=10),
        "ece_classwise": instruments.classwise_calibration_error(logits, labels, bins=10),
        "mce": instruments.maximum_calibration_error(logits, labels, bins=10),
        "entropy": instruments.mean_entropy(logits),
        "temperature": fit.temperature,
        "nll_at_temperature": effect.nll_after,
        "ece_at_temperature": effect.ece_after,
        "agreement": faithful.agreement,
        "agreement_teacher_right": faithful.agreement_teacher_right,
        "agreement_teacher_wrong": faithful.agreement_teacher_wrong,
        "student_right_teacher_wrong": faithful.student_right_teacher_wrong,
        "teacher_student_kl": faithful.teacher_student_kl,
        "student_teacher_kl": faithful.student_teacher_kl,
        "agreement_error": faithful.agreement_error,
        "linearity_gap": instruments.linearity_gap(model, pairs, generator=generator, **how).mean,
        "input_gradient_norm": float(instruments.input_gradient_norm(model, pairs, **how).mean()),
        "sampled_lipschitz": float(instruments.sampled_lipschitz(model, pairs, generator=generator, **how).mean()),
    }
    assert found == pytest.approx(expected, rel=1e-6)


def test_only_what_is_asked_for_and_what_can_be_said() -> None:
    few = measure(network(0, 3), batches(2, 3))
    assert list(few) == [name for name in list(UNITS)[:11] if name != "top5_accuracy"]
    model, pairs = network(0), batches(2)
    answers = predict(model, pairs).logits.argmax(1)
    right = [(images, says) for (images, _), says in zip(pairs, answers.split(8), strict=True)]
    itself = measure(model, right, teacher=model)
    assert (itself["accuracy"], itself["agreement_teacher_right"], itself["agreement_teacher_wrong"]) == (1, 1, None)


def test_a_broken_network_is_refused() -> None:
    model = network(0)
    with torch.no_grad():
        model[3].bias[2] = float("nan")
    with pytest.raises(InputError, match="logits must be finite"):
        measure(model, batches(2))


@pytest.mark.slow
def test_the_example_measures_what_distillation_changes() -> None:
    done = subprocess.run([sys.executable, EXAMPLE], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    lines = re.findall(r"^(\w+)((?: +[\d.]+){3})", done.stdout, re.M)
    table = {name: [float(cell) for cell in cells.split()] for name, cells in lines}
    assert set(table) == set(UNITS)
    teacher, alone, distilled = (dict(zip(table, column, strict=True)) for column in zip(*table.values(), strict=True))
    assert alone["accuracy"] < distilled["accuracy"] < teacher["accuracy"]
    assert teacher["agreement"] == 1 and alone["agreement"] < distilled["agreement"]
    assert distilled["teacher_student_kl"] < alone["teacher_student_kl"]


def test_the_page_s_code_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The results that the page reads are those of the default experiment.
    (tmp_path / "runs" / "digits").mkdir(parents=True)
    committed = EXAMPLE.parents[1] / "benchmarks" / "results" / "digits.json"
    shutil.copy(committed, tmp_path / "runs" / "digits" / "results.json")
    monkeypatch.chdir(tmp_path)
    page = (EXAMPLE.parents[1] / "docs" / "analysis.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", page, re.S)
    names: dict[str, object] = {
        name: network(seed) for seed, name in enumerate(("alone", "student", "other", "teacher"))
    }
    names |= {"test": batches(0), "validation": batches(2), "train": batches(4), "spec": SPEC}
    assert len(blocks) == 5
    for block in blocks:
        exec(block, names)  # blocks go on from one another
