"""The Distiller: a student, its frozen teacher and the methods between them, in anyone's own loop."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from rolewise.distill import guards
from rolewise.distill.adapters import make_adapters
from rolewise.distill.checks import check_choice, check_limit
from rolewise.distill.losses import Seen, estimator_name, full, losses_of, read
from rolewise.distill.mixed import Pairs, check_pairs
from rolewise.distill.ranks import check_plain
from rolewise.distill.registry import Method, configure
from rolewise.distill.roles import check_networks, enter, freeze
from rolewise.distill.running import NOTHING, keep_buffers, unmoved, without_autocast
from rolewise.distill.taps import pairs_of
from rolewise.distill.terms import Terms, weighted_sum
from rolewise.errors import InputError, near
from rolewise.inputs import InputSpec, prepare
from rolewise.logits import logits_in
from rolewise.taps import Taps


class Distiller(nn.Module):
    r"""Composes distillation methods with the labels' cross-entropy.

    .. math:: L = w_0 \, \mathrm{CE}(s, y) + \sum_m w_m(\tau) \, \frac{1}{B} \sum_b \ell_{m,b}

    The teacher is frozen, stays in eval mode, runs without gradients and belongs neither to the parameters nor to the
    state dict; it does follow ``to``, ``cuda`` and the like. Losses are computed in at least single precision, also
    under autocast.

    Args:
        teacher: any network that returns logits [B, K], or None to train on labels alone.
        student: likewise.
        methods: configured methods, such as ``rw.kd(temperature=4, weight=0.9)``, each at most once.
        label_weight: w_0, at least 0.
        label_smoothing: of the cross-entropy, in [0, 1).
        teacher_input: what the teacher wants to be fed. With None it gets the images as they come.
        student_input: likewise for the student.
        reduction: ``mean`` or ``sum`` of each term over the batch.
        example: a few images as they will come; needed where a method learns a map between features, whose shapes are
            read off it. Where it is given, every method is tried on it: a misfit shows here and not in training.
        generator: of the initial weights of learned maps: a generator or a seed.

    Raises:
        InputError: methods without a teacher, an unknown tap, no example where one is needed, a number out of range, or
            a network that another Distiller, which is still there, has in the other role.
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
        reduction: Literal["mean", "sum"] = "mean",
        example: Tensor | None = None,
        generator: torch.Generator | int = 0,
    ) -> None:
        super().__init__()
        check_limit("label_weight", label_weight, "not negative")
        guards.check_smoothing(label_smoothing)
        check_choice("reduction", reduction, ("mean", "sum"))
        guards.check_parts(teacher_input, student_input, example, generator)
        check_networks(teacher, student)
        self.methods = guards.methods_of(methods, teacher=teacher is not None)
        pairs = [pairs_of(method, student, teacher) if teacher is not None else [] for method in self.methods]
        self.student = student
        # In a list, so that it is no submodule: its weights do not belong to what is trained and saved.
        self._teacher = [freeze(teacher)] if teacher is not None else []
        self.label_weight = label_weight
        self.label_smoothing = label_smoothing
        self.reduction = reduction
        self.teacher_input, self.student_input = teacher_input, student_input
        self._pairs, self._calls = pairs, 0  # of forward passes: which of them look at the labels' values
        self._student_taps = Taps(student, [path for pairs in self._pairs for path, _ in pairs])
        self._teacher_taps = [Taps(net, [path for pairs in self._pairs for _, path in pairs]) for net in self._teacher]
        self.adapters = nn.ModuleDict()
        if example is not None:
            self._try(example, generator)
        elif any(method.info.adapter or method.info.estimator for method in self.methods):
            raise InputError("example must be a few images where a method learns a map between features, got none")
        enter(self)

    @property
    def teacher(self) -> nn.Module | None:
        """The frozen teacher, or None."""
        return self._teacher[0] if self._teacher else None

    def forward(
        self,
        images: Tensor,
        labels: Tensor | None = None,
        *,
        teacher_images: Tensor | None = None,
        progress: float = 0.0,
        pairs: Pairs | None = None,
    ) -> Terms:
        """Returns the terms of one batch.

        Args:
            images: [B, C, H, W] as the student sees them; uint8, or floating point in [0, 1], where an input is
                declared, and what the network takes where none is.
            labels: int64 [B], from 0 to K - 1, or soft labels [B, K] that sum to 1; must be given.
            teacher_images: what the teacher sees instead, of the same examples in the same order.
            progress: the fraction of training done, in [0, 1], for weights that move.
            pairs: how the images were mixed, where the teacher's outputs are to be made to fit (see
                `rolewise.distill.mixed.Pairs`); with ``outputs`` the teacher's images are those before mixing.

        Returns:
            The terms; ``total`` is what to call ``backward`` on.

        Raises:
            InputError: shapes do not fit, labels are no classes and no shares that add up to 1, soft labels meet a
                method that is not sound with them, or several processes train on what is no plain sum.
        """
        unmixed = pairs is not None and pairs.targets == "outputs"
        declared = self.student_input is not None and (self.teacher_input is not None or not self.methods)
        labels = guards.check_batch(images, labels, None if unmixed else teacher_images, declared=declared)
        if pairs is not None:
            check_pairs(self.methods, pairs, len(images), teacher_images)
        if labels.ndim == 2:
            guards.check_soft_labels(self.methods)
        if learning := self.training and torch.is_grad_enabled():
            check_plain(self.methods, dict(self.adapters.items()), self.reduction)
        student_batch = prepare(images, self.student_input) if self.student_input is not None else images
        # The teacher first, because it leaves nothing behind: the student's activations are not yet in memory.
        teacher = self._ask_teacher(images, teacher_images, student_batch) if self.methods else None
        if teacher is not None and pairs is not None:
            teacher = Seen(teacher.logits, teacher.features, pairs)
        student = Seen(*self._student_taps.run(lambda: logits_in(self.student(student_batch))))
        self._calls += 1
        guards.check_logits(student.logits, images, labels, learning=learning)
        if guards.due(self._calls, labels):
            guards.check_labels(labels, student.logits.shape[1])
        # No step is taken in evaluation, so that nothing that is learned may move, whatever its own mode.
        with NOTHING if self.training else unmoved(self.adapters):
            parts = self._losses(student, teacher, labels)
        weights = {"labels": self.label_weight}
        for method in self.methods:
            weights[method.info.name] = method.weight(progress)
            if method.info.estimator is not None:
                weights[estimator_name(method)] = 1.0  # it moves nothing but that part's own weights
        total = weighted_sum(parts, weights)
        total = student.logits.sum() * 0.0 if total is None else total
        return Terms(total, parts, student.logits, teacher.logits if teacher is not None else None, weights)

    @torch.no_grad()
    def _ask_teacher(self, images: Tensor, teacher_images: Tensor | None, student_batch: Tensor) -> Seen:
        """The one place where the teacher is run; nothing of it carries a gradient."""
        if (teacher := self._teacher[0]).training:
            teacher.eval()
        seen = images if teacher_images is None else teacher_images
        if seen is images and self.teacher_input == self.student_input:
            batch = student_batch
        else:
            batch = prepare(seen, self.teacher_input) if self.teacher_input is not None else seen
        return Seen(*self._teacher_taps[0].run(lambda: logits_in(teacher(batch))))

    def _losses(self, student: Seen, teacher: Seen | None, labels: Tensor) -> dict[str, Tensor]:
        """Returns each term, reduced to a scalar."""
        adapters = dict(self.adapters.items())
        logits = full(student.logits)  # once, so that the terms' gradients are added before they become half again
        student = Seen(logits, student.features)
        pieces = [
            read(method, pairs, adapters, student, teacher) if teacher is not None else []
            for method, pairs in zip(self.methods, self._pairs, strict=True)
        ]
        parts = {}
        labels = labels.to(logits.dtype) if labels.ndim == 2 else labels  # torch takes no other
        with without_autocast(logits.device.type):
            parts["labels"] = functional.cross_entropy(
                logits, labels, label_smoothing=self.label_smoothing, reduction=self.reduction
            )
            for method, some in zip(self.methods, pieces, strict=True):
                for name, loss in losses_of(method, some, labels, adapters).items():
                    parts[name] = loss.mean() if self.reduction == "mean" else loss.sum()
        return parts

    @torch.no_grad()
    def _try(self, example: Tensor, generator: torch.Generator | int) -> None:
        """Makes the learned maps and runs every loss once, on images that tell the shapes."""
        place = next(self.student.parameters(), example).device
        example = example.to(place)
        modes = [(module, module.training) for module in self.student.modules()]
        self.student.eval()  # a few images must not move the norms' statistics
        try:
            batch = prepare(example, self.student_input) if self.student_input is not None else example
            student = Seen(*self._student_taps.run(lambda: logits_in(self.student(batch))))
            labels = torch.zeros(len(example), dtype=torch.int64, device=place)
            guards.check_logits(student.logits, example, labels, learning=False)
            if self.methods:
                teacher = self._ask_teacher(example, None, batch)
                made = make_adapters(self.methods, self._pairs, student.features, teacher.features, generator)
                self.adapters.update({name: module.to(place) for name, module in made.items()})
                with unmoved(self.adapters.eval()):
                    self._losses(student, teacher, labels)
        finally:
            self.adapters.train()
            for module, training in modes:
                module.training = training

    def configure(self, name: str, **settings: Any) -> None:
        """Changes the weight or settings of one method from now on, as a search over them does.

        Raises:
            InputError: there is no such method here, or a setting is wrong.
        """
        if name not in (names := [method.info.name for method in self.methods]):
            raise InputError(f"no method here is called {name!r}{near(name, names)}")
        if "student_taps" in settings or "teacher_taps" in settings:
            raise InputError("taps must stay as they are; make a new Distiller for others")
        self.methods = tuple(
            configure(name, **{**method.given(), **settings}) if method.info.name == name else method
            for method in self.methods
        )

    def trainable_parameters(self) -> Iterator[nn.Parameter]:
        """Gives what an optimiser must move: the student's parameters, then those of learned parts."""
        return (parameter for parameter in self.parameters() if parameter.requires_grad)

    def compile_networks(self, **settings: Any) -> None:
        """Compiles both networks in place; taps and state dicts stay as they are.

        From then on torch keeps the buffers of every compiled graph in this process until the graph goes: gradients
        that are limited or measured go back through one more than once.
        """
        keep_buffers()
        for network in (self.student, *self._teacher):
            network.compile(**settings)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        enter(self)  # copies and pickles do not come through __init__

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Distiller:
        for teacher in self._teacher:
            teacher._apply(fn)  # type: ignore[no-untyped-call]
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self
