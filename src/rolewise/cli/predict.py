"""The command that predicts for pictures or texts."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from rolewise.cli.options import app, console
from rolewise.cli.predicted_faults import report_faults
from rolewise.errors import InputError
from rolewise.words import as_utf8, print_sentences


@app.command("predict")
def predict_command(
    place: Annotated[
        Path, typer.Argument(metavar="RUN|FILE", help="A run folder, or a file that export wrote.", show_default=False)
    ],
    images: Annotated[
        list[str],
        typer.Argument(
            metavar="IMAGES|TEXTS...",
            help="Pictures: files, folders or patterns. Texts: themselves, or files (.txt, .tsv, .csv, .jsonl).",
            show_default=False,
        ),
    ],
    top: Annotated[
        int,
        typer.Option(
            "--top", min=0, help="Most probable classes, labels or boxes; 0: one class, or the labels or boxes found."
        ),
    ] = 0,
    stage: Annotated[
        str, typer.Option("--stage", help="A training of the run: seed0/small-own+distill.", show_default=False)
    ] = "",
    arm: Annotated[
        str,
        typer.Option("--arm", help="Instead, an arm: own+distill, small-none or teacher-own.", show_default=False),
    ] = "",
    seed: Annotated[int | None, typer.Option("--seed", help="One of the run's seeds.", show_default=False)] = None,
    csv: Annotated[
        str, typer.Option("--csv", help="Write CSV into a file, or - to print it.", show_default=False)
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
    masks: Annotated[
        str,
        typer.Option("--masks", help="Folder for the masks of a segmenter, as PNG files.", show_default=False),
    ] = "",
    draw: Annotated[
        str,
        typer.Option(
            "--draw", help="Folder for the pictures with a detector's boxes, as PNG files.", show_default=False
        ),
    ] = "",
    score: Annotated[
        float, typer.Option("--score", min=0, max=1, help="Least probability of a box that is shown.")
    ] = 0.25,
    tokenizer: Annotated[
        str, typer.Option("--tokenizer", help="The tokenizer of a file of texts, if it has moved.", show_default=False)
    ] = "",
    batch_size: Annotated[int, typer.Option("--batch", min=1, help="Pictures or texts run together.")] = 64,
) -> None:
    """Predict for pictures or texts, by a trained network of a run or by an exported file.

    Pictures are read as the training images were. Without --stage and --arm the network is, of the first seed, the last
    student with few bits (the last student where none has), under its own augmentation and distilled, where there is
    that. Texts are given as they are, or in files: a text in each line (.txt), or in the columns that the network was
    trained on. A picture that cannot be read, or a row whose text is empty, is named, the others go on, and the exit
    code is 1.

    Example: rolewise predict runs/photos holiday/ --top 3

    Example: rolewise predict student.onnx 'holiday/*.jpg' --csv -

    Example: rolewise predict runs/camvid street/ --masks masks

    Example: rolewise predict cells.onnx slides/ --csv boxes.csv --draw drawn --score 0.5

    Example: rolewise predict runs/sst2 "a film to remember" reviews.tsv
    """
    from rolewise.cli.text_prediction import predict_texts, takes_texts
    from rolewise.deploy.given_pictures import given_pictures
    from rolewise.deploy.predicted_boxes import write_drawing
    from rolewise.deploy.predicted_masks import write_mask
    from rolewise.deploy.prediction_tables import (
        named_boxes,
        predictions_as_csv,
        predictions_as_json,
        table_head,
        table_lines,
    )
    from rolewise.deploy.predictor import Prediction, picture_predictions
    from rolewise.files import write_text

    if csv == "-" and as_json:
        raise InputError("--csv - and --json both print their result; give one of them")
    if takes_texts(place):
        if masks or draw:
            raise InputError("--masks and --draw are of pictures, got a network of texts; leave them out")
        chosen = {"stage": stage, "arm": arm, "seed": seed}
        if not place.is_dir() and (stage or arm or seed is not None):
            raise InputError(f"--stage, --arm and --seed are of a run folder, got the file {place}; leave them out")
        if place.is_dir() and tokenizer:
            raise InputError("--tokenizer is of an exported file, got a run folder, which names its own; leave it out")
        how: dict[str, Any] = {
            "top": top,
            "csv": csv,
            "as_json": as_json,
            "batch_size": batch_size,
            "aside": _notes_aside,
        }
        predict_texts(place, images, chosen=chosen, tokenizer=tokenizer, **how)
        return
    if tokenizer:
        raise InputError("--tokenizer is of texts, got a network of pictures; leave it out")
    paths = given_pictures(images)
    plain = csv == "-" or as_json
    with _notes_aside(plain):
        predictor = replace(_predictor(place, stage, arm, seed), least=score)
        found: list[Prediction] = []
        files = iter(_picture_files(predictor, "masks", masks, "segmentation", paths))
        drawings = iter(_picture_files(predictor, "draw", draw, "detection", paths))
        if not plain:
            console.print(table_head(predictor), soft_wrap=True)
        for one in picture_predictions(predictor, paths, batch_size=batch_size):
            found.append(one)
            if (file := next(files, None)) is not None and one.mask is not None:
                write_mask(file, one.mask, one.path, predictor.facts.rules)
            if (file := next(drawings, None)) is not None and not one.fault:
                boxes = [box for _, box in named_boxes(predictor, one, top)]
                write_drawing(file, boxes, predictor.facts.classes, one.path, predictor.facts.rules)
            for line in () if plain else table_lines(predictor, one, top):
                console.print(line, soft_wrap=True)
    if as_json:
        typer.echo(as_utf8(json.dumps(predictions_as_json(predictor, found, top), indent=2, ensure_ascii=False)))
    if csv == "-":
        typer.echo(as_utf8(predictions_as_csv(predictor, found, top)), nl=False)
    elif csv:
        write_text(Path(csv), predictions_as_csv(predictor, found, top))
        with _notes_aside(as_json):
            console.print(f"CSV: {csv}", soft_wrap=True)
    if masks:
        with _notes_aside(plain):
            console.print(f"Masks: {masks} (PNG, a number for each class; 255: not seen)", soft_wrap=True)
    if draw:
        with _notes_aside(plain):
            console.print(f"Drawn: {draw} (PNG)", soft_wrap=True)
    report_faults([f"{one.path} {one.fault}" for one in found if one.fault], len(found), "picture")


def _picture_files(predictor: Any, option: str, folder: str, kind: str, paths: list[Path]) -> list[Path]:
    from rolewise.deploy.predicted_masks import mask_paths

    if not folder:
        return []
    if predictor.facts.kind != kind:
        raise InputError(f"--{option} is for {kind}, got a network of {predictor.facts.kind}; leave it out")
    return mask_paths(Path(folder), paths, "masks" if option == "masks" else "drawings")


def _predictor(place: Path, stage: str, arm: str, seed: int | None) -> Any:
    from rolewise.cli.foreign import announce_run
    from rolewise.deploy.predictor import predictor_of_file, predictor_of_run

    if place.is_dir():
        announce_run(place)
        predictor = predictor_of_run(place, stage=stage, arm=arm, seed=seed)
        other = "" if stage or arm else " (--stage, --arm and --seed name another)"
        print_sentences(console, f"Network: {predictor.name}{other}")
    elif stage or arm or seed is not None:
        raise InputError(f"--stage, --arm and --seed are of a run folder, got the file {place}; leave them out")
    else:
        predictor = predictor_of_file(place)
        console.print(f"Network: {predictor.name}", soft_wrap=True)
    if not predictor.facts.own_rules:
        rules = predictor.facts.rules
        sides, colour = " x ".join(map(str, rules.shape)), "grey" if rules.grayscale else "RGB"
        print_sentences(
            console,
            f"Note: the network's data were arrays, so how pictures become such is a guess: cropped and scaled to "
            f"{sides}, {colour}. Pictures that look otherwise, such as dark on light instead of light on dark, are "
            "another input than it was trained on.",
        )
    return predictor


@contextlib.contextmanager
def _notes_aside(aside: bool) -> Iterator[None]:
    """Prints notes to stderr where stdout is to hold the result alone."""
    # The console prints to whatever stdout is; set by itself it would hold on to the stream of this moment.
    with contextlib.redirect_stdout(sys.stderr) if aside else contextlib.nullcontext():
        yield
