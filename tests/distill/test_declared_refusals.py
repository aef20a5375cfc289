"""What methods declare is held to before training: exclusions, batches, the least number of classes, batch norms."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from distill_cases import networks_for
from torch import nn

import rolewise as rw
from rolewise.compare.compared_methods import compared_methods
from rolewise.config.faults import ConfigError
from rolewise.distill import METHODS, Distiller
from rolewise.distill.declarations import all_declarations, declaration_of, fitting
from rolewise.errors import InputError
from rolewise.experiment import load
from rolewise.models import build

CONFIG = Path(__file__).resolve().parents[2] / "configs" / "digits.yaml"
IMAGES = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def binary() -> list[nn.Module]:
    return [build("small_cnn", num_classes=2, channels=1, size=(8, 8), widths=(4, 6), seed=seed) for seed in (1, 2)]


def faults_of(tmp_path: Path, methods: str, *settings: str) -> list[str]:
    path = tmp_path / "one.yaml"
    text = CONFIG.read_text("utf-8").splitlines()
    start = next(at for at, line in enumerate(text) if line.startswith("  methods:"))
    end = next(at for at in range(start + 1, len(text)) if not text[at].startswith("    "))
    path.write_text("\n".join([*text[:start], f"  methods: {methods}", *text[end:]]))
    with pytest.raises(ConfigError) as caught:
        load(path, settings)
    return [str(fault) for fault in caught.value.faults]


def test_exclusions_hold_both_ways_and_name_methods_that_there_are() -> None:
    for one in all_declarations():
        assert set(one.excludes) <= set(METHODS) - {one.name}
        assert all(one.name in declaration_of(other).excludes for other in one.excludes)
    assert declaration_of("dlb").excludes == ("cs_kd",) and declaration_of("pcl").excludes == ("okddip", "one")
    assert "cs_kd" not in {one.name for one in fitting({"beside": "dlb"})}
    with pytest.raises(InputError, match="no method is called 'dlbb'"):
        fitting({"beside": "dlbb"})


def test_methods_that_exclude_each_other_are_refused_for_one_student() -> None:
    student = networks_for("one")[1]
    with pytest.raises(InputError, match=r'must not hold "one" beside "okddip" .* would count twice; leave one'):
        Distiller(None, student, [rw.one(), rw.okddip()], example=IMAGES)
    pair = {"a": student, "b": networks_for("one", 5)[1]}
    Distiller(None, pair, [rw.one(student="a"), rw.okddip(student="b")], example=IMAGES)


@pytest.mark.parametrize("name", [name for name in METHODS if METHODS[name].least_classes > 2])
@pytest.mark.parametrize("example", [None, IMAGES])
def test_too_few_classes_are_refused_before_a_step(name: str, example: Any) -> None:
    with pytest.raises(InputError, match=f'"{name}" must compare at least 3 classes, .* rows of 2 here, .* take kd'):
        Distiller(*binary(), [name], example=example)(IMAGES, torch.tensor([0, 1, 1, 0]))


def test_two_classes_are_enough_for_kd() -> None:
    assert Distiller(*binary(), ["kd"])(IMAGES, torch.tensor([0, 1, 1, 0]))["kd"].isfinite()


def test_a_teacher_without_batch_norms_is_refused() -> None:
    teacher = build("vit_mini", num_classes=5, channels=1, size=(8, 8), depth=1, seed=1)
    student = networks_for("ofd")[1]
    with pytest.raises(InputError, match=r'"ofd": teacher must have batch norms, .* got VisionTransformer without one'):
        Distiller(teacher, student, [rw.ofd(student_taps="stage1", teacher_taps="layer1")], example=IMAGES)
    assert [one.name for one in all_declarations() if one.needs_norms] == ["ofd"]


def test_a_config_is_refused_with_key_value_and_remedy(tmp_path: Path) -> None:
    faults = faults_of(tmp_path, "[{name: one}, {name: pcl}]")
    assert any("distill.methods[1]" in one and 'must not hold "pcl" beside "one"' in one for one in faults)
    assert sum('must not hold "pcl"' in one for one in faults) == 1
    faults = faults_of(tmp_path, "[{name: dlb}]", "students[0].train.batches=repeated")
    assert faults == [one for one in faults if "students[1].train.batches" in one] != []
    assert 'must be "repeated" for the method "dlb", got "shuffled"; write batches: repeated' in faults[0]


def test_a_comparison_gives_a_method_the_batches_that_it_wants() -> None:
    (kd, again), _ = compared_methods("dlb", ("resnet56", "resnet20"))
    assert again.level["students.0.train.batches"] == "repeated"
    assert "students.0.train.batches" not in kd.level


def test_costs_are_those_of_what_a_loss_runs() -> None:
    costs = {name: declaration_of(name).cost for name in METHODS}
    assert {costs[name] for name in ("kd", "dkd", "cs_kd")} == {"outputs"}
    assert (costs["rkd"], costs["fitnets"], costs["mlkd"], costs["fcfd"]) == ("features", "parts", "passes", "passes")


def test_labels_that_weigh_less_than_a_loss_takes_away_are_refused(tmp_path: Path) -> None:
    student = networks_for("ps_kd")[1]
    batch = rw.Batch(IMAGES, torch.tensor([0, 1, 2, 1]), torch.arange(4))
    rule = 'label_weight must be at least 0.8 beside "ps_kd", .* away from them, got {}; write 1, or lower'
    for weight, methods in ((0.7, [rw.ps_kd()]), (0, [rw.ps_kd(weight={"start": 0.0, "end": 0.8})])):
        with pytest.raises(InputError, match=rule.format(weight)):
            Distiller(None, student, methods, label_weight=weight, examples=4, example=IMAGES)(batch)
    for weight, methods in ((0.8, [rw.ps_kd()]), (0.0, [rw.ps_kd(weight=0.0), rw.cs_kd()])):
        Distiller(None, student, methods, label_weight=weight, examples=4, example=IMAGES)(batch)
    twice = [rw.ps_kd(name="a"), rw.ps_kd(name="b")]
    with pytest.raises(InputError, match=r'at least 1\.6 beside "b"'):
        Distiller(None, student, twice, examples=4, example=IMAGES)(batch)
    faults = faults_of(tmp_path, "[{name: ps_kd, weight: {start: 0.0, end: 0.5}}]")
    assert any("distill.label_weight" in one and "must be at least 0.5" in one and "got 0.1" in one for one in faults)


def test_the_weights_of_a_phase_count_where_it_has_some(tmp_path: Path) -> None:
    config = CONFIG.with_name("digits_itself.yaml")
    assert load(config)
    path = tmp_path / "one.yaml"
    path.write_text(f"extends: {config}\nname: one\n")
    with pytest.raises(ConfigError, match=r"students\[0\].phases\[0\].label_weight: must be at least 0.8 beside"):
        load(path, ["students[0].phases[0].label_weight=0.3"])
    with pytest.raises(ConfigError, match=r"distill.label_weight: must be at least 0.8 beside"):
        load(path, ["distill.label_weight=0.3"])


@pytest.mark.parametrize("name", [name for name in METHODS if METHODS[name].parts])
def test_a_loss_whose_parts_all_weigh_nothing_is_refused(name: str) -> None:
    parts = METHODS[name].parts
    assert set(parts) <= set(METHODS[name].settings)
    off = dict.fromkeys(parts, 0.0)
    with pytest.raises(InputError, match=f"{parts[0]} must not be 0 where .* raise one, or leave {name} out"):
        rw.configure(name, **off)
    for part in parts:
        rw.configure(name, **{**off, part: 1.0})
    if METHODS[name].reads == "logits" and METHODS[name].term is None:
        logits, labels = torch.randn(4, 5), torch.tensor([0, 1, 2, 3])
        labelled = {"labels": labels} if METHODS[name].wants_labels else {}
        assert not METHODS[name].loss(logits, logits.flip(0), **off, **labelled).any()


@pytest.mark.parametrize("name", ["crd", "hkd"])
def test_a_momentum_of_1_or_more_is_refused_before_a_memory_is_made(name: str) -> None:
    with pytest.raises(InputError, match=r"momentum must be at most 0\.9999, got 1\.5"):
        rw.configure(name, momentum=1.5)
