"""The values that pass between data, networks and losses: batches, the outputs of networks, and rows of logits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from rolewise.errors import InputError
from rolewise.seeds import generator

HALF = (torch.float16, torch.bfloat16)
#: Stands for the class of a pixel that does not count.
IGNORED = 255
#: How a teacher's outputs are brought to a mixed example.
MixedTargets = Literal["image", "outputs", "isotonic"]


@dataclass(frozen=True)
class Mixture:
    """The mixing of a batch's examples, and the way that the teacher's outputs are brought to them.

    Args:
        sources: int64 [M], rows of the batch of B examples that was mixed.
        partners: int64 [M], likewise; an example that is its own partner is unchanged.
        ratios: [M] in [0, 1], the fraction of the source.
        labels: int64 [B], the classes of that batch.
        targets: ``image``: the teacher's outputs for the mixed images stand; ``outputs``: the teacher sees the B images
            before mixing, and its softened outputs are mixed by the ratio; ``isotonic``: its outputs for the mixed
            images are brought into the order of the two labels.
    """

    sources: Tensor
    partners: Tensor
    ratios: Tensor
    labels: Tensor
    targets: MixedTargets = "image"


@dataclass(frozen=True)
class Batch:
    """Some examples, as the networks of a step see them.

    Args:
        inputs: a tensor [B, ...], a mapping of tensors (text with its mask), or a list of tensors (images of several
            sizes).
        targets: as the task defines them; None for unlabelled examples.
        indices: int64 [B], the examples' rows in their source; terms with a memory need them.
        views: inputs of the same examples in the same order for single networks, by role (``teacher``), or a further
            view by name.
        mixture: the mixing of the examples; None where the teacher's outputs stand as they are.
        outputs: outputs of networks that need not run for this batch, by role: as the network returned them, or
            `Outputs` with the features that methods read.
    """

    inputs: Any
    targets: Any = None
    indices: Tensor | None = None
    views: Mapping[str, Any] = field(default_factory=dict)
    mixture: Mixture | None = None
    outputs: Mapping[str, Any] = field(default_factory=dict)

    def view(self, role: str, kind: str = "student") -> Any:
        """Returns the inputs of one network.

        Args:
            role: the network's.
            kind: ``student`` or ``teacher``: the view of that name is every such network's that has none of its own.
        """
        return self.views.get(role, self.views.get(kind, self.inputs)) if self.views else self.inputs

    def to(self, device: torch.device | str) -> Batch:
        """Returns the same batch with every tensor in it on a device, those of outputs and of the mixture included."""
        return Batch(**{name: _on(value, device) for name, value in vars(self).items()})


@dataclass(frozen=True)
class Outputs:
    """The outputs of one network for one batch.

    Args:
        values: by name: ``logits`` [B, K] or [B, K, H, W], ``predictions`` [B] or [B, D], ``boxes``, and so on.
        features: the tapped features, by path.
        losses: scalars that the network computed itself, by name.
        views: its outputs for further views of the same examples, by name.
    """

    values: Mapping[str, Any]
    features: Mapping[str, Tensor] = field(default_factory=dict)
    losses: Mapping[str, Tensor] = field(default_factory=dict)
    views: Mapping[str, Outputs] = field(default_factory=dict)

    @property
    def logits(self) -> Tensor:
        """The value ``logits``.

        Raises:
            InputError: the network has no such output.
        """
        if "logits" not in self.values:
            known = ", ".join(self.values) or "none"
            raise InputError(f"a network must return logits for this method, got the outputs {known}")
        logits: Tensor = self.values["logits"]
        return logits

    @property
    def first(self) -> Tensor:
        """The first value that is a tensor, loss or feature: its device and gradient stand for all.

        Raises:
            InputError: there is none.
        """
        for group in (self.values, self.losses, self.features):
            for value in group.values():
                if isinstance(value, Tensor):
                    return value
        raise InputError("a network must return at least one tensor, got none")

    def at_least_float32(self) -> Outputs:
        """Returns the same with values in half precision made single; features stay."""
        for value in self.values.values():
            if isinstance(value, Tensor) and value.dtype in HALF:
                values = {name: at_least_float32(value) for name, value in self.values.items()}
                views = {name: view.at_least_float32() for name, view in self.views.items()}
                return Outputs(values, self.features, self.losses, views)
        return self

    def detached(self) -> Outputs:
        """Returns the same values and features without gradients, and no losses."""
        views = {name: view.detached() for name, view in self.views.items()}
        return Outputs(_detached(self.values), _detached(self.features), views=views)


def number_of_examples(inputs: Any) -> int:
    """Returns B of a network's inputs: a tensor [B, ...], a mapping of these, or a list of B."""
    return len(next(iter(inputs.values())) if isinstance(inputs, Mapping) else inputs)


