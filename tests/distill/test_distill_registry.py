"""Registering and configuring methods, and weights over training."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

import rolewise.distill as rw
from rolewise.distill import METHODS, build_methods, configure, method_settings, methods, weight_of
from rolewise.distill.method_registry import discover
from rolewise.errors import InputError, listed
from rolewise.models import build

CONFIDENCE = '''
from rolewise.distill.method_registry import method


@method(reads="logits", mixed_labels="unsound", weight=2.0, limits={"power": "positive"})
def confidence_loss(student, teacher, *, labels, power: float = 1.0):
    """Pulls the label's logit to the teacher's."""
    return (student - teacher).gather(1, labels[:, None]).abs().pow(power)[:, 0]
'''


def test_adding_a_method_is_adding_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "confidence.py").write_text(CONFIDENCE)
    monkeypatch.setattr(methods, "__path__", [*methods.__path__, str(tmp_path)])
    try:
        discover()
        assert "confidence" in METHODS
        assert method_settings("confidence") == {"power": 1.0, "weight": 2.0}
        assert METHODS["confidence"].summary == "Pulls the label's logit to the teacher's."
        teacher, student = (build("small_cnn", num_classes=3, channels=1, size=(8, 8), seed=seed) for seed in (0, 1))
        distiller = rw.Distiller(teacher, student, [rw.confidence(power=2.0)]).eval()
        images, labels = torch.rand(4, 1, 8, 8), torch.tensor([0, 1, 2, 0])
        expected = (student(images) - teacher(images))[torch.arange(4), labels].square().mean()
        torch.testing.assert_close(distiller(images, labels)["confidence"], expected)
        with pytest.raises(
            InputError, match=r'labels must be int64 .* for "confidence", which is not sound with soft ones'
        ):
            distiller(images, torch.full((4, 3), 1 / 3))
    finally:
        METHODS._entries.pop("confidence", None)
        sys.modules.pop("rolewise.distill.methods.confidence", None)


def test_methods_come_out_of_sections_and_out_of_names() -> None:
    built = build_methods([{"name": "kd", "temperature": 2, "weight": 0.5}, {"name": "rkd", "angle": 0}])
    assert built == [rw.kd(temperature=2, weight=0.5), rw.rkd(angle=0)]
    assert configure("kd").weight(0.3) == 0.9
    assert rw.kd.__name__ == "kd" and "kd" in (rw.kd.__doc__ or "")
    assert method_settings("rkd") == {
        "distance": 25.0,
        "angle": 50.0,
        "normalise": False,
        "weight": 1.0,
        "student_taps": (),
        "teacher_taps": (),
    }


@pytest.mark.parametrize(
    ("section", "message"),
    [
        (
            {"temperature": 4},
            f"a method must have a name, got .*; known: {listed(METHODS)}",
        ),
        ({"name": "dk"}, r"no method is called 'dk'"),
        ({"name": "kd", "temprature": 4}, r"no such setting of \"kd\": 'temprature'; did you mean \"temperature\""),
        ({"name": "kd", "temperature": 0}, '"kd": temperature must be a positive number, got 0'),
        ({"name": "rkd", "angle": -1.0}, '"rkd": angle must be a number of at least 0, got -1.0'),
        ({"name": "kd", "student_taps": "pool"}, "no such setting"),
        ({"name": "rkd", "student_taps": "pool"}, "must be equally many, got 1 and 0"),
        ({"name": "rkd", "student_taps": [1], "teacher_taps": [2]}, "student_taps must be a tap's name"),
        ({"name": "rkd", "student_taps": 1, "teacher_taps": 2}, "student_taps must be a tap's name"),
        ({"name": "kd", "weight": -1}, "weight must be a number of at least 0, got -1"),
        ({"name": "kd", "weight": "1"}, "weight must be a number of at least 0, got '1'"),
        ({"name": "kd", "weight": {"start": 1, "stop": 2}}, "no such setting of weight: 'stop'"),
        ({"name": "kd", "weight": {"end": 2}}, "weight must have a start"),
        ({"name": "kd", "weight": {"start": 1, "shape": "line"}}, "weight.shape must be"),
        ({"name": "kd", "weight": {"start": 1, "at": 0}}, "weight.at must be above 0 and at most 1, got 0"),
        ({"name": "kd", "weight": {"start": 1, "end": float("nan")}}, "weight.end must be a number"),
        ({"name": "kd", "weight": {"start": 1, "at": "half"}}, "weight.at must be above 0 and at most 1, got 'half'"),
    ],
)
def test_a_wrong_section_is_refused(section: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        build_methods([section])


def test_an_unknown_attribute_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'undistilled'"):
        rw.undistilled  # noqa: B018


@pytest.mark.parametrize(
    ("weight", "expected"),
    [
        (0.5, [0.5, 0.5, 0.5, 0.5, 0.5]),
        ({"start": 1, "end": 3, "shape": "constant"}, [1, 1, 1, 1, 1]),
        ({"start": 1, "end": 3}, [1, 1.5, 2, 2.5, 3]),
        ({"start": 1, "end": 3, "shape": "linear", "at": 0.5}, [1, 2, 3, 3, 3]),
        ({"start": 0, "end": 2, "shape": "cosine"}, [0, 1 - 0.5**0.5, 1, 1 + 0.5**0.5, 2]),
        ({"start": 1, "end": 0, "shape": "step", "at": 0.5}, [1, 1, 0, 0, 0]),
        ({"start": 2, "shape": "linear"}, [2, 2, 2, 2, 2]),
    ],
)
def test_weights_over_training(weight: object, expected: list[float]) -> None:
    made = weight_of(weight)
    assert weight_of(made) is made
    assert [made(progress) for progress in (0, 0.25, 0.5, 0.75, 1)] == pytest.approx(expected)
