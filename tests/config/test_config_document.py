"""Reading YAML: lines, chains of files, overrides, and what is refused before it can do harm."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from rolewise.config import ConfigError, ConfigPlace, ExperimentConfig, differences, dump, load_experiment_config
from rolewise.config.document import parse, read_document
from rolewise.config.overrides import override

BASE = """\
name: base
teacher:
  model:
    name: small_cnn
    arguments: {widths: [32, 64]}
students:
  - name: first
    model: {name: small_cnn}
  - name: second
    model: {name: small_cnn}
"""


def write(folder: Path, **texts: str) -> Path:
    for name, text in texts.items():
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    return folder / f"{next(iter(texts))}.yaml"


def faults(path: Path, *overrides: str) -> list[tuple[str, int, str, str]]:
    with pytest.raises(ConfigError) as caught:
        load_experiment_config(path, overrides)
    return [(Path(f.place.file).name, f.place.line, f.path, f.message) for f in caught.value.faults]


def test_every_setting_knows_its_line() -> None:
    document = parse(BASE, "base.yaml")
    assert document.place(("teacher", "model", "arguments", "widths")) == ConfigPlace("base.yaml", 5)
    assert document.place(("students", 1)).line == 9
    assert document.place(("students", 1, "model", "name")).line == 10
    assert document.place(("students", 1, "model", "size")).line == 10, "what is missing stands where its section does"


def test_a_fault_names_the_file_of_the_chain_in_which_it_stands(tmp_path: Path) -> None:
    top = write(
        tmp_path,
        top="extends: middle.yaml\n\nsearch: {members: 0}\n",
        middle="extends: low.yaml\nthreads: no\nteacher: {train: {epochs: 3}}\n",
        low=BASE + "workers: -1\n",
    )
    assert faults(top) == [
        ("low.yaml", 11, "workers", "must be at least 0, got -1"),
        ("middle.yaml", 2, "threads", "must be a whole number, got 'no'"),
        ("top.yaml", 3, "search.members", "must be at least 2, got 0"),
    ]


def test_a_replaced_list_forgets_the_lines_of_the_old_one(tmp_path: Path) -> None:
    top = write(tmp_path, top="extends: low.yaml\nstudents:\n- name: only\n", low=BASE)
    assert faults(top) == [("top.yaml", 3, "students[0].model", "must be given; add it")]


@pytest.mark.parametrize("name", ["missing.yaml", ".", '"a\\tb"', "x" * 5000, "loop.yaml", "/dev/zero"])
def test_a_file_that_cannot_be_extended_is_named_where_it_is_called(name: str, tmp_path: Path) -> None:
    (tmp_path / "loop.yaml").symlink_to(tmp_path / "loop.yaml")
    found = faults(write(tmp_path, top=f"# a comment\nextends: {name}\n"))
    assert [(fault[:3]) for fault in found] == [("top.yaml", 2, "extends")]
    assert found[0][3].startswith("must be")


def test_circles_and_endless_chains_end(tmp_path: Path) -> None:
    circle = write(tmp_path, a="extends: b.yaml\n", b="extends: c.yaml\n", c="extends: b.yaml\n")
    assert faults(circle)[0][:3] == ("c.yaml", 1, "extends") and "lead back" in faults(circle)[0][3]
    chain = write(tmp_path, **{f"n{i}": f"extends: n{i + 1}.yaml\n" for i in range(60)})
    assert "lead back" in faults(chain)[0][3]


@pytest.mark.parametrize(
    "text",
    [
        "\n".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10) if i else 'x'}]" for i in range(20)),  # billion laughs
        "a: &a [*a]",
        "a: &a {b: *a}",
        "[" * 100_000,
        "a: " * 50_000,
        "? " * 5_000,
        "? [" * 5_000,
        "- " * 20_000 + "a",
        "a: 1\n" * 60_000,
        "a: " + "x" * 300_000,
        "a: !!python/object/new:os.system [echo]",
        "!!python/name:os.system a: 1",
        "!!map {a: 1}",
        "a: !!int '3'",
        "a: !<tag:example.org,2000:x> 3",
        "%TAG ! tag:x,2000:\n---\na: !y 3",
        "a: 1\n---\nb: 2",
        'a: "\\ud800"',
        '"\\0": 1',
        '"\\U00110000": 1',
        'a: "\\uDC00"',
        "{",
        "\x00",
    ],
    ids=lambda text: repr(text[:14]),
)
def test_what_could_do_harm_is_refused_soon(text: str, tmp_path: Path) -> None:
    start = time.process_time()  # a slow machine is no harm
    path = write(tmp_path, bad=text)
    for name, line, _, message in faults(path):
        assert name == "bad.yaml" and line >= 1 and ("must" in message or "no such setting" in message)
        assert len(message) < 300
    assert time.process_time() - start < 20


def test_a_syntax_error_names_the_setting_in_which_it_stands(tmp_path: Path) -> None:
    (name, line, path, message), *more = faults(write(tmp_path, bad=BASE + "search:\n  scalars: {temperature: [1, }\n"))
    assert (name, line, path, more) == ("bad.yaml", 12, "search.scalars.temperature", [])
    assert message.startswith("must be YAML: ") and message.endswith("mend this line or the one before it")


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("1e-3", 0.001), ("-1E+2", -100.0), (".5", 0.5), ("5.", 5.0), ("010", 10), ("+3", 3), ("true", True),
        ("FALSE", False),
        ("~", None), ("", None), ("yes", "yes"), ("Off", "Off"), ("y", "y"), ("0x1F", "0x1F"), ("1:30", "1:30"),
        ("٣", "٣"),
        ("2020-01-02", "2020-01-02"), (".nan", ".nan"), ("1e999", "1e999"), ("'1'", "1"), ('"true"', "true"),
        ("=", "="), ("9" * 20, 10**20 - 1), ("<<", "<<"),
    ],
)  # fmt: skip
def test_words_mean_what_people_mean(word: str, value: object) -> None:
    got = parse(f"a: {word}\n", "x").value["a"]
    assert got == value and type(got) is type(value)


def test_overrides_reach_into_lists_and_make_sections(tmp_path: Path) -> None:
    path = write(tmp_path, base=BASE)
    settings = [
        "students[1].train.epochs=7",
        "students.1.train.batch_size=11",  # no brackets, which some shells take for themselves
        "teacher.model.arguments.widths[0] = 5",
        "search={members: 3}",
        "search.quantile=5e-1",
    ]
    config = load_experiment_config(path, settings)
    assert config.students[1].train.epochs == 7 and config.students[0].train.epochs == 100
    assert config.students[1].train.batch_size == 11 != config.students[0].train.batch_size
    assert config.teacher.model.arguments == {"widths": [5, 64]}
    assert (config.search.members, config.search.quantile) == (3, 0.5)


def test_faults_of_overrides_come_in_the_same_go(tmp_path: Path) -> None:
    found = faults(
        write(tmp_path, base=BASE + "threads: 0\n"),
        "students[2].init=teacher",
        "students.name=x",
        "name.first=x",
        "teacher[0]=x",
        "search.member=4",
        "distill.view=[",
        "data.root=!!binary aGk=",
        "=3",
        "seeds[0]=4",
    )
    assert [(path, message.split(",")[0]) for _, _, path, message in found if path != "threads"] == [
        ("--set", "must read path.to.key=value"),
        ("data.root", "must not have a tag"),
        ("distill.view", "must be YAML: expected the node content"),
        ("name.first", "must be in a mapping"),
        ("search.member", 'no such setting of "search"; did you mean "members"?'),
        ("seeds[0]", "must be in a list"),
        ("students.name", "must be in a mapping"),
        ("students[2]", "must be a place from 0 to 1"),
        ("teacher[0]", "must be in a list"),
    ]
    assert [fault[2:] for fault in found if fault[2] == "threads"] == [("threads", "must be at least 1, got 0")]
    assert all(name.startswith("--set ") for name, line, path, _ in found if path != "threads")


def test_an_override_of_bytes_that_are_no_text_can_be_printed(tmp_path: Path) -> None:
    document = read_document(write(tmp_path, base=BASE))
    with pytest.raises(ConfigError) as caught:
        override(document, "name=\udcff")
    assert str(caught.value).encode("utf-8")


def test_a_dump_keeps_text_that_looks_like_something_else(tmp_path: Path) -> None:
    odd = [
        "1e-3",
        "true",
        "no",
        "~",
        "",
        " x ",
        "007",
        ".5",
        "a: b",
        "# c",
        "- d",
        "é\nf",
        "'g'",
        "[h",
        "x" * 300,
        "=",
        "<<",
        "null",
    ]
    model = {
        "name": "m",
        "arguments": {"values": odd, "numbers": [1e-05, 1e22, -0.0, 3, 2.5e-300], "nothing": None, "e": {}},
    }
    config = ExperimentConfig.model_validate({"teacher": {"model": model}, "students": [{"name": "s", "model": model}]})
    again = load_experiment_config(write(tmp_path, again=dump(config)))
    assert again == config and again.teacher.model.arguments["values"] == odd


def test_differences_say_what_came_went_and_changed(tmp_path: Path) -> None:
    path = write(tmp_path, base=BASE)
    new = load_experiment_config(
        path, ["workers=2", "seeds=[0, 1]", "teacher.model.arguments={places: flat}", "augment.base=[crop]"]
    )
    assert differences(load_experiment_config(path), new) == [
        "augment.base: [] -> (not there)",
        "augment.base[0]: (not there) -> 'crop'",
        "seeds[2]: 2 -> (not there)",
        "teacher.model.arguments.places: (not there) -> 'flat'",
        "teacher.model.arguments.widths[0]: 32 -> (not there)",
        "teacher.model.arguments.widths[1]: 64 -> (not there)",
    ]


def test_one_fault_for_a_setting_of_several_types(tmp_path: Path) -> None:
    path = write(tmp_path, base=BASE)
    for setting, message in {
        "data.validation=0": "must be a number of examples from 2 up or a fraction between 0 and 1, got 0",
        "data.validation=1.5": "must be a number of examples from 2 up or a fraction between 0 and 1, got 1.5",
        "data.test=true": "must be a whole number or a number, got true",
        "arms.control=3": "must be text or a mapping, got 3",
        "teacher.train.ema=1": "must be below 1, got 1",
        "teacher.model.size=[8]": "must be given; add it",
        "teacher.model.mean=[]": "mean and std must both have one number for each channel, or neither be given, "
        "got 0 and nothing; give both",
        "search.scalars.temperatur={low: 1, high: 2}": "must be one of learning_rate, temperature, label_weight, "
        "mix_share, mix_alpha, got 'temperatur'; did you mean \"temperature\"?",
        "search.scalars.temperature={low: 1, hig: 2, high: 3}": 'no such setting of "search.scalars.temperature"; '
        'did you mean "high"?',
        "students[0].mix.share={start: x}": "must be a number of at least 0, got 'x'",
        "students[0].mix.alpha={start: 1, window: [0.5, 0.1]}": "must end after it begins, got 0.5 to 0.1; swap them",
        "device=gpu": "must be auto, cpu, cuda, mps or xpu, with a number behind it such as cuda:1, got 'gpu'",
        "data.download=on": "must be true or false, got 'on'; write true",
        "name=Bad": "must be lower-case letters, digits, _ and -, starting with a letter or digit, got 'Bad'",
        f"name={'x' * 41}": f"must be at most 40 characters long, got '{'x' * 41}'",
    }.items():
        assert [fault[3] for fault in faults(path, setting)] == [message]


def test_names_are_checked_beside_the_schemas_faults(tmp_path: Path) -> None:
    text = BASE + "threads: 0\ndistill:\n  methods:\n  - {name: unknown}\n  - 3\nseeds: x\n"

    def check(config: ExperimentConfig):
        for index, method in enumerate(config.distill.methods):
            yield ("distill", "methods", index, "name"), f"must be known, got {method['name']!r}"
        yield ("threads",), "must not be seen: the schema has refused it"
        yield ("teacher",), "must be seen"

    with pytest.raises(ConfigError) as caught:
        load_experiment_config(write(tmp_path, base=text), check=check)
    assert [(fault.place.line, fault.path) for fault in caught.value.faults] == [
        (2, "teacher"), (11, "threads"), (14, "distill.methods[0].name"), (15, "distill.methods[1]"), (16, "seeds"),
    ]  # fmt: skip
    text = BASE.replace("    name: small_cnn\n", "").replace("first", "First")
    with pytest.raises(ConfigError) as caught:
        load_experiment_config(write(tmp_path, base=text), check=check)
    assert [fault.path for fault in caught.value.faults] == [
        "distill.methods[0].name",
        "threads",
        "teacher",
        "teacher.model.name",
        "students[0].name",
    ]
