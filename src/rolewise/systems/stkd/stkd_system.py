"""Similarity transfer: distillation on mixed pairs with mixed targets, against distillation on images as they are."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

from pydantic import Field

from rolewise.jobs.job import JobContext
from rolewise.metric_info import ACCURACY, CROSS_ENTROPY
from rolewise.systems.experiment_rows import experiment_rows
from rolewise.systems.system import Piece, Row, Seeds, System, SystemSettings, claim_between

CONFIG = Path(__file__).parent / "stkd.yaml"
#: Images that a student sees, and what it learns from them; whether each is mixed, distilled, and with which target.
_LEVELS: dict[tuple[str, str], tuple[str, bool, str]] = {
    ("clean", "labels"): ("none", False, "image"),
    ("mixed", "labels"): ("mixup", False, "image"),
    ("clean", "kd"): ("none", True, "image"),
    ("mixed", "kd"): ("mixup", True, "image"),
    ("mixed", "kd, mixed outputs"): ("mixup", True, "outputs"),
    ("both", "kd"): ("both", True, "image"),
}


class StkdSettings(SystemSettings):
    """The settings of the system.

    Args:
        seeds: seeds of the repetitions; each draws its own images, weights and partners.
        alpha: the ratio of a mixed pair is Beta(alpha, alpha).
        images: labelled images of the student.
        epochs: epochs of the student.
        teacher_epochs: epochs of the teacher.
        temperature: temperature of distillation.
    """

    seeds: Seeds = (0, 1, 2, 3, 4)
    alpha: Annotated[float, Field(gt=0)] = 1.0
    images: Annotated[int, Field(ge=20, le=900)] = 200
    epochs: Annotated[int, Field(ge=1, le=10_000)] = 150
    teacher_epochs: Annotated[int, Field(ge=1, le=10_000)] = 20
    temperature: Annotated[float, Field(gt=0)] = 4.0


def stkd_pieces(settings: StkdSettings) -> list[Piece]:
    """Returns a piece for each seed and combination of images and targets."""
    levels = [{"images": images, "learns": learns} for images, learns in _LEVELS]
    return [Piece(seed, level) for level in levels for seed in settings.seeds]


def stkd_rows(piece: Piece, settings: StkdSettings, context: JobContext) -> list[Row]:
    """Trains a teacher of clean images, and the student of one combination."""
    mix, distilled, target = _LEVELS[piece.levels["images"], piece.levels["learns"]]
    mixed = f"{{method: mixup, alpha: {settings.alpha}, clean_too: {str(mix == 'both').lower()}}}"
    over = [
        f"seeds=[{piece.seed}]",
        f"data.split_seed={piece.seed % 2**31}",
        f"students[0].images={settings.images}",
        f"students[0].train.epochs={settings.epochs}",
        f"teacher.train.epochs={settings.teacher_epochs}",
        f"students[0].mix={'{method: none}' if mix == 'none' else mixed}",
        f"distill.methods[0].temperature={settings.temperature}",
        f"distill.mixed_targets={target}",
        f"arms.distill=[{str(distilled).lower()}]",
    ]
    rows = experiment_rows(CONFIG, over, {}, context)
    return [{key: row[key] for key in (ACCURACY.key, CROSS_ENTROPY.key)} for row in rows]


_claim = partial(claim_between, ("images", "learns"))
STKD = System(
    name="stkd",
    title="Similarity transfer: distillation on mixed pairs (STKD)",
    source="Zhao et al., Similarity Transfer for Knowledge Distillation, 2021",
    origin="reconstruction",
    settings=StkdSettings,
    axes=("images", "learns"),
    metrics=(ACCURACY, CROSS_ENTROPY),
    pieces=stkd_pieces,
    train=stkd_rows,
    claims=(
        _claim("Distillation on mixed pairs is better than on images as they are", ("mixed", "kd"), ("clean", "kd")),
        _claim(
            "On mixed pairs, the mixture of the teacher's outputs is a better target than its output for the mixture",
            ("mixed", "kd, mixed outputs"),
            ("mixed", "kd"),
        ),
        _claim("Distillation on both is better than on images as they are", ("both", "kd"), ("clean", "kd")),
        _claim("On mixed pairs, distillation is better than mixed labels", ("mixed", "kd"), ("mixed", "labels")),
        _claim("On images as they are, distillation is better than labels", ("clean", "kd"), ("clean", "labels")),
    ),
    controls="Every student of a seed has the same teacher, images, initial weights and number of steps.",
)
