"""What the Distiller checks of its parts and of each batch, before torch fails on it or trains on it in silence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

from rolewise.distill.registry import Method
from rolewise.errors import InputError
from rolewise.inputs import InputSpec
from rolewise.seeds import check_seed

#: How far from 1 the shares of soft labels may add up to, which half precision rounds.
_SLACK = {torch.float16: 1e-2, torch.bfloat16: 3e-2}


def methods_of(methods: object, *, teacher: bool) -> tuple[Method, ...]:
    """Returns configured methods as a tuple.

    Args:
        methods: what was given as such.
        teacher: whether there is a teacher to read.

    Raises:
        InputError: it is no list of configured methods, one stands twice, or there is nobody to read.
    """
    if isinstance(methods, (str, Mapping, Method)) or not isinstance(methods, Iterable):
        raise InputError(f"methods must be a list of configured methods, got {_said(methods)}")
    listed = tuple(methods)
    for method in listed:
        if not isinstance(method, Method):
            raise InputError(f"methods must be a list of configured methods, got one that is {_said(method)}")
    if listed and not teacher:
        raise InputError("methods must have a teacher to read, got none; give a teacher or leave the methods out")
    names = [method.info.name for method in listed]
    if len(set(names)) != len(names):
        raise InputError(f"methods must be distinct, got {names}; give one several taps instead of listing it twice")
    return listed


def _said(value: object) -> str:
    """Returns what was given in place of a method or a list of them, and how it is written."""
    if isinstance(value, Method):
        return f'"{value.info.name}" alone; write methods=[rw.{value.info.name}(...)]'
    if isinstance(value, str):
        return f"the text {value!r}; write methods=[rw.{value if value.isidentifier() else 'kd'}()]"
    if isinstance(value, Mapping):
        return "a mapping; write methods=rolewise.distill.build_methods([{...}])"
    if isinstance(value, (list, tuple)) and not all(isinstance(part, Method) for part in value):
        return "a pair or list of other things; a weight is the method's own: write methods=[rw.kd(weight=0.9)]"
    if isinstance(value, (list, tuple)):
        return "a list, as combinations are; write methods=[*rw.ii_kd(), ...]"
    if callable(value):
        name = getattr(value, "__name__", "kd")
        return f"the function {name}; call it, as in methods=[rw.{name}()], or register a loss of your own"
    return f"{value!r}; write methods=[rw.kd()], or methods=[] for none"


def check_parts(teacher_input: object, student_input: object, example: object, generator: object) -> None:
    """Raises InputError unless what a Distiller is made of has the right types; the networks are looked at apart."""
    for name, spec in (("teacher_input", teacher_input), ("student_input", student_input)):
        if spec is not None and not isinstance(spec, InputSpec):
            raise InputError(f"{name} must be a rolewise.InputSpec(mean, std), got {spec!r}")
    if example is not None and (not isinstance(example, Tensor) or not example.ndim):
        raise InputError(f"example must be a tensor of a few images, got {type(example).__name__}; give images[:2]")
    if not isinstance(generator, torch.Generator):
        check_seed("generator", generator)


def check_smoothing(value: object) -> None:
    """Raises InputError unless the smoothing of labels is at least 0 and below 1."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1:
        raise InputError(f"label_smoothing must be at least 0 and below 1, got {value!r}")


def check_batch(images: object, labels: object, teacher_images: object, *, declared: bool) -> Tensor:
    """Returns the labels of a batch; only shapes and types are read, never values.

    Args:
        images: the student's.
        labels: int64 [B] or floating point [B, K].
        teacher_images: the teacher's, or None.
        declared: whether every network that is asked declares its input, so that uint8 images can be prepared.

    Raises:
        InputError: images and labels are not of one batch.
    """
    if not isinstance(images, Tensor) or not isinstance(labels, Tensor):
        raise _no_batch(images, labels)
    if images.dtype == torch.uint8 and not declared:
        raise InputError("images must be floating point where a network declares no input, got uint8")
    fits = labels.dtype == torch.int64 if labels.ndim == 1 else labels.ndim == 2 and labels.is_floating_point()
    if not fits or not images.ndim or len(labels) != len(images):
        got, count = f"{labels.dtype} {list(labels.shape)}", len(images) if images.ndim else 0
        raise InputError(f"labels must be int64 [B] or soft labels [B, K] for {count} images, got {got}{_way(labels)}")
    if teacher_images is not None and not isinstance(teacher_images, Tensor):
        raise InputError(f"teacher_images must be a tensor [B, C, H, W], got {type(teacher_images).__name__}")
    if teacher_images is not None and len(teacher_images) != len(images):
        raise InputError(f"teacher_images must be of the same {len(images)} examples, got {len(teacher_images)}")
    return labels


