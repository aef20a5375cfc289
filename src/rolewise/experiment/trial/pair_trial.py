"""A student's bits, its beginning from the teacher, and each method between the two, tried on two images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from rolewise.batch import Batch
from rolewise.config.faults import Steps
from rolewise.config.network_sections import ModelSection, StudentSection
from rolewise.distill import METHODS, Distiller, build_methods
from rolewise.distill.settings import method_name
from rolewise.errors import InputError, RolewiseError, near
from rolewise.experiment import builders
from rolewise.experiment.declared_models import declared
from rolewise.experiment.trial.image_facts import ImageFacts
from rolewise.experiment.trial.network_trial import BATCH, CPU, NOWHERE, Network, built
from rolewise.experiment.trial.text_facts import TextFacts
from rolewise.foreign_code import failed, is_import_path
from rolewise.inputs import InputSpec
from rolewise.models import init_from
from rolewise.seeds import generator
from rolewise.taps import names_of, parse_tap, resolve
from rolewise.tasks import build_task

Pair = tuple[Network, Network]


def bits_fault(section: StudentSection, student: Network, images: ImageFacts) -> tuple[Steps, str] | None:
    """Returns the fault that keeps a student's network from its bits: path below the student, and message; or None.

    Args:
        section: the student.
        student: its network in floating point.
        images: facts of the data's images.
    """
    bits = section.quantise
    assert bits is not None

    def fault(**changes: Any) -> str | None:
        changed = section.model_copy(update={"quantise": bits.model_copy(update=changes)})
        try:
            builders.at_bits(changed, student.module)
        except InputError as error:
            return str(error)
        except Exception:
            if student.place == CPU:
                raise
            try:
                builders.at_bits(changed, built(section.model, images, CPU))
            except InputError as error:
                return str(error)
        return None

    message = fault()
    if message is None:
        return None
    # The setting without which the rest is sound.
    for key, empty in (("keep", ()), ("layers", {})):
        if getattr(bits, key) and fault(**{key: empty}) is None:
            return ("quantise", key), message.removeprefix(f"{key} ")
    return ("quantise",), message


def init_fault(teacher: Network, student: Network) -> str | None:
    """Returns the reason that keeps a student from the teacher's weights; None where it can take them."""
    try:
        init_from(student.module, teacher.module)
    except InputError as error:
        return f"must fit: {error}"
    except Exception:
        return None  # one of them without content: names and shapes were equal, or the copy had not begun
    return None


def method_trial_faults(
    method: dict[str, Any],
    sections: tuple[ModelSection, StudentSection],
    pair: Pair,
    images: ImageFacts,
    on_cpu: Callable[[], Pair],
) -> list[tuple[Steps, str]]:
    """Returns the faults of one method between a teacher and a student: taps, shapes, learned maps.

    Args:
        method: as the config holds it, sound by itself.
        sections: the teacher's model and the student's section.
        pair: their networks.
        images: facts of the data's images.
        on_cpu: gives both networks with content, for what cannot be told without.

    Returns:
        For each fault its path below the method, and a message.

    Raises:
        ForeignError: the method is the user's own, and raised.
    """
    name, student = method_name(method), sections[1].name
    faults: list[tuple[Steps, str]] = []
    for key, network, role in (
        ("student_taps", pair[1], f'student "{student}"'),
        ("teacher_taps", pair[0], "teacher"),
    ):
        value = method.get(key, ())
        for at, tap in enumerate([value] if isinstance(value, str) else value):
            if message := _tap_fault(network, str(tap), f'"{name}": the {role}'):
                faults.append(((key,) if isinstance(value, str) else (key, at), message))
    if faults:
        return faults
    try:
        if pair[0].place == pair[1].place == NOWHERE:
            try:
                _distil(method, sections, pair, images)
                return []
            except Exception:
                pass  # perhaps it looks at numbers: the CPU decides
        _distil(method, sections, on_cpu(), images)
    except RolewiseError as error:
        return [((), f'"{name}" must fit the teacher and the student "{student}": {error}')]
    except Exception as error:
        if is_import_path(name):
            raise failed(f'method "{name}"', name.partition(":")[0], error) from error
        text = " ".join(str(error).split())[:200]
        what = f"raised {type(error).__name__}: {text}; give it other student_taps and teacher_taps, or take it out"
        if name in METHODS and METHODS[name].reads == "logits":
            what = f"raised {type(error).__name__}: {text}; change its settings, or take it out"
        return [((), f'"{name}" must fit the teacher and the student "{student}", and {what}')]
    return []


