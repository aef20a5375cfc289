"""A trained network of texts of a run, from the run folder and its tokenizer alone: no text is read."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from rolewise.config.schema import ExperimentConfig
from rolewise.data.reader_registry import READERS
from rolewise.data.tokenisation import tokenizer_facts
from rolewise.errors import InputError
from rolewise.experiment.role_section import section_of
from rolewise.experiment.run_folder import RunFolder
from rolewise.experiment.stage_graph import Stage
from rolewise.experiment.stages import WEIGHTS
from rolewise.models import construct
from rolewise.train import load_weights


@dataclass(frozen=True)
class TextRules:
    """The way from texts to the tokens of a role.

    Args:
        tokenizer: a folder, package or repository.
        length: most tokens of a text or pair.
        fixed: whether each is padded to that length.
        columns: names of the column of texts, and of that of second texts where there are pairs.
    """

    tokenizer: str
    length: int
    fixed: bool
    columns: tuple[str, ...]


def text_rules(config: ExperimentConfig, role: str) -> TextRules:
    """Returns the rules by which the texts of an experiment are read for a role.

    Args:
        config: an experiment on texts.
        role: ``teacher``, or a student's name.
    """
    known = inspect.signature(READERS[config.data.name]).parameters
    values = {**{key: one.default for key, one in known.items()}, **config.data.arguments}
    named: str | Mapping[str, Any] = values["tokenizer"]
    if isinstance(named, Mapping):
        named = named["teacher" if role == "teacher" else "student"]
    columns = (values["text"],) if values["pair"] is None else (values["text"], values["pair"])
    return TextRules(str(named), values["length"], values["padding"] == "fixed", columns)


def stage_text_network(run: RunFolder, stage: Stage, device: torch.device) -> tuple[nn.Module, tuple[str, ...]]:
    """Returns the network of texts that a finished training left, and the names of its classes.

    Args:
        run: the run.
        stage: a finished training.
        device: device of the network.

    Raises:
        InputError: weights are missing or damaged, or the tokenizer is not there.
    """
    config = run.config()
    section, rules = section_of(config, stage.role), text_rules(config, stage.role)
    classes = tuple(map(str, run.record().get("classes", [])))
    if not classes:
        raise InputError(f"{run.root} must name its classes, and its run.json has none; run it anew")
    network = construct(
        section.model.name,
        section.model.arguments,
        num_classes=len(classes),
        channels=1,
        size=(1, rules.length),
        seed=0,
        vocabulary=tokenizer_facts(rules.tokenizer).vocabulary,
    )
    load_weights(network, run.needed(stage.name, WEIGHTS))
    return network.to(device).eval(), classes
