"""A term: a loss between the outputs of two networks, with learned parts and state where it has some."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from rolewise.batch import Batch, Context, Outputs, at_least_float32
from rolewise.errors import InputError
from rolewise.inputs import InputSpec, prepare
from rolewise.tasks import Task

#: The networks that a method's second argument comes from: one, several by role, or the student itself.
TaughtBy = Literal["one", "several", "itself"]


@dataclass(frozen=True)
class Shapes:
    """The shapes and sizes that a term may read off before training starts.

    Args:
        student: the shapes of the student's features, [B, ...], in the order of the taps.
        teacher: the shapes of the teacher's features, in the same order.
        teachers: the shapes of each teacher's features, by role, for a term that reads several.
        classes: K, or None where the networks have no logits.
        examples: N, the number of examples in the source, for memories; None where it was not given.
        labels: int64 [N], the classes of all examples, -1 for one that is not trained on; None where they were not
            given.
    """

    student: Sequence[torch.Size] = ()
    teacher: Sequence[torch.Size] = ()
    classes: int | None = None
    examples: int | None = None
    labels: Tensor | None = None
    teachers: Mapping[str, Sequence[torch.Size]] = field(default_factory=dict)

    def number_of_examples(self, owner: str) -> int:
        """Returns N, for the memory of a term.

        Args:
            owner: the term's method, for the error.

        Raises:
            InputError: the Distiller was not given it.
        """
        if self.examples is None and self.labels is not None:
            return len(self.labels)
        if self.examples is None:
            raise InputError(
                f'examples must be given for "{owner}", which keeps a memory of each example: add '
                "examples=len(dataset) to the Distiller"
            )
        return self.examples

    def labels_of_all(self, owner: str) -> Tensor:
        """Returns the classes of all examples, int64 [N], -1 for one that is not trained on.

        Args:
            owner: the term's method, for the error.

        Raises:
            InputError: the Distiller was not given them.
        """
        if self.labels is None:
            raise InputError(
                f'labels must be given for "{owner}", whose negatives are of other classes: add labels=all_labels, '
                f'int64 [N], to the Distiller, or write rw.{owner}(negatives_from="all")'
            )
        return self.labels


@dataclass(frozen=True)
class Bound:
    """A network that a term may read of beside its outputs, and its outputs for the example.

    Args:
        network: in eval mode.
        outputs: for the example that the Distiller is tried on.
        run: runs the network on its view of a batch, as the Distiller does, without taps.
    """

    network: nn.Module
    outputs: Outputs
    run: NetworkRun


@dataclass(frozen=True)
class NetworkRun:
    """A network with all that it takes to run it on a batch. No closure, so that it can be copied and pickled.

    Args:
        network: of the task.
        task: that calls it.
        spec: the input that it expects, or None.
        role: its role.
        kind: ``student`` or ``teacher``.
    """

    network: nn.Module
    task: Task
    spec: InputSpec | None
    role: str
    kind: str

    def __call__(self, batch: Batch) -> Outputs:
        """Returns the network's outputs for its view of a batch."""
        inputs = batch.view(self.role, self.kind)
        return self.task.run(self.network, inputs if self.spec is None else prepare(inputs, self.spec))


