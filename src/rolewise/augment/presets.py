"""Presets: augmentations by name, and the one function that makes a schedule of a config's entry."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError, validate_call

from rolewise.augment.autoaugment_policies import POLICIES
from rolewise.augment.ops import PBA_OPS, check_op
from rolewise.augment.policy import Augmentation, Policy, Triple
from rolewise.augment.random_policies import RandomOps, SubPolicies
from rolewise.augment.schedule import Schedule
from rolewise.augment.torchvision_spaces import TorchvisionOps, TorchvisionPolicy
from rolewise.errors import InputError, near, without_name
from rolewise.registry import Registry

Ops = Sequence[str] | None
Ranges = dict[str, float] | None

#: Functions that make an augmentation; each has its arguments as keywords, all with defaults.
PRESETS: Registry[Callable[..., Augmentation]] = Registry("preset")


@PRESETS.add("none")
def none() -> Policy:
    """The images as they are."""
    return Policy()


@PRESETS.add("standard")
def standard(pad: float = 0.125) -> Policy:
    """Pad-and-crop by ``pad`` of the side (4 pixels at 32) and a mirror image for every other one."""
    return Policy(base=("crop", "flip"), ranges={"crop": pad})


@PRESETS.add("inception")
def inception(area: float = 0.92) -> Policy:
    """A random part of the image, of which up to ``area`` is left out, at the size of the whole; and a mirror image.

    Source: Szegedy et al. (2015), https://arxiv.org/abs/1409.4842, the usual augmentation of photographs.
    """
    return Policy(base=("resized_crop", "flip"), ranges={"resized_crop": area})


@PRESETS.add("cutout")
def cutout(size: float = 0.5, pad: float = 0.125) -> Policy:
    """`standard`, then a hole of ``size`` of the side (16 pixels at 32).

    Source: DeVries and Taylor (2017), https://arxiv.org/abs/1708.04552.
    """
    return Policy(base=("crop", "flip", "cutout"), ranges={"crop": pad, "cutout": size})


@PRESETS.add("randaugment")
def randaugment(
    num_ops: int = 2, strength: float = 0.5, ops: Ops = None, ranges: Ranges = None, base: Sequence[str] = ()
) -> RandomOps:
    """``num_ops`` operations for each image, all at one strength (RandAugment).

    Source: Cubuk et al. (2020), https://arxiv.org/abs/1909.13719.
    Differs from source: the ranges are those of `rolewise.augment.OPS` and `invert` is among the fourteen operations;
    ``autocontrast`` and ``equalize`` grow with the strength, so that at .5 they are blended in by half, where the
    source applies them whole. `randaugment_torchvision` has the source's choices, levels and signs.
    """
    return RandomOps(num_ops, strength, tuple(ops or PBA_OPS[:14]), dict(ranges or {}), tuple(base))


@PRESETS.add("trivialaugment")
def trivialaugment(ops: Ops = None, ranges: Ranges = None, base: Sequence[str] = ()) -> RandomOps:
    """One operation for each image, at a strength drawn evenly (TrivialAugment).

    Source: Müller and Hutter (2021), https://arxiv.org/abs/2103.10158.
    Differs from source: not the Wide space, which `trivialaugment_wide` has. Here the largest shear is .3 (there .99),
    translation .3 of the side (32 pixels, all of a 32x32 image), rotation 30 degrees (135), change of a factor .9
    (.99), removal of bits 4 (6); ``autocontrast`` and ``equalize`` are blended in by the drawn strength, half on
    average (whole there); `invert` is one choice more.
    """
    return RandomOps(1, None, tuple(ops or PBA_OPS[:14]), dict(ranges or {}), tuple(base))


@PRESETS.add("randaugment_torchvision")
def randaugment_torchvision(
    num_ops: int = 2, magnitude: int = 9, bins: int = 31, base: Sequence[str] = ()
) -> TorchvisionOps:
    """RandAugment as in torchvision: its fourteen choices, at level ``magnitude`` of ``bins``."""
    return TorchvisionOps("randaugment", num_ops, magnitude, bins, tuple(base))


@PRESETS.add("trivialaugment_wide")
def trivialaugment_wide(bins: int = 31, base: Sequence[str] = ()) -> TorchvisionOps:
    """TrivialAugment on its Wide space, as in torchvision: one of fourteen choices, at an evenly drawn level."""
    return TorchvisionOps("trivialaugment_wide", 1, None, bins, tuple(base))


@PRESETS.add("autoaugment_torchvision")
def autoaugment_torchvision(
    policy: Literal["imagenet", "cifar10", "svhn"] = "imagenet", base: Sequence[str] = ()
) -> TorchvisionPolicy:
    """AutoAugment as in torchvision: the policy found on ImageNet, CIFAR-10 or SVHN."""
    return TorchvisionPolicy(policy, tuple(base))


@PRESETS.add("fixed")
def fixed(
    policy: Sequence[tuple[str, float, float]] = (),
    counts: Sequence[float] = (0.2, 0.3, 0.5),
    magnitude: Literal["fixed", "uniform"] = "uniform",
    ranges: Ranges = None,
    base: Sequence[str] = (),
) -> Policy:
    """One's own policy: a list of [operation, probability, strength], drawn from as `rolewise.augment.Policy` is.

    Of each image 0, 1 or 2 operations are taken by default, each at a strength between 0 and its own;
    ``counts=(0, 1)`` and ``magnitude="fixed"`` make it one, at its own strength.

    Raises:
        InputError: it has neither a policy nor operations for every image, and would change nothing.
    """
    if not policy and not base:
        rule = "must have a policy: [[operation, probability, strength], ...]"
        raise InputError(f'"fixed" {rule}; or take "none", which changes nothing')
    triples = [Triple(check_op(op, "policy"), probability, strength) for op, probability, strength in policy]
    return Policy(tuple(triples), tuple(counts), magnitude, ranges=dict(ranges or {}), base=tuple(base))


@PRESETS.add("pba")
def pba(
    probability: float = 0.3, level: int = 5, ranges: Ranges = None, base: Sequence[str] = ("crop", "flip")
) -> Policy:
    """All fifteen operations, twice each, on the original scale, at one probability and level (0 to 9).

    The source's own training ends with a hole of 16 pixels at 32: ``base=("crop", "flip", "cutout"),
    ranges={"cutout": 0.5}``. The ranges are those of ``base``; the fifteen operations have the original levels.

    Source: Ho et al. (2019), https://arxiv.org/abs/1905.05393.
    Differs from source: a crop is moved by -4 to 4 pixels at 32 (there -4 to 3, of nine offsets the last is never
    drawn), and what comes from outside the image has the grey level of the fill, by default black, where the source
    has the data's mean: on CIFAR-10 that is about two standard deviations brighter. ``augment.fill`` (121 there), or
    `rolewise.augment.apply`'s ``fill`` with one level for each channel, sets it.
    """
    triples = tuple(Triple(name, probability, level / 10) for name in PBA_OPS * 2)
    return Policy(triples, scale="pba", ranges=dict(ranges or {}), base=tuple(base))


@PRESETS.add("autoaugment")
def autoaugment(base: Sequence[str] = ("crop", "flip"), ranges: Ranges = None) -> SubPolicies:
    """The policy that AutoAugment found for CIFAR-10 (Cubuk et al., 2019, table 7).

    Source: https://arxiv.org/abs/1805.09501.
    Differs from source: level m is strength m / 10 of the ranges of `rolewise.augment.OPS`, so that a translation at
    level 9 is .27 of the side (8.6 pixels at 32; in torchvision 14). `autoaugment_torchvision` has torchvision's
    levels, and the policies of other data too.
    """
    sequences = tuple(tuple(Triple(op, p / 10, m / 10) for op, p, m in row) for row in POLICIES["cifar10"])
    return SubPolicies(sequences, dict(ranges or {}), tuple(base))


def build_schedule(
    spec: str | dict[str, Any] | Path, *, ops: Ops = None, ranges: Ranges = None, base: Sequence[str] | None = None
) -> Schedule:
    """Makes a schedule out of a preset's name, a mapping with a ``name`` and arguments, or a schedule file.

    Args:
        spec: ``"randaugment"``, ``{"name": "randaugment", "strength": 0.3}``, or ``path/to/schedule.json``.
        ops: the operations that presets which choose among all may use, where the spec has none.
        ranges: other values at strength 1, where the spec has none.
        base: operations for every image, where the spec has none.

    Raises:
        InputError: the name, an argument or the file is wrong.
    """
    if isinstance(spec, Path) or (isinstance(spec, str) and spec.endswith(".json")):
        return Schedule.load(Path(spec))
    arguments = dict(spec) if isinstance(spec, dict) else {"name": spec}
    name = arguments.pop("name", None)
    if not isinstance(name, str):
        rule = f"must have a name, got {spec!r}{without_name(spec, PRESETS)}"
        raise InputError(f"an augmentation {rule}", path=("name",), rule=rule)
    if name not in PRESETS and (Path(name).suffix or "/" in name):
        raise InputError(
            f"a schedule file must end in .json, got {name!r}; a published log becomes one by "
            'load_published(path).schedule().save("schedule.json")'
        )
    function = PRESETS[name]
    parameters = inspect.signature(function).parameters
    for key in arguments:
        if key not in parameters:
            hint = near(key, parameters)
            rule = f'no such setting of "{name}"{hint}'
            raise InputError(f'no such setting of "{name}": {key!r}{hint}', path=(key,), rule=rule)
    defaults = {"ops": ops, "ranges": ranges, "base": base}
    given = {key: value for key, value in defaults.items() if value is not None and key in parameters}
    if name in ("standard", "cutout", "pba"):
        given.pop("ranges", None)
    try:
        return Schedule.constant(_validated(function)(**{**given, **arguments}), name)
    except ValidationError as error:
        faults = [
            f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}, got {fault['input']!r}" for fault in error.errors()
        ]
        if any(fault["loc"][0] == "policy" for fault in error.errors()):
            faults.append("a policy lists [operation, probability, strength]")
        text, places = f'augmentation "{name}": {"; ".join(faults)}', {fault["loc"][0] for fault in error.errors()}
        # A value that came with the call and not with the spec has no place in it.
        path = tuple(places) if len(places) == 1 and places <= set(arguments) else ()
        raise InputError(text, path=path, rule=f"must be an argument of {text}") from error


@functools.cache
def _validated(function: Callable[..., Augmentation]) -> Callable[..., Augmentation]:
    """Returns a preset whose arguments are checked; made once, which costs more than the preset."""
    return validate_call(function)
