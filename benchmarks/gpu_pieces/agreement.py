"""What a device computes against what the CPU does: draws, operations, losses, a short training.

Each part takes the device and whether to be quick; `benchmarks/gpu_part.py` runs one of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from rolewise.augment import OPS, Mix, Plan, Policy, Triple, apply, build_schedule, mix_images, mix_labels
from rolewise.batch import Batch
from rolewise.data import read
from rolewise.distill import METHODS, Distiller, configure
from rolewise.inputs import InputSpec
from rolewise.models import build as network
from rolewise.seeds import generator
from rolewise.tasks import Classification, Detection, Segmentation, Task
from rolewise.train import OptimizerSettings, Trainee, TrainSettings, evaluate

SPEC = InputSpec((0.3,), (0.4,))


def images_of(count: int, channels: int, side: int) -> Tensor:
    """Returns uint8 [count, channels, side, side] on the CPU, always the same."""
    shape = (count, channels, side, side)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator(0, "images", count, channels, side))


def draws(device: torch.device, quick: bool = False) -> dict[str, Any]:
    """Compares what is drawn and mixed for images on the device and on the CPU: plans, order, mixed images, labels."""
    count = 64 if quick else 2048
    images, labels = images_of(count, 3, 32), torch.arange(count) % 10
    found: dict[str, Any] = {"images": count}
    for method in ("mixup", "cutmix"):
        plan = Mix(method).draw(labels, (32, 32), generator(0, method), batch_size=32)
        mine, theirs = mix_images(images, plan), mix_images(images.to(device), plan.to(device)).cpu()
        soft = mix_labels(labels.to(device), plan.to(device), 10).cpu() - mix_labels(labels, plan, 10)
        found[method] = differences(mine, theirs) | {"labels_differ_by": float(soft.abs().max())}
    for name in ("randaugment", "trivialaugment", "standard"):
        plans = [build_schedule(name).at(0.5).draw(count, (3, 32, 32), generator(0, name)) for _ in range(2)]
        moved = plans[1].to(device).to("cpu")
        same = all(torch.equal(a, b) for a, b in zip(parts(plans[0]), parts(moved), strict=True))
        theirs = apply(images.to(device), plans[1].to(device)).cpu()
        found[name] = {"draws_equal": same} | differences(apply(images, plans[0]), theirs)
    return found


def parts(plan: Plan) -> tuple[Tensor, Tensor, Tensor]:
    """Returns the tensors of a plan."""
    return plan.ops, plan.values, plan.draws


def operations(device: torch.device, quick: bool = False) -> dict[str, Any]:
    """Compares every operation's images to the byte, for both interpolations, grey and coloured."""
    found: dict[str, Any] = {}
    for name in OPS:
        policy = Policy((Triple(name, 1.0, 0.8),), counts=(0, 1))
        for channels in (1, 3):
            for side in (8,) if quick else (28, 32, 224):
                images = images_of(16 if quick else 64, channels, side)
                plan = policy.draw(len(images), (channels, side, side), generator(1, name))
                for interpolation in ("nearest", "bilinear"):
                    mine = apply(images, plan, interpolation=interpolation)
                    theirs = apply(images.to(device), plan, interpolation=interpolation).cpu()
                    found[f"{name} {channels}x{side}x{side} {interpolation}"] = differences(mine, theirs)
    return found


def differences(mine: Tensor, theirs: Tensor) -> dict[str, Any]:
    """Returns the share of values that differ, and by how much at most."""
    gap = (mine.double() - theirs.double()).abs()
    return {"differ": float((gap > 0).double().mean()), "by": float(gap.max())}


#: Taps of methods whose own are those of encoders and detectors; tokens are here the places of maps.
_TAPPED: dict[str, dict[str, Any]] = {
    name: {"heads": 1, "student_taps": ["stage1"] * count, "teacher_taps": ["stage1"] * count}
    for name, count in (("tinybert_attention", 2), ("minilm", 3), ("minilm_v2", 3))
}
_TAPPED |= {name: {"student_taps": "stage1", "teacher_taps": "stage1"} for name in ("hidden_cosine", "tinybert_hidden")}
_TAPPED["patient"] = {"token": "mean", "student_taps": "stage2", "teacher_taps": "stage1"}
_TAPPED["vitkd"] = {"student_taps": ["stage1", "stage2"], "teacher_taps": ["stage1", "stage2"]}
_TAPPED["pearson_kd"] = {"student_taps": "last_stage", "teacher_taps": "last_stage"}


#: Students of methods that need a network of a kind of their own.
_OWN_NETWORKS = {"simkd": "reused_head", "deit_token": "vit_mini"}


def _dense_case(name: str) -> tuple[str, Task, Tensor, Any] | None:
    """Returns a network's name, a task, images and targets for a method that reads masks or boxes; else None."""
    stream = generator(0, "targets")
    if METHODS[name].targets == "masks":
        return "unet", Segmentation(), images_of(16, 1, 8), torch.randint(0, 5, (16, 8, 8), generator=stream)
    if METHODS[name].targets != "boxes":
        return None
    corners = torch.rand(16, 2, generator=stream) * 16
    boxes = torch.cat([corners, corners + 6 + torch.rand(16, 2, generator=stream) * 8], 1)
    targets = [{"boxes": box[None], "labels": torch.tensor([at % 5])} for at, box in enumerate(boxes)]
    return "fcos_small", Detection(), images_of(16, 1, 32), targets


