"""What the tests of methods are run on: features of every kind, labels, networks, and a loss with all its parts."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from rolewise.batch import Batch, Outputs
from rolewise.distill import METHODS, Distiller, Method, configure
from rolewise.models import build
from rolewise.tasks import Classification, Detection, Segmentation, Task

#: Methods that are functions of tensors, and those that are terms with learned parts or state.
FUNCTIONS = [name for name in METHODS if METHODS[name].term is None]
TERMS = [name for name in METHODS if METHODS[name].term is not None]
#: Settings with which a term is small enough for tests.
SMALL: dict[str, dict[str, Any]] = {"crd": {"width": 5, "negatives": 12}, "review_kd": {"middle": 5}}
SMALL["hkd"] = {"width": 5, "negatives": 12, "neighbours": 3}
#: The levels of a detector, which are the stages of the tests' networks.
SMALL |= {
    name: {"student_taps": "last_stage", "teacher_taps": "last_stage"} for name in ("fgd", "defeat", "pearson_kd")
}
#: Of texts, whose tokens are here the places of maps.
SMALL |= {
    name: {"heads": 1, "student_taps": ["stage1"] * count, "teacher_taps": ["stage1"] * count}
    for name, count in (("tinybert_attention", 2), ("minilm", 3), ("minilm_v2", 3))
}
SMALL |= {name: {"student_taps": "stage1", "teacher_taps": "stage1"} for name in ("hidden_cosine", "tinybert_hidden")}
SMALL["semckd"] = {"width": 3}
SMALL["vitkd"] = {"student_taps": ["stage1", "stage2"], "teacher_taps": ["stage1", "stage2"]}
SMALL["patient"] = {"token": "mean", "student_taps": "stage2", "teacher_taps": "stage1"}
#: Methods whose trainings of many steps are among the slow tests; the others stand for them in each run.
SELDOM = {
    *("cat_kd", "manifold", "norm_direction", "ofa", "ofd", "sdd", "semckd", "simkd", "srrl", "vitkd", "vkd"),
    *("crld", "mlkd", "sskd", "fcfd", "uskd", "kta", "pad", "srd", "dist_plus", "skd_direction", "quadratic_kd", "hkd"),
}
#: Methods that read masks or boxes, which classification has not.
DENSE = [name for name in METHODS if METHODS[name].targets in ("masks", "boxes")]
#: The classes of the source that the tests' images are the first rows of, and its size.
CLASSES = torch.arange(24) % 5
#: What a loss gets of one network: a tensor, or one of each stage.
Given = Any
#: The shapes of stages: the last has more channels than places.
STAGES = ((6, 3, 4), (4, 2, 3), (7, 2, 2))


def features(name: str, batch: int, seed: int, dtype: torch.dtype = torch.float64) -> Given:
    """What a method reads: logits [B, 5], maps [B, 6, 3, 4] after a ReLU, or several such."""
    generator = torch.Generator().manual_seed(seed)
    if METHODS[name].reads == "logits":
        return 3 * torch.randn(batch, 5, generator=generator, dtype=dtype)
    if METHODS[name].reads == "stages":
        return [torch.randn(batch, *shape, generator=generator, dtype=dtype).relu() for shape in STAGES]
    return torch.randn(batch, *STAGES[0], generator=generator, dtype=dtype).relu()


def pair(name: str, batch: int, dtype: torch.dtype = torch.float64) -> tuple[Given, Given]:
    return features(name, batch, 1, dtype), features(name, batch, 2, dtype)


def each(change: Callable[..., Any], *given: Given) -> Given:
    """Applies to each stage what is written for one tensor."""
    if isinstance(given[0], list):
        return [change(*stages) for stages in zip(*given, strict=True)]
    return change(*given)


def seldom(names: Iterable[str]) -> list[Any]:
    """Names as parameters of a test of many steps, some of which are marked as slow."""
    return [pytest.param(name, marks=pytest.mark.slow) if name in SELDOM else name for name in names]


def tensors(given: Given) -> list[Tensor]:
    return given if isinstance(given, list) else [given]


def estimator_of(name: str, given: Given) -> nn.Module | None:
    """The learned part that a loss gets, with weights of its own but always the same."""
    make = METHODS[name].estimator
    if make is None:
        return None
    made = make([some.shape for some in tensors(given)]).to(tensors(given)[0].dtype)
    generator = torch.Generator().manual_seed(9)
    for weight in made.parameters():
        nn.init.normal_(weight, 0.0, 0.7, generator=generator)
    return made


def labels_of(name: str, batch: int) -> list[Tensor | None]:
    """What a loss gets of the targets: classes, then shares of two of them (of one in the last example); or None.

    Masks are [B, 6, 8] of 3 classes, with pixels that do not count; boxes [B, 2, 4], in fractions of the image.
    """
    if METHODS[name].targets == "masks":
        masks = (torch.arange(batch * 48).view(batch, 6, 8) // 5) % 3
        masks[:, :2, 5:], masks[-1, 4:] = -1, -1
        return [masks]
    if METHODS[name].targets == "boxes":
        corners = torch.rand(batch, 2, 2, 2, generator=torch.Generator().manual_seed(8), dtype=torch.float64)
        return [corners.sort(2)[0].flatten(2)]
    if not METHODS[name].wants_labels:
        return [None]
    first, second = torch.arange(batch) % 5, (3 * torch.arange(batch) + 1) % 5
    share = torch.linspace(0.1, 1, batch, dtype=torch.float64)[:, None]
    two = share * functional.one_hot(first, 5) + (1 - share) * functional.one_hot(second, 5)
    return [first, two]


def targets_for(name: str, labels: Tensor | None) -> dict[str, Tensor]:
    """Targets under the keyword that the loss takes them by; none where it takes none."""
    return {} if labels is None else {METHODS[name].targets or "": labels}


def loss_of(name: str, given: Given, labels: Tensor | None = None, **settings: Any) -> Callable[..., Tensor]:
    """The method's loss, complete with its learned part and targets: the first of `labels_of` where none are given."""
    estimator = estimator_of(name, given)
    if estimator is not None:
        settings["estimator"] = estimator
    if METHODS[name].targets:
        settings |= targets_for(name, labels_of(name, len(tensors(given)[0]))[0] if labels is None else labels)
    return functools.partial(METHODS[name].loss, **settings)


