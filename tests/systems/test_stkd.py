"""Distillation on mixed pairs out of ordinary experiments: levels, their settings, and a stop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

import rolewise as rw
from rolewise.augment import MixPlan, mix_images, mix_labels
from rolewise.batch import Batch, MixedTargets, Mixture
from rolewise.errors import Interrupted
from rolewise.experiment import load
from rolewise.jobs.job import JobContext
from rolewise.systems import SYSTEMS, experiment_rows
from rolewise.systems.digit_bench import small_network
from rolewise.systems.stkd.stkd_system import CONFIG, StkdSettings

SHORT = StkdSettings(seeds=(3,), images=60, epochs=1, teacher_epochs=1)


def test_every_level_is_a_valid_config_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    def instead(path: Path, settings: Sequence[str], levels: Any, context: JobContext) -> list[dict[str, Any]]:
        seen.append(load(path, settings))
        return [{"student": "small", "accuracy": 0.5, "loss": 1.0}]

    monkeypatch.setattr("rolewise.systems.stkd.stkd_system.experiment_rows", instead)
    quiet = JobContext(lambda line: None, lambda: False)
    rows = [SYSTEMS["stkd"].train(piece, SHORT, quiet) for piece in SYSTEMS["stkd"].pieces(SHORT)]
    assert rows == [[{"accuracy": 0.5, "loss": 1.0}]] * 6
    assert [config.seeds for config in seen] == [[3]] * 6 or [tuple(config.seeds) for config in seen] == [(3,)] * 6
    mixes = [config.students[0].mix for config in seen]
    assert [mix.method for mix in mixes] == ["none", "mixup", "none", "mixup", "mixup", "mixup"]
    assert [mix.clean_too for mix in mixes] == [False, False, False, False, False, True]
    assert [config.distill.mixed_targets for config in seen] == [*["image"] * 4, "outputs", "image"]
    assert [config.arms.distill for config in seen] in (
        [*[(False,)] * 2, *[(True,)] * 4],
        [*[[False]] * 2, *[[True]] * 4],
    )
    assert all(config.teacher.mix.method == "none" for config in seen)


@pytest.mark.parametrize("targets", ["image", "outputs"])
@pytest.mark.parametrize("ratio", [0.0, 1.0])
def test_a_ratio_of_one_is_plain_distillation_and_one_of_zero_that_of_the_partners(
    ratio: float, targets: MixedTargets
) -> None:
    draws = torch.Generator().manual_seed(0)
    images, labels = torch.rand(6, 1, 8, 8, generator=draws), torch.randint(10, (6,), generator=draws)
    rows, partners = torch.arange(6), torch.tensor([3, 5, 1, 0, 2, 4])
    plan = MixPlan(rows, partners, torch.full((6,), ratio))
    mixed = mix_images(images, plan)
    batch = Batch(
        mixed,
        mix_labels(labels, plan, 10),
        rows,
        {"teacher": images if targets == "outputs" else mixed},
        Mixture(rows, partners, plan.ratios, labels, targets) if targets == "outputs" else None,
    )
    teacher, student = (small_network(0, name).eval() for name in ("teacher", "student"))
    distiller = rw.Distiller(teacher, student, methods=[rw.kd(temperature=2.0)], example=images).eval()
    seen = rows if ratio == 1 else partners
    terms, plain = distiller(batch), distiller(images[seen], labels[seen])
    for name in ("kd", "labels"):
        assert float(terms[name].detach()) == pytest.approx(float(plain[name].detach()), rel=1e-5)


@pytest.mark.slow
def test_an_experiment_gives_its_rows_and_hears_a_stop() -> None:
    over = ["students[0].images=60", "students[0].train.epochs=1", "teacher.train.epochs=1"]

    def rows(should_stop: Callable[[], bool]) -> list[dict[str, Any]]:
        return experiment_rows.experiment_rows(CONFIG, over, {"images": "clean"}, JobContext(print, should_stop))

    found = rows(lambda: False)
    assert [row["student"] for row in found] == ["small"] and found[0]["images"] == "clean"
    assert 0 <= found[0]["accuracy"] <= 1 and found == rows(lambda: False)
    with pytest.raises(Interrupted):
        rows(lambda: True)
