"""The proposal of an advice as a config over the experiment's, and the teacher that it rests on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rolewise.advice.result import Advice
from rolewise.config.schema import ExperimentConfig
from rolewise.config.weight_sections import Weights
from rolewise.experiment.arms import specs
from rolewise.experiment.run_folder import RunFolder
from rolewise.experiment.stage_graph import Stage


@dataclass(frozen=True)
class TrainedTeacher:
    """A trained teacher's weights and their origin.

    Args:
        weights: the file of the weights, as a config names it.
        run: the run that trained it; None for a file alone.
        stage: the stage of that run; None for a file alone.
    """

    weights: Weights
    run: RunFolder | None = None
    stage: Stage | None = None


def overlay(config: ExperimentConfig, student: str, trained_teacher: TrainedTeacher, advice: Advice) -> dict[str, Any]:
    """Returns the proposal as settings to be laid over the experiment's config: one student, two augmentations.

    Args:
        config: the experiment.
        student: the student's name.
        trained_teacher: origin of the teacher; a file is used as it is, a run's teacher is trained again for each seed.
        advice: with the settings that `rolewise.advice.advise` proposes.
    """
    settings = advice.overlay
    section = next(one for one in config.students if one.name == student)
    values = section.model_dump(mode="json", exclude_defaults=True)
    searched = any(name.startswith(("mix_", "mix.")) for name in config.search.scalars)
    # A search over how much is mixed needs something that is: then the config's own mixing stays.
    if settings["mix"]["method"] != "none" or not searched:
        values["mix"] = settings["mix"]
    found: dict[str, Any] = {"name": f"{config.name[:32]}-advised", "students": [values]}
    teacher: dict[str, Any] = {"model": settings["teacher_input"]} if "teacher_input" in settings else {}
    arms: dict[str, Any] = {"student": _distinct(["none", settings["augmentation"]])}
    if trained_teacher.run is None:
        given = trained_teacher.weights
        named = given if isinstance(given, str) else given.model_dump(mode="json", exclude_defaults=True)
        teacher |= {"weights": named, "mix": {"method": "none"}}
        # What it was trained under, nobody knows.
        arms |= {"teacher": ["none"]} if "own" in config.arms.teacher else {}
    elif trained_teacher.stage is not None and trained_teacher.stage.augmentation in specs(config):
        arms["teacher"] = [specs(config)[trained_teacher.stage.augmentation]]
    # And a search over a method's own numbers needs that method.
    kept = {"methods"} if any(name.startswith("distill.methods.") for name in config.search.scalars) else set()
    distill = {name: value for name, value in settings["distill"].items() if name not in kept}
    return found | ({"teacher": teacher} if teacher else {}) | {"distill": distill, "arms": arms}


def _distinct(augmentations: list[Any]) -> list[Any]:
    return [one for at, one in enumerate(augmentations) if one not in augmentations[:at]]