def numpy_of(module: nn.Module) -> dict[str, np.ndarray]:
    return {key: value.detach().numpy() for key, value in module.named_parameters()}


class Located(Classification):
    """Images with boxes, and a loss of their own for any network: what methods read of a detector, without one."""

    name = "detection"

    def check(self, batch: Batch) -> None:
        assert all(target["boxes"].shape[1:] == (4,) for target in batch.targets)

    def check_outputs(self, outputs: Outputs, batch: Batch, *, values: bool) -> None:
        assert len(outputs.logits) == len(batch.targets)

    def losses(self, outputs: Outputs, batch: Batch, *, reduction: Any = "none") -> Mapping[str, Tensor]:
        return {"labels": outputs.logits.square().mean()}

    def example_targets(self, outputs: Outputs) -> Any:
        return [{"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)} for _ in outputs.logits]


def task_for(name: str) -> Task:
    """A task that a method goes with."""
    if METHODS[name].targets == "boxes" and METHODS[name].reads == "logits":
        return Detection()  # whose outputs it reads
    tasks: dict[str | None, Task] = {"masks": Segmentation(), "boxes": Located()}
    return tasks.get(METHODS[name].targets, Classification())


def networks_for(name: str, seed: int = 0, classes: int = 5) -> tuple[nn.Module, nn.Module]:
    """Teacher and student of such a task."""
    arguments: dict[str, Any] = {"num_classes": classes, "channels": 1, "size": (8, 8)}
    if isinstance(task_for(name), Detection):
        widths = [2, 3, 4, 4], [3, 4, 5, 6]
        pair = [
            build(
                "fcos_small",
                num_classes=classes,
                channels=1,
                widths=widths[role],
                depth=0,
                bins=5,
                seed=seed + role + 1,
            )
            for role in (0, 1)
        ]
        return pair[1], pair[0]
    if name == "simkd":
        student = build(
            "reused_head", body="small_cnn", body_arguments={"widths": (4, 6)}, width=8, seed=seed + 1, **arguments
        )
        return networks(seed, classes)[0], student
    if name == "deit_token":
        return networks(seed, classes)[0], build("vit_mini", depth=1, distilled=True, seed=seed + 1, **arguments)
    if "branch_logits" in METHODS[name].taps:
        widths = ([4, 6], [6, 8])
        pair = [
            build("branched", base="small_cnn", arguments={"widths": w}, seed=seed + n + 1, **arguments)
            for n, w in enumerate(widths)
        ]
        return pair[1], pair[0]
    if name == "bss":
        pair = list(networks(seed, classes))
        for network in pair:
            # Both have the class of `batch_for` right, so that there is something to attack.
            network.get_parameter("fc.bias").data[0] += 1
        return pair[0], pair[1]
    if METHODS[name].targets != "masks":
        return networks(seed, classes)
    student = build("unet", widths=(4, 6), seed=seed + 1, **arguments)
    return build("unet", widths=(6, 8), seed=seed + 2, **arguments), student


def batch_for(name: str, num: int, dtype: torch.dtype = torch.float32) -> Batch:
    """A batch of such a task, the first rows of the source."""
    images, labels = batch_of(num, dtype)
    targets: Any = labels
    if name == "bss":
        targets = torch.zeros_like(labels)
    stream = torch.Generator().manual_seed(6)
    if METHODS[name].targets == "masks":
        targets = torch.randint(0, 5, (num, 8, 8), generator=stream)
        targets[:, 0], targets[0, :, 2:] = 255, 255
    elif METHODS[name].targets == "boxes":
        if isinstance(task_for(name), Detection):
            images = torch.rand(num, 1, 16, 24, generator=stream, dtype=torch.float64).to(dtype)
        side = images.shape[2]
        corners = (side * torch.rand(num, 2, 2, 2, generator=stream)).sort(2)[0].flatten(2)
        targets = [{"boxes": boxes, "labels": torch.zeros(2, dtype=torch.int64)} for boxes in corners]
    batch, term = with_rows(images, targets), METHODS[name].term
    return replace(batch, views={view: images.flip(3) for view in (() if term is None else term.views)})


def networks(seed: int = 0, classes: int = 5) -> tuple[nn.Module, nn.Module]:
    arguments = {"num_classes": classes, "channels": 1, "size": (8, 8)}
    student = build("small_cnn", widths=(4, 6), seed=seed + 1, **arguments)
    return build("small_cnn", widths=(6, 8), seed=seed + 2, **arguments), student


def batch_of(num: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    images = torch.rand(num, 1, 8, 8, generator=generator, dtype=torch.float64).to(dtype)
    return images, torch.randint(0, 5, (num,), generator=generator)


def small(name: str, **settings: Any) -> Method:
    """The method as its defaults have it, but for sizes."""
    return configure(name, **SMALL.get(name, {}), **settings)


def make(name: str, seed: int = 0) -> Distiller:
    teacher, student = networks_for(name, seed)
    given = {"example": batch_for(name, 2).inputs, "generator": seed, "labels": CLASSES, "task": task_for(name)}
    return Distiller(teacher, student, [small(name)], **given)  # type: ignore[arg-type]


#: Terms that compare an example with itself in an earlier step, and so have no loss in the first one.
LOOKS_BACK = ("dlb", "ps_kd")


def stepped(distiller: Distiller, batch: Batch) -> Distiller:
    """The same Distiller after a step on a batch, without gradients."""
    distiller(batch).total.backward()
    torch.optim.SGD(distiller.trainable_parameters(), lr=0.1).step()
    distiller.zero_grad()
    distiller.after_step()
    return distiller


def with_rows(images: Tensor, labels: Any) -> Batch:
    """A batch of the first rows of the source."""
    return Batch(images, labels, torch.arange(len(images)))
