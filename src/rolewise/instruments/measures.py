"""All scalar measures of one classifier in one call, for a table."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from rolewise.inputs import InputSpec
from rolewise.instruments.calibration import (
    adaptive_calibration_error,
    classwise_calibration_error,
    maximum_calibration_error,
    reliability,
)
from rolewise.instruments.fidelity import fidelity
from rolewise.instruments.prediction import LogitScale, finite_logits, predict
from rolewise.instruments.scores import accuracy, brier_score, negative_log_likelihood, top_k_accuracy
from rolewise.instruments.slopes import input_gradient_norm, sampled_lipschitz
from rolewise.instruments.smoothness import linearity_gap, mean_entropy
from rolewise.instruments.temperature import fit_temperature, temperature_effect

# What `measure` gives, in its order, and the unit of each.
UNITS: dict[str, str] = {
    "images": "count",
    "accuracy": "share in [0, 1]",
    "top5_accuracy": "share in [0, 1]",
    "confidence": "mean highest probability",
    "nll": "nats",
    "brier": "number in [0, 2]",
    "ece": "number in [0, 1]",
    "ece_equal_mass": "number in [0, 1]",
    "ece_classwise": "number in [0, 1]",
    "mce": "number in [0, 1]",
    "entropy": "nats",
    "temperature": "ratio",
    "nll_at_temperature": "nats",
    "ece_at_temperature": "number in [0, 1]",
    "agreement": "share in [0, 1]",
    "agreement_teacher_right": "share in [0, 1] of those images",
    "agreement_teacher_wrong": "share in [0, 1] of those images",
    "student_right_teacher_wrong": "share in [0, 1] of the images on which the teacher is wrong",
    "teacher_student_kl": "nats",
    "student_teacher_kl": "nats",
    "agreement_error": "number in [0, 1]",
    "linearity_gap": "nats",
    "input_gradient_norm": "nats by unit of pixels' distance, mean over images",
    "sampled_lipschitz": "probability by unit of pixels' distance, mean over images",
}


def measure(
    model: nn.Module,
    batches: Iterable[Any],
    *,
    validation: Iterable[Any] | None = None,
    teacher: nn.Module | None = None,
    generator: torch.Generator | None = None,
    spec: InputSpec | None = None,
    teacher_spec: InputSpec | None = None,
    logit_scale: LogitScale = "raw",
    teacher_logit_scale: LogitScale = "raw",
    bins: int = 15,
    device: torch.device | str | None = None,
) -> dict[str, float | None]:
    """Measures a classifier.

    Accuracy, proper scores, calibration errors and entropy always; temperature scaling with ``validation``; fidelity
    with ``teacher``; smoothness, which costs about twenty passes, with ``generator``.

    Source: none; each measure names its own, see `rolewise.instruments`.

    Args:
        model: a classifier.
        batches: of (images, labels), such as a test set; read into memory once. `linearity_gap` mixes within them.
        validation: batches of other images, which the temperature is fitted on.
        teacher: a classifier of the same classes.
        generator: on the CPU; draws pairs of images and directions.
        spec: the model's input, see `predict`.
        teacher_spec: the teacher's input.
        logit_scale: of the model, see `predict`.
        teacher_logit_scale: of the teacher.
        bins: of the calibration errors.
        device: see `predict`.

    Returns:
        A number for each name, in the order and the units of `UNITS`; None where there is no image to count, such as
        the agreement where a teacher that is never wrong is wrong. ``top5_accuracy`` where there are over five classes.

    Raises:
        InputError: as in the single measures; logits that are not finite among them.
    """
    held = list(batches)
    logits, labels = predict(model, held, spec=spec, logit_scale=logit_scale, device=device)
    logits = finite_logits(logits)
    found: dict[str, float | None] = {"images": len(labels), "accuracy": accuracy(logits, labels)}
    if logits.shape[1] > 5:
        found["top5_accuracy"] = top_k_accuracy(logits, labels, 5)
    found |= {
        "confidence": float(logits.softmax(1).amax(1).mean()),
        "nll": negative_log_likelihood(logits, labels),
        "brier": brier_score(logits, labels),
        "ece": reliability(logits, labels, bins=bins).expected_error,
        "ece_equal_mass": adaptive_calibration_error(logits, labels, bins=bins),
        "ece_classwise": classwise_calibration_error(logits, labels, bins=bins),
        "mce": maximum_calibration_error(logits, labels, bins=bins),
        "entropy": mean_entropy(logits),
    }
    if validation is not None:
        fit = fit_temperature(*predict(model, validation, spec=spec, logit_scale=logit_scale, device=device))
        effect = temperature_effect(logits, labels, fit.temperature, bins=bins)
        found |= {
            "temperature": fit.temperature,
            "nll_at_temperature": effect.nll_after,
            "ece_at_temperature": effect.ece_after,
        }
    if teacher is not None:
        told = predict(teacher, held, spec=teacher_spec, logit_scale=teacher_logit_scale, device=device)
        faithful = fidelity(logits, told.logits, labels, bins=bins)
        found |= {name: getattr(faithful, name) for name in UNITS if hasattr(faithful, name) and name != "images"}
    if generator is not None:
        gap = linearity_gap(model, held, generator=generator, spec=spec, logit_scale=logit_scale, device=device)
        gradient = input_gradient_norm(model, held, spec=spec, logit_scale=logit_scale, device=device)
        slope = sampled_lipschitz(model, held, generator=generator, spec=spec, logit_scale=logit_scale, device=device)
        found |= {
            "linearity_gap": gap.mean,
            "input_gradient_norm": float(gradient.mean()),
            "sampled_lipschitz": float(slope.mean()),
        }
    return found
