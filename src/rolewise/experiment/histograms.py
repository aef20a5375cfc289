"""Histograms of a student at few bits for the report: weights and inputs about their levels, after training."""

from __future__ import annotations

import torch

from rolewise.experiment import builders
from rolewise.experiment.role_section import section_of
from rolewise.experiment.run_folder import RunFolder
from rolewise.experiment.seed_data import seed_data_of
from rolewise.experiment.stage_graph import Stage
from rolewise.experiment.stages import trained_network
from rolewise.files import write_json
from rolewise.inputs import prepare
from rolewise.quant.level_histograms import layer_histograms

#: Validation images whose way through the network is looked at, and how many at once.
IMAGES, BATCH = 256, 64


def write_histograms(run: RunFolder, stage: Stage) -> None:
    """Writes ``histograms.json`` into a training's folder where its network has few bits.

    It is made of the weights on disk and of validation images, unaugmented and always the same: an interrupted run
    writes the same bytes.
    """
    config = run.config()
    section = section_of(config, stage.role)
    if section.quantise is None:
        return
    data = seed_data_of(config, stage.seed, builders.configured_device(config.device), run.root)
    model, spec = trained_network(run, data, stage), data.pixel_spec(section.model)
    chosen = data.some(min(IMAGES, len(data.validation)), data.validation, "histograms")
    batches = [prepare(data.source.batch(part).to(data.device), spec) for part in torch.split(chosen, BATCH)]
    content = {
        "student": stage.role,
        "augmentation": stage.augmentation,
        "distilled": stage.distilled,
        "teacher": stage.teacher,
        "images": len(chosen),
        "layers": [layer.to_json() for layer in layer_histograms(model, batches)],
    }
    write_json(run.stage(stage.name) / "histograms.json", content)
