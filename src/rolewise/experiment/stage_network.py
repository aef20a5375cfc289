"""A trained network of a run and the input that it takes, from the run folder alone where that knows enough.

To predict for a picture, nobody should have to read all training images: names of classes and the images' statistics
are kept in the run folder, and the shape of pictures stands in its config.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import torch
from torch import Tensor, nn

from rolewise.config.schema import ExperimentConfig
from rolewise.data import SealedTest
from rolewise.data.picture_source import PictureRules
from rolewise.data.reading_rules import plain_rules, rules_of_reader
from rolewise.errors import InputError
from rolewise.experiment import builders
from rolewise.experiment.declared_models import declared
from rolewise.experiment.evaluation import check_origin
from rolewise.experiment.role_section import section_of
from rolewise.experiment.run_folder import RunFolder
from rolewise.experiment.seed_data import SeedData, seed_data_of
from rolewise.experiment.stage_graph import Stage
from rolewise.experiment.stages import WEIGHTS, trained_network
from rolewise.inputs import InputSpec
from rolewise.seals import read_sealed
from rolewise.train import load_weights


@dataclass(frozen=True)
class StageNetwork:
    """A trained network and the pictures that it takes.

    Args:
        network: in eval mode on the device.
        spec: its input.
        classes: names of classes, labels or numbers, in the order of its outputs.
        rules: the way from picture files to images.
        own_rules: whether the run's data were read so; False where they were arrays.
    """

    network: nn.Module
    spec: InputSpec
    classes: tuple[str, ...]
    rules: PictureRules
    own_rules: bool


@dataclass(frozen=True)
class DescribedImages:
    """Images of which names and shape are known, and none is there.

    Args:
        classes: as of a source.
        channels: C.
        size: (H, W) in pixels.
        labels: of no image.
    """

    classes: tuple[str, ...]
    channels: int
    size: tuple[int, int]
    labels: Tensor

    def __len__(self) -> int:
        return 0

    def batch(self, indices: Tensor) -> NoReturn:
        """Raises IndexError: there is no image."""
        raise IndexError("there is no image")


def rules_of_data(config: ExperimentConfig, channels: int, size: tuple[int, int]) -> tuple[PictureRules, bool]:
    """Returns the rules by which pictures become the images of an experiment, and whether its data were read so.

    Args:
        config: the experiment.
        channels: of its images.
        size: (H, W) of its images.
    """
    rules = rules_of_reader(config.data.name, config.data.arguments)
    return (rules, True) if rules is not None else (plain_rules(channels, size), False)


def stage_network(run: RunFolder, stage: Stage, device: torch.device) -> StageNetwork:
    """Returns the network that a finished training left.

    The run's data are read where the folder does not hold enough: where they are arrays, or where it is of an earlier
    version.

    Args:
        run: the run.
        stage: a finished training.
        device: device of the network.

    Raises:
        InputError: weights, statistics or data are missing or damaged, or the data have changed.
    """
    config = run.config()
    section = section_of(config, stage.role)
    classes = tuple(map(str, run.record().get("classes", [])))
    model = declared(section.model)
    if model.mean is None and (kept := _kept_statistics(run, stage.seed)) is not None:
        model = model.model_copy(update={"mean": kept[0], "std": kept[1]})
    rules = rules_of_reader(config.data.name, config.data.arguments)
    if not classes or model.mean is None or rules is None:
        check_origin(run, stage)
        data = seed_data_of(config, stage.seed, device, run.root)
        known, own = rules_of_data(config, data.source.channels, data.source.size)
        return StageNetwork(
            trained_network(run, data, stage), data.pixel_spec(section.model), data.source.classes, known, own
        )
    source = DescribedImages(classes, rules.channels, rules.shape, torch.empty(0, dtype=torch.int64))
    none = torch.empty(0, dtype=torch.int64)
    described = SeedData(config, stage.seed, device, source, none, none, SealedTest(source, none))
    network = builders.at_bits(section, described.network(model, stage.role))
    load_weights(network, run.needed(stage.name, WEIGHTS))
    return StageNetwork(network.to(device).eval(), described.pixel_spec(model), classes, rules, True)


def _kept_statistics(run: RunFolder, seed: int) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    """Returns mean and deviation of the training images as the run keeps them; None where it keeps none of these."""
    path: Path = run.root / "statistics" / f"seed{seed}.json"
    if not path.is_file():
        return None
    value = read_sealed(path, "statistics of the training images", "delete it: it is counted anew")
    if value.get("images") not in run.record()["read"].values():
        return None
    try:
        return tuple(map(float, value["mean"])), tuple(map(float, value["std"]))
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"statistics of the training images {path} are damaged; delete the file") from error