class Term(nn.Module):
    """The base of a method that has learned parts, state, or reads more than one pair of tensors.

    A subclass is registered by `rolewise.distill.method`; its settings are the keyword arguments of its ``__init__``,
    after `Shapes`. Its parameters are trained beside the student. Its buffers are its state: they travel in the state
    dict, and only `update` moves them. Norms inside it that keep running statistics are held to the same rule by the
    Distiller: a forward pass moves them once its step is taken.
    """

    #: Whether it reads ``batch.indices``, the examples' rows in their source.
    needs_indices: ClassVar[bool] = False
    #: The targets that it reads of a batch, where these are of a single task (see `Info.targets`).
    targets: ClassVar[Literal["labels", "masks", "boxes"] | None] = None
    #: Whether it reads tokens [B, T, D], with the mask of the batch: padding weighs nothing in it.
    reads_tokens: ClassVar[bool] = False
    #: Whether it reads the networks' outputs beside tapped features.
    reads_outputs: ClassVar[bool] = False
    #: Whether it compares logits [B, K] of whole examples, so that classification alone has what it reads.
    of_examples: ClassVar[bool] = False
    #: Further views of the examples, by their names in ``Batch.views``, on which its networks run too where they are
    #: given, or made of the inputs (`rolewise.distill.made_views`): their outputs are ``student.views[name]`` and
    #: ``teacher.views[name]``.
    views: ClassVar[tuple[str, ...]] = ()
    #: Whether it can do without none of its views.
    needs_views: ClassVar[bool] = False
    #: Whether it taps the student alone.
    taps_student_alone: ClassVar[bool] = False
    #: Whether it reads the shifts and gains of a teacher's batch norms, so that the teacher must have some.
    reads_norms: ClassVar[bool] = False
    #: Whether it takes its weight times the labels' own loss away: the labels must then weigh at least as much.
    subtracts_labels: ClassVar[bool] = False
    #: Whether its forward pass runs a network, or a part of one, again.
    runs_networks: ClassVar[bool] = False
    #: Whether it is made by the shapes of an example; one that reads logits alone, and learns nothing, needs none.
    needs_example: ClassVar[bool] = True
    #: Who teaches: ``one`` network; ``several``, and then ``teacher`` is a mapping role -> outputs, of all that the
    #: method names or else of all teachers (of the other students where there are none); or the student ``itself``,
    #: and then ``teacher`` is what the student returned, detached.
    taught_by: ClassVar[TaughtBy] = "one"
    #: Its name in the Distiller, set by it; also that of its random stream.
    name: str = ""
    #: The paths (student's, teacher's) that it reads, set by the Distiller.
    pairs: tuple[tuple[str, str], ...] = ()
    #: The task of its networks, set by the Distiller; None where a term is called by itself.
    task: Task | None = None

    def bind(self, student: Bound, teacher: Bound) -> None:
        """Takes what it reads of the networks themselves, such as a classifier, when a Distiller is made.

        What it keeps of a network must not become a submodule: it would be trained and saved a second time.

        Args:
            student: the network that learns, in eval mode, and its outputs for the example.
            teacher: the network that teaches, and its outputs.
        """

    def forward(
        self, student: Outputs, teacher: Outputs, batch: Batch, context: Context
    ) -> Tensor | Mapping[str, Tensor]:
        """Returns the loss [B], unreduced, or several by name; it moves nothing.

        Args:
            student: outputs of the network that learns; logits in at least single precision.
            teacher: outputs of the network that teaches, detached.
            batch: the batch of both outputs.
            context: the training's progress, step and epoch; its generator is the only source of draws.
        """
        raise NotImplementedError

    def observe(self, student: Outputs, teacher: Outputs, batch: Batch, context: Context) -> tuple[Outputs, Outputs]:
        """Returns the two arguments of `update` for a forward pass: by default the outputs of both networks.

        A term whose state follows results of its own weights, such as embeddings, returns those: this runs without
        gradients and before the step moves any weight.

        Args:
            student: outputs of the network that learns, detached.
            teacher: outputs of the network that teaches.
            batch: the examples of the forward pass.
            context: the moment of the training.
        """
        return student, teacher

    def update(self, student: Outputs, teacher: Outputs, batch: Batch, context: Context) -> None:
        """Moves the state after a step that was taken; without gradients.

        Args:
            student: first result of `observe` in the step's forward pass.
            teacher: second result of it.
            batch: of that step.
            context: of that step.
        """

    def paired(self, student: Outputs, teacher: Outputs) -> list[tuple[Tensor, Tensor]]:
        """Returns the features (student's, teacher's) of each pair of taps, in at least single precision."""
        return [
            (at_least_float32(student.features[path]), at_least_float32(teacher.features[other]))
            for path, other in self.pairs
        ]

    def tapped(self, student: Outputs) -> list[Tensor]:
        """Returns the student's features of each tap, in at least single precision."""
        return [at_least_float32(student.features[path]) for path, _ in self.pairs]

    @classmethod
    def keeps_state(cls) -> bool:
        """Returns whether steps move something of it."""
        return cls.update is not Term.update


def through(module: nn.Module, feature: Tensor) -> Tensor:
    """Returns a learned module's output in at least single precision, computed in the precision of its weights.

    Args:
        module: part of a term.
        feature: its input.
    """
    result: Tensor = at_least_float32(module(feature.to(next(module.parameters(), feature).dtype)))
    return result
