"""Whether what will be trained can leave the laboratory: an export of each network that is not Rolewise's own."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

import torch

from rolewise.config.schema import ExperimentConfig
from rolewise.data.reading_rules import reads_texts
from rolewise.errors import RolewiseError
from rolewise.experiment import builders
from rolewise.experiment.trial.image_facts import image_facts_of
from rolewise.experiment.trial.network_trial import BATCH, CPU, built
from rolewise.quant.program import save_program
from rolewise.seeds import generator
from rolewise.tasks.joined_boxes import with_joined_boxes
from rolewise.tasks.pixel_logits import with_pixel_logits


def export_notes(config: ExperimentConfig) -> Iterator[str]:
    """Yields a sentence for each student that can be trained and not exported.

    Rolewise's own networks can be; code of somebody else is traced as `rolewise export` does it, which takes seconds.

    Args:
        config: the experiment, without fault.
    """
    if reads_texts(config.data.name):
        return  # of tokens, whose form `rolewise export` traces
    tried: list[object] = []
    for index, section in enumerate(config.students):
        if ":" not in section.model.name or (section.model, section.quantise) in tried:
            continue
        tried.append((section.model, section.quantise))
        try:
            images = image_facts_of(config)
            module = builders.at_bits(section, built(section.model, images, CPU))
            shape = images.fed(section.model)
            # Quantisers begin with what they see first.
            module.train()(torch.randn(BATCH, *shape, generator=generator(0, "trial")))
            task = builders.configured_task(config).name
            if task == "segmentation":
                with_pixel_logits(module, shape[1:])
            elif task == "detection":
                with_joined_boxes(module)
            # The exporter prints the graph that it did not get on with.
            with tempfile.TemporaryDirectory() as folder, redirect_stderr(StringIO()), redirect_stdout(StringIO()):
                plain = (0.0,) * shape[0], (1.0,) * shape[0]
                save_program(module.eval(), Path(folder) / "trial.pt2", size=shape, mean=plain[0], std=plain[1])
        except RolewiseError as error:
            first = str(error).splitlines()[0]
            yield f"students[{index}].model ({section.model.name}) can be trained, and not exported: {first}"
