"""Predictions as a table of 80 columns, as CSV and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rolewise.csv_cells import as_csv
from rolewise.deploy.answer_kinds import ANSWERS
from rolewise.deploy.box_tables import box_head, box_lines, boxes_as_csv, boxes_as_json
from rolewise.deploy.predicted_boxes import FoundBox
from rolewise.deploy.predictor import Prediction, Predictor
from rolewise.words import shortened

_WIDTH, _NAME, _LABEL = 79, 34, 30


def named_values(predictor: Predictor, prediction: Prediction, top: int) -> list[tuple[str, float]]:
    """Returns the part of a prediction that is shown: (name, probability or number).

    Args:
        predictor: the network.
        prediction: of one picture that can be read.
        top: of classes, the number of the most probable ones; of labels, the number of the most probable ones, and 0
            for those at the task's threshold or above. Numbers are shown all.
    """
    facts, values = predictor.facts, prediction.values
    order = ANSWERS[facts.kind].order(values, top, facts.threshold)
    return [(predictor.label(index), values[index]) for index in order]


def named_boxes(predictor: Predictor, prediction: Prediction, top: int) -> list[tuple[str, FoundBox]]:
    """Returns the boxes of a picture that are shown, the highest score first, with the names of their classes.

    Args:
        predictor: the network.
        prediction: of the picture.
        top: most boxes; 0 for all.
    """
    shown = [box for box in prediction.boxes if box.score >= predictor.least]
    return [(predictor.label(box.label), box) for box in shown[: top or None]]


def table_head(predictor: Predictor) -> str:
    """Returns the line of headings of `table_lines`."""
    if predictor.facts.kind == "detection":
        return box_head()
    answer = ANSWERS[predictor.facts.kind]
    return f"{'picture':<{_NAME}} {answer.part:<{_LABEL}} {answer.value:>{_WIDTH - _NAME - _LABEL - 2}}"


def table_lines(predictor: Predictor, prediction: Prediction, top: int) -> Iterator[str]:
    """Yields the lines of one picture: its name, then a line for each class, label or number.

    Args:
        predictor: the network.
        prediction: of one picture.
        top: as of `named_values`.
    """
    name = shortened(str(prediction.path), _NAME, front=True)
    if prediction.fault:
        yield f"{name:<{_NAME}} cannot be read"
        return
    if predictor.facts.kind == "detection":
        yield from box_lines(str(prediction.path), named_boxes(predictor, prediction, top), predictor.least)
        return
    rows, answer = named_values(predictor, prediction, top), ANSWERS[predictor.facts.kind]
    width = _WIDTH - _NAME - _LABEL - 2
    for label, value in rows:
        yield f"{name:<{_NAME}} {shortened(label, _LABEL):<{_LABEL}} {answer.shown(value):>{width}}"
        name = ""
    if not rows:
        yield f"{name:<{_NAME}} none at {predictor.facts.threshold:g} or above"


def predictions_as_csv(predictor: Predictor, found: Sequence[Prediction], top: int) -> str:
    """Returns predictions as CSV.

    Of classification ``image``, ``class`` and ``probability``, then ``class_2``, ``probability_2`` and so on up to
    ``top``; of several labels or numbers a column for each, by name. The last column, ``fault``, is the reason why a
    picture cannot be read. Boxes have a row each (see `rolewise.deploy.box_tables.boxes_as_csv`).

    Args:
        predictor: the network.
        found: the predictions.
        top: number of classes.
    """
    facts = predictor.facts
    if facts.kind == "detection":
        return boxes_as_csv([(str(one.path), named_boxes(predictor, one, top), one.fault) for one in found])
    rows: list[dict[str, Any]] = []
    number = max((len(one.values) for one in found), default=0) or len(facts.classes)
    answer = ANSWERS[facts.kind]
    columns = answer.columns(top, [predictor.label(index) for index in range(number)])
    for one in found:
        cells: list[Any] = []
        if not one.fault and answer.is_ranked:
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
        top: as of `predictions_as_json`; of boxes, the most that are given, and 0 for all.
    """
    if prediction.fault:
        return {"fault": prediction.fault}
    kind = predictor.facts.kind
    if kind == "detection":
        return {"predictions": boxes_as_json(named_boxes(predictor, prediction, top))}
    answer = ANSWERS[kind]
    shown = named_values(predictor, prediction, top if answer.is_ranked else len(prediction.values))
    return {"predictions": [{answer.part: label, answer.value: number} for label, number in shown]}
