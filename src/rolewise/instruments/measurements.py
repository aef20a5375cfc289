"""Measurements of a trained network on the test set: a registry of functions, and any function by its path."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from rolewise.errors import InputError, near
from rolewise.foreign_code import import_path
from rolewise.instruments.corruptions import CORRUPTIONS
from rolewise.instruments.measure_call import Batches, Measure, setting_fault
from rolewise.instruments.prediction import fed_outputs
from rolewise.instruments.study_measures import (
    calibration_columns,
    corruption_columns,
    fidelity_columns,
    geometry_columns,
    robustness_columns,
    smoothness_columns,
)
from rolewise.logits import logits_in
from rolewise.registry import Registry

MEASURES: Registry[Measure] = Registry("measurement")
#: Measurements that change the pixels of images.
_OF_PIXELS = ("smoothness", "robustness", "corruptions")


@MEASURES.add("accuracy")
@torch.no_grad()
def accuracy(model: nn.Module, batches: Batches) -> dict[str, float | None]:
    """Returns the share of images that are classified rightly, and the mean cross-entropy in nats.

    Args:
        model: the network, in eval mode.
        batches: (inputs, labels int64 [B]); inputs [B, C, H, W], or of texts a mapping.
    """
    hits: list[Tensor] = []
    losses: list[Tensor] = []
    for inputs, labels in batches:
        logits = logits_in(fed_outputs(model, inputs)).float()
        hits.append((logits.argmax(1) == labels).cpu())
        losses.append(functional.cross_entropy(logits.double(), labels, reduction="none").cpu())
    if not sum(map(len, hits)):
        raise InputError("a measurement must have at least one image, got none")
    # As a task's metric computes them: a study's numbers are those of a run.
    return {"accuracy": float(torch.cat(hits).double().mean()), "loss": float(torch.cat(losses).double().mean())}


MEASURES.add("calibration")(calibration_columns)
MEASURES.add("smoothness")(smoothness_columns)
MEASURES.add("fidelity")(fidelity_columns)
MEASURES.add("robustness")(robustness_columns)
MEASURES.add("corruptions")(corruption_columns)
MEASURES.add("geometry")(geometry_columns)


def measure_of(name: str) -> Measure:
    """Returns a measurement by its name or by its path ``package.module:function``.

    Raises:
        InputError: there is none of that name, or it cannot be imported.
    """
    if ":" not in name:
        return MEASURES[name]
    return import_path(name, "function")


def measure_faults(name: str, settings: Mapping[str, Any]) -> dict[str, str]:
    """Returns the faults of a study's measurement: by setting, and ``""`` for its name.

    Nothing is imported: the settings of a function that is given by its path are its own affair.
    """
    if ":" in name:
        return {}
    if name not in MEASURES:
        return {"": f"must be a measurement or package.module:function, got {name!r}{near(name, MEASURES)}"}
    found = {key: setting_fault(MEASURES[name], key, value) for key, value in settings.items()}
    found |= {key: _outside(name, key, value) for key, value in settings.items() if not found[key]}
    return {key: message for key, message in found.items() if message}


def unsuited(name: str, settings: Mapping[str, Any], shape: tuple[int, int, int] | None) -> dict[str, str]:
    """Returns the faults of a sound measurement on some data: by setting, and ``""`` for its name.

    Args:
        name: of the measurement.
        settings: the settings of the measurement.
        shape: (C, H, W) of an image; None for texts.
    """
    if shape is None:
        suited = sorted(set(MEASURES) - set(_OF_PIXELS))
        rule = f"must be of answers alone where the data are texts: {', '.join(suited)} or your own"
        return {"": f"{rule}, got {name!r}, which changes pixels; leave it out"} if name in _OF_PIXELS else {}
    if name != "corruptions":
        return {}
    if min(shape[1:]) < 8:
        return {"": f"must be left out for images of {shape[1]}x{shape[2]} pixels; corruptions need 8x8 at least"}
    unfit = [one for one in settings.get("names", ()) if shape[0] not in CORRUPTIONS[one].channels]
    return {"names": f"must suit grey images, got {unfit[0]!r}, which needs colours; leave it out"} if unfit else {}


def _outside(name: str, key: str, value: Any) -> str:
    """Returns the fault of a setting that is of the right kind, and that a measurement would refuse when it is made."""
    if (name, key) == ("corruptions", "names"):
        for one in value:
            if one not in CORRUPTIONS:
                return f"must hold known corruptions, got {one!r}{near(one, CORRUPTIONS)}"
    if (name, key) == ("corruptions", "strengths") and max(value) > 5:
        return f"must hold strengths from 1 to 5, got {max(value)}"
    if (name, key) == ("robustness", "radii") and max(value) > 255:
        return f"must hold radii in levels of 255, got {max(value):g}"
    if (name, key) == ("robustness", "radii") and 0 < max(value) < 1:
        remedy = f"{max(value) * 255:.4g} is that share of white"
        return f"must hold a radius of at least one level of 255, got at most {max(value):.3g}; {remedy}"
    return ""
