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
    _divergence("kd", terms, name, given, weight)


def _standardised(terms: TermBuilder, name: str, given: Settings, term: Settings, weight: float) -> None:
    _divergence("logit_standardisation", terms, name, given, weight)


def _divergence(method: str, terms: TermBuilder, name: str, given: Settings, weight: float) -> None:
    """Adds the two parts of a divergence that has alpha times the labels' loss beside it."""
    terms.reads_outputs(name, given)
    temperature, alpha = number(given.get("temperature"), 1.0), number(given.get("alpha"), 0.0)
    beta = number(given.get("beta"), 1 - alpha)
    terms.label_weight += weight * alpha
    if not alpha:
        # The source leaves out T^2 and beta then.
        beta = 1 / temperature**2
        terms.found.differ(f"{name}: without alpha the source leaves out T^2; the weight here is divided by it")
    if beta:
        terms.add({"name": method, "temperature": temperature, "weight": round(weight * beta, 10)})


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


def _directions(terms: TermBuilder, name: str, given: Settings, term: Settings, weight: float) -> None:
    terms.reads_outputs(name, given)
    terms.add({"name": "skd_direction", "ridge": number(given.get("tikhonov"), 0.1), "weight": weight})


def _representations(terms: TermBuilder, name: str, given: Settings, term: Settings, weight: float) -> None:
    """Reads the loss of representations: twice a loss on features, and a divergence without T^2."""
    outputs = {f"{role}_module_path": given.get(f"{role}_linear_module_path", ".") for role in ("student", "teacher")}
    terms.reads_outputs(name, {**outputs, "reduction": given.get("reduction")})
    section: Settings = {"name": "srd", "power": number(given.get("exponent"), 1.0), "weight": 2 * weight}
    paths = [given.get(f"{role}_feature_module_path") for role in ("student", "teacher")]
    if "norm_layer" in paths:
        # Behind the source's wrapper: what it pools, maps and standardises.
        terms.found.differ(f"{name}: srd taps penultimate, and maps and standardises it itself")
        terms.add(section)
    else:
        own, other = (
            terms.tap(path, given.get(f"{role}_feature_module_io"), role)
            for path, role in zip(paths, ("student", "teacher"), strict=True)
        )
        terms.tapped(section, [(own, other)])
    temperature = number(given.get("temperature"), 1.0)
    terms.add({"name": "kd", "temperature": temperature, "weight": round(weight / temperature**2, 10)})


#: Readers of losses by the source's names.
OUTPUT_READERS: dict[str, Callable[[TermBuilder, str, Settings, Settings, float], None]] = {
    "CrossEntropyLoss": _cross_entropy,
    "KDLoss": _kd,
    "LogitStdKDLoss": _standardised,
    "SKDInstanceLoss": _instances,
    "DISTLoss": _dist,
    "DISTPlusLoss": _dist_plus,
    "SKDDirectionLoss": _directions,
    "SRDLoss": _representations,
}
