"""The Distiller: students, frozen teachers and the methods between them, in anyone's own loop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor, distributed, nn

from rolewise.batch import Batch, Context, Mixture, Outputs
from rolewise.distill import guards
from rolewise.distill.batch_arguments import batch_of
from rolewise.distill.checks import check_choice, check_limit, check_switch, named_losses
from rolewise.distill.construction import add_terms, check_parts, networks_of, specs_of, task_of
from rolewise.distill.joined_rows import Wide, rows_of_all
from rolewise.distill.links import further_views, links_of, read_outputs, tapped
from rolewise.distill.listed_methods import Methods, methods_of
from rolewise.distill.loss_term import LossTerm
from rolewise.distill.networks_by_role import Networks
from rolewise.distill.reconfiguration import reconfigured
from rolewise.distill.roles import enter, freeze
from rolewise.distill.running import NOTHING, unmoved, without_autocast
from rolewise.distill.single_process import is_alone
from rolewise.distill.step_state import AverageOf, StepState
from rolewise.distill.task_checks import check_task
from rolewise.distill.teacher_mode import TEACHER_MODES, TeacherMode
from rolewise.distill.term import Shapes
from rolewise.distill.terms import Terms, weighted_sum
from rolewise.inputs import InputSpec
from rolewise.tasks import Task


class Distiller(Networks):
    r"""Composes distillation methods with the task's own loss.

    .. math:: L = w_0 \, L_\mathrm{task}(s, y) + \sum_m w_m(\tau) \, \frac{1}{B} \sum_b \ell_{m,b}

    Teachers are frozen, stay in eval mode, run without gradients and belong neither to the parameters nor to the state
    dict; they do follow ``to``, ``cuda`` and the like. Losses are computed in at least single precision, also under
    autocast.

    Args:
        teacher: a network that is frozen, or a mapping role -> network (or `average_of` a student), or None. A single
            one has the role ``teacher``.
        student: a network that is trained, or a mapping role -> network. A single one has the role ``student``.
        methods: configured methods, such as ``rw.kd(temperature=4, weight=0.9)``, names of methods, and plain loss
            functions (see `rolewise.distill.own_functions.OwnLoss`); or one of these alone. Where there are several
            networks each names its two, and a method that is listed again a ``name``: ``rw.kd(teacher="big",
            name="kd_big")``. A student may teach another.
        label_weight: w_0, at least 0; of each student's loss.
        label_smoothing: of the cross-entropy, in [0, 1); other tasks have settings of their own.
        teacher_input: the input that the teacher expects, or a mapping role -> input. With None it gets the images as
            they come.
        student_input: the input that the student expects, in the same forms.
        reduction: ``mean`` or ``sum`` of each term over the batch.
        example: a few inputs as they will come, or a `rolewise.batch.Batch`; needed where a method learns a map between
            features. Every method is tried on it, so that a misfit shows here and not in training.
        generator: of the initial weights of learned parts: a generator or a seed.
        task: the kind of prediction; classification by default.
        examples: N, the number of examples in the source, for methods that keep a memory of each.
        labels: int64 [N], the classes of all examples, for methods that draw negatives; -1 where one is not trained on.
        teacher_gradients: whether gradients go through the teachers to their inputs; their weights stay frozen.
        teacher_mode: ``eval``, or ``batch_statistics``: the teachers' norms use each batch's own mean and variance.
            Nothing of a teacher moves either way, and its dropout is off.
        stop_teacher: whether a teacher's pass ends where all of its taps are recorded, if no method reads its outputs:
            the features are the same, and ``terms.teacher_logits`` is None (see `rolewise.taps.hooks.Taps.features`).
        input_name: the inputs' key in batches that are mappings; by default all that is not the labels.
        label_name: the labels' key in such batches; by default ``labels``, ``label``, ``targets`` or ``target``.

    Raises:
        InputError: methods without a teacher, an unknown role or tap, no example where one is needed, a number out of
            range, or a network that another Distiller, which is still there, has in the other role.
    """

    def __init__(
        self,
        teacher: nn.Module | Mapping[str, nn.Module | AverageOf] | None,
        student: nn.Module | Mapping[str, nn.Module],
        methods: Methods = (),
        *,
        label_weight: float = 1.0,
        label_smoothing: float = 0.0,
        teacher_input: InputSpec | Mapping[str, InputSpec] | None = None,
        student_input: InputSpec | Mapping[str, InputSpec] | None = None,
        reduction: Literal["mean", "sum"] = "mean",
        example: Any = None,
        generator: torch.Generator | int = 0,
        task: Task | None = None,
        examples: int | None = None,
        labels: Tensor | None = None,
        teacher_gradients: bool = False,
        teacher_mode: TeacherMode = "eval",
        stop_teacher: bool = False,
        input_name: str | None = None,
        label_name: str | None = None,
    ) -> None:
        check_limit("label_weight", label_weight, "not negative")
        check_choice("reduction", reduction, ("mean", "sum"))
        check_choice("teacher_mode", teacher_mode, TEACHER_MODES)
        check_switch("stop_teacher", stop_teacher)
        check_parts(example, generator, examples, labels)
        frozen, students, averages = networks_of(teacher, student)
        followed = {role: average.network for role, (average, _) in averages.items()}
        teachers = {**frozen, **followed}
        specs = specs_of(teacher_input, tuple(teachers), "teacher_input")
        specs |= specs_of(student_input, tuple(students), "student_input")
        super().__init__(frozen, students, followed, specs)
        self.task = task_of(task, label_smoothing)
        self.methods = methods_of(methods, taught=len(teachers) + len(students) > 1)
        check_task(self.methods, self.task)
        self.subtracting = any(method.info.subtracts_labels for method in self.methods)
        self.links = links_of(self.methods, teachers, students)
        for network in frozen.values():
            freeze(network)
        self.label_weight, self.reduction = label_weight, reduction
        self.input_name, self.label_name = input_name, label_name
        self.teacher_gradients, self.teacher_mode = teacher_gradients, teacher_mode
        self.teaching = tuple(role for role in teachers if any(role in link.teachers for link in self.links))
        paths = {role: tapped(self.links, role) for role in (*self.roles, *self.teaching)}
        self.further_views = further_views(self.links, self.methods)
        self.remember_teachers()
        self.read_at(paths, stopped=set(self.teaching) - read_outputs(self.links, self.methods) if stop_teacher else ())
        self.terms = nn.ModuleDict()
        add_terms(self, example, generator, Shapes(examples=examples, labels=labels))
        follow = [(average, students[role]) for average, role in averages.values()]
        self._state = StepState(self.terms, self.links, follow)  # type: ignore[arg-type]
        enter(self)

    def __call__(
        self,
        inputs: Any,
        targets: Any = None,
        context: Context | None = None,
        *,
        teacher_images: Any = None,
        teacher_outputs: Any = None,
        progress: float = 0.0,
        pairs: Mixture | None = None,
    ) -> Terms:
        """Returns the terms of one batch.

        Args:
            inputs: as the students see them, such as images [B, C, H, W]: uint8, or floating point in [0, 1], where an
                input is declared, and what the network takes where none is. Or a mapping as data sets of Hugging Face
                give it, with the labels in it (see ``input_name``). Or a whole `rolewise.batch.Batch`, and then nothing
                of it beside.
            targets: as the task defines them: int64 [B], from 0 to K - 1, or soft labels [B, K] that sum to 1. They
                may be left out where nothing reads them: ``label_weight`` is 0, and no method takes labels.
            context: the training's progress, step and epoch; without it ``progress`` and the steps taken so far.
            teacher_images: the inputs of the teachers, of the same examples in the same order.
            teacher_outputs: outputs of the teacher for these examples, which then does not run: logits [B, K], what it
                returned, or `rolewise.batch.Outputs`; with several teachers a mapping by role.
            progress: the fraction of training done, in [0, 1], for weights that move.
            pairs: the mixing of the images, where the teacher's outputs are to be made to fit (see
                `rolewise.batch.Mixture`); with ``outputs`` the teacher's images are those before mixing.

        Returns:
            The terms; ``total`` is what to call ``backward`` on.

        Raises:
            InputError: shapes do not fit, targets are not those of the task, soft labels meet a method that is not
                sound with them, several processes train on what is no plain sum, or ``progress`` is out of range.
        """
        # A training's own batches are whole already.
        if not (isinstance(inputs, Batch) and targets is teacher_images is teacher_outputs is pairs is None):
            inputs = batch_of(self, inputs, targets, teacher_images, teacher_outputs, pairs)
        return super().__call__(inputs, guards.moment_of(context, progress, self._state.steps))  # type: ignore[no-any-return]

    def forward(self, batch: Batch, context: Context) -> Terms:
        """Returns the terms of one batch; call the Distiller itself, which makes the batch of other arguments.

        Args:
            batch: inputs and targets.
            context: the training's progress, step and epoch.
        """
        learning = self.training and torch.is_grad_enabled()
        guards.check_batch(self, batch)
        outputs = self.run_all(batch)
        several = learning and distributed.is_available() and distributed.is_initialized()
        wide = rows_of_all(self, outputs, batch) if several else None
        self._state.passes += 1
        guards.check_outputs(self, outputs, batch, learning=learning, call=self._state.passes)
        still = self._state.empty or not self.training
        with NOTHING if still else self._state.held() as moved:
            own, added = self.losses(outputs, batch, context, wide)
        if learning and not still:
            self._state.wait(*(wide or (outputs, batch)), context, moved or [], self.passes_per_step)
        parts, weights = dict(own), dict.fromkeys(own, self.label_weight)
        for name, (loss, weight) in added.items():
            parts[name], weights[name] = loss, weight
        total, student = weighted_sum(parts, weights), outputs[self.roles[0]]
        if total is None:
            total = student.first.sum() * 0.0
        teacher = outputs.get(self.teaching[0]) if self.teaching else None
        taught = None if teacher is None else teacher.values.get("logits")
        return Terms(total, parts, student.values.get("logits"), taught, weights, outputs, tuple(own))

    def losses(
        self, outputs: Mapping[str, Outputs], batch: Batch, context: Context, wide: Wide | None = None
    ) -> tuple[dict[str, Tensor], dict[str, tuple[Tensor, float]]]:
        """Returns the task's own losses, and those of the methods with their weights, each reduced to a scalar."""
        # Once, so that the terms' gradients are added before they become half again.
        full = {role: output.at_least_float32() for role, output in outputs.items()}
        device = full[self.roles[0]].first.device.type
        own: dict[str, Tensor] = {}
        with without_autocast(device):
            for role in self.roles if batch.targets is not None and not self.ends else ():
                for name, loss in self.task.losses(full[role], batch, reduction=self.reduction).items():
                    own[name if len(self.roles) == 1 else f"{role}_{name}"] = loss
        added: dict[str, tuple[Tensor, float]] = {}
        # No step is taken in evaluation, so that no learned part may move, whatever its own mode.
        with NOTHING if self.training else unmoved(term for term in self.terms.values() if isinstance(term, LossTerm)):
            for method, link, term in zip(self.methods, self.links, self.listed_terms(), strict=True):
                if self.active is not None and method.name not in self.active:
                    continue
                source, seen = (full, batch) if wide is None or is_alone(method, term) else wide
                plain = not link.several and link.teacher not in self.roles
                teacher = source[link.teacher] if plain else link.taught(source, self.roles)
                with NOTHING if isinstance(term, LossTerm) else without_autocast(device):
                    losses = guards.call_term(method.name, term, source[link.student], teacher, seen, context)
                for key, loss in named_losses(method.name, losses).items():
                    # What trains a learned part alone has weight 1.
                    weight = 1.0 if key == "estimator" else method.weight(context.progress)
                    scalar = loss.mean() if self.reduction == "mean" else loss.sum()
                    added[f"{method.name}_{key}" if key else method.name] = scalar, weight
        return own, added

    def after_step(self, *, taken: bool = True) -> None:
        """Moves the state of terms and the averages of students, once the optimiser has taken its step.

        Without methods that keep state and without averages there is nothing to move, and no need to call it.

        Args:
            taken: whether the step was taken; a step that was refused, as a scaler does, moves nothing.
        """
        if self._state.empty:
            self._state.steps += taken
        elif taken:
            self._state.take()
        else:
            self._state.drop()

    def configure(self, name: str, **settings: Any) -> None:
        """Changes the weight or settings of one method from now on, as a search over them does.

        Raises:
            InputError: there is no such method here, or a setting is wrong.
        """
        self.methods = reconfigured(self, name, settings)
