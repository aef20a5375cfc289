"""Schedules: policies over training time, as segments of fractions of training, kept as JSON with operation names."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from rolewise.augment.ops import PBA_OPS
from rolewise.augment.policy import Augmentation, Policy, Triple
from rolewise.augment.random_policies import RandomOps, SubPolicies
from rolewise.augment.torchvision_spaces import TorchvisionOps, TorchvisionPolicy
from rolewise.errors import InputError
from rolewise.files import AnyPath, read_json, write_json

VERSION = 1


@dataclass(frozen=True)
class Schedule:
    """Augmentations over the time of a training.

    Args:
        segments: (start, augmentation), starts ascending from 0, each in [0, 1), in fractions of training.
        name: the schedule's name in the report.

    Raises:
        InputError: there is no segment, or the starts are not ascending from 0.
    """

    segments: tuple[tuple[float, Augmentation], ...]
    name: str = ""

    def __post_init__(self) -> None:
        starts = [start for start, _ in self.segments]
        if not starts or starts[0] != 0 or any(a >= b for a, b in itertools.pairwise(starts)) or starts[-1] >= 1:
            raise InputError(f"segments must start at 0 and ascend below 1, got starts {starts}")

    @staticmethod
    def constant(augmentation: Augmentation, name: str = "") -> Schedule:
        """Returns the schedule that always holds the same."""
        return Schedule(((0.0, augmentation),), name)

    @staticmethod
    def from_vectors(
        vectors: Sequence[Sequence[int]],
        starts: Sequence[float],
        *,
        ops: Sequence[str] = PBA_OPS,
        name: str = "",
        **settings: Any,
    ) -> Schedule:
        """Makes a schedule from policy vectors (see `Policy.from_vector`) and the fractions at which they begin."""
        policies = [Policy.from_vector(vector, ops=ops, **settings) for vector in vectors]
        return Schedule(tuple(zip(map(float, starts), policies, strict=True)), name)

    def at(self, fraction: float) -> Augmentation:
        """Returns the augmentation at a fraction of training in [0, 1]."""
        current = self.segments[0][1]
        for start, augmentation in self.segments:
            if start > fraction + 1e-9:
                break
            current = augmentation
        return current

    def lengths(self) -> list[float]:
        """Returns the length of each segment as a fraction of training."""
        starts = [start for start, _ in self.segments] + [1.0]
        return [after - before for before, after in itertools.pairwise(starts)]

    def shuffled(self, generator: torch.Generator) -> Schedule:
        """Returns the same segments, lengths kept, in another order: a control for whether the order matters.

        With two segments or more the order is never the old one.
        """
        count = len(self.segments)
        order = list(range(count))
        while count > 1 and order == list(range(count)):
            order = torch.randperm(count, generator=generator).tolist()
        lengths, start, segments = self.lengths(), 0.0, []
        for index in order:
            segments.append((start, self.segments[index][1]))
            start += lengths[index]
        return Schedule(tuple(segments), f"{self.name}-shuffled")

    def to_json(self) -> dict[str, Any]:
        """Returns plain values."""
        segments = [{"start": start, "augmentation": augmentation.to_json()} for start, augmentation in self.segments]
        return {"version": VERSION, "kind": "schedule", "name": self.name, "segments": segments}

    @staticmethod
    def from_json(value: Any, where: str = "schedule") -> Schedule:
        """Makes a schedule from plain values.

        Raises:
            InputError: a field is missing, unknown or out of range; it is named.
        """
        if not isinstance(value, dict) or value.get("kind") != "schedule":
            raise InputError(f'{where} must be a mapping with kind "schedule"; it is damaged or of another kind')
        if value.get("version") != VERSION:
            raise InputError(
                f"{where}: version must be {VERSION}, got {value.get('version')!r}; add it to a file that was written "
                "by hand, or make the schedule with this release"
            )
        segments = value.get("segments")
        if not isinstance(segments, list):
            raise InputError(f"{where}: segments must be a list, got {type(segments).__name__}")
        made = []
        for index, segment in enumerate(segments):
            place = f"{where}: segments[{index}]"
            if not isinstance(segment, dict) or not _is_number(segment.get("start")):
                raise InputError(f"{place} must hold a number start and an augmentation")
            made.append((float(segment["start"]), augmentation_from_json(segment.get("augmentation"), place)))
        try:
            return Schedule(tuple(made), str(value.get("name", "")))
        except InputError as error:
            raise InputError(f"{where}: {error}") from error

    def save(self, path: AnyPath) -> None:
        """Writes the schedule as JSON."""
        write_json(path, self.to_json())

    @staticmethod
    def load(path: AnyPath) -> Schedule:
        """Reads a schedule file.

        Raises:
            InputError: it is missing, damaged or of another kind; file and field are named.
        """
        return Schedule.from_json(read_json(path, "schedule"), f"schedule {path}")


def augmentation_from_json(value: Any, where: str = "augmentation") -> Augmentation:
    """Makes an augmentation from the plain values of its ``to_json``.

    Raises:
        InputError: a field is missing, unknown or out of range; it is named.
    """
    kinds: dict[str, Callable[[dict[str, Any]], Augmentation]] = {
        "policy": _policy,
        "random_ops": _random_ops,
        "sub_policies": _sub_policies,
        "torchvision_ops": _torchvision_ops,
        "torchvision_policy": lambda fields: TorchvisionPolicy(fields["policy"], tuple(fields["base"])),
    }
    if not isinstance(value, dict) or value.get("kind") not in kinds:
        raise InputError(f"{where}: augmentation must be a mapping whose kind is one of {', '.join(kinds)}")
    fields = {name: field for name, field in value.items() if name != "kind"}
    try:
        return kinds[value["kind"]](fields)
    except (InputError, TypeError, ValueError, KeyError, AttributeError) as error:
        raise InputError(f"{where}: {error}") from error


def _policy(fields: dict[str, Any]) -> Policy:
    return Policy(
        triples=tuple(map(_triple, fields.pop("triples"))),
        counts=tuple(map(_number, fields.pop("counts"))),
        ranges=_ranges(fields),
        base=tuple(fields.pop("base", ())),
        **fields,
    )


def _random_ops(fields: dict[str, Any]) -> RandomOps:
    num_ops, strength = fields.pop("num_ops"), fields.pop("strength")
    if not isinstance(num_ops, int) or isinstance(num_ops, bool):
        raise InputError(f"num_ops must be a whole number, got {num_ops!r}")
    return RandomOps(
        num_ops=num_ops,
        strength=None if strength is None else _number(strength),
        ops=tuple(fields.pop("ops")),
        ranges=_ranges(fields),
        base=tuple(fields.pop("base", ())),
        **fields,
    )


def _sub_policies(fields: dict[str, Any]) -> SubPolicies:
    sequences = tuple(tuple(map(_triple, sequence)) for sequence in fields.pop("sequences"))
    return SubPolicies(sequences, ranges=_ranges(fields), base=tuple(fields.pop("base", ())), **fields)


def _torchvision_ops(fields: dict[str, Any]) -> TorchvisionOps:
    for name in ("num_ops", "level", "bins"):
        if type(fields[name]) is not int and not (name == "level" and fields[name] is None):
            raise InputError(f"{name} must be a whole number, got {fields[name]!r}")
    return TorchvisionOps(base=tuple(fields.pop("base")), **fields)


def _ranges(fields: dict[str, Any]) -> dict[str, float]:
    return {name: _number(value) for name, value in fields.pop("ranges", {}).items()}


def _triple(value: Any) -> Triple:
    if not isinstance(value, list) or len(value) != 3 or not isinstance(value[0], str):
        raise InputError(f"a triple must be [operation, probability, strength], got {value!r}")
    return Triple(value[0], _number(value[1]), _number(value[2]))


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _number(value: Any) -> float:
    if not _is_number(value):
        raise InputError(f"must be a number, got {value!r}")
    return float(value)


def random_schedule(
    generator: torch.Generator, *, ops: Sequence[str] = PBA_OPS, segments: int = 4, copies: int = 2, **settings: Any
) -> Schedule:
    """Draws a schedule of equal segments with evenly drawn levels: a control for whether the search did anything."""
    vectors = []
    for _ in range(segments):
        levels = torch.stack(
            [
                torch.randint(0, 11, (len(ops) * copies,), generator=generator),
                torch.randint(0, 10, (len(ops) * copies,), generator=generator),
            ],
            1,
        )
        vectors.append(levels.flatten().tolist())
    starts = [index / segments for index in range(segments)]
    return Schedule.from_vectors(vectors, starts, ops=ops, name="random", **settings)
