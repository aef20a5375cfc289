"""Predictions for texts: by a trained network of a run, or by an exported file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from rolewise.data.tokenisation import tokenised, tokenised_words, tokenizer_digest, tokenizer_facts
from rolewise.deploy.open_file import open_file
from rolewise.deploy.stage_choice import chosen_stage
from rolewise.deploy.text_export import text_facts
from rolewise.deploy.text_file_facts import TextFileFacts
from rolewise.deploy.text_formats import PredictTexts, TextSubject, of_text_network
from rolewise.errors import InputError
from rolewise.experiment.evaluation import finished_stage
from rolewise.experiment.stage_texts import stage_text_network, text_rules
from rolewise.files import AnyPath, as_path
from rolewise.threads import torch_threads


@dataclass(frozen=True)
class TextPredictor:
    """A network that is ready to predict for texts.

    Args:
        name: the network, in words.
        facts: its classes, tokenizer and length, and the kind of its outputs.
        outputs: a tokenizer's batch to outputs [B, K] or [B, T, K] of the facts' form.
        tokenizer: the folder, package or repository that the tokenizer is from.
        threads: of torch; None for as many as it has.
    """

    name: str
    facts: TextFileFacts
    outputs: PredictTexts
    tokenizer: str
    threads: int | None = None


@dataclass(frozen=True)
class TaggedWord:
    """A word and its tag.

    Args:
        word: as it stands in the text.
        tag: the most probable tag; empty for a word beyond the most tokens of a text.
        probability: of the tag.
    """

    word: str
    tag: str
    probability: float


@dataclass(frozen=True)
class TextPrediction:
    """The prediction for one text or pair.

    Args:
        text: the text.
        pair: the second text of a pair; None of a single one.
        values: K probabilities, or K numbers in a regression; none of tags.
        words: of tagging, each word and its tag.
        fault: the reason why there is no prediction, such as an empty cell; empty where there is one.
    """

    text: str
    pair: str | None
    values: tuple[float, ...] = ()
    words: tuple[TaggedWord, ...] = ()
    fault: str = ""


def text_predictor_of_run(root: AnyPath, *, stage: str = "", arm: str = "", seed: int | None = None) -> TextPredictor:
    """Returns a predictor by a trained network of a run on texts; its texts are not read.

    Args:
        root: the run folder.
        stage: a training's stage, such as ``seed0/small-own+distill``.
        arm: instead of it, an arm, such as ``own+distill`` or ``teacher-none``.
        seed: of the run's seeds, where no stage is named; the first by default.

    Raises:
        InputError: there is no such training, it is not finished, or its tokenizer is not there.
    """
    root = as_path(root, "root")
    run, found = finished_stage(root, chosen_stage(root, stage=stage, arm=arm, seed=seed))
    config = run.config()
    with torch_threads(config.threads):
        network, classes = stage_text_network(run, found, torch.device("cpu"))
    types = tokenizer_facts(text_rules(config, found.role).tokenizer).types
    facts = text_facts(run, found, classes, types, "logits")
    outputs = of_text_network(TextSubject(network, facts))
    return TextPredictor(f"{found.name} of {root}", facts, outputs, facts.tokenizer, config.threads)


def text_predictor_of_file(path: AnyPath, *, tokenizer: str = "") -> TextPredictor:
    """Returns a predictor by an exported file.

    Args:
        path: a file that `rolewise export` wrote of a network of texts.
        tokenizer: its tokenizer, where it is elsewhere now; empty for the one that the file names.

    Raises:
        InputError: the file is missing, damaged or of images, or the tokenizer is another one.
    """
    path = as_path(path)
    predict, facts = open_file(path)
    if not isinstance(facts, TextFileFacts):
        raise InputError(f"{path} must be of a network of texts, and is of one of images")
    name = tokenizer or facts.tokenizer
    try:
        digest = tokenizer_digest(name)
    except InputError as error:
        raise InputError(f"{error}; where it is elsewhere now, name it by --tokenizer") from error
    if digest != facts.tokenizer_digest:
        raise InputError(
            f"the tokenizer must be the one that {path} was exported with, {facts.tokenizer}, and {name} has other "
            "tokens or parts texts otherwise; name that one by --tokenizer, or export the file anew"
        )
    of = f" ({facts.origin})" if facts.origin else ""
    return TextPredictor(f"{path}{of}", facts, predict, name)


def text_predictions(
    predictor: TextPredictor, texts: Sequence[str], pairs: Sequence[str] | None = None, *, batch_size: int = 64
) -> Iterator[TextPrediction]:
    """Yields the prediction for each text, in order; texts beyond the network's length lose their ends.

    Args:
        predictor: the network.
        texts: the texts; of tagging, words parted by white space.
        pairs: the second text of each, where the network takes pairs.
        batch_size: texts that are run together.

    Raises:
        InputError: a text is empty, or there are pairs where there should be none, or none where there should be.
    """
    facts = predictor.facts
    if batch_size < 1:
        raise InputError(f"batch_size must be at least 1, got {batch_size}")
    if (pairs is None) != (len(facts.columns) == 1):
        wanted = "pairs of texts" if len(facts.columns) > 1 else "single texts"
        got = "pairs" if pairs is not None else "single texts"
        raise InputError(f"the network takes {wanted} ({', '.join(facts.columns)}), got {got}")
    for number, text in enumerate(texts, 1):
        if not text.strip():
            raise InputError(f"text {number} must not be empty; leave it out")
    for start in range(0, len(texts), batch_size):
        part = texts[start : start + batch_size]
        others = None if pairs is None else pairs[start : start + batch_size]
        with nullcontext() if predictor.threads is None else torch_threads(predictor.threads):
            if facts.kind == "tagging":
                yield from _tagged(predictor, part)
            else:
                yield from _classified(predictor, part, others)


def _classified(
    predictor: TextPredictor, texts: Sequence[str], pairs: Sequence[str] | None
) -> Iterator[TextPrediction]:
    facts = predictor.facts
    table, _ = tokenised(predictor.tokenizer, list(texts), pairs, facts.length, fixed=facts.fixed)
    outputs = predictor.outputs(table.batch(torch.arange(len(texts)))).float()
    for at, values in enumerate(facts.form.probabilities(outputs)):
        yield TextPrediction(texts[at], None if pairs is None else pairs[at], tuple(values.tolist()))


def _tagged(predictor: TextPredictor, texts: Sequence[str]) -> Iterator[TextPrediction]:
    facts = predictor.facts
    words = [text.split() for text in texts]
    # The number of its word in place of a tag: so the first piece of each is found.
    numbers = [list(range(len(row))) for row in words]
    table, places, _ = tokenised_words(predictor.tokenizer, words, numbers, facts.length, fixed=facts.fixed)
    batch = table.batch(torch.arange(len(texts)))
    probabilities = facts.form.probabilities(predictor.outputs(batch).float())
    for at, row in enumerate(words):
        yield TextPrediction(texts[at], None, words=_words(row, places[at], probabilities[at], facts.classes))


def _words(words: Sequence[str], places: Tensor, probabilities: Tensor, tags: Sequence[str]) -> tuple[TaggedWord, ...]:
    found = {int(word): at for at, word in enumerate(places.tolist()) if word >= 0}
    tagged = []
    for number, word in enumerate(words):
        if number not in found:
            tagged.append(TaggedWord(word, "", 0.0))
            continue
        value, tag = probabilities[found[number]].max(0)
        tagged.append(TaggedWord(word, tags[int(tag)], float(value)))
    return tuple(tagged)
