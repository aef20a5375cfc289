"""Analysis: reads results and networks, says what they support."""

from rolewise.analysis.calibration import (
    Reliability,
    adaptive_calibration_error,
    classwise_calibration_error,
    expected_calibration_error,
    maximum_calibration_error,
    reliability,
)
from rolewise.analysis.comparison import ArmRow, compare, verdict
from rolewise.analysis.faults import FAULTS, Fault, Sanity, Thresholds
from rolewise.analysis.fidelity import (
    Fidelity,
    agreement_reliability,
    average_predictive_kl,
    fidelity,
    predictive_kl,
    top1_agreement,
)
from rolewise.analysis.landscape import LossLine, LossPlane, loss_line, loss_plane, random_loss_plane
from rolewise.analysis.measures import UNITS, measure
from rolewise.analysis.prediction import Predictions, predict
from rolewise.analysis.regret import Regret, regret
from rolewise.analysis.sanity import teacher_faults
from rolewise.analysis.scores import (
    BrierParts,
    accuracy,
    brier_decomposition,
    brier_score,
    negative_log_likelihood,
    top_k_accuracy,
)
from rolewise.analysis.slopes import input_gradient_norm, jacobian_norm, sampled_lipschitz
from rolewise.analysis.smoothness import LinearityGap, linearity_gap, mean_entropy
from rolewise.analysis.statistics import Estimate, estimate, holm, paired
from rolewise.analysis.teacher_deviation import teacher_deviation
from rolewise.analysis.temperature import TemperatureEffect, TemperatureFit, fit_temperature, temperature_effect
from rolewise.analysis.twins import TwinRow, against_twins
from rolewise.analysis.weights import filter_normalised_direction, recompute_batch_norm

__all__ = [
    "FAULTS",
    "UNITS",
    "ArmRow",
    "BrierParts",
    "Estimate",
    "Fault",
    "Fidelity",
    "LinearityGap",
    "LossLine",
    "LossPlane",
    "Predictions",
    "Regret",
    "Reliability",
    "Sanity",
    "TemperatureEffect",
    "TemperatureFit",
    "Thresholds",
    "TwinRow",
    "accuracy",
    "adaptive_calibration_error",
    "against_twins",
    "agreement_reliability",
    "average_predictive_kl",
    "brier_decomposition",
    "brier_score",
    "classwise_calibration_error",
    "compare",
    "estimate",
    "expected_calibration_error",
    "fidelity",
    "filter_normalised_direction",
    "fit_temperature",
    "holm",
    "input_gradient_norm",
    "jacobian_norm",
    "linearity_gap",
    "loss_line",
    "loss_plane",
    "maximum_calibration_error",
    "mean_entropy",
    "measure",
    "negative_log_likelihood",
    "paired",
    "predict",
    "predictive_kl",
    "random_loss_plane",
    "recompute_batch_norm",
    "regret",
    "reliability",
    "sampled_lipschitz",
    "teacher_deviation",
    "teacher_faults",
    "temperature_effect",
    "top1_agreement",
    "top_k_accuracy",
    "verdict",
]
