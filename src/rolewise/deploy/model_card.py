"""The model card beside an exported file: what it is, what it costs, and how it compares with floating point."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rolewise.deploy.answer_kinds import ANSWERS
from rolewise.deploy.comparison_rows import BATCHES, CardRow, bits_of
from rolewise.deploy.file_facts import BoxRules
from rolewise.deploy.file_formats import Subject
from rolewise.deploy.text_file_facts import TextFileFacts
from rolewise.deploy.text_formats import TextSubject
from rolewise.experiment.role_section import section_of
from rolewise.experiment.run_folder import RunFolder
from rolewise.experiment.stage_graph import Stage
from rolewise.metric_info import MetricInfo
from rolewise.quant import float_layers, quantised_layers, size_in_bytes


@dataclass(frozen=True)
class Exported:
    """A file that was written and tried.

    Args:
        path: the file.
        card: its model card.
        form: its format.
        agreement: share of images for which the file predicts as the network.
        metric: the description of the task's first metric.
        score: that metric of the file on these images.
        images: the number of images.
        part: the part of the images: ``test``, or ``validation`` where the run is not finished and its test set still
            sealed.
        rows: floating point, where it could be made, and the file.
        remarks: sentences beside the figures.
        unit: ``image``, or ``text``.
    """

    path: Path
    card: Path
    form: str
    agreement: float
    metric: MetricInfo
    score: float
    images: int
    part: str
    rows: tuple[CardRow, ...]
    remarks: tuple[str, ...]
    unit: str = "image"


def table(rows: tuple[CardRow, ...], metric: MetricInfo) -> list[list[str]]:
    """Returns the comparison as cells, the headings first."""
    head = ["file", metric.title, "bytes", "MACs", "bit operations", *(f"ms, batch {batch}" for batch in BATCHES)]
    return [head, *(_cells(row, metric) for row in rows)]


def plain_table(rows: tuple[CardRow, ...], metric: MetricInfo) -> str:
    """Returns the comparison as lines of text, a column for each file: at most 80 wide, whatever the numbers are."""
    cells = [list(column) for column in zip(*table(rows, metric), strict=True)]
    cells[0][0] = ""
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "  ".join(text.rjust(width) if index else text.ljust(width) for index, (text, width) in enumerate(pairs))
        for pairs in (list(zip(line, widths, strict=True)) for line in cells)
    ]
    return "\n".join(lines)


def shown_score(metric: MetricInfo, value: float) -> str:
    """Returns a metric of a file with its unit: fractions in percent with two digits."""
    return f"{value:.2%}" if metric.unit == "fraction" else metric.shown(value)


def _cells(row: CardRow, metric: MetricInfo) -> list[str]:
    times = [f"{row.milliseconds[batch]:.3g}" if batch in row.milliseconds else "-" for batch in BATCHES]
    value = shown_score(metric, row.score)
    return [row.name, value, f"{row.size:,}", f"{row.macs:,}", f"{row.bit_operations:,}", *times]


def card(run: RunFolder, stage: Stage, subject: Subject | TextSubject, made: Exported) -> str:
    """Returns the card's text.

    Args:
        run: the network's run.
        stage: its training.
        subject: the network and its input.
        made: the file.
    """
    model = subject.model
    config, section, facts = run.config(), section_of(run.config(), stage.role), subject.facts
    few, names = len(list(quantised_layers(model))), list(map(_escaped, facts.classes))
    answer = ANSWERS[facts.kind]
    whole = f"{answer.unit}these {made.unit}s"
    kept = ", ".join(float_layers(model)) if few else ""
    values = {
        "network": f"{section.model.name} {section.model.arguments or ''}".strip(),
        "layers at few bits": f"{few} ({bits_of(model)})" if few else "none",
        **({"layers in floating point": _escaped(kept)} if kept else {}),
        "trained as": f"{stage.name} of the experiment {config.name}",
        "augmentation": stage.augmentation,
        "distilled": f"from {stage.teacher}" if stage.distilled else "no",
        "data": f"{config.data.name}",
        f"{answer.parts}, in the order of the outputs": f"{len(names):,}: {', '.join(names)}",
        "input": _tokens(subject.facts) if isinstance(subject, TextSubject) else _input(subject, made.form),
        "output": {"logits": "numbers" if answer.activation == "none" else "logits"}.get(
            facts.form.output, facts.form.output
        ),
        **(_of_texts(subject.facts) if isinstance(subject, TextSubject) else _of_pictures(subject)),
        "file": f"{made.path.name}, {made.form}, {made.path.stat().st_size:,} bytes",
        "weights at their bits": f"{size_in_bytes(model):,} bytes",
        f"{made.metric.title} of the file ({made.part} {made.unit}s)": (
            f"{shown_score(made.metric, made.score)} of {made.images:,}"
        ),
        f"{answer.alike.removesuffix(',')} for": f"{made.agreement:.2%} of {whole}",
        "SHA-256 of the trained weights": facts.digest,
        "versions": ", ".join(f"{key} {value}" for key, value in _versions(run).items()),
    }
    known = "\n".join(f"| {key} | {value} |" for key, value in values.items())
    lines = table(made.rows, made.metric)
    lines.insert(1, ["---"] * len(lines[0]))
    compared = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    return (
        f"# {made.path.stem}\n\n| | |\n|---|---|\n{known}\n\n## Beside floating point\n\n{compared}\n\n"
        + "\n".join(f"- {remark}" for remark in made.remarks)
        + "\n\nOne training of one seed: see the run's report for means, intervals and controls.\n"
    )


def _input(subject: Subject, form: str) -> str:
    image = subject.form.image or subject.size
    sides = f"C, H, W = {', '.join(map(str, image))}"
    if form == "packed":
        return f"float32 [B, C, H, W] in [0, 1], to be normalised as below; {sides}"
    kinds = {
        "float32": "float32 [B, C, H, W] in [0, 1]",
        "uint8": "uint8 [B, C, H, W]",
        "uint8_bhwc": "uint8 [B, H, W, C]",
    }
    resized = "" if image == subject.size else f", brought to {' x '.join(map(str, subject.size))}"
    return f"{kinds[subject.form.input]}, normalised{resized} by the file itself; {sides}"


def _of_pictures(subject: Subject) -> dict[str, str]:
    """Returns the lines of the way from a picture to the network's input, and from its outputs to boxes."""
    spec, boxes = subject.spec, subject.facts.boxes
    return {
        "pictures": _pictures(subject),
        **({"boxes": _boxes(boxes)} if boxes is not None else {}),
        "mean, standard deviation": f"{_numbers(spec.mean)}; {_numbers(spec.std)}",
    }