def _sized(kind: str, role: int) -> nn.Module:
    """Returns the student, 0, or the teacher, 1, of a kind of network; a student may end in its teacher's head."""
    shape: dict[str, Any] = {"num_classes": 5, "channels": 1, "seed": role + 1}
    if kind == "fcos_small":
        return network(kind, widths=((4, 6, 6, 8), (6, 8, 8, 8))[role], depth=0, bins=5, **shape)
    if kind == "reused_head" and not role:
        return network(kind, body="small_cnn", body_arguments={"widths": (4, 6)}, width=8, size=(8, 8), **shape)
    if kind == "vit_mini" and not role:
        return network(kind, depth=1, distilled=True, size=(8, 8), **shape)
    if kind == "branched":
        return network(kind, base="small_cnn", arguments={"widths": ((4, 6), (6, 8))[role]}, size=(8, 8), **shape)
    kind = "small_cnn" if kind in ("reused_head", "vit_mini") else kind
    return network(kind, widths=((4, 6), (6, 8))[role], size=(8, 8), **shape)


def losses(device: torch.device, quick: bool = False) -> dict[str, Any]:
    """Compares every method's loss and the student's gradient, relative to their size, in two precisions."""
    found: dict[str, Any] = {}
    labels = torch.arange(16) % 5
    for name in METHODS:
        plain = _OWN_NETWORKS.get(name, "branched" if "branch_logits" in METHODS[name].taps else "small_cnn")
        kind, task, images, targets = _dense_case(name) or (plain, Classification(), images_of(16, 1, 8), labels)
        term = METHODS[name].term
        for dtype in (torch.float64, torch.float32):
            values = []
            for place in (torch.device("cpu"), device):
                teacher, student = (_sized(kind, role) for role in (1, 0))
                pixels = images.to(dtype) / 255
                given: dict[str, Any] = {"example": pixels[:2].float(), "examples": len(images), "task": task}
                if kind == plain:
                    given["labels"] = labels
                methods = [configure(name, **_TAPPED.get(name, {}))]
                distiller = Distiller(teacher, student, methods, generator=0, **given).to(place, dtype)
                views = {view: pixels.flip(3) for view in (() if term is None else term.views)}
                batch = Batch(pixels, targets, torch.arange(16), views).to(place)
                total = distiller(batch).total
                learned = [weight for weight in distiller.student.parameters() if weight.requires_grad]
                gradients = torch.autograd.grad(total, learned, allow_unused=True)
                flat = [one.flatten() for one in gradients if one is not None]
                values.append((total.detach().cpu().double(), torch.cat(flat).cpu().double()))
            (mine, own), (theirs, other) = values
            found[f"{name} {str(dtype).removeprefix('torch.')}"] = {
                "loss": float(mine),
                "relative": float((mine - theirs).abs() / mine.abs()),
                "gradient_relative": float((own - other).norm() / own.norm()),
            }
    return found


def training(device: torch.device, quick: bool = False) -> dict[str, Any]:
    """Trains the same small student on both, twice on the device, and compares weights and accuracy on digits."""
    source = read("digits").train
    train, held = torch.arange(1000), torch.arange(1000, len(source))
    found: dict[str, Any] = {}
    weights: dict[str, Tensor] = {}
    for name, place in (("cpu", torch.device("cpu")), ("device", device), ("device again", device)):
        shape: dict[str, Any] = {"num_classes": 10, "channels": 1, "size": (8, 8)}
        teacher = network("small_cnn", widths=(32, 64), seed=2, **shape)
        student = network("small_cnn", widths=(16, 32), seed=1, **shape)
        methods = [configure("kd", weight=0.9)]
        distiller = Distiller(teacher, student, methods, label_weight=0.1, teacher_input=SPEC, student_input=SPEC)
        settings = TrainSettings(
            epochs=1 if quick else 20, batch_size=50, optimizer=OptimizerSettings(name="adam", learning_rate=0.01)
        )
        trainee = Trainee(
            distiller.to(place),
            source,
            train,
            augmentation=build_schedule("randaugment"),
            settings=settings,
            seed=3,
            device=place,
        )
        began = time.perf_counter()
        trainee.run_epochs(0, settings.epochs)
        metrics = evaluate(trainee.model, source, held, SPEC, device=place)
        weights[name] = torch.cat([weight.detach().cpu().flatten() for weight in trainee.model.parameters()])
        found[name] = {"accuracy": metrics.accuracy, "loss": metrics.loss, "seconds": time.perf_counter() - began}
    size = weights["cpu"].norm()
    found["weights_relative"] = float((weights["cpu"] - weights["device"]).norm() / size)
    found["weights_equal_again"] = torch.equal(weights["device"], weights["device again"])
    return found


PARTS: dict[str, Callable[[torch.device, bool], dict[str, Any]]] = {
    "draws": draws,
    "operations": operations,
    "losses": losses,
    "training": training,
}