def at_least_float32(value: Any) -> Any:
    """Returns a tensor of half precision as single; everything else stays."""
    return value.float() if isinstance(value, Tensor) and value.dtype in HALF else value


def _detached(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value.detach() if isinstance(value, Tensor) else value for name, value in values.items()}


@dataclass(frozen=True)
class Rows:
    """Rows of logits, one for each thing that is classified: an example, a pixel, an anchor, a token.

    Args:
        logits: [R, K].
        owner: int64 [R], the example of each row; None where row b is example b.
        weight: [R], at least 0, 0 for an ignored pixel or padding; None for 1 everywhere.
        labels: int64 [R] or [R, K], or None where there are none.
    """

    logits: Tensor
    owner: Tensor | None = None
    weight: Tensor | None = None
    labels: Tensor | None = None

    @property
    def are_examples(self) -> bool:
        """Whether row b is example b, and all count alike."""
        return self.owner is None and self.weight is None

    def counted(self, other: Rows) -> tuple[Rows, Rows]:
        """Returns those rows of two networks that have a weight; the same where none has.

        Args:
            other: the second network's, of the same things.
        """
        if self.weight is None:
            return self, other
        kept = self.weight > 0
        rows, wanted = (
            Rows(*(None if part is None else part[kept] for part in (one.logits, one.owner, one.weight, one.labels)))  # type: ignore[arg-type]
            for one in (self, other)
        )
        return rows, wanted

    def by_example(self, losses: Tensor, examples: int) -> Tensor:
        """Returns the weighted mean [B] of each example's rows; 0 for an example without rows of weight.

        Args:
            losses: [R].
            examples: B.
        """
        if self.are_examples:
            return losses
        owner = self.owner if self.owner is not None else torch.arange(examples, device=losses.device)
        weight = torch.ones_like(losses) if self.weight is None else self.weight.to(losses.dtype)
        # A row of weight 0 is left out and not multiplied: 0 * inf is NaN.
        weighted = torch.where(weight > 0, losses, 0.0) * weight
        sums = losses.new_zeros(examples).index_add(0, owner, weighted)
        total = losses.new_zeros(examples).index_add(0, owner, weight)
        return sums / torch.where(total > 0, total, 1.0)


@dataclass(frozen=True)
class Context:
    """The progress of a training when a loss is computed.

    Args:
        progress: the fraction of training done, in [0, 1].
        step: the number of steps taken before this one.
        epoch: the number of epochs done, with its fraction.
        seed: of the draws that terms make.
        part: of several processes, the first row that this one has of a whole batch, and the number of rows of that;
            None where it has all of them.
    """

    progress: float = 0.0
    step: int = 0
    epoch: float = 0.0
    seed: int = 0
    part: tuple[int, int] | None = None

    def generator(self, name: str) -> torch.Generator:
        """Returns the random stream of a term at this step, on the CPU; there is nothing to save of it.

        Args:
            name: the term's, so that no term's draws depend on another's.
        """
        return generator(self.seed, "terms", self.step, name)


def _on(value: Any, device: torch.device | str) -> Any:
    """Returns a value whose tensors, within mappings, lists and the classes of this file, are on a device."""
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, Mapping):
        return {name: _on(part, device) for name, part in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_on(part, device) for part in value)
    if isinstance(value, (Mixture, Outputs)):
        return type(value)(**{name: _on(part, device) for name, part in vars(value).items()})
    return value
