"""Files of networks of texts, their facts and tokenizers, and predictions for texts."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from text_toys import encoder_folder
from typer.testing import CliRunner

from rolewise.cli import app
from rolewise.data.tokenisation import tokenizer_digest
from rolewise.deploy import (
    TextPredictor,
    export_stage,
    predictor_of_file,
    text_as_json,
    text_predictions,
    text_predictor_of_file,
    text_predictor_of_run,
)
from rolewise.deploy.given_texts import given_texts
from rolewise.deploy.open_file import open_file
from rolewise.deploy.text_file_facts import TEXT_KINDS, TextFileFacts, text_file_facts_of, token_form
from rolewise.deploy.text_tables import text_head, text_lines, texts_as_csv
from rolewise.errors import InputError, RunError
from rolewise.experiment import load, run
from rolewise.experiment.seed_data import seed_data_of

pytest.importorskip("transformers")

GOOD = ("the film was good", "a very good plot", "good end")
BAD = ("the bad film", "a dull end", "very bad")
STAGE = "seed0/bag-none+distill"


def config(root: Path, rows: list[str], task: str = "classification", targets: str = "classes") -> Path:
    """Writes texts and a small experiment on them."""
    tokenizer = encoder_folder(root / "encoder", layers=2)
    for name in ("train", "dev"):
        (root / f"{name}.tsv").write_text("\n".join(["text\tlabel", *rows]), encoding="utf-8")
    network = f'{{name: "hf:{tokenizer}", arguments: {{pooling: {"tokens" if targets == "tags" else "mean"}}}}}'
    student = network if targets == "tags" else "{name: bag_of_embeddings, arguments: {width: 6, hidden: 0}}"
    train = "{epochs: 1, batch_size: 8, optimizer: {name: adamw, learning_rate: 0.05}}"
    path = root / "texts.yaml"
    path.write_text(
        f"""
name: texts
seeds: [0]
workers: 1
task: {task}
data:
  name: text_file
  root: {root}
  test: 4
  arguments: {{validation: dev.tsv, targets: {targets}, tokenizer: {tokenizer}, length: 10}}
teacher: {{model: {network}, train: {train}}}
students: [{{name: bag, model: {student}, train: {train}}}]
distill: {{methods: [{{name: {"kd" if targets in ("classes", "tags") else "similarity"}}}]}}
arms: {{teacher: [none], student: [none], distill: [{"true" if targets in ("classes", "tags") else "false"}]}}
"""
    )
    return path


@pytest.fixture(scope="module")
def texts_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on texts, trained and not tested."""
    root = tmp_path_factory.mktemp("texts")
    rows = [f"{text}\t{name}" for name, texts in (("good", GOOD), ("bad", BAD)) for text in texts for _ in range(3)]
    run(load(config(root, rows=rows)), root / "run", only=lambda stage: stage.kind != "test")
    return root / "run"


def facts(kind: str = "classification", **changes: object) -> TextFileFacts:
    classes = ("O", "B-x", "I-x") if kind == "tagging" else ("bad", "good, or better")
    form = token_form(kind, "logits", True)
    values = {"threshold": 0.25 if kind == "multi_label" else 0.5, "digest": "ab", "origin": "seed0/bag of x"}
    values |= {"agreement": 0.5, "agreement_texts": "4 test texts, PyTorch 2"}
    return replace(TextFileFacts(kind, classes, form, "toys", "cd", 10, False, ("text",), **values), **changes)


def stub(folder: Path, kind: str, **changes: object) -> TextPredictor:
    """A network whose outputs are the numbers of tokens and of their first one."""

    def outputs(texts: dict[str, torch.Tensor]) -> torch.Tensor:
        ids = texts["input_ids"].float()
        if kind == "tagging":
            return torch.stack([ids % 2 * 9, ids % 3, ids * 0], -1)
        return torch.stack([texts["attention_mask"].sum(1).float() / 4, ids[:, 1] / 8], 1) - 1

    return TextPredictor("stub", facts(kind, **changes), outputs, str(folder))


