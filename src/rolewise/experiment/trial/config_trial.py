"""A whole experiment on trial: its networks, their bits, and every method between every pair of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from rolewise.config import experiment_digest
from rolewise.config.faults import Steps, dotted
from rolewise.config.network_sections import ModelSection, StudentSection
from rolewise.config.schema import ExperimentConfig
from rolewise.config.training_sections import TrainSection
from rolewise.data import MissingDataError
from rolewise.distill.settings import method_key
from rolewise.errors import InputError
from rolewise.experiment.method_sections import methods_of_student
from rolewise.experiment.name_checks import check
from rolewise.experiment.own_code import own_code
from rolewise.experiment.stage_graph import stages_of
from rolewise.experiment.trial.configured_trial import configured_trial
from rolewise.experiment.trial.data_free_trial import data_free_faults_of
from rolewise.experiment.trial.image_facts import ImageFacts, facts_once, taught_images
from rolewise.experiment.trial.metric_trial import metric_trial_faults
from rolewise.experiment.trial.network_trial import CPU, Network, built, input_fault
from rolewise.experiment.trial.operation_trial import operation_fault
from rolewise.experiment.trial.pair_trial import bits_fault, init_fault, method_trial_faults
from rolewise.experiment.trial.peer_trial import peer_trial_faults
from rolewise.experiment.trial.phase_trial import phase_trial_faults
from rolewise.experiment.trial.remembered import Remembered
from rolewise.experiment.trial.selection_trial import selection_faults, trained_form
from rolewise.experiment.trial.sizes import size_faults
from rolewise.experiment.trial.stack_trial import stack_trial
from rolewise.experiment.trial.targets_trial import target_fault
from rolewise.experiment.trial.teaching_networks import teacher_of_method, teaching_networks, without_role
from rolewise.experiment.trial.tokenizer_trial import tokenizer_faults
from rolewise.experiment.trial.unlabelled_trial import unlabelled_faults
from rolewise.experiment.trial.weight_trial import weight_trial
from rolewise.experiment.weight_sources import weight_settings
from rolewise.foreign_code import ForeignError
from rolewise.models.zoo import in_zoo
from rolewise.models.zoo_weights import PRETRAINED
from rolewise.threads import torch_threads

#: Digests of experiments in which this process has found no fault.
SOUND: set[str] = set()


class Trial:
    """Tries experiments; what several of them share, such as the cells of a study, is tried once.

    Args:
        imports: whether the user's own code is imported; without it, nothing that depends on it is checked.

    Attributes:
        notes: remarks that are no faults, each once.
        tables: remarks on what is right: the tensors loaded from each file of weights, and trials that passed.
        left_out: settings whose code was not imported, each once, where ``imports`` is False.
        traces: tracebacks of what the user's own code raised.
        once: gives what several experiments have in common (see `Remembered.once`).
    """

    def __init__(self, *, imports: bool = True) -> None:
        self.notes, self.tables, self.left_out, self.traces = (list[str]() for _ in range(4))
        self._imports = imports
        self.once = Remembered(self.traces).once

    def check(self, config: ExperimentConfig) -> Iterator[tuple[Steps, str]]:
        """Yields (path, message) for all that is wrong: names and settings, then networks and what reads them.

        What stands in a setting with a fault is not tried.
        """
        own = list(self._own_code(config))
        faults = [(steps, message) for steps, message in own if message]
        left_out = [steps for steps, _ in own]
        faults += check(config, left_out)
        yield from faults
        wrong = [*(steps for steps, _ in faults), *left_out]
        with torch_threads(config.threads):
            tried = list(self._try(config, lambda *path: any(_along(steps, path) for steps in wrong)))
            if not wrong and not tried:
                facts = facts_once(config, self.once)
                tried += stack_trial(config, facts, partial(self._note, where=self.tables))
        yield from tried
        if not wrong and not tried:
            SOUND.add(experiment_digest(config))

    def _try(self, config: ExperimentConfig, faulty: Callable[..., bool]) -> Iterator[tuple[Steps, str]]:
        sections: list[tuple[Steps, ModelSection, TrainSection | None]] = [
            (("teacher", "model"), config.teacher.model, None if config.teacher.weights else config.teacher.train)
        ]
        sections += [(("students", at, "model"), one.model, one.train) for at, one in enumerate(config.students)]
        if faulty("data"):
            return
        images = facts_once(config, self.once)
        if isinstance(images, InputError):
            if isinstance(images, ForeignError):
                yield ("data", "name"), str(images)
            elif isinstance(images, MissingDataError):
                self._note(f"The networks were not tried, since the data are not here: {images}")
            elif images.path[:1] == ("data",):
                yield images.path, images.rule
            else:
                yield ("data",), str(images)
            return
        if faulty("task"):
            return
        if fault := target_fault(images):
            yield ("task",), fault
            return
        yield from metric_trial_faults(config, images, faulty, self.once)
        yield from size_faults(config, images)
        if not images.labelled:
            yield from unlabelled_faults(config)
        if images.texts is not None:
            yield from tokenizer_faults(config, images.texts)
        taught = images if faulty("teacher") else self._taught(config, images)
        if isinstance(taught, InputError):
            yield taught.path or ("teacher", "label_map"), taught.rule
        networks: list[Network | None] = []
        for steps, model, train in sections:
            found, seen = None, taught if steps[0] == "teacher" else images
            if faulty(*steps) or isinstance(seen, InputError):
                pass
            elif fault := input_fault(model, images):
                yield (*steps, "mean"), fault
            else:
                how = (model, seen, train, config.device)
                found = self.once(["network", steps, *how], partial(configured_trial, *how))
            if isinstance(found, Exception):
                yield (*steps, "name"), str(found)
            elif found is not None and found.probabilities:
                self._note(
                    f"{dotted(steps)} ({model.name}) returns probabilities, at least 0 and summing to 1, where logits "
                    "are wanted: the losses take another softmax of them. Let it return what goes into its softmax."
                )
            networks.append(found if isinstance(found, Network) else None)
            if isinstance(found, Network) and train is not None and not faulty(*steps[:-1], "train"):
                section = config.students[int(steps[1])] if steps[0] == "students" else None
                selected = selection_faults(trained_form(section, found.module), train)
                yield from (((*steps[:-1], "train", *below), fault) for below, fault in selected)
        for place, text in weight_trial(config, images, networks, faulty, self.once):
            if place:
                yield place, text
            else:
                self._note(text, self.notes if place is None else self.tables)
        yield from self._students(config, images, networks, faulty)
        for code in own_code(config):
            if code.kind == "operation" and not faulty(*code.steps):
                fault = self.once(["operation", code.path, images], partial(operation_fault, code.path, images))
                if fault:
                    yield code.steps, str(fault)

    def _own_code(self, config: ExperimentConfig) -> Iterator[tuple[Steps, str]]:
        """Imports the user's own code; yields the settings whose code is not there, each with its fault.

        The fault is empty where nothing is to be imported, nor anything fetched by another library.
        """
        for setting in () if self._imports else weight_settings(config):
            if setting.file == PRETRAINED and in_zoo(setting.model.name):
                text = f"{dotted(setting.steps)} ({setting.model.name})"
                self.left_out += [text] if text not in self.left_out else []
                yield setting.steps, ""
        for code in own_code(config):
            if not self._imports:
                text = f"{dotted(code.steps)} ({code.path})"
                self.left_out += [text] if text not in self.left_out else []
                yield code.steps, ""
                continue
            found = self.once(["import", code.kind, code.path], code.look_up)
            if isinstance(found, InputError):
                yield code.steps, str(found)

    def _students(
        self,
        config: ExperimentConfig,
        images: ImageFacts,
        networks: list[Network | None],
        faulty: Callable[..., bool],
    ) -> Iterator[tuple[Steps, str]]:
        distils = any(stage.distilled for stage in stages_of(config))
        for at, (section, student) in enumerate(zip(config.students, networks[1:], strict=True)):
            if student is None:
                continue
            if section.quantise is not None and not faulty("students", at, "quantise"):
                bits = section.model, section.quantise
                fault = self.once(["bits", *bits, images], partial(bits_fault, section, student, images))
                if fault:
                    yield ("students", at, *fault[0]), fault[1]
            teaching = teaching_networks(config, networks, section)
            if teaching is None:
                continue
            model, teacher = teaching[section.teachers[0]]
            if section.data_free is not None and distils and not faulty("students", at):
                yield from data_free_faults_of(at, section, model, teacher.module, student.module, images)
            if section.init == "teacher":
                fault = self.once(["init", model, section.model, images], partial(init_fault, teacher, student))
                if fault:
                    yield ("students", at, "init"), fault
            if distils and section.phases and not any(faulty(*path) for path, _ in methods_of_student(config, at)):
                found_there = phase_trial_faults(config, section, teaching, trained_form(section, student.module))
                yield from ((("students", at, "phases", *below), message) for below, message in found_there)
            if section.peers and distils and not any(faulty(*path) for path, _ in methods_of_student(config, at)):
                yield from peer_trial_faults(at, section, methods_of_student(config, at), teaching, images)
            for path, method in methods_of_student(config, at) if distils and not section.peers else ():
                if not faulty(*path):
                    role, fault = teacher_of_method(method, section)
                    how = config, images, without_role(method, section), section, (role, *teaching[role]), student, at
                    found: list[tuple[Steps, str]] = [(("teacher",), fault)] if fault else self._method(*how)
                    yield from (((*path, *steps), message) for steps, message in found)

    def _method(
        self,
        config: ExperimentConfig,
        images: ImageFacts,
        method: dict[str, Any],
        section: StudentSection,
        teaching: tuple[str, ModelSection, Network],
        student: Network,
        at: int,
    ) -> list[tuple[Steps, str]]:
        """Returns the faults of one method between one teacher and one student, by path below the method."""
        settings = {name: value for name, value in method.items() if name != "weight"}
        role, model, network = teaching
        seen = self._taught(config, images) if role == "teacher" else images
        if isinstance(seen, InputError):
            return []  # named already
        key = ["method", settings, model, section.model, section.quantise, section.name, images]

        def on_cpu() -> tuple[Network, Network]:
            both = (role, model, seen), (at, section.model, images)
            made = (self.once(["cpu", *one], partial(built, *one[1:], CPU)) for one in both)
            return Network(next(made), CPU), Network(next(made), CPU)

        how = (method, (model, section), (network, student), images, on_cpu)
        found = self.once(key, partial(method_trial_faults, *how))
        return [((method_key(method),), str(found))] if isinstance(found, ForeignError) else found

    def _taught(self, config: ExperimentConfig, images: ImageFacts) -> Any:
        return self.once(["taught", config.teacher, images], partial(taught_images, config, images))

    def _note(self, text: str, where: list[str] | None = None) -> None:
        where = self.notes if where is None else where
        if text not in where:
            where.append(text)


def _along(one: Steps, other: Steps) -> bool:
    """Returns whether one path leads through the other, whichever it is."""
    return all(first == second for first, second in zip(one, other, strict=False))
