"""The part of the command predict that is for texts."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import typer

from rolewise.cli.options import console
from rolewise.cli.predicted_faults import report_faults


def takes_texts(place: Path) -> bool:
    """Returns whether a run or an exported file is of texts.

    Args:
        place: a run folder, or an exported file.
    """
    from rolewise.deploy.text_export import is_of_texts
    from rolewise.experiment.run_folder import existing_run

    if place.is_dir():
        return is_of_texts(existing_run(place))
    # Only files of texts name a tokenizer; to open one twice would take long.
    return place.is_file() and b"tokenizer_digest" in place.read_bytes()


def predict_texts(
    place: Path,
    names: Sequence[str],
    *,
    top: int,
    chosen: dict[str, Any],
    tokenizer: str,
    csv: str,
    as_json: bool,
    batch_size: int,
    aside: Callable[[bool], AbstractContextManager[None]],
) -> None:
    """Predicts for texts, and prints or writes what is wanted.

    Args:
        place: a run folder, or an exported file.
        names: texts, or files of them.
        top: most probable classes or labels.
        chosen: stage, arm and seed, of a run.
        tokenizer: of a file, where its tokenizer is elsewhere; empty for its own.
        csv: a file for CSV, ``-`` to print it, or empty.
        as_json: whether everything is printed as JSON.
        batch_size: texts that are run together.
        aside: a context in which notes go to stderr.
    """
    from rolewise.cli.foreign import announce_run
    from rolewise.deploy.given_texts import given_texts
    from rolewise.deploy.text_predictor import (
        TextPrediction,
        text_predictions,
        text_predictor_of_file,
        text_predictor_of_run,
    )
    from rolewise.deploy.text_tables import text_head, text_lines, texts_as_csv, texts_as_json
    from rolewise.files import write_text

    plain = csv == "-" or as_json
    with aside(plain):
        if place.is_dir():
            announce_run(place)
            predictor = text_predictor_of_run(place, **chosen)
        else:
            predictor = text_predictor_of_file(place, tokenizer=tokenizer)
        given = given_texts(names, predictor.facts)
        console.print(f"Network: {predictor.name}", soft_wrap=True)
        found = []
        if not plain:
            console.print(text_head(predictor.facts), soft_wrap=True)
        whole = [one for one in given if not one.fault]
        texts, pairs = [one.text for one in whole], [one.pair for one in whole if one.pair is not None]
        paired = pairs if len(predictor.facts.columns) > 1 else None
        answers = text_predictions(predictor, texts, paired, batch_size=batch_size)
        for row in given:
            one = TextPrediction(row.text, row.pair, fault=row.fault) if row.fault else next(answers)
            found.append(one)
            for line in () if plain else text_lines(predictor.facts, one, top):
                console.print(line, soft_wrap=True, markup=False)
    if as_json:
        typer.echo(json.dumps(texts_as_json(predictor, found, top), indent=2, ensure_ascii=False))
    if csv == "-":
        typer.echo(texts_as_csv(predictor.facts, found, top), nl=False)
    elif csv:
        write_text(Path(csv), texts_as_csv(predictor.facts, found, top))
        with aside(as_json):
            console.print(f"CSV: {csv}", soft_wrap=True)
    report_faults([one.fault for one in found if one.fault], len(found), "text")
