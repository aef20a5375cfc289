"""The terms of a stage as they are put together: the weight of the labels, and methods with their taps."""

from __future__ import annotations

from typing import Any

from rolewise.convert.converted_config import Conversion, mapping, number

#: Modules whose output is that of the whole network.
OUTPUTS = (".", "classifier", "fc", "linear", "head")
#: What wrappers around a network put before its paths.
_PREFIXES = ("student_model.", "teacher_model.", "model.", "seq.")

Settings = dict[str, Any]


class TermBuilder:
    """The terms of one stage.

    Args:
        stage: the part of the source's ``train`` that holds them.
        found: takes up what is lost and what differs.
    """

    def __init__(self, stage: dict[str, Any], found: Conversion) -> None:
        self.stage, self.found = stage, found
        self.label_weight = 0.0
        self.label_smoothing = 0.0
        self.methods: list[Settings] = []

    def add(self, section: Settings) -> None:
        """Adds a method; one that is listed already gets a name of its own."""
        same = [one for one in self.methods if one.get("method", one["name"]) == section["name"]]
        if same:
            method = section.pop("name")
            section = {"method": method, "name": f"{method}_{len(same) + 1}", **section}
        self.methods.append(section)

    def tapped(self, section: Settings, pairs: list[tuple[str, str]]) -> None:
        """Adds a method that reads pairs of (student's, teacher's) taps."""
        taps = {"student_taps": [own for own, _ in pairs], "teacher_taps": [other for _, other in pairs]}
        self.add({**section, **taps})

    def tap(self, path: Any, io: Any, role: str) -> str:
        """Returns a tap's path here: wrappers' parts are taken off, and learned modules are led back to their input."""
        if path is None:
            self.found.refuse(
                f"criterion: a loss, or a wrapper that it reads behind, names no module of the {role or 'network'}"
            )
        text = str(path)
        wrapper = mapping(mapping(mapping(self.stage.get(role)).get("auxiliary_model_wrapper")).get("kwargs"))
        owner, dot, entry = text.rpartition(".")
        for value in wrapper.values():
            part = mapping(mapping(value).get(entry)) if dot and owner.endswith("_dict") else {}
            if part:
                return self.tap(part.get("path"), part.get("io"), role)
        if text in ("linear", "normalizer", "translator", "paraphraser", "embed") and wrapper:
            module = mapping(wrapper.get("input_module"))
            inner = wrapper.get("input_module_path") or module.get("path")
            if inner:
                return self.tap(inner, module.get("io", "output"), role)
        for prefix in _PREFIXES:
            text = text.removeprefix(prefix)
        return f"{text}:input" if io == "input" else text

    def pairs(self, entries: Any) -> tuple[list[tuple[str, str]], float]:
        """Returns pairs of taps of ``at_pairs`` and ``feature_pairs``, and the weight of the first."""
        found, weights = [], []
        for pair in mapping(entries).values():
            sides = [mapping(pair.get(role)) for role in ("student", "teacher")]
            own, other = (
                self.tap(side.get("path"), side.get("io"), role)
                for side, role in zip(sides, ("student", "teacher"), strict=True)
            )
            found.append((own, other))
            weights.append(number(pair.get("weight"), 1.0))
        if len(set(weights)) > 1:
            self.found.lose(
                f"weights of single pairs {weights}: the first stands for all; list the method for each pair"
            )
        return found, (weights or [1.0])[0]

    def reads_outputs(self, name: str, given: Settings) -> None:
        """Adds a reason of refusal where a loss on logits reads another place."""
        for role in ("student", "teacher"):
            path = str(given.get(f"{role}_module_path", "."))
            if path not in OUTPUTS:
                self.found.refuse(
                    f"criterion: {name} reads logits at {path} of the {role}, which is no network's output"
                )
        if given.get("reduction") not in (None, "batchmean", "mean"):
            self.found.differ(f"{name}: reduction {given['reduction']}; here the mean over the examples of a batch")
