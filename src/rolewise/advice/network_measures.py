"""Measurements of a network's outputs: accuracy, calibration, entropy, linearity; and its softness over T."""

from __future__ import annotations

import math

import torch
from torch import nn

from rolewise.advice.case import Case, Sample
from rolewise.inputs import InputSpec, prepare
from rolewise.instruments import (
    accuracy,
    expected_calibration_error,
    fit_temperature,
    linearity_gap,
    mean_entropy,
    negative_log_likelihood,
    predict,
)
from rolewise.logits import are_probabilities, logits_in
from rolewise.seeds import generator

#: Images that tell whether outputs are probabilities.
_LOOKED_AT = 64
#: Temperatures of which one is proposed.
TEMPERATURES = (1.0, 2.0, 4.0, 8.0)


def network_measures(case: Case, model: nn.Module, spec: InputSpec) -> dict[str, float]:
    """Returns the measurements of a network on the validation images.

    Accuracy, likelihood (nats), expected calibration error, entropy as a share of log K, the temperature of the highest
    likelihood (NaN where they name none), and the linearity gap (nats). The error that is left at that temperature is
    not given, as it is fitted on these images.

    Args:
        case: the networks and their images.
        model: its teacher or its student.
        spec: the network's input.
    """
    batches = case.validation.batches()
    logits, labels = predict(model, batches, spec=spec, device=case.device)
    fit = fit_temperature(logits, labels)
    found = {
        "images": float(len(labels)),
        "accuracy": accuracy(logits, labels),
        "nll": negative_log_likelihood(logits, labels),
        "ece": expected_calibration_error(logits, labels),
        "entropy": mean_entropy(logits) / math.log(logits.shape[1]),
        # At a bound the images name no temperature.
        "temperature": math.nan if fit.at_bound else fit.temperature,
    }
    if len(labels) > 1:
        stream = generator(case.seed, "advice", "linearity")
        # A last batch of one image has no pair; it is left out there.
        gap = linearity_gap(model, batches, generator=stream, ratios=(0.3, 0.5, 0.7), spec=spec, device=case.device)
        found["linearity_gap"] = gap.mean
    return found


@torch.no_grad()
def softness(case: Case, spec: InputSpec, images: Sample) -> tuple[dict[float, float], float]:
    """Returns the teacher's mean entropy, as a share of log K, at each temperature, and its accuracy, on some images.

    Args:
        case: the networks and their images.
        spec: the teacher's input.
        images: usually those that the student is trained on.
    """
    logits, labels = predict(case.teacher, images.batches(), spec=spec, device=case.device)
    top = math.log(logits.shape[1])
    return {t: mean_entropy(logits / t) / top for t in TEMPERATURES}, accuracy(logits, labels)


@torch.no_grad()
def gives_probabilities(case: Case, model: nn.Module, spec: InputSpec) -> bool:
    """Returns whether a network's outputs are at least 0 and sum to 1: probabilities, where logits are wanted.

    Args:
        case: the networks and their images.
        model: its teacher or its student, in eval mode.
        spec: the network's input.
    """
    images = case.validation.images[:_LOOKED_AT].to(case.device)
    return are_probabilities(logits_in(model(prepare(images, spec))))
