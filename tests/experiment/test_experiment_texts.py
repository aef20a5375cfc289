"""Whole experiments on texts, on a small encoder; and all that means nothing for texts, named before training."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from text_toys import encoder_folder

from rolewise.augment import Schedule
from rolewise.augment.presets import fixed
from rolewise.config import ConfigError, as_values
from rolewise.errors import InputError
from rolewise.experiment import load, run
from rolewise.experiment.evaluation import evaluate_stage
from rolewise.experiment.previews import draw_preview
from rolewise.experiment.run_folder import RunFolder
from rolewise.experiment.seed_data import seed_data_of
from rolewise.experiment.stage_keys import stage_keys
from rolewise.experiment.text_previews import text_arrays
from rolewise.models import construct
from rolewise.report.strips import seen_texts
from rolewise.seeds import generator

pytest.importorskip("transformers")

LINES = ("the film was good", "a very good plot", "good end", "the bad film", "a dull end", "very bad")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an encoder, its weights, texts, and a config of them."""
    root = tmp_path_factory.mktemp("texts")
    encoder = encoder_folder(root / "encoder")
    network = construct(f"hf:{encoder}", {}, num_classes=2, channels=1, size=(1, 8), seed=9, vocabulary=17)
    save_file(network.encoder.state_dict(), encoder / "model.safetensors", {"format": "pt"})
    for name, count in (("train", 20), ("dev", 8), ("test", 10)):
        rows = (f"{LINES[at % 6]} {['film', 'plot', 'end'][at % 3]}\t{int(at % 6 < 3)}" for at in range(count))
        (root / f"{name}.tsv").write_text("\n".join(rows), encoding="utf-8")
    train = "{epochs: 2, batch_size: 8, optimizer: {name: adamw, learning_rate: 0.01}}"
    (root / "texts.yaml").write_text(
        f"""
name: texts
seeds: [0]
workers: 1
data:
  name: text_file
  root: {root}
  arguments:
    {{file: train.tsv, validation: dev.tsv, test: test.tsv, columns: [text, label], classes: [bad, good],
     tokenizer: {encoder}, length: 12}}
teacher:
  model: {{name: "hf:{encoder}"}}
  init: pretrained
  train: {train}
students:
  - {{name: cut, model: {{name: "hf:{encoder}", arguments: {{layers: [0, 2]}}}}, init: teacher, train: {train}}}
  - {{name: bag, model: {{name: bag_of_embeddings, arguments: {{width: 8}}}}, train: {train}}}
search: {{members: 2, intervals: 2, initial: random}}
arms: {{teacher: [none], student: [none, own, trivialaugment], distill: [true, false]}}
""",
        encoding="utf-8",
    )
    return root


def small(folder: Path, *settings: str):
    return load(folder / "texts.yaml", [*settings])


@pytest.mark.slow
def test_an_experiment_runs_to_its_report_and_resumes(folder: Path, tmp_path: Path) -> None:
    results = run(small(folder), tmp_path / "run")
    assert {arm["student"] for arm in results["arms"]} == {"cut", "bag"} and results["test_images"] == 10
    assert len(results["arms"]) == 12 and (tmp_path / "run/report.html").stat().st_size > 10_000
    seen = np.load(tmp_path / "run/previews.npz")
    assert seen.files == ["clean", *(f"cut/{part}" for part in ("0", "0.5", "1"))] + [
        f"bag/{part}" for part in ("0", "0.5", "1")
    ]
    page = (tmp_path / "run/report.html").read_text()
    assert "What each role reads" in page and all(text in page for text in (*seen["clean"], *seen["cut/1"]))
    teacher, cut = results["teachers"][0], results["arms"][0]
    assert 0 < cut["macs"] < teacher["macs"] and cut["parameters"] < teacher["parameters"]
    schedule = json.loads((tmp_path / "run/stages/seed0/cut-search/schedule.json").read_text())
    assert "token_mask" in json.dumps(schedule) and "rotate" not in json.dumps(schedule)
    taken = json.loads((tmp_path / "run/stages/seed0/teacher-none/taken_weights.json").read_text())
    assert taken["missing"]["first"] == ["head.weight", "head.bias"]
    assert "tokens of the training images" in " ".join(RunFolder(tmp_path / "run").record()["read"])
    score = evaluate_stage(tmp_path / "run", "seed0/cut-own+distill")
    assert score.examples == 8 and 0 <= score.accuracy <= 1
    assert run(small(folder), tmp_path / "run") == results