def _no_batch(images: object, labels: object) -> InputError:
    if isinstance(images, Mapping):
        keys = ", ".join(map(repr, images))
        return InputError(
            f"images must be a tensor, got a mapping with {keys}; take images and labels out of it, as in "
            'distiller(batch["images"], batch["labels"])'
        )
    if isinstance(images, (list, tuple)):
        return InputError(
            f"images must be a tensor, got a {type(images).__name__} of {len(images)}; unpack a batch as in "
            "distiller(*batch), or stack images with torch.stack"
        )
    if not isinstance(images, Tensor):
        return InputError(f"images must be a tensor [B, C, H, W], got {type(images).__name__}")
    if labels is None:
        return InputError(
            "labels must be a tensor, got none; where nothing reads them set label_weight=0 and give "
            "torch.zeros(len(images), dtype=torch.int64)"
        )
    return InputError(
        f"labels must be a tensor, int64 [B] or soft labels [B, K], got {type(labels).__name__}; "
        "make one with torch.as_tensor(labels)"
    )


def _way(labels: Tensor) -> str:
    """Returns the remedy for labels of another shape or type, where there is one."""
    if labels.ndim == 2 and labels.shape[1] == 1:
        return "; drop the last dimension with labels.squeeze(1).long()"
    if labels.ndim == 2 and not labels.is_floating_point():
        return (
            "; one-hot labels become classes with labels.argmax(1), and several classes at once are not what softmax "
            "is trained on"
        )
    if labels.ndim == 1 and not labels.is_floating_point() and labels.dtype != torch.int64:
        return "; convert them with labels.long()"
    return ""


def check_logits(logits: Tensor, images: Tensor, labels: Tensor, *, learning: bool) -> None:
    """Raises InputError unless the student's logits are [B, K] of these images and go with the labels.

    Args:
        logits: what the student gave.
        images: what it was given.
        labels: of the images.
        learning: whether the student is being trained, so that its logits must lead back to weights.
    """
    if learning and not logits.requires_grad:
        raise InputError(
            "student must have a parameter that is trained, got logits without a gradient; somebody froze it: call "
            "student.requires_grad_(True), or distiller.eval() where nothing is to be trained"
        )
    if logits.ndim != 2 or len(logits) != len(images):
        way = "; drop the 1 with logits.squeeze(1) in a wrapper" if 1 in logits.shape[1:-1] else ""
        raise InputError(
            f"the student must return logits [B, K] for {len(images)} images, got {list(logits.shape)}{way}"
        )
    if labels.ndim == 2 and labels.shape[1] != logits.shape[1]:
        raise InputError(
            f"labels must be shares of the student's {logits.shape[1]} classes, got {list(labels.shape)}; "
            "give both the same K"
        )
    if labels.device != logits.device:
        raise InputError(
            f"labels must be on the student's device, {logits.device}, got {labels.device}; move them with "
            "labels.to(device)"
        )


def due(calls: int, labels: Tensor) -> bool:
    """Whether the labels' values are to be looked at in a call: on the CPU in each, elsewhere in ever fewer.

    Looking waits for the device. The first call is always among them, then the second, fourth, eighth and so on.

    Args:
        calls: number of the call, from 1.
        labels: its labels.
    """
    kind = labels.device.type
    if kind == "meta" or torch.compiler.is_compiling():
        return False
    if kind == "cpu":
        return True
    return not calls & (calls - 1) and not (kind == "cuda" and torch.cuda.is_current_stream_capturing())


def check_labels(labels: Tensor, num_classes: int) -> None:
    """Raises InputError unless labels are classes from 0 to K - 1, or shares that add up to 1; their values are read.

    Args:
        labels: int64 [B], or soft [B, K].
        num_classes: K.
    """
    if not labels.numel():
        raise InputError("labels must be of at least one image, got none; leave an empty batch out")
    low, high = (value.item() for value in labels.detach().aminmax())
    if labels.ndim == 1:
        if low < 0 or high >= num_classes:
            wrong = low if low < 0 else high
            raise InputError(
                f"labels must be from 0 to {num_classes - 1}, the student's {num_classes} classes, got {wrong}; "
                "number them so, or give the network more outputs"
            )
        return
    sums = labels.detach().sum(1)
    least, most = (value.item() for value in sums.aminmax())
    slack = _SLACK.get(labels.dtype, 1e-3)
    if low >= 0 and least >= 1 - slack and most <= 1 + slack:
        return
    if not (low >= 0 and high < float("inf")):
        wrong = low if low < 0 or low != low else high
        raise InputError(f"soft labels must be finite shares of at least 0, got {wrong:g}")
    wrong = most if most > 1 + slack else least
    row = int((sums - wrong).abs().argmin())
    raise InputError(
        f"soft labels must add up to 1 in every row, got {wrong:g} in row {row}; several labels at once (multi-label) "
        "are not what softmax is trained on: for shares of one, divide by labels.sum(1, keepdim=True)"
    )


def check_soft_labels(methods: Sequence[Method]) -> None:
    """Raises InputError where a method is not sound with soft labels."""
    for method in methods:
        if method.info.mixed_labels == "unsound":
            raise InputError(f'labels must be int64 [B] for "{method.info.name}", which is not sound with soft ones')
