"""The Distiller: a student, its frozen teacher and the methods between them, in anyone's own loop."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from rolewise.distill.registry import Method
from rolewise.distill.taps import Taps, pairs_of
from rolewise.errors import InputError
from rolewise.inputs import InputSpec, prepare


@dataclass(frozen=True)
class Terms:
    """What one batch gave.

    Args:
        total: the weighted sum, scalar.
        parts: each term's mean over the batch, unweighted, scalar; ``labels`` is the labels' own.
        student_logits: [B, K].
    """

    total: Tensor
    parts: dict[str, Tensor] = field(default_factory=dict)
    student_logits: Tensor = field(default_factory=lambda: torch.empty(0))

    def __getitem__(self, name: str) -> Tensor:
        return self.parts[name]


class Distiller(nn.Module):
    """Composes distillation methods with the labels' cross-entropy.

    .. math:: L = w_0 \\, \\mathrm{CE}(s, y) + \\sum_m w_m(\\tau) \\, \\frac{1}{B} \\sum_b \\ell_{m,b}

    The teacher is frozen, stays in eval mode, runs without gradients and is not part of the state dict.

    Args:
        teacher: any network that returns logits [B, K], or None to train on labels alone.
        student: likewise.
        methods: configured methods, such as ``rw.kd(temperature=4, weight=0.9)``.
        label_weight: w_0, at least 0.
        label_smoothing: of the cross-entropy, in [0, 1).
        teacher_input: what the teacher wants to be fed. With None the images are passed on as they come.
        student_input: likewise for the student.
        example: a few images as they will come, needed where a method taps features: their shapes are read off it.

    Raises:
        InputError: methods without a teacher, an unknown tap, no example where one is needed, a weight out of range.
    """

    def __init__(
        self,
        teacher: nn.Module | None,
        student: nn.Module,
        methods: Sequence[Method] = (),
        *,
        label_weight: float = 1.0,
        label_smoothing: float = 0.0,
        teacher_input: InputSpec | None = None,
        student_input: InputSpec | None = None,
        example: Tensor | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if methods and teacher is None:
            raise InputError("methods must have a teacher to read, got none; give a teacher or leave the methods out")
        if not 0 <= label_weight:
            raise InputError(f"label_weight must be at least 0, got {label_weight}")
        if not 0 <= label_smoothing < 1:
            raise InputError(f"label_smoothing must be at least 0 and below 1, got {label_smoothing}")
        names = [method.info.name for method in methods]
        if len(set(names)) != len(names):
            raise InputError(f"methods must be distinct, got {names}; give one its taps instead of listing it twice")
        self.student = student
        # In a list, so that it is no submodule: its weights do not belong to what is trained and saved.
        self._teacher = [teacher.eval().requires_grad_(False)] if teacher is not None else []
        self.methods = tuple(methods)
        self.label_weight = label_weight
        self.label_smoothing = label_smoothing
        self.teacher_input, self.student_input = teacher_input, student_input
        self._student_forward: Callable[[Tensor], Tensor] = student
        self._teacher_forward: Callable[[Tensor], Tensor] | None = teacher
        pairs = [pairs_of(method, student, teacher) if teacher is not None else [] for method in methods]
        self._pairs = pairs
        self._student_taps = Taps(student, [path for some in pairs for path, _ in some])
        self._teacher_taps = Taps(teacher, [path for some in pairs for _, path in some]) if teacher is not None else None
        self.adapters = nn.ModuleDict(self._make_adapters(example, seed))

    @property
    def teacher(self) -> nn.Module | None:
        """The frozen teacher, or None."""
        return self._teacher[0] if self._teacher else None

    def forward(
        self, images: Tensor, labels: Tensor, *, teacher_images: Tensor | None = None, progress: float = 0.0
    ) -> Terms:
        """Returns the terms of one batch.

        Args:
            images: [B, C, H, W] as the student sees them; uint8 or in [0, 1] where inputs are declared.
            labels: int64 [B], or soft labels [B, K].
            teacher_images: what the teacher sees instead, of the same examples.
            progress: the fraction of training done, for weights that move.

        Returns:
            The terms; ``total`` is what to call ``backward`` on.
        """
        student_batch = prepare(images, self.student_input) if self.student_input is not None else images
        logits = self._student_forward(student_batch)
        parts: dict[str, Tensor] = {}
        total = torch.zeros((), device=logits.device)
        if self.label_weight or not self.methods:
            parts["labels"] = functional.cross_entropy(logits.float(), labels, label_smoothing=self.label_smoothing)
            total = parts["labels"] * self.label_weight
        if self.methods:
            teacher_logits = self._ask_teacher(images if teacher_images is None else teacher_images, images, student_batch)
            for method, pairs in zip(self.methods, self._pairs, strict=True):
                value = self._term(method, pairs, logits, teacher_logits).mean()
                parts[method.info.name] = value
                total = total + value * method.weight(progress)
        return Terms(total, parts, logits)

    @torch.no_grad()
    def _ask_teacher(self, seen: Tensor, images: Tensor, student_batch: Tensor) -> Tensor:
        """The one place where the teacher is run; nothing of it carries a gradient."""
        assert self._teacher_forward is not None
        if seen is images and self.teacher_input == self.student_input:
            batch = student_batch.detach()
        else:
            batch = prepare(seen, self.teacher_input) if self.teacher_input is not None else seen
        return self._teacher_forward(batch)

    def _term(self, method: Method, pairs: list[tuple[str, str]], student_logits: Tensor, teacher_logits: Tensor) -> Tensor:
        if method.info.reads == "logits":
            return method.info.loss(student_logits.float(), teacher_logits.float(), **method.settings)
        assert self._teacher_taps is not None
        values = []
        for index, (student_path, teacher_path) in enumerate(pairs):
            feature = self._student_taps.seen[student_path]
            if method.info.adapter is not None:
                feature = self.adapters[f"{method.info.name}_{index}"](feature)
            teacher_feature = self._teacher_taps.seen[teacher_path]
            values.append(method.info.loss(feature.float(), teacher_feature.float(), **method.settings))
        return torch.stack(values).sum(0)

    @torch.no_grad()
    def _make_adapters(self, example: Tensor | None, seed: int) -> dict[str, nn.Module]:
        adapters: dict[str, nn.Module] = {}
        if not any(method.info.adapter for method in self.methods):
            return adapters
        if example is None:
            raise InputError("example must be a few images where a method learns a map between features, got none")
        training = self.student.training
        self.student.eval()
        images = prepare(example, self.student_input) if self.student_input is not None else example
        self.student(images)
        self.student.train(training)
        self._ask_teacher(example, example, images)
        assert self._teacher_taps is not None
        for method, pairs in zip(self.methods, self._pairs, strict=True):
            if method.info.adapter is None:
                continue
            for index, (student_path, teacher_path) in enumerate(pairs):
                shapes = self._student_taps.seen[student_path].shape, self._teacher_taps.seen[teacher_path].shape
                with torch.random.fork_rng(devices=[]):
                    torch.random.default_generator.manual_seed(seed + index)
                    adapters[f"{method.info.name}_{index}"] = method.info.adapter(*shapes)
        return adapters

    def trainable_parameters(self) -> Iterator[nn.Parameter]:
        """Yields what an optimiser must move: the student's parameters, then those of learned adapters."""
        return (parameter for parameter in self.parameters() if parameter.requires_grad)

    def compile_networks(self, **settings: Any) -> None:
        """Compiles both networks' forward passes; hooks and state dicts stay as they are."""
        self._student_forward = torch.compile(self.student, **settings)
        if self.teacher is not None:
            self._teacher_forward = torch.compile(self.teacher, **settings)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Distiller:
        for teacher in self._teacher:
            teacher._apply(fn)
        super()._apply(fn, recurse)
        return self