def _tokens(facts: TextFileFacts) -> str:
    kinds = {
        "input_ids": "the numbers of the tokens",
        "attention_mask": "1 for tokens and 0 for padding, on the right",
        "token_type_ids": "1 in the second text of a pair",
    }
    return f"int64 [B, T] each: {'; '.join(f'{name}, {kinds[name]}' for name in facts.form.names)}"


def _of_texts(facts: TextFileFacts) -> dict[str, str]:
    """Returns the lines of the way from a text to its tokens."""
    what = "pairs of texts" if len(facts.columns) > 1 else "texts"
    cut = "padded to as many" if facts.fixed else "padded to the longest of a batch"
    most = f"at most {facts.length} tokens, special ones among them"
    return {
        "tokenizer": f"{_escaped(facts.tokenizer)}, digest {facts.tokenizer_digest}",
        "texts": f"{what} of {most}: longer ones lose their ends; {cut}",
    }


def _pictures(subject: Subject) -> str:
    rules = subject.facts.rules
    text = f"{rules.resize} to {' x '.join(map(str, rules.shape))} (height x width), "
    text += f"the middle {rules.crop_ratio:.4g} of its sides, " if rules.crop_ratio != 1 else ""
    text += f"bicubic with antialiasing by {'Pillow' if rules.resampling == 'pillow' else 'torch'}, "
    text += "turned by EXIF" if rules.orientation == "exif" else "not turned by EXIF"
    text += f", on background {rules.background}, {'grey' if rules.grayscale else 'RGB'}"
    return text if subject.facts.own_rules else f"{text}; assumed, since the data were arrays"


def _boxes(rules: BoxRules) -> str:
    found = f"score at least {rules.score:g}, then suppression above an IoU of {rules.overlap:g}"
    return f"{found}, at most {rules.most}; none of it in the file, which has all places"


def _escaped(name: str) -> str:
    """Returns a name as a cell of Markdown: a bar would end the cell, a line break the row."""
    return " ".join(name.replace("\\", "\\\\").replace("|", "\\|").split())


def _numbers(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:.6g}" for value in values)


def _versions(run: RunFolder) -> dict[str, str]:
    packages = run.environment().get("packages", {})
    return {key: str(packages[key]) for key in ("rolewise", "torch") if key in packages}