def test_facts_come_back_from_a_file_s_metadata() -> None:
    for kind in TEXT_KINDS:
        assert text_file_facts_of(facts(kind).metadata, "file x") == facts(kind)
    pair = facts(columns=("first", "second"), fixed=True)
    assert text_file_facts_of(pair.metadata, "file x") == pair and pair.metadata["padding"] == "fixed"
    assert pair.metadata["inputs"] == '["input_ids", "attention_mask", "token_type_ids"]'
    for change, part in (
        ({"task": "poetry"}, "'poetry' is none of classification"),
        ({"columns": "[]"}, "columns must be one or two names"),
        ({"output": "tags"}, "output must be one of"),
        ({"length": "x"}, "write it by: rolewise export"),
    ):
        with pytest.raises(InputError, match=part):
            text_file_facts_of({**pair.metadata, **change}, "file x")
    known = {key: value for key, value in pair.metadata.items() if key != "tokenizer"}
    with pytest.raises(InputError, match=r"file x must hold .* it has no tokenizer"):
        text_file_facts_of(known, "file x")


def test_a_digest_is_of_what_a_tokenizer_does(tmp_path: Path) -> None:
    first, second, other = (encoder_folder(tmp_path / name) for name in ("a", "b", "c"))
    assert tokenizer_digest(str(first)) == tokenizer_digest(str(second))
    # The same tokens, of which capitals find none.
    path = other / "tokenizer.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"normalizer": None}))
    content = json.loads(path.read_text())
    content["model"]["vocab"]["Café"] = 17
    path.write_text(json.dumps(content))
    assert tokenizer_digest(str(first)) != tokenizer_digest(str(other))


def test_a_run_predicts_as_it_trained(texts_run: Path) -> None:
    config = load(texts_run / "config.yaml")
    data = seed_data_of(config, 0, torch.device("cpu"))
    predictor = text_predictor_of_run(texts_run, stage=STAGE)
    assert predictor.facts.classes == ("bad", "good") == data.source.classes
    texts = [*GOOD[:2], "a " * 20]
    found = list(text_predictions(predictor, texts, batch_size=2))
    assert [one.text for one in found] == texts
    network = data.network(config.students[0].model, "bag")
    from rolewise.train import load_weights

    load_weights(network, texts_run / "stages" / STAGE / "weights.safetensors")
    with torch.no_grad():
        known = network(**data.source.batch(torch.tensor([0, 3]))).softmax(1)
    for one, values in zip(found, known, strict=False):
        assert one.values == pytest.approx(values.tolist(), abs=1e-6)
    with pytest.raises(InputError, match=r"takes single texts \(text\), got pairs"):
        list(text_predictions(predictor, ["a"], ["b"]))
    with pytest.raises(InputError, match="text 2 must not be empty"):
        list(text_predictions(predictor, ["a", " "]))


def test_the_command_takes_texts_and_files(texts_run: Path, tmp_path: Path) -> None:
    (tmp_path / "lines.txt").write_text("good film\n\nbad film\n")
    (tmp_path / "table.csv").write_text('note,text\n1,"a dull, dull end"\n')
    given = ["the film was good", str(tmp_path / "lines.txt"), str(tmp_path / "table.csv")]
    call = ["predict", str(texts_run), *given, "--stage", STAGE]
    result = CliRunner().invoke(app, [*call, "--top", "2"])
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert lines[0].startswith("Network: seed0/bag") and lines[1].split() == ["text", "class", "probability"]
    assert max(map(len, lines[1:])) <= 79 and len(lines) == 2 + 8
    rows = list(csv.DictReader(io.StringIO(CliRunner().invoke(app, [*call, "--csv", "-"]).stdout)))
    assert [row["text"] for row in rows] == ["the film was good", "good film", "bad film", "a dull, dull end"]
    assert all(row["class"] in ("bad", "good") and 0.5 <= float(row["probability"]) <= 1 for row in rows)
    told = json.loads(CliRunner().invoke(app, [*call, "--json"]).stdout)
    assert told["task"] == "classification" and [one["text"] for one in told["texts"]] == [row["text"] for row in rows]
    for wrong, part in (
        ([str(tmp_path / "no.tsv")], "there is no such file"),
        (["x", "--draw", str(tmp_path)], "are of pictures"),
        (["x", "--tokenizer", "y"], "--tokenizer is of an exported file"),
    ):
        assert part in str(CliRunner().invoke(app, ["predict", str(texts_run), *wrong]).exception)


