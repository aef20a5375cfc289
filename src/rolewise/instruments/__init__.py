"""Instruments: measurements of networks, from accuracy and calibration to robustness and similarity."""

from rolewise.instruments.calibration import (
    Reliability,
    adaptive_calibration_error,
    classwise_calibration_error,
    expected_calibration_error,
    maximum_calibration_error,
    reliability,
)
from rolewise.instruments.corruptions import (
    CORRUPTIONS,
    Corruption,
    CorruptionTable,
    RelativeError,
    corrupt,
    corruption_accuracy,
    corruption_names,
    relative_error,
)
from rolewise.instruments.dispersion import Dispersion, class_means, dispersion
from rolewise.instruments.embedding import Components, Neighbours, pca, tsne
from rolewise.instruments.features import Features, features_of
from rolewise.instruments.fidelity import (
    Fidelity,
    agreement_reliability,
    average_predictive_kl,
    fidelity,
    predictive_kl,
    top1_agreement,
)
from rolewise.instruments.frequency_band import frequency_band
from rolewise.instruments.kernel_alignment import Similarity, cka, cka_matrix, gram, hsic
from rolewise.instruments.landscape import LossLine, LossPlane, loss_line, loss_plane, random_loss_plane
from rolewise.instruments.measures import UNITS, measure
from rolewise.instruments.prediction import Predictions, predict
from rolewise.instruments.robustness import (
    Attack,
    Finding,
    MaskingCheck,
    RobustAccuracy,
    Shrinking,
    auto_attack,
    di_fgsm,
    fgsm,
    masking_check,
    nes,
    pgd,
    random_search,
    robust_accuracy,
)
from rolewise.instruments.scores import (
    BrierParts,
    accuracy,
    brier_decomposition,
    brier_score,
    negative_log_likelihood,
    top_k_accuracy,
)
from rolewise.instruments.slopes import input_gradient_norm, jacobian_norm, sampled_lipschitz
from rolewise.instruments.smoothness import LinearityGap, linearity_gap, mean_entropy
from rolewise.instruments.teacher_deviation import teacher_deviation
from rolewise.instruments.temperature import TemperatureEffect, TemperatureFit, fit_temperature, temperature_effect
from rolewise.instruments.template_plane import Plane, ProjectedPairs, class_templates, project_pairs, template_plane
from rolewise.instruments.weight_space import filter_normalised_direction, recompute_batch_norm

__all__ = [
    "CORRUPTIONS",
    "UNITS",
    "Attack",
    "BrierParts",
    "Components",
    "Corruption",
    "CorruptionTable",
    "Dispersion",
    "Features",
    "Fidelity",
    "Finding",
    "LinearityGap",
    "LossLine",
    "LossPlane",
    "MaskingCheck",
    "Neighbours",
    "Plane",
    "Predictions",
    "ProjectedPairs",
    "RelativeError",
    "Reliability",
    "RobustAccuracy",
    "Shrinking",
    "Similarity",
    "TemperatureEffect",
    "TemperatureFit",
    "accuracy",
    "adaptive_calibration_error",
    "agreement_reliability",
    "auto_attack",
    "average_predictive_kl",
    "brier_decomposition",
    "brier_score",
    "cka",
    "cka_matrix",
    "class_means",
    "class_templates",
    "classwise_calibration_error",
    "corrupt",
    "corruption_accuracy",
    "corruption_names",
    "di_fgsm",
    "dispersion",
    "expected_calibration_error",
    "features_of",
    "fgsm",
    "fidelity",
    "filter_normalised_direction",
    "fit_temperature",
    "frequency_band",
    "gram",
    "hsic",
    "input_gradient_norm",
    "jacobian_norm",
    "linearity_gap",
    "loss_line",
    "loss_plane",
    "masking_check",
    "maximum_calibration_error",
    "mean_entropy",
    "measure",
    "negative_log_likelihood",
    "nes",
    "pca",
    "pgd",
    "predict",
    "predictive_kl",
    "project_pairs",
    "random_loss_plane",
    "random_search",
    "recompute_batch_norm",
    "relative_error",
    "reliability",
    "robust_accuracy",
    "sampled_lipschitz",
    "teacher_deviation",
    "temperature_effect",
    "template_plane",
    "top1_agreement",
    "top_k_accuracy",
    "tsne",
]
