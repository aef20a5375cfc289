"""Predictions for texts as a table of 80 columns, as CSV and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rolewise.csv_cells import as_csv
from rolewise.deploy.answer_kinds import ANSWERS
from rolewise.deploy.text_file_facts import TextFileFacts
from rolewise.deploy.text_predictor import TextPrediction, TextPredictor
from rolewise.words import shortened

_WIDTH, _TEXT, _LABEL = 79, 44, 22


def shown_values(facts: TextFileFacts, prediction: TextPrediction, top: int) -> list[tuple[str, float]]:
    """Returns the part of a prediction that is shown: (name, probability or number).

    Args:
        facts: of the network.
        prediction: for one text; not of tags.
        top: the number of the most probable classes or labels; 0 for one class, or the labels at the threshold or
            above. Numbers are shown all.
    """
    order = ANSWERS[facts.kind].order(prediction.values, top, facts.threshold)
    return [(facts.classes[index], prediction.values[index]) for index in order]


def text_head(facts: TextFileFacts) -> str:
    """Returns the line of headings of `text_lines`."""
    answer = ANSWERS[facts.kind]
    name = "word" if facts.kind == "tagging" else "text"
    return f"{name:<{_TEXT}} {answer.part:<{_LABEL}} {answer.value:>{_WIDTH - _TEXT - _LABEL - 2}}"


def text_lines(facts: TextFileFacts, prediction: TextPrediction, top: int) -> Iterator[str]:
    """Yields the lines of one text: it, then a line for each class, label or number; of tags a line for each word.

    Args:
        facts: of the network.
        prediction: for one text.
        top: as of `shown_values`.
    """
    width, answer = _WIDTH - _TEXT - _LABEL - 2, ANSWERS[facts.kind]
    whole = prediction.text if prediction.pair is None else f"{prediction.text} | {prediction.pair}"
    name = shortened(whole, _TEXT)
    if prediction.fault:
        yield f"{name:<{_TEXT}} no text"
        return
    if facts.kind == "tagging":
        for one in prediction.words:
            shown = answer.shown(one.probability) if one.tag else "cut off"
            yield f"{shortened(one.word, _TEXT):<{_TEXT}} {shortened(one.tag, _LABEL):<{_LABEL}} {shown:>{width}}"
        return
    rows = shown_values(facts, prediction, top)
    for label, value in rows:
        yield f"{name:<{_TEXT}} {shortened(label, _LABEL):<{_LABEL}} {answer.shown(value):>{width}}"
        name = ""
    if not rows:
        yield f"{name:<{_TEXT}} none at {facts.threshold:g} or above"


def texts_as_csv(facts: TextFileFacts, found: Sequence[TextPrediction], top: int) -> str:
    """Returns predictions as CSV: ``text`` (and ``pair``), then the columns of their kind.

    Of classification ``class`` and ``probability``, then ``class_2``, ``probability_2`` and so on up to ``top``; of
    several labels or numbers a column for each, by name. Tags have a row for each word: the number of its ``text``,
    ``word``, ``tag`` and ``probability``. The last column, ``fault``, is the reason why there is no prediction; of tags
    such a text has one row.

    Args:
        facts: of the network.
        found: the predictions.
        top: number of classes.
    """
    if facts.kind == "tagging":
        rows: list[dict[str, Any]] = [
            {"text": number, "word": one.word, "tag": one.tag or None, "probability": one.probability, "fault": None}
            for number, prediction in enumerate(found, 1)
            for one in prediction.words
        ]
        names = ["text", "word", "tag", "probability", "fault"]
        faults = [
            {**dict.fromkeys(names), "text": at, "fault": one.fault} for at, one in enumerate(found, 1) if one.fault
        ]
        return as_csv(sorted([*rows, *faults], key=lambda row: row["text"]), names)
    names = ["text"] if len(facts.columns) == 1 else ["text", "pair"]
    answer = ANSWERS[facts.kind]
    columns = answer.columns(top, facts.classes)
    places, lines = list(map(str, range(len(names) + len(columns) + 1))), []
    for one in found:
        if one.fault:
            cells: list[Any] = [None] * len(columns)
        elif answer.is_ranked:
            cells = [cell for pair in shown_values(facts, one, top) for cell in pair]
        else:
            cells = list(one.values)
        given = [one.text, one.pair][: len(names)]
        # By place: a label may be called as the columns around it are.
        lines.append(dict(zip(places, [*given, *cells, one.fault or None], strict=True)))
    return as_csv([], [*names, *columns, "fault"]) + as_csv(lines, places).partition("\n")[2]


def text_as_json(facts: TextFileFacts, prediction: TextPrediction, top: int = 0) -> dict[str, Any]:
    """Returns one prediction as plain values: ``predictions``, ``words`` with their tags, or a ``fault`` instead.

    Args:
        facts: of the network.
        prediction: for one text.
        top: number of classes; of several labels and numbers all are given.
    """
    given = {"text": prediction.text} | ({} if prediction.pair is None else {"pair": prediction.pair})
    if prediction.fault:
        return {**given, "fault": prediction.fault}
    answer = ANSWERS[facts.kind]
    if facts.kind == "tagging":
        words = [
            {"word": one.word, answer.part: one.tag or None, answer.value: one.probability} for one in prediction.words
        ]
        return {**given, "words": words}
    shown = shown_values(facts, prediction, top if answer.is_ranked else len(prediction.values))
    return {**given, "predictions": [{answer.part: label, answer.value: number} for label, number in shown]}


def texts_as_json(predictor: TextPredictor, found: Sequence[TextPrediction], top: int) -> dict[str, Any]:
    """Returns predictions as plain values: the network, its task and classes, and each text's prediction.

    Args:
        predictor: the network.
        found: the predictions.
        top: as of `text_as_json`.
    """
    facts = predictor.facts
    texts = [text_as_json(facts, one, top) for one in found]
    return {"network": predictor.name, "task": facts.kind, "classes": list(facts.classes), "texts": texts}
