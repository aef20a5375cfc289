"""The user's own losses, operations and quantisers in a config: found, tried, fingerprinted, run by every command."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest
import torch

from rolewise.config import ConfigError
from rolewise.errors import InputError
from rolewise.experiment import load, run
from rolewise.experiment.input_digests import inputs_of
from rolewise.experiment.kept_stages import stages_made_from
from rolewise.experiment.own_code import code_read_by, own_code
from rolewise.experiment.stage_graph import stages_of
from rolewise.foreign_code import search_in
from rolewise.study.keys import stage_keys

pytestmark = pytest.mark.usefixtures("figures_unrendered", "timed_briefly")

EXAMPLE = Path(__file__).parent.parent.parent / "examples" / "own_code"
SHORT = ["teacher.train.epochs=1", "students[0].train.epochs=1", "workers=1"]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the example; its module is this test's alone."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "my_parts", raising=False)
    for path in EXAMPLE.iterdir():
        if path.is_file():
            shutil.copy(path, tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def faults(home: Path, *settings: str) -> dict[str, str]:
    with pytest.raises(ConfigError) as caught:
        load(home / "own_code.yaml", [*SHORT, *settings])
    return {fault.path: fault.message for fault in caught.value.faults}


def test_the_example_runs_and_later_commands_find_its_code(rolewise, home: Path, monkeypatch) -> None:
    fewer = "arms.student=[{name: randaugment, num_ops: 1}]", "arms.control={name: randaugment, num_ops: 1}"
    settings = [part for setting in (*SHORT, *fewer) for part in ("--set", setting)]
    out = home / "run"
    code, text, error = rolewise("run", home / "own_code.yaml", "--out", out, *settings)
    assert code == 0, error
    assert text.count(f"Imports code that is not Rolewise's, and runs it: my_parts ({home / 'my_parts.py'})") == 1
    record = (out / "stages/seed0/ternary-randaugment-num_ops-1+distill/record.jsonl").read_text().splitlines()
    assert set(json.loads(record[-1])["terms"]) >= {"kd", "margin", "labels"}
    read = json.loads((out / "run.json").read_text())["read"]
    assert "module my_parts" in read
    monkeypatch.chdir(home.parent)
    code, text, error = rolewise("export", out, "--format", "packed", "--out", home / "small.bin")
    assert code == 0 and "as the trained network for 100.00%" in text, error
    # What the code says is part of the run's identity.
    source = home / "my_parts.py"
    source.write_text(source.read_text().replace("** power", "** power + 0"))
    with pytest.MonkeyPatch.context() as patch:
        from rolewise.experiment import input_digests
        from rolewise.own_sources import own_sources

        patch.setattr(input_digests, "_sources", own_sources)
        with pytest.raises(InputError, match="module my_parts"):
            run(load(home / "own_code.yaml", [*SHORT, *fewer]), out)


@pytest.mark.slow
def test_an_operation_is_searched_and_its_schedule_is_drawn(rolewise, home: Path) -> None:
    settings = [*SHORT, "search={members: 2, intervals: 2, initial: random}", "arms.student=[own]"]
    settings += ["arms.control=own", "augment.ops=['my_parts:stripes']"]
    out = home / "run"
    run(load(home / "own_code.yaml", settings), out)
    schedule = out / "stages/seed0/ternary-search/schedule.json"
    assert "my_parts:stripes" in schedule.read_text()
    code, _, error = rolewise("preview", schedule, "--config", home / "own_code.yaml", "--out", home / "p.png")
    assert code == 0 and (home / "p.png").is_file(), error


def test_faults_in_ones_own_code_stand_at_their_settings(home: Path) -> None:
    loss = "distill.methods=[{name: 'my_parts:margin_loss', %s}]"
    found = faults(home, loss % "margn: 2, power: 'a', margin: [1]")
    assert found["distill.methods[0].margn"].endswith('did you mean "margin"?')
    assert found["distill.methods[0].power"] == "must be a whole number, got 'a'"
    assert found["distill.methods[0].margin"] == "must be a number, got [1]" and len(found) == 3
    found = faults(home, "distill.methods=[{name: 'my_parts:margn_loss'}]", "augment.ops=['my_parts:stripe', rotat]")
    assert 'did you mean "margin_loss"?' in found["distill.methods[0].name"]
    assert 'did you mean "stripes"?' in found["augment.ops[0]"] and '"rotate"' in found["augment.ops"]
    found = faults(home, "distill.methods=[{name: 'my_parts:Ternary'}]")
    assert "must be a loss function, got the class Ternary" in found["distill.methods[0].name"]
    quantiser = "students[0].quantise.quantiser"
    assert 'did you mean "stripes"?' in faults(home, f"{quantiser}='my_parts:stripe'")[quantiser]
    message = "must be a quantiser or package.module:name, got 'lsqq'; did you mean \"lsq\"?"
    assert faults(home, f"{quantiser}=lsqq") == {quantiser: message}


@pytest.mark.parametrize(
    ("setting", "source", "path", "message"),
    [
        (
            "distill.methods=[{name: 'MODULE:wrong_loss'}]",
            "def wrong_loss(student, teacher):\n    return {}['logits']\n",
            "distill.methods[0].name",
            r"""method "MODULE:wrong_loss" raised KeyError: 'logits' (MODULE.py, line 2); mend it there""",
        ),
        (
            "distill.methods=[{name: 'MODULE:scalar_loss'}]",
            "def scalar_loss(student, teacher):\n    return (student - teacher).square().mean()\n",
            "distill.methods[0]",
            '"scalar" must return a loss for each example, [2], got []; take its mean over all other dimensions, and',
        ),
        (
            "distill.methods=[{name: 'MODULE:other_loss'}]",
            "def other_loss(student, teacher, temperature=4.0):\n    return (student - teacher).square().mean(1)\n",
            "distill.methods[0].name",
            "must take the logits of student and teacher, and its settings behind a *, got (student, teacher, temp",
        ),
        (
            "distill.methods=[{name: 'MODULE:open_loss'}]",
            "def open_loss(student, teacher, *, temperature):\n    return (student - teacher).square().mean(1)\n",
            "distill.methods[0].name",
            "must have a default for the setting 'temperature', got none; give it one",
        ),
        (
            "augment.ops=['MODULE:smaller']",
            "def smaller(images, values):\n    return images[..., 1:]\n",
            "augment.ops[0]",
            'operation "MODULE:smaller" must return images uint8 [2, 1, 8, 8], got torch.uint8 [2, 1, 8, 7]',
        ),
        (
            "augment.base=['MODULE:one_argument']",
            "def one_argument(images):\n    return images\n",
            "augment.base[0]",
            "must be a function of images and values, and perhaps draws; give it these",
        ),
        (
            "students[0].quantise.quantiser='MODULE:Bare'",
            "from torch import nn\nclass Bare(nn.Module):\n    def __init__(self, weight, bits):\n"
            "        super().__init__()\n",
            "students[0].quantise",
            'quantiser "MODULE:Bare" must make a module with bits, codes, got Bare; add it',
        ),
    ],
)
def test_what_cannot_be_used_is_refused_before_anything_starts(
    home: Path, setting: str, source: str, path: str, message: str
) -> None:
    module = f"broken_{abs(hash(source)) % 10**9}"
    (home / f"{module}.py").write_text(source)
    found = faults(home, setting.replace("MODULE", module))
    assert list(found) == [path] and message.replace("MODULE", module) in found[path]


def test_without_imports_the_rest_is_checked(rolewise, home: Path) -> None:
    (home / "my_parts.py").write_text("raise RuntimeError('imported')\n")
    code, text, error = rolewise("validate", home / "own_code.yaml", "--no-import")
    assert code == 0 and "has no fault as far as it was checked" in text, error
    for setting in ("students[0].quantise.quantiser", "distill.methods[1].name", "augment.ops[2]"):
        assert setting in text
    code, _, error = rolewise(
        "validate", home / "own_code.yaml", "--no-import", "--set", "distill.methods=[{name: kdd}]"
    )
    assert code == 2 and "distill.methods[0].name" in error and "imported" not in error
    code, _, error = rolewise("validate", home / "own_code.yaml")
    assert code == 2 and "module my_parts raised RuntimeError: imported (my_parts.py, line 1)" in error


def test_a_study_without_imports(rolewise, home: Path) -> None:
    (home / "my_parts.py").write_text("raise RuntimeError('imported')\n")
    study = home / "study.yaml"
    study.write_text(
        "name: s\nbase: own_code.yaml\ngrid: {distill.label_weight: [0.1, 0.2]}\nmeasure: ['my_parts:m']\n"
    )
    code, text, error = rolewise("validate", study, "--no-import")
    assert code == 0 and "2 cells" in text and "measure (my_parts:m)" in text, error


def test_stages_depend_on_the_code_that_they_run(home: Path) -> None:
    search_in(home)
    only_loss = [
        "metrics=[]",
        "augment.ops=[rotate]",
        "students[0].quantise.quantiser=lsq",
        "arms.distill=[true, false]",
    ]
    config = load(home / "own_code.yaml", [*SHORT, *only_loss])
    assert [code.path for code in own_code(config)] == ["my_parts:margin_loss"]
    read = {stage.name: code_read_by(config, stage) for stage in stages_of(config)}
    assert all(bool(paths) == ("+distill" in name) for name, paths in read.items()), read
    assert stages_made_from(config, ["module my_parts"]) == [
        stage.name for stage in stages_of(config) if "+distill" in stage.name or stage.kind == "test"
    ]
    before, marks = stage_keys(config), inputs_of(config)
    source = home / "my_parts.py"
    source.write_text(source.read_text() + "\n# another\n")
    from rolewise.experiment import input_digests

    input_digests._sources.cache_clear()
    after = stage_keys(config)
    assert {name for name in before if before[name] != after[name]} == {name for name in before if "+distill" in name}
    assert inputs_of(config) != marks


def test_a_registered_loss_is_the_same_by_its_path(home: Path) -> None:
    (home / "registered.py").write_text(
        "from rolewise.distill import method\n\n"
        '@method(reads="logits", mixed_labels="unsound", limits={"power": "positive"})\n'
        "def registered_here_loss(student, teacher, *, power=2.0):\n"
        "    return (student - teacher).abs().pow(power).mean(1)\n"
    )
    from rolewise.distill import METHODS, configure

    search_in(home)
    try:
        configured = configure("registered:registered_here_loss", power=3.0)
        assert configured.info is METHODS["registered_here"] and configured.info.mixed_labels == "unsound"
        with pytest.raises(InputError, match="power must be a positive number, got -1"):
            configure("registered:registered_here_loss", power=-1)
    finally:
        METHODS._entries.pop("registered_here", None)


def test_an_own_loss_teaches_as_a_registered_one(home: Path) -> None:
    (home / "copied.py").write_text(
        "import torch\nfrom torch.nn import functional\n\n"
        "def kd_loss(student, teacher, *, temperature=4.0):\n"
        "    soft = functional.kl_div((student / temperature).log_softmax(1), (teacher / temperature).softmax(1),\n"
        '                             reduction="none").sum(1)\n'
        "    return soft * temperature**2\n"
    )
    from rolewise.distill import Distiller, configure, kd
    from rolewise.models import build

    search_in(home)
    networks = [build("small_cnn", num_classes=4, channels=1, size=(8, 8), widths=[4], seed=seed) for seed in (0, 1)]
    distiller = Distiller(*networks, [kd(temperature=2.0), configure("copied:kd_loss", temperature=2.0)])
    images = torch.rand(5, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    terms = distiller(images, torch.arange(5) % 4)
    assert terms["copied_kd"].item() == pytest.approx(terms["kd"].item(), rel=1e-3)
