"""Robustness to attacks: FGSM, PGD, attacks without gradients, AutoAttack, accuracy over radii, masked gradients."""

from rolewise.analysis.robustness.attacks import Attack, fgsm, pgd
from rolewise.analysis.robustness.auto_attack import auto_attack
from rolewise.analysis.robustness.curves import RobustAccuracy, robust_accuracy
from rolewise.analysis.robustness.gradient_free import nes, random_search
from rolewise.analysis.robustness.masking import Finding, MaskingCheck, masking_check

__all__ = [
    "Attack",
    "Finding",
    "MaskingCheck",
    "RobustAccuracy",
    "auto_attack",
    "fgsm",
    "masking_check",
    "nes",
    "pgd",
    "random_search",
    "robust_accuracy",
]
