"""Losses on outputs of the source's framework: each reader adds the labels' weight and the methods that it becomes."""

from __future__ import annotations

from collections.abc import Callable

from rolewise.convert.converted_config import mapping, number
from rolewise.convert.term_builder import Settings, TermBuilder


def _cross_entropy(terms: TermBuilder, name: str, given: Settings, term: Settings, weight: float) -> None:
    wrapped = mapping(mapping(term.get("criterion_wrapper")).get("kwargs"))
    if not mapping(wrapped.get("target")).get("uses_label", True):
        terms.found.refuse(f"criterion: CrossEntropyLoss ({name}) against something that is no label")
    parts = mapping(wrapped.get("weights"))
    if len(parts) > 1:
        terms.found.lose(f"criterion: weights {parts} of several outputs; the first output alone has a loss here")
        weight *= number(next(iter(parts.values())), 1.0)
    terms.label_weight += weight
    terms.label_smoothing = number(given.get("label_smoothing"), 0.0)


def _kd(terms: TermBuilder, name: str, given: Settings, term: Settings, weight: float) -> None:
    terms.reads_outputs(name, given)
    temperature, alpha = number(given.get("temperature"), 1.0), number(given.get("alpha"), 0.5)
    beta = number(given.get("beta"), 1 - alpha)
    terms.label_weight += weight * alpha
    if not alpha:
        # The source leaves out T^2 and beta then.
        beta = 1 / temperature**2
        terms.found.differ(f"{name}: with alpha 0 the source leaves out T^2; the weight here is divided by it")
    if beta:
        terms.add({"name": "kd", "temperature": temperature, "weight": round(weight * beta, 10)})


def _standardised(terms: TermBuilder, name: str, given: Settings, term: Settings, weight: float) -> None:
    terms.reads_outputs(name, given)
    alpha = number(given.get("alpha"), 0.5)
    beta = number(given.get("beta"), 1 - alpha)
    terms.label_weight += weight * alpha
    section = {"name": "logit_standardisation", "temperature": number(given.get("temperature"), 1.0)}
    terms.add({**section, "weight": round(weight * beta, 10)})


def _dist(terms: TermBuilder, name: str, given: Settings, term: Settings, weight: float) -> None:
    terms.reads_outputs(name, given)
    inter, intra = number(given.get("beta"), 1.0), number(given.get("gamma"), 1.0)
    section = {"name": "dist", "inter": inter, "intra": intra, "temperature": number(given.get("tau"), 1.0)}
    terms.add({**section, "weight": weight})


def _dist_plus(terms: TermBuilder, name: str, given: Settings, term: Settings, weight: float) -> None:
    _dist(terms, name, given, term, weight)
    terms.found.differ(
        f"{name}: dist on the outputs, and dist_plus with its own tap; there its first part has a sign more"
    )
    parts = {"channels": number(given.get("iota"), 1.0), "places": number(given.get("kappa"), 1.0)}
    terms.add({"name": "dist_plus", **parts, "weight": weight})


def _instances(terms: TermBuilder, name: str, given: Settings, term: Settings, weight: float) -> None:
    temperature = number(given.get("temperature"), 4.0)
    terms.found.differ(f"{name}: the paper's form, kd without T^2, which the weight takes off; of all examples")
    terms.add({"name": "kd", "temperature": temperature, "weight": round(weight / temperature**2, 10)})


#: Readers of losses by the source's names.
OUTPUT_READERS: dict[str, Callable[[TermBuilder, str, Settings, Settings, float], None]] = {
    "CrossEntropyLoss": _cross_entropy,
    "KDLoss": _kd,
    "LogitStdKDLoss": _standardised,
    "SKDInstanceLoss": _instances,
    "DISTLoss": _dist,
    "DISTPlusLoss": _dist_plus,
}
