"""The learned maps of methods that have one, with initial weights that depend on a given seed alone."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from rolewise.distill.registry import Method
from rolewise.seeds import derive_seed


def make_adapters(
    methods: Sequence[Method],
    pairs: Sequence[Sequence[tuple[str, str]]],
    student: dict[str, Tensor],
    teacher: dict[str, Tensor],
    generator: torch.Generator | int,
) -> dict[str, nn.Module]:
    """Returns a learned map for each pair of taps of each method that has one.

    Args:
        methods: configured methods.
        pairs: for each method, the paths (student's, teacher's) that it reads.
        student: the student's features by path.
        teacher: the teacher's.
        generator: of the initial weights: a generator or a seed. Torch's global random state is left as it was.

    Returns:
        ``<method>_<index of the pair>`` -> module.
    """
    if isinstance(generator, torch.Generator):
        generator = int(torch.randint(2**62, (), generator=generator, device=generator.device))
    made = {}
    for method, some in zip(methods, pairs, strict=True):
        for index, (student_path, teacher_path) in enumerate(some if method.info.adapter else ()):
            assert method.info.adapter is not None
            name = f"{method.info.name}_{index}"
            with torch.random.fork_rng(devices=[]):
                torch.default_generator.manual_seed(derive_seed(generator, name))
                made[name] = method.info.adapter(student[student_path].shape, teacher[teacher_path].shape)
    return made
