"""Networks: a registry, the families that come with Rolewise, and any ``torch.nn.Module`` by import path."""

from rolewise.models import (  # noqa: F401  (they fill the registry)
    bag_of_embeddings,
    branched,
    densenet,
    fcos,
    mobilenet_v2,
    resnet,
    shufflenet,
    small,
    unet,
    vgg,
    vit,
    wide,
)
from rolewise.models.model_registry import GIVEN, MODELS, build, construct, count_parameters, init_from
from rolewise.models.reused_head import with_reused_head
from rolewise.taps import taps_of

__all__ = [
    "GIVEN",
    "MODELS",
    "build",
    "construct",
    "count_parameters",
    "init_from",
    "taps_of",
    "with_reused_head",
]
