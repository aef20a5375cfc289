"""A look at the data of a config: what is read, how it is divided, which images are the same, which cannot be read."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor

from rolewise.batch import IGNORED
from rolewise.config.document import Document
from rolewise.config.experiment_file import experiment_config_of
from rolewise.config.faults import ConfigError, Steps, dotted
from rolewise.config.overrides import read_overridden
from rolewise.config.schema import DataSection, ExperimentConfig
from rolewise.data import DataWarning, Division, Source, StreamedFiles, TextData, data_root, divide, read_with, split
from rolewise.data.data_checks import CopiesWarning
from rolewise.data.held_images import NOTHING_MB
from rolewise.data.own_validation import marked_validation
from rolewise.data.picture_facts import PictureFacts, picture_facts, same_pixels
from rolewise.data.splits import count_of
from rolewise.data.targets import kind_of_targets
from rolewise.errors import InputError
from rolewise.experiment.name_checks import data_faults
from rolewise.seeds import derive_seed

_NETWORK = {"name": "small_cnn"}


def look_at_data(path: Path | str, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Reads the data of a config as an experiment would, every image once, and trains nothing.

    Args:
        path: a YAML file with a section ``data``; the rest of the experiment may be missing or faulty.
        overrides: settings such as ``data.limit=100``, laid over it.

    Returns:
        Plain values: the classes with their counts by part, sizes, modes, images that are the same, files that cannot
        be read, and the warnings of reading.

    Raises:
        ConfigError: the data section is faulty, or the data are not there or cannot be divided.
    """
    document = read_overridden(path, overrides)
    config = _data_alone(document)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", DataWarning)
            found = _look(config.data, config.seeds[0])
    except InputError as error:
        steps: Steps = error.path if error.path[:1] == ("data",) else ("data",)
        message = error.rule if error.path[:1] == ("data",) else str(error)
        raise ConfigError.of(document.place(steps), dotted(steps), message) from error
    # Copies are found here by their pixels, and listed.
    own = [one for one in caught if issubclass(one.category, DataWarning) and one.category is not CopiesWarning]
    told = dict.fromkeys(str(one.message) for one in own)
    return {**found, "warnings": list(told)}


def _data_alone(document: Document) -> ExperimentConfig:
    """Returns an experiment with a document's data section and seeds, and anything else in the place of the rest."""
    value = {key: document.value[key] for key in ("data", "seeds") if key in document.value}
    value |= {"teacher": {"model": _NETWORK}, "students": [{"name": "student", "model": _NETWORK}]}
    faults = [
        fault for fault in document.faults if fault.path.split(".")[0].split("[")[0] in ("data", "seeds", "--set")
    ]
    return experiment_config_of(replace(document, value=value, faults=faults), check=data_faults)


def _look(section: DataSection, seed: int) -> dict[str, Any]:
    raw = read_with(
        section.name,
        # Faulty files are counted here, with the reason of each.
        {key: value for key, value in section.arguments.items() if key != "faulty" or ":" in section.name},
        root=section.root,
        download=section.download,
        # Image files stay files, whose facts can be told.
        memory_budget_mb=NOTHING_MB,
    )
    parts = [raw.train] if raw.test is None else [raw.train, raw.test]
    kind = "text" if isinstance(raw.train, TextData) else "image"
    titles, root = (f"{kind}s", f"test_{kind}s"), data_root(section.root)
    facts = [picture_facts(part, title, root) for part, title in zip(parts, titles, strict=False)]
    kept = [_readable(part, known) for part, known in zip(parts, facts, strict=True)]
    divided = divide(
        kept[0],
        kept[1] if len(kept) > 1 else None,
        name=raw.name,
        test=section.test,
        limit=section.limit,
        split_seed=section.split_seed,
        validation=section.validation,
    )
    every = [one for part in facts for one in part]
    several = [path for part in parts if isinstance(part, StreamedFiles) for path in part.several]
    skipped = section.arguments.get("faulty") == "skip"
    faulty = [{"file": one.name, "reason": one.fault} for one in every if one.fault is not None]
    return {
        "data": raw.name,
        "root": section.root,
        "targets": kind_of_targets(raw.train.labels),
        "kind": kind,
        "shape": [raw.train.channels, *raw.train.size],
        "read": [len(part) - skipped * sum(one.fault is not None for one in part) for part in facts],
        "seed": seed,
        **_counts(divided, section, seed, raw.train.classes),
        **_files(every, len(set(several))),
        **({"texts": _texts(parts)} if kind == "text" else {}),
        "same": {
            "training": same_pixels(facts[0]),
            "test": same_pixels(facts[1]) if len(facts) > 1 else [],
            "both": same_pixels(facts[0], facts[1]) if len(facts) > 1 else [],
        },
        "faulty": faulty,
        "skipped": skipped,
    }


def _texts(parts: Sequence[Source]) -> dict[str, Any]:
    """Returns for each role the tokenizer, and the numbers of tokens of all texts; and how many texts were cut."""
    texts = [part for part in parts if isinstance(part, TextData)]
    roles = ("student",) if texts[0].is_shared else ("student", "teacher")
    tables = {role: [part.tables[role] for part in texts] for role in roles}
    found = {
        role: {
            "tokenizer": some[0].facts.name,
            "vocabulary": some[0].facts.vocabulary,
            **_spread(torch.cat([table.lengths for table in some]).tolist()),
        }
        for role, some in tables.items()
    }
    return {"roles": found, "cut": sum(part.cut for part in texts)}