def test_an_empty_row_is_named_and_the_others_go_on(texts_run: Path, tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text("note,text\n1,good film\n2,\n3,bad film\n")
    result = CliRunner().invoke(app, ["predict", str(texts_run), str(table), "--stage", STAGE, "--csv", "-"])
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert [row["text"] for row in rows] == ["good film", "", "bad film"]
    assert [bool(row["class"]) for row in rows] == [True, False, True] and "line 3" in rows[1]["fault"]
    assert isinstance(result.exception, RunError) and "1 text of 3 cannot be read" in str(result.exception)


def test_labels_numbers_tags_and_pairs_are_told(tmp_path: Path) -> None:
    folder = encoder_folder(tmp_path / "encoder")
    labels = stub(folder, "multi_label")
    (found,) = text_predictions(labels, ["good bad film"])
    assert found.values == pytest.approx(torch.tensor([5 / 4 - 1, 5 / 8 - 1]).sigmoid().tolist())
    assert [line.split()[-1] for line in text_lines(labels.facts, found, 0)] == ["56.22%", "40.73%"]
    none = replace(labels.facts, threshold=0.9)
    assert next(text_lines(none, found, 0)).endswith("none at 0.9 or above")
    numbers = stub(folder, "regression")
    (one,) = text_predictions(numbers, ["bad end"])
    assert text_as_json(numbers.facts, one)["predictions"] == [
        {"number": "bad", "value": 0.0},
        {"number": "good, or better", "value": -0.25},
    ]
    assert texts_as_csv(numbers.facts, [one], 0).splitlines() == [
        'text,bad,"good, or better",fault',
        "bad end,0.0,-0.25,",
    ]
    tags = stub(folder, "tagging", length=6)
    # "plotly" is one word of two pieces; the last word has no room.
    (tagged,) = text_predictions(tags, ["Good plotly film the"])
    assert [(word.word, word.tag) for word in tagged.words] == [
        ("Good", "O"),
        ("plotly", "B-x"),
        ("film", "O"),
        ("the", ""),
    ]
    assert "cut off" in list(text_lines(tags.facts, tagged, 0))[3]
    assert texts_as_csv(tags.facts, [tagged], 0).splitlines()[1].startswith("1,Good,O,0.9")
    assert text_head(tags.facts).split() == ["word", "tag", "probability"]
    assert max(len(line) for line in text_lines(tags.facts, tagged, 0)) <= 79
    pairs = stub(folder, "classification", columns=("first", "second"))
    (tmp_path / "pairs.jsonl").write_text('{"first": "good", "second": "bad film"}\n')
    (row,) = given_texts([str(tmp_path / "pairs.jsonl")], pairs.facts)
    (both,) = text_predictions(pairs, [row.text], [str(row.pair)])
    assert (both.text, both.pair) == ("good", "bad film")
    assert next(text_lines(pairs.facts, both, 0)).startswith("good | bad film")
    assert texts_as_csv(pairs.facts, [both], 0).startswith("text,pair,class,probability,fault\ngood,bad film,bad,")
    with pytest.raises(InputError, match="takes pairs of texts, which stand in the columns first and second"):
        given_texts(["alone"], pairs.facts)
    (tmp_path / "other.csv").write_text("first,other\na,b\n")
    with pytest.raises(InputError, match=r'line 2: must have the column "second".*first, other'):
        given_texts([str(tmp_path / "other.csv")], pairs.facts)


def test_formats_and_tokenizers_that_do_not_fit_are_refused(texts_run: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="format must be onnx or torch for texts"):
        export_stage(texts_run, STAGE, "packed", tmp_path / "x")
    with pytest.raises(InputError, match="input must be left out for texts"):
        export_stage(texts_run, STAGE, "torch", tmp_path / "x", given="uint8")
    with pytest.raises(InputError, match="output must be one of logits, probabilities"):
        export_stage(texts_run, STAGE, "torch", tmp_path / "x", output="tags")
    assert not (tmp_path / "x").exists()


@pytest.mark.slow
@pytest.mark.parametrize(("form", "output"), [("onnx", "probabilities"), ("torch", "logits")])
def test_an_exported_file_predicts_as_its_run(texts_run: Path, tmp_path: Path, form: str, output: str) -> None:
    pytest.importorskip("onnxscript")
    path = tmp_path / "bag.file"
    made = export_stage(texts_run, STAGE, form, path, output=output)
    assert made.agreement == 1 and f"for 100.00% of {made.images} validation texts" in made.remarks[0]
    kept = open_file(path)[1]
    assert isinstance(kept, TextFileFacts) and kept.agreement == 1 and kept.form.output == output
    assert kept.agreement_texts.startswith(f"{made.images} validation texts, ")
    texts = [*GOOD, *BAD, "a " * 20, "end"]
    found = text_predictions(text_predictor_of_file(path), texts)
    known = text_predictions(text_predictor_of_run(texts_run, stage=STAGE), texts)
    for one, other in zip(found, known, strict=True):
        assert one.values == pytest.approx(other.values, abs=1e-5)
    card = made.card.read_text()
    assert f"| tokenizer | {texts_run.parent}/encoder, digest {kept.tokenizer_digest} |" in card
    assert "| texts | texts of at most 10 tokens, special ones among them: longer ones lose their ends" in card
    assert "| predicts as the trained network for | 100.00% of these texts |" in card and "2: bad, good" in card
    with pytest.raises(InputError, match="must be of a network of images, and is of one of texts"):
        predictor_of_file(path)
    other = encoder_folder(tmp_path / "other")
    content = json.loads((other / "tokenizer.json").read_text())
    content["model"]["vocab"]["more"] = 17
    (other / "tokenizer.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"the tokenizer must be the one that .* was exported with"):
        text_predictor_of_file(path, tokenizer=str(other))
    result = CliRunner().invoke(app, ["predict", str(path), "good", "--tokenizer", str(texts_run.parent / "encoder")])
    assert result.exit_code == 0 and "good" in result.output


@pytest.mark.slow
def test_a_tagger_agrees_by_its_tokens(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    tags = "the film was good\tO B-x O O", "a very good plot\tO O O B-x", "bad end\tO B-x"
    path = config(tmp_path, task="{name: tagging, tags: [B-x, O]}", rows=list(tags) * 3, targets="tags")
    run(load(path), tmp_path / "run", only=lambda stage: stage.kind != "test")
    made = export_stage(tmp_path / "run", STAGE, "onnx", tmp_path / "tagger.onnx")
    whole = "names the tags of the trained network for"
    assert made.agreement == 1 and f"{whole} 100.00% of the 30 tagged tokens of 9 validation texts" in made.remarks[0]
    assert made.metric.key == "span_f1" and f"| {whole} | 100.00% of the tokens of" in made.card.read_text()
    (found,) = text_predictions(text_predictor_of_file(tmp_path / "tagger.onnx"), ["Good film the end"])
    (known,) = text_predictions(text_predictor_of_run(tmp_path / "run"), ["Good film the end"])
    assert [one.tag for one in found.words] == [one.tag for one in known.words] and len(found.words) == 4
