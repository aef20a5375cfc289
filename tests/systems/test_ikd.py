"""IKD: augmentation by size, pictures that move together, the attack, bands of frequencies, what is inherited."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rolewise.augment import BoxSizeAugmentation
from rolewise.batch import Batch
from rolewise.data import ImageData, box_list
from rolewise.data.data_checks import DataWarning
from rolewise.data.download import data_root
from rolewise.distill import Distiller
from rolewise.errors import InputError, Interrupted
from rolewise.inputs import prepare
from rolewise.instruments import adversarial_boxed_images, corner_noise
from rolewise.jobs.job import JobContext
from rolewise.systems import SYSTEMS, Piece
from rolewise.systems.ikd import ikd_system
from rolewise.systems.ikd.boxed_pictures import NUMBER, SPEC, boxed_pictures
from rolewise.systems.ikd.detector_students import Teaching, detector, matched_levels, train_detector
from rolewise.systems.ikd.ikd_system import IKD, IkdSettings, ikd_rows, teaching_of
from rolewise.systems.known_systems import system_settings
from rolewise.tasks import Detection

QUIET = JobContext(lambda line: None, lambda: False)
SIZE = (48, 64)
TASK = Detection(areas=(14, 24))
FEW: dict[str, Any] = {
    "data": "shapes", "size": SIZE, "sides": (14, 24), "images": 8, "epochs": 1, "teacher_epochs": 1, "neck": 4,
}  # fmt: skip


def pictures(count: int = 8) -> ImageData:
    return boxed_pictures("shapes", SIZE, count, 0)[0]


def labels_loss(teacher: torch.nn.Module, batch: Batch) -> torch.Tensor:
    return TASK.losses(TASK.run(teacher, batch.inputs), batch)["labels"]


def test_the_attack_stays_in_its_ball_raises_the_loss_and_leaves_the_teacher_alone() -> None:
    given, teacher = pictures(), detector("teacher", 2, 4, SIZE, 0)
    before = [value.clone() for value in teacher.state_dict().values()]
    draws = [torch.Generator().manual_seed(0) for _ in range(2)]
    loss = functools.partial(labels_loss, teacher)
    found, again = (adversarial_boxed_images(teacher, given, loss, SPEC, radius=8, generator=one) for one in draws)
    assert torch.equal(found, again) and found.dtype == torch.uint8
    assert 0 < int((found.int() - given.images.int()).abs().max()) <= 8
    noise = corner_noise(given.images, 8, draws[0])
    assert set((noise.int() - given.images.int())[given.images > 8].unique().tolist()) == {-8, 8}
    with torch.no_grad():
        teacher.eval()
        batches = (Batch(prepare(one, SPEC), box_list(given.labels)) for one in (given.images, noise, found))
        clean, drawn, attacked = (loss(batch) for batch in batches)
    assert bool((attacked > clean).all()) and float(attacked.sum()) > float(drawn.sum())
    assert all(torch.equal(one, other) for one, other in zip(before, teacher.state_dict().values(), strict=True))
    assert all(weight.grad is None for weight in teacher.parameters())


def test_the_match_of_a_student_that_is_its_teacher_is_zero_and_else_the_mean_of_squares() -> None:
    images = pictures(4).images

    def levels(network: Any) -> list[np.ndarray]:
        found: list[np.ndarray] = []
        hooks = [
            one.register_forward_hook(lambda *run: found.append(run[2].double().numpy())) for one in network.levels
        ]
        network(prepare(images, SPEC))
        for hook in hooks:
            hook.remove()
        return found

    for role in ("teacher", "student"):
        teacher, student = (detector(one, 2, 4, SIZE, 0).eval() for one in ("teacher", role))
        specs: dict[str, Any] = {"teacher_input": SPEC, "student_input": SPEC, "label_weight": 0.0, "task": TASK}
        made = Distiller(teacher, student, matched_levels(3.0), example=Batch(images), **specs).eval()
        with torch.no_grad():
            total, pairs = float(made(Batch(images)).total), zip(levels(teacher), levels(student), strict=True)
        expected = 3.0 * sum(float(((own - wanted) ** 2).mean()) for wanted, own in pairs)
        assert total == pytest.approx(expected, rel=1e-5, abs=1e-12) and (total == 0) == (role == "teacher")


def test_a_student_that_inherits_has_all_that_lies_behind_the_teachers_encoder() -> None:
    given, teacher = pictures(), detector("teacher", 2, 4, SIZE, 0)
    settings: dict[str, Any] = {"task": TASK, "epochs": 1, "batch_size": 8, "learning_rate": 1e-12, "seed": 0}
    networks = [detector("student", 2, 4, SIZE, 0) for _ in range(2)]
    for network, inherits in zip(networks, (True, False), strict=True):
        train_detector(network, teacher, given, Teaching(inherits=inherits), QUIET, **settings)
    alike, own = (dict(network.named_parameters()) for network in networks)
    taken = {name for name, value in own.items() if not torch.allclose(alike[name], value, atol=1e-6)}
    # Layers that bring an encoder to the levels are of its width; new biases and norms are alike in all networks.
    behind = {"laterals", "levels", "class_tower", "box_tower", "classifier", "regressor"}
    assert taken and {name.split(".")[0] for name in taken} <= behind
    there = dict(teacher.named_parameters())
    for name, value in alike.items():
        if name.split(".")[0] in behind and value.shape == there[name].shape:
            assert torch.allclose(value, there[name], atol=1e-6)


def test_norms_keep_nothing_of_pictures_beside() -> None:
    given, teacher = pictures(), detector("teacher", 2, 4, SIZE, 0)
    settings: dict[str, Any] = {"task": TASK, "epochs": 1, "batch_size": 4, "learning_rate": 1e-12, "seed": 0}
    networks = []
    for teaching in (Teaching(), Teaching(beside=255 - given.images, beside_weight=1.0)):
        student = detector("student", 2, 4, SIZE, 0)
        networks.append(train_detector(student, teacher, given, teaching, QUIET, **settings).state_dict())
    assert all(torch.allclose(networks[0][name], value, atol=1e-6) for name, value in networks[1].items())


def test_each_part_is_left_out_by_itself() -> None:
    settings = IkdSettings(data="shapes")
    parts = {}
    for name in (*ikd_system._PARTS["fgd"], *ikd_system._ABLATIONS):
        made = teaching_of("fgd", name, settings)
        parts[name] = made.augmentation is not None, made.beside_weight > 0, made.inherits
    assert parts["none"] == (False, False, False) and parts["all"] == (True, True, True)
    assert parts["all but augmentation"] == (False, True, True)
    assert parts["all but adversarial"] == (True, False, True)
    assert parts["all but inheriting"] == (True, True, False)
    always = teaching_of("fgd", "all, never switched off", settings).augmentation
    assert always is not None and always.until == 1.0


def test_a_short_run_has_a_row_for_every_claim_and_repeats(monkeypatch: pytest.MonkeyPatch) -> None:
    few = IkdSettings(**FEW)
    rows = ikd_rows(Piece(0), few, QUIET)
    for claim in IKD.claims:
        for side in (claim.question["of"], claim.question["against"]):
            found = [row for row in rows if all(row[axis] in levels for axis, levels in side.items())]
            assert len(found) == (2 if len(side["pictures"]) == 2 else 1)
    assert all(0 <= row["ap"] <= 1 for row in rows)
    monkeypatch.setattr(ikd_system, "_PARTS", {"fitnets": ("all",)})
    monkeypatch.setattr(ikd_system, "_ABLATIONS", ("all but inheriting",))
    kept = [("teacher", "none"), ("fitnets", "all"), ("fitnets", "all but inheriting")]
    again = ikd_rows(Piece(0), few.model_copy(update={"ablated": ("fitnets",)}), QUIET)
    assert again == [row for row in rows if (row["taught"], row["parts"]) in kept]
    with pytest.raises(Interrupted):
        ikd_rows(Piece(0), few, JobContext(lambda line: None, lambda: True))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["sides=[48,36]"], r"sides must be ascending and below 120, .* got \[48.0, 36.0\]"),
        (["size=[48,64]", "sides=[18,48]"], "sides must be ascending and below 48"),
        (["images=60"], "images must be below 60, the pictures of shapes, got 60"),
        (["radii=[0.2,0.2]"], r"radii must differ from one another, got \[0.2, 0.2\]"),
        (['ablated=["fgd","fgd"]'], "ablated must differ from one another"),
        (["augmented=1"], "augmented"),
        (["radius=0"], "radius"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        system_settings(SYSTEMS["ikd"], ["data=shapes", "images=50", *settings])


@pytest.mark.slow
@pytest.mark.skipif(not (data_root(None) / "bccd" / "BCCD").is_dir(), reason="ROLEWISE_DATA has no blood cells")
def test_blood_cells_are_divided_by_the_seed() -> None:
    with pytest.warns(DataWarning, match="2 boxes without an area left out"):
        parts = [boxed_pictures("cells", (120, 160), 200, seed) for seed in (0, 1)]
    for learned, tested in parts:
        assert (len(learned), len(tested)) == (200, NUMBER["cells"] - 200)
        assert len(torch.cat([learned.images, tested.images]).flatten(1).unique(dim=0)) > 355  # a few are there twice
        assert 0.1 < float(BoxSizeAugmentation(36).all_small(learned.labels).double().mean()) < 0.3
    assert not torch.equal(parts[0][0].images, parts[1][0].images)


def test_blood_cells_that_are_not_there_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ROLEWISE_DATA", str(tmp_path))
    with pytest.raises(InputError, match="data must be shapes where there are no blood cells"):
        system_settings(SYSTEMS["ikd"])
