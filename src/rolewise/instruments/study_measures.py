"""Measurements of studies: instruments of this room, each made into a few columns (see `COLUMNS`)."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import get_args

import torch
from torch import Tensor, nn

from rolewise.inputs import InputSpec
from rolewise.instruments.calibration import expected_calibration_error
from rolewise.instruments.corruptions import corruption_accuracy, corruption_names
from rolewise.instruments.dispersion import dispersion
from rolewise.instruments.features import features_of
from rolewise.instruments.fidelity import average_predictive_kl, fidelity
from rolewise.instruments.measure_call import Batches
from rolewise.instruments.prediction import LogitScale, finite_logits, predict, scaled
from rolewise.instruments.robustness import Attack, fgsm, pgd, robust_accuracy
from rolewise.instruments.scores import brier_score, negative_log_likelihood
from rolewise.instruments.smoothness import linearity_gaps, mean_entropy
from rolewise.instruments.temperature import TemperatureFit, fit_temperature


def calibration_columns(
    model: nn.Module, batches: Batches, *, validation: Batches, bins: int = 15
) -> dict[str, float | None]:
    """Proper scores and calibration error of both logit scales, and of the raw logits at a fitted temperature.

    A network that was trained on standardised logits has raw ones of any size: compare ``_at_temperature``, which is
    defined alike for all. Costs a pass over the test set and one over the validation images.

    Args:
        model: a classifier.
        batches: the test set.
        validation: other images, which the temperature is fitted on.
        bins: of equal width, of the calibration error.
    """
    logits, labels = predict(model, batches)
    fit = _fitted(model, validation)
    forms = {"": logits, "_standardised": scaled(logits, "standardised"), "_at_temperature": fit.apply(logits.double())}
    found: dict[str, float | None] = {}
    for name, read in forms.items():
        if name == "_at_temperature":
            found["fitted_temperature"] = fit.temperature
        found |= {
            f"nll{name}": negative_log_likelihood(read, labels),
            f"brier{name}": brier_score(read, labels),
            f"ece{name}": expected_calibration_error(read, labels, bins=bins),
        }
    return found


def smoothness_columns(
    model: nn.Module, batches: Batches, *, validation: Batches, generator: torch.Generator
) -> dict[str, float | None]:
    """Entropy of the answers, and how far the answer to a mixed image is from the mixed answers.

    Of both logit scales, and of the raw logits at a temperature fitted on validation: logits of any size, as rescaled
    losses leave them, are as smooth as they are small, so that only the last compares networks of different losses.
    Costs 7 passes over the test set and one over the validation images.

    Args:
        model: a classifier.
        batches: the test set; images are mixed within a batch.
        validation: other images, which the temperature is fitted on.
        generator: draws who is mixed with whom, the same pairs for each logit scale.
    """
    temperature = _fitted(model, validation).temperature
    readings: dict[str, Callable[[Tensor], Tensor]] = {
        "": scaled,
        "_standardised": functools.partial(scaled, logit_scale="standardised"),
        "_at_temperature": lambda logits: logits / temperature,
    }
    logits = predict(model, batches).logits
    gaps = linearity_gaps(model, batches, readings, generator=generator)
    entropies = {f"entropy{name}": mean_entropy(read(logits)) for name, read in readings.items()}
    return {**entropies, **{f"linearity_gap{name}": gap.mean for name, gap in gaps.items()}}


def _fitted(model: nn.Module, validation: Batches) -> TemperatureFit:
    """Returns the temperature that fits validation images, within a hundredth and a hundred of the logits' own size.

    Rescaled losses leave logits of any size: bounds that know none would stop the fit of small ones, and unseen.
    """
    logits, labels = predict(model, validation)
    size = float(finite_logits(logits).std(1).mean()) or 1.0
    return fit_temperature(logits, labels, bounds=(0.01 * size, 100 * size))


def fidelity_columns(
    model: nn.Module, batches: Batches, *, teacher: nn.Module, teacher_batches: Batches, validation: Batches
) -> dict[str, float | None]:
    """The agreement of a student with its teacher.

    ``_at_temperature`` is of the student at the temperature that fits validation, and of the teacher as it is. Costs
    two passes over the test set and one over the validation images. A network without a teacher has none of these
    columns.

    Args:
        model: the student.
        batches: the test set.
        teacher: its teacher.
        teacher_batches: the test set as the teacher wants it.
        validation: other images, which the student's temperature is fitted on.
    """
    logits, labels = predict(model, batches)
    told = predict(teacher, teacher_batches).logits
    found = fidelity(logits, told, labels)
    ours, theirs = (scaled(one, "standardised") for one in (logits, told))
    cooled = _fitted(model, validation).apply(logits.double())
    return {
        "agreement": found.agreement,
        "agreement_teacher_wrong": found.agreement_teacher_wrong,
        "teacher_student_kl": found.teacher_student_kl,
        "teacher_student_kl_standardised": average_predictive_kl(ours, theirs),
        "teacher_student_kl_at_temperature": average_predictive_kl(cooled, told.double()),
    }


def robustness_columns(
    model: nn.Module,
    batches: Batches,
    *,
    pixels: Batches,
    spec: InputSpec,
    generator: torch.Generator,
    radii: tuple[float, ...] = (4.0, 8.0),
    steps: int = 10,
) -> dict[str, float | None]:
    """Accuracy under FGSM and PGD in the maximum norm, through each logit scale and through the weaker of them.

    An image counts as right where it is so without the attack and under it. Costs, for each radius and logit scale, a
    pass forth and back for FGSM and as many as there are steps for PGD.

    Args:
        model: a classifier.
        batches: not used.
        pixels: the test set in levels.
        spec: the network's input.
        generator: of the random starts of PGD, the same at every radius.
        radii: of the balls, in levels of 255.
        steps: of PGD, from one random start.
    """
    seed = int(torch.randint(2**62, (), generator=generator))
    found: dict[str, float | None] = {}
    for radius in radii:
        # Hung on the radius alone: another radius beside it moves nothing.
        start = torch.Generator().manual_seed(seed)
        attacks: dict[str, Attack] = {"fgsm": fgsm, "pgd": functools.partial(pgd, generator=start, steps=steps)}
        for name, attack in attacks.items():
            (row,) = robust_accuracy(
                model, pixels, attack, epsilons=[radius / 255], logit_scales=get_args(LogitScale), spec=spec
            )
            found[f"{name}_{radius:g}_accuracy"] = row.worst
            found |= {f"{name}_{radius:g}_{logit_scale}_accuracy": share for logit_scale, share in row.accuracy.items()}
    return found


def corruption_columns(
    model: nn.Module,
    batches: Batches,
    *,
    pixels: Batches,
    spec: InputSpec,
    generator: torch.Generator,
    strengths: tuple[int, ...] = (1, 3, 5),
    names: tuple[str, ...] = corruption_names(1),
) -> dict[str, float | None]:
    """Mean accuracy over common corruptions and strengths.

    Costs a pass, and the making of the images, for each of them: by far the dearest of the registered measurements.

    Args:
        model: a classifier.
        batches: not used.
        pixels: the test set in levels, at least 8x8.
        spec: the network's input.
        generator: of the corruptions.
        strengths: 1 to 5.
        names: of the corruptions; by default those that suit grey and coloured images.
    """
    table = corruption_accuracy(model, pixels, generator=generator, names=names, strengths=strengths, spec=spec)
    return {"corruption_accuracy": table.mean}


def geometry_columns(model: nn.Module, batches: Batches, *, tap: str = "penultimate") -> dict[str, float | None]:
    """The spread of each class's features, against the distance between classes.

    Costs a pass over the test set. A ratio that is infinite, where all class means coincide, is left out.

    Args:
        model: a network that has the tap.
        batches: the test set, every class in it.
        tap: of the features.
    """
    features = features_of(model, batches, [tap])
    found = dispersion(features.values[tap], features.labels)
    values = {
        "dispersion_within": found.within,
        "dispersion_between": found.between,
        "dispersion_ratio": found.ratio,
        "collapse": found.collapse,
    }
    return {column: value if math.isfinite(value) else None for column, value in values.items()}
