"""What each role sees: a few images under its schedule at the beginning, the middle and the end of training."""

from __future__ import annotations

import io

import numpy as np
import torch

from rolewise.augment import apply
from rolewise.experiment import builders
from rolewise.experiment.arms import stages_of
from rolewise.experiment.folder import RunFolder
from rolewise.experiment.world import world
from rolewise.files import write_bytes
from rolewise.augment import Schedule
from rolewise.seeds import generator

FRACTIONS = (0.0, 0.5, 1.0)


def write_previews(run: RunFolder, images: int = 8) -> None:
    """Writes ``previews.npz``: ``clean`` and ``<role>/<fraction>``, each uint8 [images, C, H, W], of the first seed."""
    config = run.config()
    seed = config.seeds[0]
    here = world(config, seed, torch.device("cpu"))
    chosen = here.some(min(images, len(here.train)), here.train, "previews")
    clean = here.source.batch(chosen)
    arrays = {"clean": clean.numpy()}
    for stage in stages_of(config):
        if stage.kind != "search" or stage.seed != seed:
            continue
        schedule = Schedule.load(builders.schedule_file(run.stage(stage.name)))
        for fraction in FRACTIONS:
            plan = schedule.at(fraction).draw(
                len(clean), tuple(clean.shape[1:]), generator(seed, "preview", stage.role, str(fraction))
            )
            seen = apply(clean, plan, interpolation=config.augment.interpolation, fill=config.augment.fill)
            arrays[f"{stage.role}/{fraction:g}"] = seen.numpy()
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    write_bytes(run.root / "previews.npz", buffer.getvalue())
