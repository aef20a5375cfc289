"""From a torchdistill config to an experiment: nothing in it is executed, and what is lost is listed."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from rolewise.convert.converted_config import Conversion, mapping, whole
from rolewise.convert.source_data import calls_in, data_of
from rolewise.convert.source_losses import loss_terms
from rolewise.convert.source_networks import network_of, place_in, source_weights_of
from rolewise.convert.source_trainings import training_of
from rolewise.convert.tagged_yaml import CALL, read_tagged
from rolewise.convert.term_builder import TermBuilder
from rolewise.errors import InputError
from rolewise.files import AnyPath, as_path

#: Parts of a source that say nothing of the training.
_SILENT = ("datasets", "models", "train", "test", "dependencies", "private", "preprocess")
_LAST = (
    "the teacher's mode: the source trains with the teacher in train mode since May 2023 (its norms use each batch and "
    "move, its dropout is on); here it is in eval mode. teacher_mode: batch_statistics uses each batch's statistics",
    "the epoch: the source keeps the weights of the best validation epoch; here the last epoch counts",
)


def convert_torchdistill(path: AnyPath) -> Conversion:
    """Returns the conversion of a torchdistill config; nothing in it is imported or called.

    Args:
        path: the YAML file.

    Returns:
        The values of an experiment with the lists that belong to it; ``refused`` names the reasons where there is none.

    Raises:
        InputError: the file cannot be read, or is no config of torchdistill.
    """
    place = as_path(path, "config")
    source = read_tagged(place)
    if not isinstance(source, dict) or not {"datasets", "models", "train"} <= set(source):
        raise InputError(
            f"{place} must be a config of torchdistill, with datasets, models and train; it has none of these"
        )
    found = Conversion()
    for key in source:
        if key not in _SILENT:
            found.lose(f"{key}: not part of a training")
    names = [str(one.get(CALL)) for one in calls_in(source["datasets"])]
    names += [str(mapping(one).get("key")) for one in mapping(source["datasets"]).values()]
    small = any("CIFAR" in name for name in names)
    data, augmentation, normal = data_of(source, small, found)
    found.config = {
        "name": re.sub(r"[^a-z0-9_-]+", "-", place.stem.lower()).strip("-_")[:40] or "converted",
        "seeds": [0, 1, 2],
        **found.config,
        "data": data,
    }
    _train(source, small, augmentation, normal, place.parent, found)
    if found.refused:
        found.config = {}
    return found


def _train(
    source: Mapping[str, Any], small: bool, augmentation: Any, normal: Any, folder: Path, found: Conversion
) -> None:
    models, train = mapping(source["models"]), mapping(source["train"])
    own = mapping(models.get("student_model") or models.get("model"))
    other = mapping(models.get("teacher_model"))
    student = network_of(own, "student", small, found)
    teacher = network_of(other, "teacher", small, found) if other else copy.deepcopy(student)
    stages = [mapping(train[key]) for key in sorted(train) if re.fullmatch(r"stage\d+", str(key))] or [dict(train)]
    # A stage has what is left out from the one before it.
    filled = [stages[0]]
    for stage in stages[1:]:
        filled.append({**{key: filled[-1].get(key) for key in ("train_data_loader", "optimizer")}, **stage})
    terms = [loss_terms(stage, found) for stage in filled]
    lengths = [whole(stage.get("num_epochs"), 1) for stage in filled]
    if student is None or teacher is None:
        return
    for section in (section for one in terms for section in one.methods):
        for role, network in _roles(student, teacher).items():
            if taps := section.get(f"{role}_taps"):
                section[f"{role}_taps"] = [place_in(tap, network, small) for tap in taps]
    if normal is not None:
        for network in (student, teacher):
            network |= normal if network["name"].partition(":")[0] not in ("torchvision", "hf") else {}
    training = training_of(filled[-1], sum(lengths), found)
    if terms[-1].label_smoothing:
        training["label_smoothing"] = terms[-1].label_smoothing
    config = found.config
    entry: dict[str, Any] = {"name": "student", "model": student, "train": training}
    begin = source_weights_of(own, student, "student", folder, found)
    entry |= {"init": begin} if begin is not None else {}
    config["teacher"] = {"model": teacher}
    weights = source_weights_of(other, teacher, "teacher", folder, found) if other else None
    config["teacher"] |= {"weights": weights} if weights is not None else {"train": copy.deepcopy(training)}
    config["students"] = [entry]
    if data_texts := mapping(config["data"].get("arguments")).get("text"):
        names = {role: network["name"].removeprefix("hf:") for role, network in _roles(student, teacher).items()}
        config["data"]["arguments"] |= {"text": data_texts, "tokenizer": _one_or_both(names)}
    _distillation(config, entry, filled, lengths, terms, found, taught=bool(other))
    config["arms"] = {"teacher": [augmentation], "student": [augmentation], "control": augmentation}
    config["arms"]["distill"] = [bool(other)]
    if weights is not None:
        config["arms"]["teacher"] = ["none"]
    if other:
        for text in _LAST:
            found.differ(text)
    else:
        found.differ(_LAST[1])
        found.lose("a training on labels alone: the teacher's section repeats the network and is not used")


def _roles(student: dict[str, Any], teacher: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {"teacher": teacher, "student": student}


def _one_or_both(names: dict[str, str]) -> Any:
    """Returns the tokenizer of both roles, or a mapping where they differ."""
    both = set(names.values())
    return both.pop() if len(both) == 1 else names


def _distillation(
    config: dict[str, Any],
    entry: dict[str, Any],
    stages: list[dict[str, Any]],
    lengths: list[int],
    terms: list[TermBuilder],
    found: Conversion,
    *,
    taught: bool,
) -> None:
    """Adds methods and phases; a stage that trains a part of the teacher alone is none."""
    if not taught:
        config["distill"] = {"methods": [], "label_weight": 1.0}
        return
    last = terms[-1]
    methods = last.methods
    config["distill"] = {"methods": copy.deepcopy(methods), "label_weight": round(last.label_weight, 10)}
    for stage in stages:
        if mapping(stage.get("student")).get("sequential"):
            found.lose("sequential: parts of networks; whole passes are made here, or stop_at ends them behind a tap")
        for key in ("forward_proc", "adaptations"):
            value = mapping(stage.get("student")).get(key)
            if value and value not in ("forward_batch_only", "forward_batch_as_kwargs"):
                found.lose(f"student.{key}: {value if isinstance(value, str) else ', '.join(map(str, value))}")
    learning = [number for number, one in enumerate(terms) if one.methods or one.label_weight]
    if len(learning) < len(terms):
        dropped = sum(length for number, length in enumerate(lengths) if number not in learning)
        found.lose(f"a stage of {dropped} epochs that trains a part of the teacher alone; the method trains it itself")
        entry["train"]["epochs"] = sum(lengths[number] for number in learning)
    if len(learning) < 2:
        training = training_of(stages[-1], entry["train"]["epochs"], found)
        entry["train"] |= {"schedule": training["schedule"], **_frozen(stages[-1])}
        return
    trainings = [training_of(stages[at], lengths[at], found) for at in learning]
    entry["phases"] = [
        _phase(stages[at], training, terms[at]) for at, training in zip(learning, trainings, strict=True)
    ]
    _compare(trainings, found)


def _frozen(stage: dict[str, Any]) -> dict[str, Any]:
    """Returns the rules of the parts that a stage does not train; none where it trains all."""
    frozen = mapping(stage.get("student")).get("frozen_modules")
    rules = [{"match": re.sub(r"^(student_model|seq|model)\.", "", str(part))} for part in frozen or ()]
    return {"freeze": rules} if rules else {}


def _phase(stage: dict[str, Any], training: dict[str, Any], terms: TermBuilder) -> dict[str, Any]:
    made = {"epochs": training["epochs"], "methods": copy.deepcopy(terms.methods)}
    made |= {"label_weight": round(terms.label_weight, 10), **_frozen(stage)}
    return {**made, "learning_rate": training["optimizer"]["learning_rate"], "schedule": training["schedule"]}


def _compare(trainings: list[dict[str, Any]], found: Conversion) -> None:
    """Names what stages have of their own and phases have not."""
    flat = [{**training, **training["optimizer"]} for training in trainings]
    named = {"sgd": "SGD", "adam": "Adam", "adamw": "AdamW"}
    kinds = list(dict.fromkeys(named[one["name"]] for one in flat))
    texts = {"optimizer": kinds}
    own = () if len(kinds) > 1 else ("momentum", "nesterov", "betas")
    for key in (*own, "weight_decay", "batch_size", "accumulate", "clip_norm", "groups"):
        texts[key] = list(dict.fromkeys(str(one.get(key, "none")) for one in flat))
    for key, values in texts.items():
        if len(values) > 1:
            found.differ(f"{key}: {' and '.join(values)} in different stages; all phases have that of the last one")


def converted_text(found: Conversion, origin: str) -> str:
    """Returns a converted config as YAML, under the lists of what was lost and what differs.

    Args:
        found: the conversion, which was not refused.
        origin: the source's name.
    """
    lines = [f"# From {origin}, by rolewise convert torchdistill."]
    for title, texts in found.remarks:
        lines += [f"# {title}:", *(f"# - {' '.join(text.split())}" for text in texts)]
    # Once through JSON: parts that stand in several places are written out in each.
    plain = json.loads(json.dumps(found.config))
    body = yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=110, default_flow_style=None)
    return "\n".join(lines) + "\n" + body
