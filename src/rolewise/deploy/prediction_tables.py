"""Predictions as a table of 80 columns, as CSV and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rolewise.csv_cells import as_csv
from rolewise.deploy.predictor import Prediction, Predictor

_WIDTH, _NAME, _LABEL = 79, 34, 30
#: The name and the value of a prediction's parts, by task.
_COLUMNS = {
    "classification": ("class", "probability"),
    "multi_label": ("label", "probability"),
    "regression": ("number", "value"),
    "segmentation": ("class", "share"),
}


def named_values(predictor: Predictor, prediction: Prediction, top: int) -> list[tuple[str, float]]:
    """Returns the part of a prediction that is shown: (name, probability or number).

    Args:
        predictor: the network.
        prediction: of one picture that can be read.
        top: of classes, the number of the most probable ones; of labels, the number of the most probable ones, and 0
            for those at the task's threshold or above. Numbers are shown all.
    """
    facts, values = predictor.facts, prediction.values
    order = range(len(values))
    if facts.kind == "regression":
        return [(predictor.label(index), values[index]) for index in order]
    order_by = sorted(order, key=lambda index: -values[index])
    if facts.kind == "multi_label" and not top:
        order_by = [index for index in order_by if values[index] >= facts.threshold]
    elif facts.kind == "segmentation":
        # All that is there, unless fewer are wanted.
        order_by = [index for index in order_by if values[index] > 0][: top or len(values)]
    else:
        order_by = order_by[: max(1, top)]
    return [(predictor.label(index), values[index]) for index in order_by]


def table_head(predictor: Predictor) -> str:
    """Returns the line of headings of `table_lines`."""
    first, second = _COLUMNS[predictor.facts.kind]
    return f"{'picture':<{_NAME}} {first:<{_LABEL}} {second:>{_WIDTH - _NAME - _LABEL - 2}}"


def table_lines(predictor: Predictor, prediction: Prediction, top: int) -> Iterator[str]:
    """Yields the lines of one picture: its name, then a line for each class, label or number.

    Args:
        predictor: the network.
        prediction: of one picture.
        top: as of `named_values`.
    """
    name = _shortened(str(prediction.path), _NAME, front=True)
    if prediction.fault:
        yield f"{name:<{_NAME}} cannot be read"
        return
    rows = named_values(predictor, prediction, top)
    width = _WIDTH - _NAME - _LABEL - 2
    for label, value in rows:
        shown = f"{value:.6g}" if predictor.facts.kind == "regression" else f"{value:.2%}"
        yield f"{name:<{_NAME}} {_shortened(label, _LABEL):<{_LABEL}} {shown:>{width}}"
        name = ""
    if not rows:
        yield f"{name:<{_NAME}} none at {predictor.facts.threshold:g} or above"


def predictions_as_csv(predictor: Predictor, found: Sequence[Prediction], top: int) -> str:
    """Returns predictions as CSV.

    Of classification ``image``, ``class`` and ``probability``, then ``class_2``, ``probability_2`` and so on up to
    ``top``; of several labels or numbers a column for each, by name. The last column, ``fault``, is the reason why a
    picture cannot be read.

    Args:
        predictor: the network.
        found: the predictions.
        top: number of classes.
    """
    facts = predictor.facts
    rows: list[dict[str, Any]] = []
    number = max((len(one.values) for one in found), default=0) or len(facts.classes)
    if facts.kind == "classification":
        ranks = range(1, max(1, min(top, number)) + 1)
        columns = [f"{name}{'' if rank == 1 else f'_{rank}'}" for rank in ranks for name in ("class", "probability")]
    else:
        columns = [predictor.label(index) for index in range(number)]
    for one in found:
        cells: list[Any] = []
        if not one.fault and facts.kind == "classification":
            cells = [cell for pair in named_values(predictor, one, top) for cell in pair]
        elif not one.fault:
            cells = list(one.values)
        # By place: a label may be called as the columns around it are.
        keyed = dict(zip(map(str, range(len(cells))), cells, strict=True))
        rows.append({"image": str(one.path), **keyed, "fault": one.fault or None})
    places = ["image", *map(str, range(len(columns))), "fault"]
    head = as_csv([], ["image", *columns, "fault"])
    return head + as_csv(rows, places).partition("\n")[2]


def predictions_as_json(predictor: Predictor, found: Sequence[Prediction], top: int) -> dict[str, Any]:
    """Returns predictions as plain values: the network, its task and classes, and each picture's prediction.

    Args:
        predictor: the network.
        found: the predictions.
        top: as of `named_values`; of several labels and numbers all are given.
    """
    facts = predictor.facts
    pictures = [{"image": str(one.path), **prediction_as_json(predictor, one, top)} for one in found]
    return {"network": predictor.name, "task": facts.kind, "classes": list(facts.classes), "pictures": pictures}


def prediction_as_json(predictor: Predictor, prediction: Prediction, top: int = 0) -> dict[str, Any]:
    """Returns one prediction as plain values: ``predictions``, or ``fault`` where the picture cannot be read.

    Args:
        predictor: the network.
        prediction: of one picture.
        top: as of `predictions_as_json`.
    """
    if prediction.fault:
        return {"fault": prediction.fault}
    kind = predictor.facts.kind
    name, value = _COLUMNS[kind]
    shown = named_values(predictor, prediction, top if kind == "classification" else len(prediction.values))
    return {"predictions": [{name: label, value: number} for label, number in shown]}


def _shortened(text: str, width: int, *, front: bool = False) -> str:
    text = "".join(letter if letter.isprintable() else "?" for letter in text)
    if len(text) <= width:
        return text
    return f"...{text[3 - width :]}" if front else f"{text[: width - 3]}..."
