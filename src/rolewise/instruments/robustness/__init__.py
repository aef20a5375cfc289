"""Robustness to attacks: FGSM, PGD, attacks without gradients, AutoAttack, accuracy over radii, masked gradients."""

from rolewise.instruments.robustness.attacks import Attack, fgsm, pgd
from rolewise.instruments.robustness.auto_attack import auto_attack
from rolewise.instruments.robustness.curves import RobustAccuracy, robust_accuracy
from rolewise.instruments.robustness.gradient_free import nes, random_search
from rolewise.instruments.robustness.masked_gradients import Finding, MaskingCheck, masking_check

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
