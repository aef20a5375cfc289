"""Robustness to attacks: with gradients and without, AutoAttack, accuracy over radii, masked gradients."""

from rolewise.instruments.robustness.attacks import Attack, fgsm, pgd
from rolewise.instruments.robustness.auto_attack import auto_attack
from rolewise.instruments.robustness.boxed_images import adversarial_boxed_images, corner_noise
from rolewise.instruments.robustness.curves import RobustAccuracy, robust_accuracy
from rolewise.instruments.robustness.diverse_inputs import Shrinking, di_fgsm
from rolewise.instruments.robustness.gradient_free import nes, random_search
from rolewise.instruments.robustness.masked_gradients import Finding, MaskingCheck, masking_check

__all__ = [
    "Attack",
    "Finding",
    "MaskingCheck",
    "RobustAccuracy",
    "Shrinking",
    "adversarial_boxed_images",
    "auto_attack",
    "corner_noise",
    "di_fgsm",
    "fgsm",
    "masking_check",
    "nes",
    "pgd",
    "random_search",
    "robust_accuracy",
]
