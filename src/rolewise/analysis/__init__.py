"""Analysis: reads results and networks, says what they support."""

from rolewise.analysis.calibration import (
    Reliability,
    adaptive_calibration_error,
    classwise_calibration_error,
    expected_calibration_error,
    maximum_calibration_error,
    reliability,
)
from rolewise.analysis.comparison import ArmRow, caution, compare, verdict
from rolewise.analysis.corruptions import (
    CORRUPTIONS,
    Corruption,
    CorruptionTable,
    RelativeError,
    corrupt,
    corruption_accuracy,
    corruption_names,
    relative_error,
)
from rolewise.analysis.dispersion import Dispersion, class_means, dispersion
from rolewise.analysis.embedding import Components, Neighbours, pca, tsne
from rolewise.analysis.faults import FAULTS, Fault, Sanity, Thresholds
from rolewise.analysis.features import Features, features_of
from rolewise.analysis.fidelity import (
    Fidelity,
    agreement_reliability,
    average_predictive_kl,
    fidelity,
    predictive_kl,
    top1_agreement,
)
from rolewise.analysis.geometry import Plane, ProjectedPairs, class_templates, project_pairs, template_plane
from rolewise.analysis.landscape import LossLine, LossPlane, loss_line, loss_plane, random_loss_plane
from rolewise.analysis.measures import UNITS, measure
from rolewise.analysis.prediction import Predictions, predict
from rolewise.analysis.regret import Regret, regret
from rolewise.analysis.robustness import (
    Attack,
    Finding,
    MaskingCheck,
    RobustAccuracy,
    auto_attack,
    fgsm,
    masking_check,
    nes,
    pgd,
    random_search,
    robust_accuracy,
)
from rolewise.analysis.sanity import teacher_faults
from rolewise.analysis.scores import (
    BrierParts,
    accuracy,
    brier_decomposition,
    brier_score,
    negative_log_likelihood,
    top_k_accuracy,
)
from rolewise.analysis.similarity import Similarity, cka, cka_matrix, gram, hsic
from rolewise.analysis.slopes import input_gradient_norm, jacobian_norm, sampled_lipschitz
from rolewise.analysis.smoothness import LinearityGap, linearity_gap, mean_entropy
from rolewise.analysis.statistics import Estimate, estimate, holm, paired
from rolewise.analysis.teacher_deviation import teacher_deviation
from rolewise.analysis.temperature import TemperatureEffect, TemperatureFit, fit_temperature, temperature_effect
from rolewise.analysis.twins import TwinRow, against_twins
from rolewise.analysis.weights import filter_normalised_direction, recompute_batch_norm

__all__ = [
    "CORRUPTIONS",
    "FAULTS",
    "UNITS",
    "ArmRow",
    "Attack",
    "BrierParts",
    "Components",
    "Corruption",
    "CorruptionTable",
    "Dispersion",
    "Estimate",
    "Fault",
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
    "Regret",
    "RelativeError",
    "Reliability",
    "RobustAccuracy",
    "Sanity",
    "Similarity",
    "TemperatureEffect",
    "TemperatureFit",
    "Thresholds",
    "TwinRow",
    "accuracy",
    "adaptive_calibration_error",
    "against_twins",
    "agreement_reliability",
    "auto_attack",
    "average_predictive_kl",
    "brier_decomposition",
    "brier_score",
    "caution",
    "cka",
    "cka_matrix",
    "class_means",
    "class_templates",
    "classwise_calibration_error",
    "compare",
    "corrupt",
    "corruption_accuracy",
    "corruption_names",
    "dispersion",
    "estimate",
    "expected_calibration_error",
    "features_of",
    "fgsm",
    "fidelity",
    "filter_normalised_direction",
    "fit_temperature",
    "gram",
    "holm",
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
    "paired",
    "pca",
    "pgd",
    "predict",
    "predictive_kl",
    "project_pairs",
    "random_loss_plane",
    "random_search",
    "recompute_batch_norm",
    "regret",
    "relative_error",
    "reliability",
    "robust_accuracy",
    "sampled_lipschitz",
    "teacher_deviation",
    "teacher_faults",
    "temperature_effect",
    "template_plane",
    "top1_agreement",
    "top_k_accuracy",
    "tsne",
    "verdict",
]