def _readable(source: Source, facts: Sequence[PictureFacts]) -> Source:
    """Returns a source without the files that cannot be read."""
    good = [one.fault is None for one in facts]
    if all(good) or not isinstance(source, StreamedFiles):
        return source
    paths = [path for path, there in zip(source.paths, good, strict=True) if there]
    if not paths:
        first = facts[0]
        raise InputError(
            f"none of {len(facts):,} images can be read, such as {first.name} ({first.fault}); replace them"
        )
    kept = torch.tensor(good)
    left = StreamedFiles(paths, source.labels[kept], source.classes, source.decode, source.channels, source.size)
    return left if source.validating is None else marked_validation(left, int(kept[source.validating].sum()))


def _counts(divided: Division, section: DataSection, seed: int, classes: Sequence[str]) -> dict[str, Any]:
    """Returns the number of images in each part, and of each class in each part where there are classes."""
    labels, train, validation = divided.source.labels, divided.usable, divided.validation
    if validation is None:
        wanted = section.validation if divided.validating is None else divided.validating
        if fault := _validation_fault(wanted, len(train)):
            raise InputError.at(("data", "validation"), fault)
        parts = split(labels[train], validation=wanted, test=0, seed=derive_seed(seed, "split"))
        train, validation = divided.usable[parts.train], divided.usable[parts.validation]
    each = {
        "train": labels[train],
        "validation": labels[validation],
        "test": divided.test_source.labels[divided.test],
    }
    found: dict[str, Any] = {"parts": {part: len(some) for part, some in each.items()}}
    kind = kind_of_targets(labels)
    if kind == "tags":
        columns = {
            part: some[some >= 0].long().bincount(minlength=len(classes)).tolist() for part, some in each.items()
        }
        found["classes"] = [
            {"name": name, **{part: column[at] for part, column in columns.items()}} for at, name in enumerate(classes)
        ]
    elif kind == "boxes" or not labels.is_floating_point():
        columns = {part: _by_class(some, len(classes)) for part, some in each.items()}
        found["classes"] = [
            {"name": name, **{part: column[at] for part, column in columns.items()}} for at, name in enumerate(classes)
        ]
        found["unlabelled"] = int((labels[train] < 0).sum()) if labels.ndim == 1 else 0
        if kind == "boxes":
            for at, line in enumerate(found["classes"]):
                line["boxes"] = int((labels[train][:, :, 4] == at).sum())
            found["boxes_aside"] = int((labels[train][:, :, 5] == 1).sum())
        if kind == "masks":
            pixels = _pixels(labels[train])
            for at, line in enumerate(found["classes"]):
                line["pixels"] = pixels[at] / max(1, sum(pixels[:IGNORED]))
            found["ignored"] = pixels[IGNORED] / max(1, sum(pixels))
    elif kind == "points":
        columns = {part: some.isfinite().all(2).sum(0).tolist() for part, some in each.items()}
        found["classes"] = [
            {"name": name, **{part: column[at] for part, column in columns.items()}} for at, name in enumerate(classes)
        ]
    else:
        found["numbers"] = [{"name": name, **_spread(labels[train][:, at].tolist())} for at, name in enumerate(classes)]
    return found


def _validation_fault(validation: int | float, usable: int) -> str | None:
    count = count_of("validation", validation, usable)
    return (
        None if count < usable else f"must leave some of the {usable:,} examples to train on, got {count:,}; lower it"
    )


def _by_class(labels: Tensor, number: int) -> list[int]:
    """Returns the number of images of each class, or with each label, or with a pixel or a box of a class."""
    if kind_of_targets(labels) == "boxes":
        return [int((labels[:, :, 4] == at).any(1).sum()) for at in range(number)]
    if labels.ndim == 3:
        there = torch.zeros(number, dtype=torch.int64)
        for mask in labels:
            there[mask[mask != IGNORED].unique().long()] += 1
        return [int(count) for count in there]
    if labels.ndim == 2:
        return [int(count) for count in labels.long().sum(0)]
    return [int(count) for count in labels[labels >= 0].bincount(minlength=number)]


def _pixels(masks: Tensor) -> list[int]:
    """Returns the number of pixels of each label from 0 to 255."""
    return [int(count) for count in torch.bincount(masks.reshape(-1), minlength=256)]


def _files(facts: Sequence[PictureFacts], several: int) -> dict[str, Any]:
    """Returns sizes, modes and formats of image files; nothing for arrays."""
    sizes = [one.size for one in facts if one.size is not None]
    if not sizes:
        return {}
    return {
        "files": {
            "height": _spread([size[0] for size in sizes]),
            "width": _spread([size[1] for size in sizes]),
            "modes": dict(Counter(one.mode for one in facts if one.mode is not None).most_common()),
            "formats": dict(Counter(one.format for one in facts if one.format is not None).most_common()),
            "turned": sum(one.turned for one in facts),
            "several_pictures": several,
        }
    }


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {"min": min(values), "median": median(values), "max": max(values)}
