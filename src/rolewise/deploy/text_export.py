"""A trained network of texts as a file for elsewhere, checked by running it on the run's own texts."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rolewise.batch import Batch
from rolewise.data import TextData
from rolewise.data.reading_rules import reads_texts
from rolewise.data.tokenisation import tokenizer_digest
from rolewise.deploy.comparison_rows import BATCHES, THREADS, CardRow
from rolewise.deploy.export_remarks import remark_on_agreement, remark_on_time, runtime_of
from rolewise.deploy.file_agreement import Agreement, agreement, logits_of_file
from rolewise.deploy.kept_agreement import keep_agreement
from rolewise.deploy.latency import in_turns
from rolewise.deploy.model_card import Exported, card
from rolewise.deploy.text_file_facts import TEXT_KINDS, TextFileFacts, TextKind, token_form
from rolewise.deploy.text_formats import FORMATS, PredictTexts, TextSubject, of_text_network, text_file_written
from rolewise.errors import InputError, near
from rolewise.experiment import builders
from rolewise.experiment.run_folder import RunFolder
from rolewise.experiment.seed_data import SeedData, seed_data_of
from rolewise.experiment.stage_graph import Stage
from rolewise.experiment.stage_texts import text_rules
from rolewise.experiment.stages import WEIGHTS, trained_network
from rolewise.files import sha256, write_text
from rolewise.quant import operations
from rolewise.tasks import MultiLabel, Task, build_task
from rolewise.threads import torch_threads

_AT_ONCE = 64


def is_of_texts(run: RunFolder) -> bool:
    """Returns whether a run is of texts."""
    return reads_texts(run.config().data.name)


def text_kind(task: Task) -> TextKind:
    """Returns the kind of a task of texts.

    Args:
        task: with any metrics.

    Raises:
        InputError: its outputs have no known meaning.
    """
    for kind in TEXT_KINDS:
        if kind == task.name:
            return kind
    raise InputError(
        f"the run's task must be {', '.join(TEXT_KINDS)}, got {task.name}, whose outputs have no known meaning; run "
        "its network in your own code"
    )


def text_facts(run: RunFolder, stage: Stage, classes: tuple[str, ...], types: bool, output: str) -> TextFileFacts:
    """Returns the facts about a trained network of texts.

    Args:
        run: the run.
        stage: a finished training.
        classes: their names.
        types: whether the tokenizer's networks take ``token_type_ids``.
        output: one of `rolewise.quant.file_form.OUTPUTS`.
    """
    config, task = run.config(), build_task(run.config().task)
    rules, kind = text_rules(config, stage.role), text_kind(task)
    return TextFileFacts(
        kind,
        classes,
        token_form(kind, output, types),
        rules.tokenizer,
        tokenizer_digest(rules.tokenizer),
        rules.length,
        rules.fixed,
        rules.columns,
        task.threshold if isinstance(task, MultiLabel) else 0.5,
        sha256(run.needed(stage.name, WEIGHTS)),
        f"{stage.name} of {config.name}",
    )


def export_texts(run: RunFolder, stage: Stage, form: str, out: Path, given: str, output: str) -> Exported:
    """Exports one trained network of texts (see `rolewise.deploy.export.export_stage`).

    Args:
        run: the run.
        stage: a finished training.
        form: ``onnx`` or ``torch``.
        out: the file.
        given: kind of images, which a network of texts has none of.
        output: ``logits`` or ``probabilities``.

    Raises:
        InputError: the format, the form or the network does not go.
    """
    if form not in FORMATS:
        rule = "format must be onnx or torch for texts, whose networks have no layers at few bits to pack"
        raise InputError(f"{rule}, got {form!r}{near(form, FORMATS)}")
    if given != "float32":
        raise InputError(f"input must be left out for texts, whose files take tokens, got {given!r}")
    config, task = run.config(), builders.configured_task(run.config())
    text_kind(task)
    data = seed_data_of(config, stage.seed, torch.device("cpu"))
    source, indices, part = _texts(run, data, stage)
    facts = text_facts(run, stage, source.classes, source.facts.types, output)
    subject = TextSubject(trained_network(run, data, stage).cpu().eval(), facts)
    predict = text_file_written(subject, form, out, config.threads)
    value, same = _compared(task, facts, predict, of_text_network(subject), source, indices)
    keep_agreement(out, form, same, part, runtime_of(form), facts.unit)
    result = Exported(
        out,
        out.with_name(out.name + ".md"),
        form,
        same.share,
        task.metrics[0],
        value,
        len(indices),
        part,
        (_row(subject, form, out, value, predict, source, indices),),
        (remark_on_agreement(facts, form, same, part), remark_on_time(form)),
        facts.unit,
    )
    write_text(result.card, card(run, stage, subject, result))
    return result


def _texts(run: RunFolder, data: SeedData, stage: Stage) -> tuple[TextData, Tensor, str]:
    """Returns the texts of the comparison as the network's role sees them: test ones once the run is finished."""
    opened, part = data.source, "validation"
    indices = data.validation
    if (run.root / "results.json").is_file():
        test = data.test.open(f"an export of {stage.name} from a finished run")
        opened, indices, part = test.source, test.indices, "test"
    source = data.seen_by(stage.role, opened)
    assert isinstance(source, TextData)
    return source, indices, part


def _compared(
    task: Task, facts: TextFileFacts, predict: PredictTexts, network: PredictTexts, source: TextData, indices: Tensor
) -> tuple[float, Agreement]:
    """Returns the first metric of a file, and its agreement with the network."""
    metric, found, known = task.metric(), [], []
    identity: Any = lambda inputs: inputs  # noqa: E731  (a task names what a network returns)
    for rows in torch.split(indices, _AT_ONCE):
        texts = source.batch(rows)
        targets = source.targets(rows, texts["input_ids"].shape[1])
        first, second = predict(texts), network(texts)
        values = logits_of_file(facts, first)
        metric.add(task.run(identity, values), Batch(values, targets))
        counted = targets >= 0 if facts.kind == "tagging" else torch.ones(len(rows), dtype=torch.bool)
        found.append(first[counted])
        known.append(second[counted])
    same = agreement(facts, torch.cat(found), torch.cat(known))
    if facts.kind == "tagging":
        same = replace(same, images=len(indices), unit=f"the {same.images:,} tagged tokens of ")
    return metric.compute()[task.metrics[0].key], same


def _row(
    subject: TextSubject, form: str, out: Path, value: float, predict: PredictTexts, source: TextData, indices: Tensor
) -> CardRow:
    """Returns the file's row of the card: its cost is that of the longest text, its times those of the run's texts."""
    longest = indices[source.table.lengths[indices].argmax()]
    whole = {name: tensor for name, tensor in source.batch(longest[None]).items() if name in subject.facts.form.names}
    cost = operations(subject.model, (), whole)
    times = {}
    with torch_threads(THREADS):
        for batch in BATCHES:
            texts = source.batch(indices.repeat(-(-batch // len(indices)))[:batch])
            times[batch] = in_turns({"own": partial(predict, texts)})["own"]
    name = "float32, ONNX" if form == "onnx" else "float32, torch program"
    return CardRow(name, value, out.stat().st_size, cost.macs, cost.bit_operations, times)