def test_the_teacher_and_its_part_begin_from_the_files_weights(folder: Path) -> None:
    from rolewise.experiment.taken_networks import begin_from_file
    from rolewise.models import init_from

    config = small(folder)
    data = seed_data_of(config, 0, torch.device("cpu"))
    assert data.validation.tolist() == list(range(20, 28)) and data.spec(config.teacher.model) is None
    teacher = data.network(config.teacher.model, "teacher", 1)
    begin_from_file(data, "teacher", teacher)
    other = data.network(config.teacher.model, "teacher", 2)
    begin_from_file(data, "teacher", other)
    names = [name for name, one in teacher.state_dict().items() if not one.equal(other.state_dict()[name])]
    assert names == ["head.weight"]
    student = data.network(config.students[0].model, "cut", 1)
    copied = init_from(student, teacher)
    assert set(copied) == set(student.state_dict())
    own, whole = student.state_dict(), teacher.state_dict()
    inside = "encoder.encoder.layer.{}.output.dense.weight"
    assert own[inside.format(1)].equal(whole[inside.format(2)]) and own[inside.format(0)].equal(whole[inside.format(0)])
    with pytest.raises(InputError, match="this is for images, and the data are texts"):
        data.pixel_spec(config.teacher.model)


def test_padding_and_the_batch_change_no_logits(folder: Path) -> None:
    data = seed_data_of(small(folder), 0, torch.device("cpu"))
    for role, section in (("teacher", data.config.teacher.model), ("bag", data.config.students[1].model)):
        network = data.network(section, role).eval()
        whole = network(**data.source.batch(torch.arange(6)))
        for row in range(6):
            alone = network(**data.source.batch(torch.tensor([row])))
            assert alone[0].detach().numpy() == pytest.approx(whole[row].detach().numpy(), abs=1e-5)


def test_keys_follow_the_texts_and_the_weights(folder: Path) -> None:
    config, other = small(folder), small(folder, "teacher.init=random")
    assert "init" in as_values(config)["teacher"] and "init" not in as_values(other)["teacher"]
    keys, others = stage_keys(config), stage_keys(other)
    assert keys["seed0/teacher-none"] != others["seed0/teacher-none"]
    assert keys["seed0/bag-none"] == others["seed0/bag-none"]
    shorter = stage_keys(small(folder, "data.arguments.padding=fixed"))
    assert shorter["seed0/bag-none"] != keys["seed0/bag-none"]


