"""Students of methods that deploy the teacher's classifier: the compared student as the body of such a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from torch import nn

from rolewise.compare.compared_methods import ComparedMethod
from rolewise.models import construct
from rolewise.taps.names import names_of, pooling_of

#: Methods whose student ends in the teacher's classifier.
_REUSE_HEADS = frozenset({"simkd"})
_NETWORK = "reused_head"


def with_reused_heads(methods: Sequence[ComparedMethod], experiment: Mapping[str, Any]) -> list[ComparedMethod]:
    """Returns the methods of a comparison, each with the student that it needs.

    Args:
        methods: of the comparison.
        experiment: values of its experiment, with one student.
    """
    return [_fitted(one, experiment) if _reuses(one) else one for one in methods]


def _reuses(method: ComparedMethod) -> bool:
    return any(section["name"] in _REUSE_HEADS for section in method.sections)


def _fitted(method: ComparedMethod, experiment: Mapping[str, Any]) -> ComparedMethod:
    name, arguments = _model(experiment["students"][0])
    width = _head_width(*_model(experiment["teacher"]))
    if name == _NETWORK or width is None:
        # The method itself says what is missing when its networks are tried.
        return method
    body = {"body_arguments": dict(arguments)} if arguments else {}
    return replace(method, student={"name": _NETWORK, "arguments": {"body": name, **body, "width": width}})


def _model(section: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    model = section["model"]
    return (model, {}) if isinstance(model, str) else (model["name"], model.get("arguments") or {})


def _head_width(name: str, arguments: Mapping[str, Any]) -> int | None:
    """Returns the number of features that a network's classifier reads behind a mean of a map; None without such."""
    # Behind a mean over all places the width depends on neither the classes nor the size of images.
    network = construct(name, arguments, num_classes=2, channels=3, size=(32, 32), seed=0)
    head = dict(network.named_modules()).get(names_of(network).get("logits", ""))
    return head.in_features if pooling_of(network) and isinstance(head, nn.Linear) else None
