"""Study files: axes, grids, parts, and every fault in one go."""

from __future__ import annotations

from pathlib import Path

import pytest

from rolewise.config import ConfigError
from rolewise.config.experiment_values import as_values, dump_values, value_differences
from rolewise.config.measure_entries import MeasureEntry
from rolewise.config.study_file import config_kind
from rolewise.study import load_study

HERE = Path(__file__).parent.parent / "experiment"
ROOT = Path(__file__).parent.parent.parent
HEAD = f"name: s\nbase: {HERE / 'quick.yaml'}\n"


def study(tmp_path: Path, text: str, overrides: tuple[str, ...] = ()):
    (tmp_path / "s.yaml").write_text(HEAD + text)
    return load_study(tmp_path / "s.yaml", overrides)


def faults(tmp_path: Path, text: str, overrides: tuple[str, ...] = ()) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        study(tmp_path, text, overrides)
    return [str(fault) for fault in caught.value.faults]


@pytest.mark.parametrize("path", sorted((ROOT / "configs" / "studies").glob("*.yaml")), ids=lambda path: path.stem)
def test_the_studies_that_come_with_it_are_sound(path: Path) -> None:
    assert config_kind(path) == "study" and load_study(path).cells
    assert config_kind(ROOT / "configs" / "digits.yaml") == "experiment"


def test_a_grid_is_a_product_without_what_is_excluded_and_with_what_is_included(tmp_path: Path) -> None:
    made = study(
        tmp_path,
        "set: {teacher.train.epochs: 3}\nseeds: [4, 5]\n"
        "grid:\n"
        "  distill.methods.0.temperature: [1, 4.5]\n"
        "  students.0.model.arguments.widths: [[4, 6], [8, 12]]\n"
        "  how: {plain: {}, wild: {distill.view: clean, distill.label_weight: 0.5}}\n"
        "exclude: [{distill.methods.0.temperature: 4.5, how: wild}]\n"
        "include: [{distill.methods.0.temperature: 9, 'students.0.model.arguments.widths': [4], how: wild}]\n",
    )
    levels = [tuple(cell.levels.values()) for cell in made.cells]
    assert levels == [
        (1, "[4, 6]", "plain"),
        (1, "[4, 6]", "wild"),
        (1, "[8, 12]", "plain"),
        (1, "[8, 12]", "wild"),
        (4.5, "[4, 6]", "plain"),
        (4.5, "[8, 12]", "plain"),
        (9, "[4]", "wild"),
    ]
    assert made.parts[0].axes["distill.methods.0.temperature"] == (1, 4.5, 9)
    assert [cell.name for cell in made.cells][-1] == "grid-006" and made.seeds == (4, 5)
    last = made.cells[-1].config
    assert last.distill.methods[0] == {"name": "kd", "temperature": 9, "weight": 0.9}
    assert last.students[0].model.arguments == {"widths": [4]} and last.seeds == (4, 5)
    assert (last.distill.view, last.distill.label_weight, last.teacher.train.epochs) == ("clean", 0.5, 3)
    assert made.cells[0].config.distill.view == "shared" and made.cells[0].config.distill.label_weight == 0.1


def test_ranges_hold_both_ends(tmp_path: Path) -> None:
    made = study(
        tmp_path,
        "grid:\n  distill.methods.0.temperature: {from: 1, to: 16, steps: 5, log: true}\n"
        "  distill.label_weight: {from: 0, to: 0.3, steps: 4}\n  teacher.train.epochs: {from: 2, to: 6, steps: 3}\n",
    )
    assert list(made.parts[0].axes.values()) == [(1, 2, 4, 8, 16), (0.0, 0.1, 0.2, 0.3), (2, 4, 6)]
    assert made.cells[-1].config.teacher.train.epochs == 6


def test_parts_have_grids_and_settings_of_their_own(tmp_path: Path) -> None:
    made = study(
        tmp_path,
        "set: {distill.view: clean}\nparts:\n"
        "  one: {grid: {distill.methods.0.temperature: [1, 2]}, set: {distill.view: shared}}\n"
        "  two: {grid: {distill.label_weight: [0.2]}}\n",
    )
    assert [(cell.name, cell.config.distill.view) for cell in made.cells] == [
        ("one-000", "shared"),
        ("one-001", "shared"),
        ("two-000", "clean"),
    ]


