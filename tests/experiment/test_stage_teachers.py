"""A teacher of one run in another: found by its stage, checked by its digest, and what it has seen is remarked."""

from __future__ import annotations

from pathlib import Path

import pytest
from safetensors.torch import load_file

from rolewise.config import ConfigError
from rolewise.experiment import load
from rolewise.experiment.pipeline import run

pytestmark = pytest.mark.usefixtures("figures_unrendered")

QUICK = Path(__file__).parent / "quick.yaml"
ARMS = "arms={teacher: [none], student: [none], distill: [true]}"


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("runs") / "a"
    config = load(QUICK, ["seeds=[0]", ARMS, "teacher.train.epochs=1", "students[0].train.epochs=1"])
    run(config, root, only=lambda stage: stage.kind == "teacher")
    return root


def notes(first: Path, *settings: str, stage: str = "seed0/teacher-none") -> list[str]:
    found: list[str] = []
    load(QUICK, [ARMS, f"teacher.weights='{first}#{stage}'", *settings], on_note=found.append)
    return [note for note in found if "loaded" not in note]


def test_a_stage_s_network_is_taken(first: Path, tmp_path: Path) -> None:
    settings = ["seeds=[0]", ARMS, f"teacher.weights='{first}#seed0/teacher-none'", "students[0].train.epochs=1"]
    run(load(QUICK, settings), tmp_path / "b", only=lambda stage: stage.kind == "teacher")
    left, taken = (
        load_file(root / "stages/seed0/teacher-none/weights.safetensors") for root in (first, tmp_path / "b")
    )
    assert all((taken[name] == tensor).all() for name, tensor in left.items())


def test_what_it_has_seen_and_expects_is_remarked(first: Path) -> None:
    assert notes(first, "seeds=[0]") == []
    seen, other = notes(first, "seeds=[0, 1]")
    assert "of the 100 validation images of seed 1" in seen and "was trained on " in seen
    assert "another normalisation or size than seed 1 would give it; set teacher.model to mean: [" in other


def test_images_are_recognised_in_another_division(first: Path, tmp_path: Path) -> None:
    found = notes(first, "seeds=[0]", "data.validation=120")
    assert "of the 120 validation images of seed 0: figures on them" in found[0]
    # Another division has other test images, and the teacher was trained on some of them.
    with pytest.raises(ConfigError, match=r"teacher.weights: must not have been trained on test images, and .* of the"):
        notes(first, "seeds=[0]", "data.split_seed=5")
    with pytest.raises(ConfigError, match=r"students\[0\].init: must not have been trained on test images"):
        load(
            QUICK,
            [
                ARMS,
                "seeds=[0]",
                "data.split_seed=5",
                f"students[0].init='{first}#seed0/teacher-none'",
                "students[0].model.arguments.widths=[8, 12]",
            ],
        )


def test_what_a_teacher_has_seen_is_followed_to_its_beginning(first: Path, tmp_path: Path) -> None:
    stage = "seed0/teacher-none"
    settings = ["seeds=[0]", ARMS]
    for name, weights in (("taken", f"{first}#{stage}"), ("from_file", f"{first}/stages/{stage}/weights.safetensors")):
        config = load(QUICK, [*settings, f"teacher.weights='{weights}'"])
        run(config, tmp_path / name, only=lambda stage: stage.kind == "teacher")
    with pytest.raises(ConfigError, match="must not have been trained on test images"):
        notes(tmp_path / "taken", "seeds=[0]", "data.split_seed=5")
    assert notes(tmp_path / "taken", "seeds=[0]") == []
    (unknown,) = [note for note in notes(tmp_path / "from_file", "seeds=[0]") if "another normalisation" not in note]
    assert "is unknown" in unknown


def test_what_the_teacher_of_a_distilled_student_has_seen_is_remarked(tmp_path: Path) -> None:
    # The student saw few images, its teacher all.
    settings = ["seeds=[0]", ARMS, "teacher.train.epochs=1", "students[0].train.epochs=1", "students[0].images=20"]
    config = load(QUICK, settings)
    root = tmp_path / "first"
    run(config, root, only=lambda stage: stage.kind in ("teacher", "arm"))
    student = "seed0/small-none+distill"
    widths = f"teacher.model.arguments.widths={config.students[0].model.arguments['widths']}"
    # Of the same division and seed, the teacher's images are no validation and no test images either.
    assert not [one for one in notes(root, "seeds=[0]", widths, stage=student) if "was distilled" in one]
    seen = [one for one in notes(root, "seeds=[0, 1]", widths, stage=student) if "was distilled" in one]
    assert len(seen) == 1 and "#seed0/small-none+distill was distilled from a teacher that was trained on" in seen[0]
    assert "of the 100 validation images of seed 1: figures on them may be too good" in seen[0]
    # A student begins from it in a further run: its teacher is still behind.
    begun = [*settings, f"teacher.weights='{root}#{student}'", widths]
    run(load(QUICK, begun, on_note=lambda note: None), tmp_path / "second", only=lambda stage: stage.kind == "teacher")
    chained = notes(tmp_path / "second", "seeds=[1]", widths)
    assert [one for one in chained if "was distilled from a teacher that was trained on" in one]


def test_no_such_stage_and_a_damaged_one_are_faults(first: Path) -> None:
    for stage, part in (("seed0/teacher-own", "must name a finished training of the run"), ("", "finished training")):
        with pytest.raises(ConfigError, match=part):
            notes(first, stage=stage)
    with pytest.raises(ConfigError, match="must name a run's folder before the #"):
        notes(first / "none")
    path = first / "stages/seed0/teacher-none/weights.safetensors"
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(ConfigError, match="is damaged, or was edited"):
        notes(first, "seeds=[0]")
    path.write_bytes(content)
