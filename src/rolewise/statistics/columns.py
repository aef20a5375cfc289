"""The columns that measurements make: their units, how they are written, and which of them a page leads with."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from rolewise.metric_info import MetricInfo


@dataclass(frozen=True)
class Column:
    """The properties of a column.

    Args:
        unit: of the number in the table.
        leads: whether a page draws it; the others are in the table alone.
        percent: whether a page writes it times 100, and differences in points.
        digits: after the point, on a page.
    """

    unit: str
    leads: bool = False
    percent: bool = False
    digits: int = 3


_SHARE, _ERROR, _NATS, _SPREAD = "share in [0, 1]", "number in [0, 1]", "nats", "squared units of the features"

#: Columns of the registered measurements, in their order.
COLUMNS: dict[str, Column] = {
    "accuracy": Column(_SHARE, True, True, 1),
    "loss": Column(_NATS, True),
    "mean_average_precision": Column(_SHARE, True, True, 1),
    "f1_micro": Column(_SHARE, True, True, 1),
    "f1_macro": Column(_SHARE, True, True, 1),
    "exact_match": Column(_SHARE, True, True, 1),
    "label_accuracy": Column(_SHARE, True, True, 1),
    "rmse": Column("unit of the targets", True),
    "mae": Column("unit of the targets", True),
    "r2": Column("share of the variance", True),
    "balanced_accuracy": Column(_SHARE, True, True, 1),
    "expected_calibration_error": Column(_ERROR, True),
    "nll": Column(_NATS),
    "brier": Column("number in [0, 2]"),
    "ece": Column(_ERROR, True),
    "nll_standardised": Column(_NATS),
    "brier_standardised": Column("number in [0, 2]"),
    "ece_standardised": Column(_ERROR),
    "fitted_temperature": Column("ratio"),
    "nll_at_temperature": Column(_NATS, True),
    "brier_at_temperature": Column("number in [0, 2]"),
    "ece_at_temperature": Column(_ERROR, True),
    "entropy": Column(_NATS),
    "entropy_standardised": Column(_NATS),
    "entropy_at_temperature": Column(_NATS, True),
    "linearity_gap": Column(_NATS),
    "linearity_gap_standardised": Column(_NATS),
    "linearity_gap_at_temperature": Column(_NATS, True),
    "agreement": Column(_SHARE, True, True, 1),
    "agreement_teacher_wrong": Column("share in [0, 1] of the images on which the teacher is wrong", False, True, 1),
    "teacher_student_kl": Column(_NATS),
    "teacher_student_kl_standardised": Column(_NATS),
    "teacher_student_kl_at_temperature": Column(_NATS, True),
    "corruption_accuracy": Column(_SHARE, True, True, 1),
    "dispersion_within": Column(_SPREAD),
    "dispersion_between": Column(_SPREAD),
    "dispersion_ratio": Column("ratio", True),
    "collapse": Column("ratio"),
}
#: ``pgd_8_accuracy``: under PGD within 8 levels of 255, through the weaker head; ``pgd_8_raw_accuracy``: through one.
ATTACKED = re.compile(r"(fgsm|pgd)_([0-9.]+)(?:_(raw|standardised))?_accuracy")


def column_of(name: str, infos: Iterable[MetricInfo] = ()) -> Column:
    """Returns the properties of a column; that of a user's own measurement leads, and is written as it is.

    Args:
        name: of the column.
        infos: metrics of the task, with the units of those that are not registered measurements.
    """
    if name in COLUMNS:
        return COLUMNS[name]
    info = next((one for one in infos if one.key == name), None)
    if info is not None:
        fraction = info.unit == "fraction"
        return Column(_SHARE if fraction else info.unit, True, fraction, 1 if fraction else 3)
    if found := ATTACKED.fullmatch(name):
        return Column(_SHARE, found[1] == "pgd" and found[3] is None, True, 1)
    return Column("", True, name.endswith("accuracy"), 1 if name.endswith("accuracy") else 3)


#: Columns of which lower is better, also on another logit scale or at a fitted temperature.
_ERRORS = re.compile(r"(loss|rmse|mae|nll|brier|ece|expected_calibration_error|teacher_student_kl)(_.*)?")


def is_higher_better(name: str) -> bool | None:
    """Returns whether a higher value of a column is the better one; None where neither direction is."""
    if _ERRORS.fullmatch(name):
        return False
    return True if column_of(name).percent or name == "r2" else None
