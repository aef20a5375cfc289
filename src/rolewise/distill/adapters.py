"""The learned parts of methods that have one, with initial weights that depend on a given seed alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from rolewise.distill.losses import estimator_name
from rolewise.distill.registry import Method
from rolewise.seeds import derive_seed


def make_adapters(
    methods: Sequence[Method],
    pairs: Sequence[Sequence[tuple[str, str]]],
    student: Mapping[str, Tensor],
    teacher: Mapping[str, Tensor],
    generator: torch.Generator | int,
) -> dict[str, nn.Module]:
    """Returns a learned map for each pair of taps of each method that has one, and its estimator if it has one.

    Args:
        methods: configured methods.
        pairs: for each method, the paths (student's, teacher's) that it reads.
        student: the student's features by path.
        teacher: the teacher's.
        generator: of the initial weights: a generator or a seed. Torch's global random state is left as it was.

    Returns:
        ``<method>_<index of the pair>`` -> module, ``<method>_estimator`` -> module.
    """
    if isinstance(generator, torch.Generator):
        generator = int(torch.randint(2**62, (), generator=generator, device=generator.device))
    made = {}

    def add(name: str, make: Callable[[], nn.Module]) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(derive_seed(generator, name))
            made[name] = make()

    for method, some in zip(methods, pairs, strict=True):
        adapter, estimator = method.info.adapter, method.info.estimator
        shapes = [(student[ours].shape, teacher[theirs].shape) for ours, theirs in some]
        for index, (student_shape, teacher_shape) in enumerate(shapes):
            if adapter is not None:
                add(f"{method.info.name}_{index}", partial(adapter, student_shape, teacher_shape))
        if estimator is not None:
            add(estimator_name(method), partial(estimator, [teacher_shape for _, teacher_shape in shapes]))
    return made
