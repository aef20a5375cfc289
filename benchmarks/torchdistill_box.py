"""The same distillation step in torchdistill's box, where torchdistill is installed (see step.py)."""

from __future__ import annotations

import importlib
import sys
import types
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

INSTALL = "python -m pip install --no-deps torchdistill"


def box_class() -> tuple[Any, str]:
    """Returns torchdistill's DistillationBox and a note on how it was loaded.

    torchdistill imports torchvision for its own networks, which no step here uses. Where torchvision does not load
    beside this torch, empty classes take the place of the four that torchdistill names.

    Raises:
        ImportError: it cannot be loaded; the text says why.
    """
    note = ""
    try:
        importlib.import_module("torchvision.models")
    except (ImportError, RuntimeError):
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        empty = type("Empty", (nn.Module,), {})
        stand_ins: dict[str, dict[str, Any]] = {
            "torchvision": {},
            "torchvision.datasets": {},
            "torchvision.models": {},
            "torchvision.models.densenet": {"_DenseBlock": empty, "_Transition": empty},
            "torchvision.models.resnet": {"BasicBlock": empty, "conv1x1": None},
        }
        for name, content in stand_ins.items():
            module = types.ModuleType(name)
            module.__dict__.update(content)
            sys.modules[name] = module
        note = " (torchvision, which does not load here, replaced by empty classes: no step uses it)"
    try:
        distillation = importlib.import_module("torchdistill.core.distillation")
        importlib.import_module("torchdistill.losses.mid_level")
    except ImportError as error:
        raise ImportError(f"{error}; {INSTALL}") from error
    version = importlib.import_module("importlib.metadata").version("torchdistill")
    return distillation.DistillationBox, f"torchdistill {version}{note}"


def make_step(
    box: Any,
    teacher: nn.Module,
    student: nn.Module,
    taps: list[str],
    prepare: Callable[[Tensor], Tensor],
    settings: Any,
) -> Callable[[Tensor, Tensor], Tensor]:
    """Returns a step of KD, and of attention transfer where there are taps, under torchdistill's box.

    Args:
        box: the class from `box_class`.
        teacher: frozen, in eval mode.
        student: in training mode.
        taps: module paths of the maps for attention transfer, the same in both networks.
        prepare: makes the networks' input out of uint8 images.
        settings: with ``temperature``, ``kd_weight``, ``label_weight``, ``attention_weight`` and ``learning_rate``.
    """
    paths = {"student_module_path": ".", "student_module_io": "output"}
    paths |= {"teacher_module_path": ".", "teacher_module_io": "output"}
    numbers = {"temperature": settings.temperature, "alpha": settings.label_weight, "beta": settings.kd_weight}
    terms = {"kd": {"criterion": {"key": "KDLoss", "kwargs": {**paths, **numbers}}, "weight": 1.0}}
    hooks: dict[str, Any] = {}
    if taps:
        place = [{"path": path, "io": "output"} for path in taps]
        pairs = {one["path"]: {"student": one, "teacher": one, "weight": 1.0} for one in place}
        kwargs = {"at_pairs": pairs, "mode": "code"}
        terms["attention"] = {"criterion": {"key": "ATLoss", "kwargs": kwargs}, "weight": settings.attention_weight}
        hooks = {"forward_hook": {"output": taps}}
    config = {
        "num_epochs": 1,
        "teacher": {"requires_grad": False, "forward_proc": "forward_batch_only", **hooks},
        "student": {"forward_proc": "forward_batch_only", **hooks},
        "criterion": {"key": "WeightedSumLoss", "kwargs": {"sub_terms": terms}},
        "optimizer": {"key": "SGD", "kwargs": {"lr": settings.learning_rate, "momentum": 0.9}},
    }
    made = box(teacher, student, {}, config, next(student.parameters()).device, None, False, 1.0)
    teacher.eval()

    def step(images: Tensor, labels: Tensor) -> Tensor:
        total: Tensor = made.forward_process(prepare(images), labels)
        made.post_forward_process(total)
        return total.detach()

    return step