def _tap_fault(network: Network, tap: str, whose: str) -> str | None:
    taps = list(names_of(network.module))
    try:
        parse_tap(tap)
    except InputError as error:
        if tap not in taps:
            return f"{whose} has no such tap: {error}"
    try:
        resolve(network.module, tap, "network")
    except InputError:
        hint = near(tap, {*taps, *(path for path, _ in network.module.named_modules() if path)})
        if "did you mean" not in hint:
            hint = f"; its taps are {', '.join(taps)}" if taps else ""
            hint += ", and so is the path of any module" if taps else "; give the path of a module"
        return f"{whose} has no tap {tap!r}{hint}"
    return None


def _distil(
    method: dict[str, Any], sections: tuple[ModelSection, StudentSection], pair: Pair, images: ImageFacts
) -> None:
    """Makes a loss of one method as a training does, which runs it once."""
    place = pair[0].place
    if images.texts is not None:
        _distil_texts(method, pair, images, images.texts)
        return
    shape = (BATCH, images.channels, *images.size)
    example = torch.zeros(shape, dtype=torch.uint8)
    if place == CPU:
        example = torch.randint(256, shape, dtype=torch.uint8, generator=generator(0, "trial"))
    labels = torch.arange(2 * BATCH, device="cpu") % 2
    with place:
        distiller = Distiller(
            pair[0].module,
            pair[1].module,
            build_methods([dict(method)]),
            teacher_input=input_spec(sections[0], images),
            student_input=input_spec(sections[1].model, images),
            example=example.to(place),
            labels=labels if images.labelled else torch.zeros_like(labels),
            task=build_task(images.task),
            label_weight=1.0 if images.labelled else 0.0,
        )
        if not images.labelled:
            _without_classes(distiller, example.to(place))


def _distil_texts(method: dict[str, Any], pair: Pair, images: ImageFacts, texts: TextFacts) -> None:
    """Makes a loss of one method on texts as a training does, which runs it once."""
    place = pair[0].place
    inputs = texts.example("student", place)
    views = {} if texts.shared else {"teacher": texts.example("teacher", place)}
    methods = build_methods([dict(method)])
    with place:
        distiller = Distiller(
            pair[0].module,
            pair[1].module,
            methods,
            example=Batch(inputs, views=views),
            labels=torch.arange(2 * BATCH, device="cpu") % 2,
            task=build_task(images.task),
        )
    for one in methods:
        if one.info.reads != "logits" and not getattr(one.info.term, "reads_tokens", False):
            _check_places(distiller)


def _check_places(distiller: Distiller) -> None:
    """Raises InputError where a method without masks reads tokens: padding would count in it."""
    for term in distiller.listed_terms():
        for path, _ in term.pairs:
            if ":token." not in path and not path.endswith("head:input"):
                raise InputError(
                    f'"{term.name}" reads tokens without their mask, got {path!r}: padding would count; tap '
                    "penultimate, or one token (layer2:token.0), or take a method of texts"
                )


def _without_classes(distiller: Distiller, example: torch.Tensor) -> None:
    """Runs a loss as training images without classes do."""
    if any(method.info.wants_labels for method in distiller.methods):
        raise InputError("it reads the classes of images, and the training images have none; take it out")
    distiller(Batch(example, None, torch.arange(len(example), device="cpu")))


def input_spec(model: ModelSection, images: ImageFacts) -> InputSpec:
    """Returns an input like the one that a network is fed in training, for the trial of its shapes."""
    channels, own = images.fed(model)[0], declared(model)
    how = own.interpolation or "bilinear"
    return InputSpec(own.mean or (0.5,) * channels, own.std or (0.25,) * channels, own.size, how)