def test_settings_that_the_file_leaves_to_the_default_may_be_axes(tmp_path: Path) -> None:
    model = "model: {name: small_cnn, arguments: {widths: [4]}}"
    lines = [
        f"teacher: {{{model}}}",
        f"students: [{{name: a, {model}}}]",
        "data: {test: 100}",
        "arms: {teacher: [none]}",
    ]
    experiment = "\n".join(f"  {line}" for line in lines)
    grid = "grid: {distill.methods.0.temperature: [2]}"
    (tmp_path / "s.yaml").write_text(f"name: s\nexperiment:\n{experiment}\n{grid}")
    assert load_study(tmp_path / "s.yaml").cells[0].config.distill.methods[0]["temperature"] == 2


def test_a_study_written_out_is_the_same_study(tmp_path: Path) -> None:
    made = load_study(HERE / "study.yaml")
    (tmp_path / "again.yaml").write_text(dump_values(made.values))
    assert load_study(tmp_path / "again.yaml") == made


def test_the_study_itself_can_be_changed_from_the_command_line(tmp_path: Path) -> None:
    made = study(tmp_path, "grid: {distill.label_weight: [0.2]}", ("seeds=[7]", "workers=3", "best=true"))
    assert (made.seeds, made.workers, made.best, made.measure) == ((7,), 3, True, (MeasureEntry("accuracy"),))


QUESTION = """grid:
  distill.label_weight: [1, 0.5]
  students.0.model.arguments.widths: [[4, 6], [8, 12]]
  flag: {one: {}, two: {}}
questions:
  - {ask: "Is it?", """


def test_questions_name_levels_or_lists_of_them(tmp_path: Path) -> None:
    made = study(tmp_path, QUESTION + "of: {students.0.model.arguments.widths: [4, 6]}, against: {flag: [one, two]}}")
    (one,) = made.questions
    assert one.of == {"students.0.model.arguments.widths": ("[4, 6]",)} and one.against == {"flag": ("one", "two")}
    assert (one.metric, one.wanted) == ("accuracy", "higher") and one.plain["of"] == {
        "students.0.model.arguments.widths": ["[4, 6]"]
    }


@pytest.mark.parametrize(
    ("text", "part"),
    [
        (
            "of: {flg: 1}, against: {flag: one}}",
            "of.flg: must be an axis, part, student or arm, got 'flg'; did you mean \"flag\"",
        ),
        ("of: {flag: 2}, against: {flag: one}}", "of.flag: must be a level of flag, or a list of some, got 2"),
        (
            "of: {flag: [one, 2]}, against: {flag: one}}",
            "of.flag: must be a level of flag, or a list of some, got ['one', 2]",
        ),
        ("of: {distill.label_weight: true}, against: {flag: one}}", "label_weight: must be a level of"),
        (
            "of: {student: tall}, against: {flag: one}}",
            "of.student: must be a level of student, or a list of some, got",
        ),
        ("of: {flag: one}, against: {flag: one}}", "must compare two different things"),
        ("of: {flag: one}, against: {flag: two}, wanted: more}", "wanted: must be 'higher' or 'lower', got 'more'"),
        ("of: {flag: one}}", "against: must be given; add it"),
        (
            "of: {flag: one, distill.label_weight: 1}, against: {flag: two}}\n"
            "exclude: [{flag: one, distill.label_weight: 1}]",
            "of: must hold for a cell of the study, got none",
        ),
    ],
)
def test_each_fault_of_a_question_is_named(tmp_path: Path, text: str, part: str) -> None:
    found = faults(tmp_path, QUESTION + text)
    assert len(found) == 1 and "questions[0]" in found[0] and part in found[0], found


