"""A method that is a function of tensors, as a term: what it reads, its learned maps, its learned part."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from rolewise.batch import Batch, Context, Outputs, at_least_float32
from rolewise.distill.checks import check_feature, check_unreduced
from rolewise.distill.dense_targets import box_fractions, class_masks
from rolewise.distill.method import Method
from rolewise.distill.mixed import mixed_logits, temperature_of
from rolewise.distill.running import without_autocast
from rolewise.distill.term import Shapes, Term, through
from rolewise.seeds import derive_seed
from rolewise.tasks import Task

Pairs = Sequence[tuple[str, str]]


class LossTerm(Term):
    """A registered loss ``(student, teacher, **settings) -> [R]`` between two networks.

    Args:
        method: the configured method.
        task: the source of the rows of logits.
        maps: a learned map of the student's feature for each pair of taps, or none.
        estimator: its learned part with a loss of its own, or None.
    """

    task: Task

    def __init__(self, method: Method, task: Task, maps: Sequence[nn.Module] = (), estimator: nn.Module | None = None):
        super().__init__()
        self.method, self.task = method, task
        self.maps = nn.ModuleList(maps)
        self.estimator = estimator

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch, context: Context) -> Tensor | dict[str, Tensor]:
        """Returns the loss [B], and beside it that of the learned part, ``estimator``, where there is one.

        Learned maps run as the networks did, under autocast where they did; losses at least in single precision.
        """
        if self.method.info.reads == "logits":
            return self._of_logits(student, teacher, batch)
        pieces = []
        for index, (path, other) in enumerate(self.pairs):
            feature, wanted = student.features[path], teacher.features[other]
            check_feature(path, feature, student.values.get("logits"))
            check_feature(other, wanted, teacher.values.get("logits"))
            feature = through(self.maps[index], feature) if self.maps else at_least_float32(feature)
            pieces.append((feature, at_least_float32(wanted)))
        with without_autocast(pieces[0][0].device.type):
            return self._of_features(pieces, batch)

    def _of_logits(self, student: Outputs, teacher: Outputs, batch: Batch) -> Tensor:
        method, settings = self.method, self.method.settings
        if batch.mixture is not None:
            logits = mixed_logits(batch.mixture, at_least_float32(teacher.logits), temperature_of(method))
            teacher = Outputs({**teacher.values, "logits": logits})
        rows, wanted = self.task.rows(student, teacher, batch)
        if not method.info.alone:
            # What relates the rows to one another must not see those that are to be ignored.
            rows, wanted = rows.counted(wanted)
        if method.info.wants_labels:
            settings = {**settings, "labels": rows.labels}
        with without_autocast(rows.logits.device.type):
            losses = method.info.loss(at_least_float32(rows.logits), at_least_float32(wanted.logits), **settings)
            check_unreduced(method.name, losses, len(rows.logits), rows.logits)
            return losses if rows.are_examples else rows.by_example(losses, len(student.first))

    def _of_features(self, pieces: list[tuple[Tensor, Tensor]], batch: Batch) -> Tensor | dict[str, Tensor]:
        info, settings, own = self.method.info, dict(self.method.settings), None
        if info.targets is not None:
            settings[info.targets] = self._targets(info.targets, batch)
        if self.estimator is not None:
            settings["estimator"] = self.estimator
            own = self.estimator([teacher for _, teacher in pieces])
        if info.reads == "stages":
            loss = info.loss([student for student, _ in pieces], [teacher for _, teacher in pieces], **settings)
        else:
            each = [info.loss(*piece, **settings) for piece in pieces]
            loss = each[0] if len(each) == 1 else torch.stack(each).sum(0)
        check_unreduced(self.method.name, loss, len(pieces[0][0]), pieces[0][0])
        return loss if own is None else {"": loss, "estimator": own}

    def _targets(self, kind: str, batch: Batch) -> Any:
        """Returns the targets of a batch in the form of a loss on features (see `Info.targets`)."""
        if kind == "masks":
            return class_masks(batch, self.task)
        return box_fractions(batch, self.method.name) if kind == "boxes" else batch.targets


def make_term(method: Method, task: Task, pairs: Pairs, shapes: Shapes, seed: int) -> Term:
    """Returns a configured method as a term, with initial weights that depend on the seed and its name alone.

    Args:
        method: configured.
        task: of the networks.
        pairs: the paths (student's, teacher's) that it reads.
        shapes: of what it reads; learned parts are made to fit them.
        seed: of the initial weights. Torch's global random state is left as it was.

    Raises:
        InputError: the shapes do not fit the method.
    """
    info = method.info

    def made(name: str, make: Callable[[], nn.Module]) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(derive_seed(seed, name))
            return make()

    if info.term is not None:
        kind = info.term
        term: Term = made(method.name, lambda: kind(shapes, **method.settings))  # type: ignore[assignment]
    else:
        maps, estimator = [], None
        if method.learns_map and info.adapter is not None:
            for index, shape in enumerate(zip(shapes.student, shapes.teacher, strict=True)):
                map_of = partial(info.adapter, *shape, **method.map_settings)
                maps.append(made(f"{method.name}_{index}", map_of))
        if info.estimator is not None:
            make = info.estimator
            estimator = made(f"{method.name}_estimator", lambda: make(shapes.teacher))
        term = LossTerm(method, task, maps, estimator)
    term.name, term.pairs, term.task = method.name, tuple(pairs), task
    return term
