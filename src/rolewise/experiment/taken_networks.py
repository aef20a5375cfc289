"""Networks of a run whose weights are taken from a file: the teacher's, and those that a student begins from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from rolewise.config.network_sections import ModelSection
from rolewise.data import TextData
from rolewise.experiment.seed_data import SeedData
from rolewise.experiment.weight_sources import keep_report, load_into, report_on, weight_setting
from rolewise.models import count_parameters
from rolewise.quant import operations, size_in_bytes
from rolewise.train import save_weights


def take_teacher(data: SeedData, folder: Path, weights: str) -> dict[str, Any]:
    """Takes a trained teacher from a file into its stage's folder; its training images are unknown.

    Args:
        data: of the stage's seed.
        folder: of the stage.
        weights: name of the file in it that holds the weights afterwards.

    Returns:
        The stage's summary.
    """
    setting = weight_setting(data.config, "teacher")
    assert setting is not None
    model = data.network(setting.model, "teacher")
    keep_report(load_into(model, setting), folder)
    save_weights(model, folder / weights)
    return {"images": 0, **cost_of(data, setting.model, model)}


def begin_from_file(data: SeedData, role: str, network: nn.Module) -> None:
    """Loads the weights that a role begins from; a network that begins from no file stays as it is."""
    setting = weight_setting(data.config, role)
    if setting is not None:
        load_into(network, setting)


def keep_beginning(data: SeedData, role: str, folder: Path) -> None:
    """Writes the report on the file that a role begins from, if there is one, into its stage's folder."""
    setting = weight_setting(data.config, role)
    if setting is not None:
        keep_report(report_on(data.network(setting.model, role), setting), folder)


def one_text(source: TextData) -> dict[str, Tensor]:
    """Returns a text of median length: all its tokens are padding, which costs what any other token does."""
    length = int(source.table.lengths.double().median())
    ids = torch.full((1, length), source.facts.padding)
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


def cost_of(data: SeedData, section: ModelSection, network: nn.Module) -> dict[str, int]:
    """Returns a network's parameters, the bytes of its weights, and the operations of one image as it is fed.

    Of texts, one of median length is counted.
    """
    cost = operations(network, data.fed(section), one_text(data.source) if isinstance(data.source, TextData) else None)
    return {
        "parameters": count_parameters(network),
        "bytes": size_in_bytes(network),
        "macs": cost.macs,
        "bit_operations": cost.bit_operations,
    }
