"""Loss terms of a torchdistill config: how each of its losses is read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rolewise.convert.converted_config import Conversion, mapping, number, whole
from rolewise.convert.output_losses import OUTPUT_READERS
from rolewise.convert.tagged_yaml import CALL
from rolewise.convert.term_builder import OUTPUTS, Settings, TermBuilder


def loss_terms(stage: dict[str, Any], found: Conversion) -> TermBuilder:
    """Returns the terms of a stage: the weight of the labels, and the methods.

    Args:
        stage: the part of the source's ``train`` that holds them.
        found: takes up what is lost and what differs.
    """
    terms = TermBuilder(stage, found)
    given = mapping(mapping(stage.get("criterion")).get("kwargs"))
    if mapping(given.get("model_term")):
        terms.label_weight += number(given["model_term"].get("weight"), 1.0)
    for name, term in mapping(given.get("sub_terms")).items():
        _read(terms, str(name), mapping(term))
    return terms


def _read(terms: TermBuilder, name: str, term: dict[str, Any]) -> None:
    criterion = mapping(term.get("criterion"))
    key = str(criterion.get("key") or criterion.get(CALL))
    given, weight = mapping(criterion.get("kwargs")), number(term.get("weight"), 1.0)
    if key not in _READERS:
        terms.found.refuse(f"criterion: {key} ({name}) has no counterpart among the methods")
        return
    if key not in OUTPUT_READERS and key != "MSELoss" and given.get("reduction") in ("sum", "none"):
        terms.found.differ(f"{name}: reduction {given['reduction']}; here the mean over the examples of a batch")
    _READERS[key](terms, name, given, term, weight)


def _attention(terms: TermBuilder, name: str, given: Settings, term: Settings, weight: float) -> None:
    pairs, own = terms.pairs(given.get("at_pairs"))
    if given.get("mode") == "paper":
        terms.found.differ(f"{name}: mode paper; attention is the mode code, the mean of squares")
    terms.tapped({"name": "attention", "weight": weight * own}, pairs)


def _named_paths(method: str) -> Callable[[TermBuilder, str, Settings, Settings, float], None]:
    """Returns the reader of a loss whose two places are ``<role>_output_path`` or ``<role>_module_path``."""

    def read(terms: TermBuilder, name: str, given: Settings, term: Settings, weight: float) -> None:
        paths = []
        for role in ("student", "teacher"):
            path = given.get(f"{role}_output_path") or given.get(f"{role}_module_path") or "fc"
            paths.append(terms.tap(path, given.get(f"{role}_module_io"), role))
        section: Settings = {"name": method, "weight": weight}
        if method == "rkd":
            section |= {"distance": number(given.get("dist_factor"), 25.0)}
            section |= {"angle": number(given.get("angle_factor"), 50.0)}
        if method == "similarity":
            terms.found.differ(f"{name}: rows of unit Euclidean length, as in the paper; the source's are of unit sum")
        terms.tapped(section, [(paths[0], paths[1])])

    return read


def _correlation(terms: TermBuilder, name: str, given: Settings, term: Settings, weight: float) -> None:
    # The source's code and its samples name them in two ways.
    kernel = mapping(given.get("kernel_config")) or mapping(given.get("kernel_params"))
    if "bilinear" in (kernel.get("type"), kernel.get("key")):
        terms.found.differ(f"{name}: the kernel is a Gaussian one here, and not bilinear")
    taps = [terms.tap(given.get(f"{role}_linear_path"), "output", role) for role in ("student", "teacher")]
    section = {"name": "correlation", "gamma": number(kernel.get("gamma"), 0.4), "order": whole(kernel.get("max_p"), 2)}
    terms.found.differ(
        f"{name}: squared, of features at unit length and without learned maps; its weight is another one"
    )
    terms.tapped({**section, "weight": weight}, [(taps[0], taps[1])])


def _crd(terms: TermBuilder, name: str, given: Settings, term: Settings, weight: float) -> None:
    taps = [terms.tap(given.get(f"{role}_norm_module_path"), "output", role) for role in ("student", "teacher")]
    section = {"name": "crd", "width": whole(given.get("input_size"), 128), "weight": weight}
    section |= {"negatives": whole(given.get("num_negative_samples"), 16384)}
    section |= {"temperature": number(given.get("temperature"), 0.07), "momentum": number(given.get("momentum"), 0.5)}
    terms.found.differ(f"{name}: the number of examples is that of the data, and memories are part of the state")
    terms.tapped(section, [(taps[0], taps[1])])


def _variances(terms: TermBuilder, name: str, given: Settings, term: Settings, weight: float) -> None:
    own, other = (
        terms.tap(given.get(f"{role}_embed_module_path"), given.get(f"{role}_embed_module_io"), role)
        for role in ("student", "teacher")
    )
    terms.found.differ(f"{name}: the estimator of variances is a part of pad, made to fit what the taps give")
    terms.tapped({"name": "pad", "weight": weight}, [(own, other)])


def _featured(method: str, *settings: str) -> Callable[[TermBuilder, str, Settings, Settings, float], None]:
    """Returns the reader of a loss that lists ``feature_pairs`` behind learned modules, which the method has itself."""

    def read(terms: TermBuilder, name: str, given: Settings, term: Settings, weight: float) -> None:
        pairs, own = terms.pairs(given.get("feature_pairs"))
        section: Settings = {"name": method, "weight": weight * own}
        section |= {key: number(given[key], 1.0) for key in settings if key in given}
        terms.found.differ(f"{name}: its learned modules are parts of {method}, made to fit what the taps give")
        if method == "ab":
            terms.found.differ(
                f"{name}: a mean over neurons, of which earlier stages count half; the source sums them, so that its "
                "weight is another one"
            )
        terms.tapped(section, pairs)

    return read


def _fsp(terms: TermBuilder, name: str, given: Settings, term: Settings, weight: float) -> None:
    places: dict[str, list[str]] = {"student": [], "teacher": []}
    for pair in mapping(given.get("fsp_pairs")).values():
        for role, taps in places.items():
            first, second = (mapping(pair.get(f"{role}_{end}")) for end in ("first", "second"))
            both = [terms.tap(side.get("path"), side.get("io"), role) for side in (first, second)]
            taps += both if not taps else both[1:]
    terms.found.differ(f"{name}: matrices of taps that follow one another, squared; the source pairs places freely")
    section = {"name": "fsp", "weight": weight}
    terms.tapped(section, list(zip(places["student"], places["teacher"], strict=True)))


def _factors(terms: TermBuilder, name: str, given: Settings, term: Settings, weight: float) -> None:
    taps = [terms.tap(word, "output", role) for word, role in (("translator", "student"), ("paraphraser", "teacher"))]
    wrapper = mapping(mapping(mapping(terms.stage.get("teacher")).get("auxiliary_model_wrapper")).get("kwargs"))
    rate = number(mapping(wrapper.get("paraphraser_kwargs")).get("k"), 0.5)
    terms.found.differ(f"{name}: paraphraser and translator are parts of ft, and learn side by side")
    if number(given.get("p"), 1.0) != 1:
        terms.found.differ(f"{name}: mean differences, p = 1; the source has p = {given['p']}")
    terms.tapped({"name": "ft", "rate": rate, "weight": weight}, [(taps[0], taps[1])])


def _review(terms: TermBuilder, name: str, given: Settings, term: Settings, weight: float) -> None:
    if first := next((one for one in terms.methods if one["name"] == "review_kd"), None):
        if first["weight"] != weight:
            terms.found.lose(f"{name}: its weight {weight:g}; review_kd has one for all levels, {first['weight']:g}")
        return
    terms.found.differ(f"{name}: review_kd is one method for all levels, tapped behind their last ReLU")
    levels = ["layer1", "layer2", "layer3", "layer4", "avgpool"]
    terms.tapped({"name": "review_kd", "weight": weight}, [(level, level) for level in levels])


def _squares(terms: TermBuilder, name: str, given: Settings, term: Settings, weight: float) -> None:
    wrapped = mapping(mapping(term.get("criterion_wrapper")).get("kwargs"))
    own, other = mapping(wrapped.get("input")), mapping(wrapped.get("target"))
    if other.get("uses_label"):
        terms.label_weight += weight
        return
    if own.get("is_from_teacher"):
        terms.found.lose(f"{name}: a teacher's part that learns to reconstruct; the method has that loss itself")
        return
    summed = given.get("reduction") == "sum"
    outputs = [str(side.get("module_path")) in OUTPUTS for side in (own, other)]
    if summed:
        terms.found.differ(f"{name}: the source sums over the batch too; here it is a mean over examples")
    if all(outputs):
        terms.add({"name": "output_match", "weight": weight})
        return
    if str(own.get("module_path")).startswith("+"):
        # A learned 1x1 map behind the last module before it.
        places = mapping(terms.stage.get("student")).get("sequential") or [""]
        before = [str(one) for one in places if not str(one).startswith("+")]
        terms.tapped(
            {"name": "fitnets", "weight": weight}, [(before[-1], terms.tap(other.get("module_path"), None, ""))]
        )
        terms.found.differ(f"{name}: fitnets learns its map beside the student; a mean over elements")
        return
    taps = [terms.tap(side.get("module_path"), side.get("io"), "student") for side in (own, other)]
    section = {"name": "match", "map": "none", "reduction": "sum" if summed else "mean", "weight": weight}
    terms.tapped(section, [(taps[0], taps[1])])


def _translator(terms: TermBuilder, name: str, given: Settings, term: Settings, weight: float) -> None:
    if any(one["name"] == "kta" for one in terms.methods):
        return
    terms.found.differ(f"{name}: auto-encoder, adapted map and affinity are one method, kta, with weights of its own")
    terms.add({"name": "kta", "weight": weight})


def _norm(terms: TermBuilder, name: str, given: Settings, term: Settings, weight: float) -> None:
    terms.found.lose(f"{name}: RegularizationLoss of the paraphraser, weight {weight:g}")


def _turned(terms: TermBuilder, name: str, given: Settings, term: Settings, weight: float) -> None:
    labels, plain, contrast, transformed = (given.get("loss_weights") or [1.0] * 4)[:4]
    terms.label_weight += weight * number(labels, 1.0)
    heat = number(given.get("kl_temp"), 4.0)
    section = {"name": "sskd", "plain": number(plain, 1.0), "transformed": number(transformed, 1.0)}
    section |= {"contrast": number(contrast, 1.0), "temperature": heat}
    section |= {"contrast_temperature": number(given.get("ss_temp"), 0.5)}
    section |= {"kept_outputs": number(given.get("tf_ratio"), 1.0)}
    section |= {"kept_similarities": number(given.get("ss_ratio"), 0.75), "weight": weight}
    if number(given.get("tf_temp"), heat) != heat:
        terms.found.differ(f"{name}: one temperature, kl_temp, for plain and turned images; the source has tf_temp too")
    terms.found.differ(
        f"{name}: the teacher's head learns beside the student (sskd_estimator); turns are made in steps"
    )
    terms.add(section)


def _turned_alone(terms: TermBuilder, name: str, given: Settings, term: Settings, weight: float) -> None:
    terms.found.lose(f"{name}: a stage of the teacher's self-supervised head alone; sskd trains it itself")


_READERS: dict[str, Callable[[TermBuilder, str, Settings, Settings, float], None]] = {
    **OUTPUT_READERS,
    "KTALoss": _translator,
    "AffinityLoss": _translator,
    "ATLoss": _attention,
    "PADL2Loss": _variances,
    "PKTLoss": _named_paths("pkt"),
    "RKDLoss": _named_paths("rkd"),
    "SPKDLoss": _named_paths("similarity"),
    "CCKDLoss": _correlation,
    "CRDLoss": _crd,
    "VIDLoss": _featured("vid"),
    "AltActTransferLoss": _featured("ab", "margin"),
    "ChSimLoss": _featured("ickd"),
    "FSPLoss": _fsp,
    "FTLoss": _factors,
    "HierarchicalContextLoss": _review,
    "MSELoss": _squares,
    "RegularizationLoss": _norm,
    "SSKDLoss": _turned,
    "AuxSSKDLoss": _turned_alone,
}
