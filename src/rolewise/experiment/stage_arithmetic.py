"""The arithmetic of a run's trainings where the config leaves it open: chosen once for each role, and kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from rolewise.config.training_sections import ARITHMETIC
from rolewise.experiment import builders
from rolewise.experiment.role_section import section_of
from rolewise.experiment.run_folder import RunFolder
from rolewise.experiment.seed_data import SeedData
from rolewise.experiment.stage_cache import cache_of
from rolewise.experiment.stage_graph import stages_of
from rolewise.experiment.step_timing import one_batch_training
from rolewise.files import digest_of
from rolewise.seals import read_sealed, write_sealed
from rolewise.threads import torch_threads
from rolewise.train import Trainee, TrainSettings
from rolewise.train.arithmetic import keep_arithmetic, kept_arithmetic

#: The file of the choice in the folder of a training.
CHOICE = "arithmetic.json"
_REMEDY = "put it back, or start anew with --fresh"


def stage_settings(run: RunFolder, data: SeedData, role: str) -> TrainSettings:
    """Returns the settings of a role's trainings, whose arithmetic is that of the run where it is chosen by its time.

    All trainings of a role, its searches among them, have one arithmetic in a run, whatever its seeds and arms: the
    first of them times steps of networks as they are drawn, with their teacher where any of them runs it: one whose
    outputs come from a cache costs no step anything.

    Args:
        run: the run folder; the choice and all times lie in ``arithmetic/``.
        data: of the seed.
        role: ``teacher``, or a student's name.
    """
    config, section = data.config, section_of(data.config, role)
    settings = builders.train_settings(section.train, config)
    if not section.train.open_arithmetic:
        return settings
    left_open = settings.changed(**dict.fromkeys(section.train.open_arithmetic, "auto"))
    distilled = any(
        stage.distilled and cache_of(run, config, stage, searched=stage.kind == "search") is None
        for stage in stages_of(config)
        if stage.role == role
    )

    def make(candidate: TrainSettings) -> Trainee:
        return one_batch_training(data, role, distilled, candidate)

    path, images = _path(run, data, role), min(section.images or len(data.train), len(data.train))
    if not path.exists() and (known := _known(run, data, role, path.stem)) is not None:
        keep_arithmetic(path, {"chosen": known, "timed": [], "steps": 0})
    batches = section.train.epochs * -(-images // section.train.batch_size)
    with torch_threads(config.threads):
        return kept_arithmetic(path, left_open, make, steps=batches, remedy=_REMEDY, device=data.device)


def note_arithmetic(
    run: RunFolder, data: SeedData, role: str, settings: TrainSettings, folder: Path, report: Callable[[str], None]
) -> None:
    """Writes a training's chosen arithmetic into its folder, and reports it; nothing where the config gives it.

    Args:
        run: the run folder.
        data: of the seed.
        role: ``teacher``, or a student's name.
        settings: of the training.
        folder: of the training.
        report: takes a line.
    """
    if not section_of(data.config, role).train.open_arithmetic:
        return
    chosen = {name: getattr(settings, name) for name in ARITHMETIC}
    write_sealed(folder / CHOICE, {"of": _path(run, data, role).stem, "chosen": chosen})
    report("chosen by time: " + ", ".join(f"{name} {str(value).lower()}" for name, value in chosen.items()))


def _path(run: RunFolder, data: SeedData, role: str) -> Path:
    section = section_of(data.config, role)
    of = section.model_dump(mode="json", include={"model", "train", "quantise", "images"})
    return run.root / "arithmetic" / f"{role}-{digest_of({**of, 'device': data.config.device})[:12]}.json"


def _known(run: RunFolder, data: SeedData, role: str, name: str) -> dict[str, object] | None:
    """Returns the choice that a training of the role was begun with; None where there is none."""
    for stage in stages_of(data.config):
        path = run.stage(stage.name) / CHOICE
        if stage.role == role and path.is_file():
            found = read_sealed(path, "the chosen arithmetic", _REMEDY)
            if found["of"] == name:
                return dict(found["chosen"])
    return None