@pytest.mark.parametrize(
    ("setting", "path", "words"),
    [
        ("arms.student=[standard]", "arms.student[0]", "must be an augmentation of texts"),
        ("arms.student=[randaugment_torchvision]", "arms.student[0]", "must be an augmentation of texts"),
        ("arms.student=[screen]", "arms.student[0]", 'must not be "screen" for texts'),
        ("augment.ops=[rotate]", "augment.ops", "must name operations on tokens, got 'rotate'"),
        ("augment.base=[flip]", "augment.base", "must name operations on tokens"),
        ("augment.scale=pba", "augment.scale", 'must be "rolewise" for texts'),
        ("students[1].mix.method=mixup", "students[1].mix.method", 'must be "none" for texts'),
        ("students[1].quantise={weights: 2}", "students[1].quantise", "must be left out for texts"),
        ("students[1].train.channels_last=true", "students[1].train.channels_last", "must be false for texts"),
        ("teacher.model.size=[8, 8]", "teacher.model.size", "size is of pixels"),
        ("students[1].model={name: resnet8}", "students[1].model.name", "take a network of texts"),
        ("students[1].model.arguments={vocabulary: 3}", "students[1].model.arguments.vocabulary", "no such setting"),
        ("students[0].model.arguments={layers: [2, 5]}", "students[0].model.name", "ascending numbers from 0 to 2"),
        ("students[0].model.arguments={pooling: max}", "students[0].model.name", "one of mean, cls, tokens"),
        ("students[0].model.arguments={hidden_dropout_prob: 0.1}", "students[0].model.name", "must be left out"),
        ("students[0].model.arguments={vocab_size: 9}", "students[0].model.name", "at most the 9 tokens"),
        ("distill.methods=[{name: fitnets, student_taps: layer1, teacher_taps: layer1}]", "distill.methods[0]",
         "padding would count"),
        ("task=segmentation", "task", "must fit the data"),
        ("teacher.init=pretrain", "teacher.init", 'must be "random" or a file'),
        ("data.limit={train: 30}", "data.limit.train", "must be at most"),
    ],
)  # fmt: skip
def test_what_means_nothing_for_texts_is_named(setting: str, path: str, words: str, folder: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        small(folder, setting)
    assert any(fault.path == path and words in fault.message for fault in caught.value.faults), caught.value


def test_operations_on_tokens_are_none_on_images(tmp_path: Path) -> None:
    quick = Path(__file__).parent / "quick.yaml"
    fixed = "arms.student=[{name: fixed, policy: [[token_mask, 1.0, 0.5]]}]"
    with pytest.raises(ConfigError, match="must be an augmentation of images, got one with operations on tokens"):
        load(quick, [fixed])
    with pytest.raises(ConfigError, match=r"must name operations or package\.module:name, got 'token_mask'"):
        load(quick, ["augment.ops=[token_mask]"])


def test_a_preview_shows_tokens_and_marks_those_that_are_hidden(folder: Path, tmp_path: Path) -> None:
    hiding, out = tmp_path / "hide.json", tmp_path / "p.png"
    Schedule.constant(fixed([("token_mask", 1.0, 1.0)], [0.0, 1.0, 0.0], "fixed"), "hide").save(hiding)
    marked = []
    for spec in ("none", str(hiding)):
        draw_preview(spec, out, small(folder), images=5)
        page = np.asarray(Image.open(out))[10:-10]
        assert page.shape[0] == (5 * 5 - 1) * 20 and (page < 60).any()
        # A text has four lines and an empty one; the first is clean.
        lines = [(page[20 * at : 20 * at + 20] == (255, 205, 120)).all(2).any() for at in range(24)]
        assert not any(lines[::5]) and not any(lines[4::5])
        marked.append(sum(lines))
    assert marked[0] == 0 and marked[1] >= 8
    with pytest.raises(InputError, match=r"ops must be of tokens, token_dropout, .*, got others"):
        draw_preview("standard", out, small(folder))
    with pytest.raises(InputError, match="role must be one of teacher, cut, bag, got 'bog'"):
        draw_preview("none", out, small(folder), role="bog")


def test_a_page_has_the_tokens_that_a_role_reads_at_each_moment(folder: Path) -> None:
    data = seed_data_of(small(folder), 0, torch.device("cpu"))
    hiding = Schedule.constant(fixed([("token_mask", 1.0, 1.0)], [0.0, 1.0, 0.0], "fixed"), "hide")
    rows = torch.tensor([0, 1, 4])
    streams = {part: generator(0, str(part)) for part in (0.0, 1.0)}
    arrays = text_arrays(data.seen_by, rows, {"cut": hiding}, (0.0, 1.0), lambda role, part: streams[part])
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **{name: np.array(texts) for name, texts in arrays.items()})
    found = seen_texts(dict(np.load(io.BytesIO(buffer.getvalue()))), "cut")
    assert [[moment for moment, _ in row] for row in found] == [["clean", "beginning", "end"]] * 3
    assert [row[0][1] for row in found] == [f"[CLS] {LINES[at]} {('film', 'plot', 'end')[at % 3]} [SEP]" for at in rows]
    assert "[MASK]" in str(found) and "[MASK]" not in str([row[0] for row in found])
