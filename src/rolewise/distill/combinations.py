"""Named combinations of methods: one name in a config, or one function, stands for several terms."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rolewise.distill.absent import unknown_method
from rolewise.distill.checks import check_limit
from rolewise.distill.method import Method
from rolewise.distill.method_registry import METHODS, configure, method_faults
from rolewise.distill.settings import method_name, named, no_setting
from rolewise.distill.term_weights import weight_of
from rolewise.errors import InputError
from rolewise.registry import Registry

COMBINATIONS: Registry[Callable[..., list[Method]]] = Registry("combination")


@COMBINATIONS.add("ii_kd")
def ii_kd(*, weight: float = 1.0, batch_size: int = 128, warmup: float = 0.0) -> list[Method]:
    r"""Relations between examples and within them: the role-wise paper's combined loss, a reconstruction.

    .. math:: L = L_\mathrm{MHGD} + L_\mathrm{RKD} + L_\mathrm{KD\text{-}SVD}

    Source: the term ``MHGD-RKD-SVD`` of the code that Fu et al. (2020), https://arxiv.org/abs/2004.08861, released,
    with unit weights. That this is the loss which the paper calls II-KD is inferred from that code and from the paper's
    reviews: it is a reconstruction, not the paper's own definition.
    Differs from source: as its three methods do; the Huber loss of ``rkd`` is the right one, and the attention of
    ``mhgd`` is trained. The code bounds the gradient of this sum by that of the labels: set ``distill_gradient:
    limited`` in the training's settings for that.

    Args:
        weight: of the sum.
        batch_size: B. The code sums over the batch where ``kd_svd`` and ``mhgd`` are averaged here, so that its unit
            weights are B of those here; ``rkd`` is an average in both.
        warmup: the fraction of training before ``mhgd`` starts; its attention learns meanwhile.

    Returns:
        Three methods; both networks must name their stages and their logits.

    Raises:
        InputError: a number is out of range.
    """
    check_limit("weight", weight, "not negative", owner="ii_kd")
    check_limit("batch_size", batch_size, "count", owner="ii_kd")
    check_limit("warmup", warmup, "not negative", owner="ii_kd")
    if warmup > 1:
        raise InputError.at(("warmup",), f"must be a fraction of training, at most 1, got {warmup}", owner="ii_kd")
    summed = weight * batch_size
    late = {"start": 0.0, "end": summed, "shape": "step", "at": warmup} if warmup else summed
    taps = {"student_taps": "logits", "teacher_taps": "logits"}
    return [
        configure("rkd", distance=50.0, angle=100.0, normalise=True, weight=weight, **taps),
        configure("kd_svd", weight=summed),
        configure("mhgd", weight=weight_of(late)),
    ]


@COMBINATIONS.add("function_matching")
def function_matching(*, weight: float = 1.0, temperature: float = 1.0) -> list[Method]:
    r"""Function matching: the teacher's probabilities on the very image that the student sees, and nothing else.

    .. math:: L = \mathrm{KL}(\mathrm{softmax}(t) \,\|\, \mathrm{softmax}(s))

    It is a recipe rather than a loss: ``label_weight: 0``, ``view: shared`` (both networks get the same crop and the
    same mixed image), images mixed or augmented strongly, and far more epochs than usual.

    Source: Beyer et al. (2022), Knowledge distillation: a good teacher is patient and consistent,
    https://arxiv.org/abs/2106.05237; temperature 1, images mixed at Beta(1, 1).
    Differs from source: none in the loss, which is ``kd`` at temperature 1; what stands beside it is up to the config.

    Args:
        weight: of the divergence.
        temperature: T > 0, dimensionless.

    Returns:
        One method.

    Raises:
        InputError: a number is out of range.
    """
    return [configure("kd", temperature=temperature, weight=weight)]


def build_methods(sections: Sequence[Mapping[str, Any]]) -> list[Method]:
    """Configures methods from mappings with a ``name`` and settings, as a config holds them.

    Args:
        sections: each of a method, or of a combination, which gives several.

    Raises:
        InputError: a section has no name, a name or a setting is unknown, or a number is out of range.
    """
    built: list[Method] = []
    for section in sections:
        for error in section_faults(section):
            raise error
        name, settings = named(section, METHODS)
        built += COMBINATIONS[name](**settings) if name in COMBINATIONS else [configure(name, **settings)]
    return built


def section_terms(section: Mapping[str, Any]) -> list[str]:
    """Returns the names of the terms that a method's section makes: one, or those of a combination.

    Args:
        section: without faults.
    """
    name = method_name(section)
    if name in COMBINATIONS:
        return [one.name for one in COMBINATIONS[name]()]
    own = section.get("name") if "method" in section else None
    return [str(own) if own is not None else METHODS[name].name]


def section_faults(section: object) -> list[InputError]:
    """Returns an error for everything that is wrong with a method's section in a config, each with its path.

    Args:
        section: a mapping with the ``name`` of a method or of a combination, and settings.
    """
    try:
        name, settings = named(section, METHODS)
        if name not in COMBINATIONS:
            if name not in METHODS:
                raise unknown_method(name, [*METHODS, *COMBINATIONS])
            return list(method_faults(name, settings))
    except InputError as error:
        return [error]
    known = inspect.signature(COMBINATIONS[name]).parameters
    faults = [no_setting(name, key, known) for key in settings if key not in known]
    settings = {key: value for key, value in settings.items() if key in known}
    # Each by itself, so that all are found; then all of them, for what they are together.
    for some in (*({key: value} for key, value in settings.items()), settings if not faults else {}):
        try:
            COMBINATIONS[name](**some)
        except InputError as error:
            if str(error) not in map(str, faults):
                faults.append(error)
    return faults