def test_a_fault_of_a_question_lists_each_student_once(tmp_path: Path) -> None:
    (found,) = faults(tmp_path, QUESTION + "of: {student: big}, against: {flag: two}}")
    assert found.endswith("or a list of some, got 'big'; known: small")


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("grid: {teacher.train.epocs: [1]}", 's.yaml:3  teacher.train.epocs: no such setting of "teacher.train"; did'),
        ("grid: {search.members: [3, 1]}", "s.yaml:3  search.members: must be at least 2, got 1"),
        ("grid: {distill.methods.7.weight: [1]}", "distill.methods[7]: must be a place from 0 to 0, got 7"),
        ("grid: {teacher.model.name: [resnet21]}", "teacher.model.name: must be a model"),
        ("grid: {seeds: [[1]]}", "give seeds at the top of the study"),
        ("grid: {'a b': [1]}", "must be a config key such as students.0.train.epochs"),
        ("grid: {distill.label_weight: 3}", "must be a list of values, a range or named levels, got 3"),
        ("grid: {distill.label_weight: []}", "must hold at least one level"),
        ("grid: {distill.label_weight: [1, 1]}", "must hold each level once"),
        ("grid: {seed: {a: {}}}", "must have a name that is no column of the table"),
        ("grid: {how: {a: {}, b: 3}}", "grid.how.b: must be a mapping of config keys to values, got 3"),
        ("grid: {how: {a: {distill.vew: clean}}}", 'distill.vew: no such setting of "distill"; did you mean "view"'),
        ("grid: {distill.label_weight: {from: 0, to: 1, steps: 3, log: true}}", "must be above 0 on a log scale"),
        ("grid: {distill.label_weight: {from: 0, to: 1, step: 3}}", 'did you mean "steps"'),
        ("grid: {distill.label_weight: {from: 0, to: 1}}", "must be a whole number from 2 to 1000, got nothing"),
        ("grid: {distill.label_weight: {from: a, to: 1, steps: 2}}", "from: must be a number, got 'a'"),
        ("grid: {distill.label_weight: [0.1]}\nexclude: [{distill.label_weigt: 1}]", "must be an axis of this grid"),
        ("grid: {distill.label_weight: [0.1]}\nexclude: [{distill.label_weight: 1}]", "must be a level of"),
        ("grid: {a: {b: {}}, c: {d: {}}}\nexclude: [{a: b}, {c: d, a: b}]\ninclude: [{a: b}]", "add c"),
        ("grid: {a: {b: {}, c: {}}}\nexclude: [{a: b}, {a: c}]", "s.yaml:4  exclude: must leave a cell of the grid"),
        ("parts: {p: {grid: {a: {b: {}}}, exclude: [{a: b}]}}", "parts.p.exclude: must leave a cell of the grid"),
        ("grid: {a: {b: {}}}\ninclude: [{a: b}]", "must not stand in the grid already"),
        ("grid: {a: {b: {}}}\ninclude: [{}]", "must be a mapping of axes to levels"),
        ("parts: {a: {grid: {}}}\ngrid: {}", "must have either grid: or parts:"),
        ("parts: {a: {gird: {}}}", 'did you mean "grid"'),
        ("parts: {a: {grid: {}}}\ninclude: [{a: 1}]", "must have exclude and include in its parts"),
        ("gird: {}", 'no such setting of "a study"; did you mean "grid"'),
        ("grid: {}\nworkers: -1", "workers: must be at least 0, got -1"),
        ("grid: {}\nseeds: [1, 1]", "must hold at least one seed, each once"),
        ("grid: {}\nmeasure: [accurac]", "measure[0]: must be a measurement or package.module:function"),
        ("grid: {}\nmeasure: [accuracy, accuracy]", "each once"),
        ("grid: {}\nmeasure: [accuracy, {name: accuracy}]", "each once"),
        ("grid: {}\nmeasure: [{radii: [3]}]", "measure[0].name: must be the name of a measurement, got nothing"),
        ("grid: {}\nmeasure: [{name: robustness, radii: [0]}]", "measure[0].radii: must hold a positive number, got 0"),
        ("grid: {}\nmeasure: [3]", "measure[0]: must be text or a mapping, got 3"),
        ("grid: {}\nexperiment: {}", "must have either base: (a file) or experiment:"),
        (
            "grid: {a: {x: {}, y: {}, z: {}}, distill.label_weight: {from: 0, to: 1, steps: 1000}, "
            "augment.fill: {from: 0, to: 3, steps: 4}}",
            "must have at most 10,000 cells, got 12,000",
        ),
    ],
)
def test_each_fault_is_named(tmp_path: Path, text: str, part: str) -> None:
    found = faults(tmp_path, text)
    assert any(part in fault for fault in found), found


