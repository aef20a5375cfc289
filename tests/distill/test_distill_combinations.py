"""Named combinations: what they stand for, in Python and in a config."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from distill_oracles import rkd

from rolewise.distill import COMBINATIONS, METHODS, Distiller, build_methods, configure, function_matching, ii_kd
from rolewise.errors import InputError
from rolewise.experiment import load
from rolewise.experiment.name_checks import check
from rolewise.models import build


def test_ii_kd_is_three_methods_with_the_released_code_s_constants() -> None:
    taps = {"student_taps": "logits", "teacher_taps": "logits"}
    assert ii_kd(batch_size=64, weight=0.5) == [
        configure("rkd", distance=50.0, angle=100.0, normalise=True, weight=0.5, **taps),
        configure("kd_svd", weight=32.0),
        configure("mhgd", weight=32.0),
    ]
    assert ii_kd()[1].weight(0.0) == 128
    late = ii_kd(warmup=0.2)[2].weight
    assert [late(progress) for progress in (0.0, 0.19, 0.2, 1.0)] == [0, 0, 128, 128]
    assert build_methods([{"name": "kd"}, {"name": "ii_kd", "weight": 2.0}]) == [configure("kd"), *ii_kd(weight=2.0)]
    page = COMBINATIONS["ii_kd"].__doc__ or ""
    assert "a reconstruction" in page.splitlines()[0] and "inferred" in page


def test_the_relations_of_ii_kd_are_those_of_normalised_logits() -> None:
    images, labels = torch.randn(6, 1, 8, 8, generator=torch.Generator().manual_seed(0)), torch.arange(6) % 3
    teacher, student = (
        build("small_cnn", num_classes=3, channels=1, size=(8, 8), widths=widths, seed=seed)
        for seed, widths in enumerate([(6, 8), (4, 6)])
    )
    distiller = Distiller(teacher, student, ii_kd(), example=images[:2]).eval()
    terms = distiller(images, labels)
    assert list(terms.parts) == ["labels", "rkd", "kd_svd", "mhgd", "mhgd_estimator"]
    unit = [
        (some / some.norm(dim=1, keepdim=True)).detach().double().numpy()
        for some in (terms.student_logits, terms.teacher_logits)
        if some is not None
    ]
    assert terms["rkd"].item() == pytest.approx(np.mean(rkd(*unit, 50.0, 100.0)), rel=1e-4)
    terms.total.backward()
    assert all(weight.grad.isfinite().all() for weight in distiller.trainable_parameters() if weight.grad is not None)


def test_the_page_s_function_matching_is_a_right_config(tmp_path: Path) -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "methods.md").read_text(encoding="utf-8")
    section = page.split("### Function matching")[1].split("\n#")[0]
    block = section.split("```yaml\n")[1].split("```")[0]
    digits = Path(__file__).resolve().parents[2] / "configs" / "digits.yaml"
    (tmp_path / "digits.yaml").write_text(digits.read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "long.yaml").write_text(f"extends: digits.yaml\n{block}", encoding="utf-8")
    config = load(tmp_path / "long.yaml")
    assert not list(check(config))
    assert (
        build_methods(config.distill.methods) == function_matching() == [configure("kd", temperature=1.0, weight=1.0)]
    )
    assert (config.distill.label_weight, config.distill.view, config.students[0].train.epochs) == (0.0, "shared", 300)


def test_the_lists_of_methods_and_combinations_share_no_name() -> None:
    assert not set(COMBINATIONS) & set(METHODS)


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"weight": -1}, '"ii_kd": weight must be a number of at least 0, got -1'),
        ({"weight": {"start": 1}}, '"ii_kd": weight must be a number'),
        ({"batch_size": 0}, '"ii_kd": batch_size must be a whole number of at least 1, got 0'),
        ({"warmup": 1.5}, '"ii_kd": warmup must be a fraction of training, at most 1, got 1.5'),
        ({"wieght": 1}, r'no such setting of "ii_kd": \'wieght\'; did you mean "weight"'),
    ],
)
def test_a_wrong_setting_is_refused(section: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        build_methods([{"name": "ii_kd", **section}])
