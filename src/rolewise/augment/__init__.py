"""Augmentation: drawn for each image, applied to the batch."""

from rolewise.augment.box_size import BoxSizeAugmentation
from rolewise.augment.kernel import build_kernel
from rolewise.augment.mix import Mix
from rolewise.augment.mix_batch import cutmix_batch, mix_images, mix_labels, mixup_batch
from rolewise.augment.mix_plan import MixPlan
from rolewise.augment.moved_targets import apply_to_boxes, apply_to_masks, apply_to_points, geometric, in_turn
from rolewise.augment.ops import OPS, PBA_OPS, TOKEN_OPS, Op
from rolewise.augment.own_ops import import_operation, operation
from rolewise.augment.plan import Plan
from rolewise.augment.plan_application import apply
from rolewise.augment.policy import Augmentation, Policy, Triple
from rolewise.augment.presets import PRESETS, build_schedule
from rolewise.augment.published import PUBLISHED_OPS, Published, load_published
from rolewise.augment.random_policies import RandomOps, SubPolicies
from rolewise.augment.schedule import Schedule, augmentation_from_json, random_schedule
from rolewise.augment.token_augmentation import apply_to_tokens
from rolewise.augment.torchvision_spaces import TorchvisionOps, TorchvisionPolicy

__all__ = [
    "OPS",
    "PBA_OPS",
    "PRESETS",
    "PUBLISHED_OPS",
    "TOKEN_OPS",
    "Augmentation",
    "BoxSizeAugmentation",
    "Mix",
    "MixPlan",
    "Op",
    "Plan",
    "Policy",
    "Published",
    "RandomOps",
    "Schedule",
    "SubPolicies",
    "TorchvisionOps",
    "TorchvisionPolicy",
    "Triple",
    "apply",
    "apply_to_boxes",
    "apply_to_masks",
    "apply_to_points",
    "apply_to_tokens",
    "augmentation_from_json",
    "build_kernel",
    "build_schedule",
    "cutmix_batch",
    "geometric",
    "import_operation",
    "in_turn",
    "load_published",
    "mix_images",
    "mix_labels",
    "mixup_batch",
    "operation",
    "random_schedule",
]