def test_all_faults_come_in_one_go_each_once(tmp_path: Path) -> None:
    found = faults(
        tmp_path,
        "set: {distill.lable_weight: 3}\nmeasure: [speed]\ngrid:\n  teacher.train.epocs: [1, 2]\n"
        "  distill.methods.5.temperature: [1]\n  search.members: [1, 4]\nexclude: [{search.member: 4}]\n",
    )
    assert [fault.split("  ")[0].rpartition(":")[2] for fault in found] == ["3", "4", "6", "7", "8", "9"]


def test_faults_of_the_base_are_named_where_they_stand(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text((HERE / "quick.yaml").read_text().replace("epochs: 4", "epochs: 0"))
    (tmp_path / "s.yaml").write_text("name: s\nbase: base.yaml\ngrid: {distill.label_weight: [0.1, 0.2]}")
    with pytest.raises(ConfigError, match=r"base.yaml:9  teacher.train.epochs: must be at least 1, got 0\n1 fault;"):
        load_study(tmp_path / "s.yaml")
    # What the study sets may mend it.
    (tmp_path / "s.yaml").write_text("name: s\nbase: base.yaml\nset: {teacher.train.epochs: 3}\ngrid: {}")
    assert load_study(tmp_path / "s.yaml").cells[0].config.teacher.train.epochs == 3
    (tmp_path / "s.yaml").write_text("name: s\nbase: nowhere.yaml\ngrid: {}")
    with pytest.raises(ConfigError, match=r"s.yaml:2  base: must be a file that can be read"):
        load_study(tmp_path / "s.yaml")


SET = "set: {arms: {teacher: [none], student: [none], distill: [true]}, students.0.train.epochs: 9, augment.fill: 7}\n"
GRID = "grid: {size: {small: {}, large: {'students[0].images': 50}}, distill.label_weight: [0.1, 0.5]}\n"


@pytest.mark.parametrize(
    ("override", "path", "value"),
    [
        ("set.data.validation=120", "data.validation", 120),
        ("set.teacher.train.epochs=3", "teacher.train.epochs", 3),
        ("set.students[0].train.batch_size=10", "students.0.train.batch_size", 10),
        ("set.students[0].train.epochs=4", "students.0.train.epochs", 4),
        ("set.arms.student=[own]", "arms.student", ["own"]),
        ("set.augment.fill=9", "augment.fill", 9),
        ("grid.size.small.data.validation=120", "data.validation", 120),
        ("grid.size.small.students[0].train.epochs=4", "students.0.train.epochs", 4),
        ("grid.distill.label_weight=[0.3]", "distill.label_weight", 0.3),
        ("grid.search.members=[4, 5]", "search.members", 4),
    ],
)
@pytest.mark.parametrize("parts", [False, True])
def test_an_override_of_one_key_leaves_its_neighbours(
    tmp_path: Path, override: str, path: str, value: object, parts: bool
) -> None:
    text = SET + GRID
    if parts:
        text = "parts:\n  main:\n" + "".join(f"    {line}\n" for line in text.splitlines())
        override = f"parts.main.{override}"
    before, after = (as_values(study(tmp_path, text, given).cells[0].config) for given in ((), (override,)))
    found = after
    for step in path.split("."):
        found = found[int(step)] if isinstance(found, list) else found[step]
    assert found == value
    lines = value_differences(before, after)
    named = path.replace(".0.", "[0].")
    assert lines and all(line.startswith((f"{named}:", f"{named}[0]:")) for line in lines), lines


def test_an_override_of_a_section_replaces_what_stood_in_it(tmp_path: Path) -> None:
    made = study(tmp_path, SET + GRID, ("set.augment={interpolation: nearest}",))
    assert made.cells[0].config.augment.fill != 7 and made.cells[0].config.augment.interpolation == "nearest"
    assert len(study(tmp_path, SET + GRID, ("grid.size.huge={}", "grid.size.huge.teacher.images=90")).cells) == 6
    assert len(study(tmp_path, SET + GRID, ("grid={seed_free: {only: {}}}",)).cells) == 1


def test_a_fault_of_an_override_names_it(tmp_path: Path) -> None:
    found = faults(tmp_path, SET + GRID, ("set.data.validation=none", "set.data.rot=1", "grid.size.small.x.y=1"))
    assert [text.split("  ")[0] for text in found] == [
        "--set grid.size.small.x.y=1",
        "--set set.data.rot=1",
        "--set set.data.validation=none",
    ]
