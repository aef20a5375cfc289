"""New folders: what each template writes is valid as it stands and runs; nothing is left of one that cannot be made."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from rolewise.cli import folder_templates as templates
from rolewise.cli.folder_templates import NewFolder, new_folder
from rolewise.errors import InputError
from rolewise.experiment import load, run
from rolewise.study import load_study, run_study

NAMES = ["comparison", "own-data", "own-method", "photos"]
MODULES = ["my_loss", "my_data", "my_method"]
#: Settings under which a template's run takes seconds.
SMALL = {
    "comparison": [
        "seeds=[0]",
        "workers=1",
        "experiment.teacher.train.epochs=1",
        "experiment.students[0].train.epochs=2",
    ],
    "own-data": ["data.arguments.number=240", "data.validation=40", "data.test=80"],
    "own-method": [],
    "photos": ["data.arguments.size=16"],
}
SHORT = ["seeds=[0]", "workers=1", "teacher.train.epochs=1", "students[0].train.epochs=2"]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that is the current one; modules of templates are imported anew."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in MODULES:
        monkeypatch.delitem(sys.modules, name, raising=False)
    (tmp_path / "home").mkdir()
    monkeypatch.chdir(tmp_path / "home")
    return tmp_path / "home"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of two classes of ten pictures."""
    draws = np.random.default_rng(0)
    for label, name in enumerate(("cat", "dog")):
        (tmp_path / "my photos" / name).mkdir(parents=True)
        for number in range(10):
            pixels = draws.integers(90 * label, 90 * label + 80, (20, 30, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "my photos" / name / f"{number}.png")
    return tmp_path / "my photos"


def config_in(made: NewFolder) -> Path:
    return made.folder / next(name for name in made.files if name.endswith(".yaml"))


def written(name: str, photos: Path) -> NewFolder:
    return new_folder("trial", name, photos if name == "photos" else None)


def test_each_template_has_a_line_and_stands_in_the_help(rolewise) -> None:
    lines = templates.folder_templates()
    assert sorted(lines) == NAMES and all(lines.values()) and len(set(lines.values())) == len(NAMES)
    code, text, _ = rolewise("new", "--list")
    assert code == 0 and all(name in text for name in NAMES)
    code, text, _ = rolewise("new", "--help")
    assert code == 0 and all(name in text for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_template_is_valid_as_it_stands(home: Path, photos: Path, name: str) -> None:
    made = written(name, photos)
    assert sorted(path.name for path in made.folder.iterdir()) == sorted(made.files)
    config = config_in(made)
    if name == "comparison":
        study = load_study(config, SMALL[name])
        assert len(study.cells) == 5 and len(study.questions) == 3
    else:
        load(config, SMALL[name])
    page = (made.folder / "README.md").read_text()
    assert len(page.splitlines()) <= 30 and all(len(line) <= 120 for line in page.splitlines())
    # The next commands are of this folder, and name no file that is not in it.
    assert made.commands[-1].startswith("rolewise") and len(made.commands) >= 3
    for file in re.findall(r"\b[\w-]+\.(?:yaml|py)\b", page):
        assert file in made.files, file
    for file in made.files:
        assert file.endswith((".md", ".yaml", ".py")) and (made.folder / file).stat().st_size < 4000


def test_photographs_take_fifteen_lines_and_their_folder(home: Path, photos: Path, rolewise) -> None:
    code, text, error = rolewise("new", "trial", "--template", "photos", "--data", photos)
    assert code == 0, error
    assert "2 classes; 14 to train on, 2 for validation, 4 to test on" in text and "  cd trial\n" in text
    text = (home / "trial/config.yaml").read_text()
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    assert len(lines) <= 15
    section = yaml.safe_load(text)["data"]
    assert section["root"] == str(photos) and "faulty" not in section["arguments"]
    # One cut file, and a test part: the config is another one.
    (photos / "train").mkdir()
    for name in ("cat", "dog"):
        (photos / name).rename(photos / "train" / name)
        (photos / "test" / name).mkdir(parents=True)
        for number in range(3):
            (photos / "train" / name / f"{number}.png").rename(photos / "test" / name / f"{number}.png")
    (photos / "train/cat/cut.png").write_bytes((photos / "test/cat/1.png").read_bytes()[:60])
    code, text, error = rolewise("new", "other", "--template", "photos", "--data", photos)
    assert code == 0, error
    assert "13 to train on, 1 for validation, 6 to test on" in text and "1 file that cannot be read" in text
    section = yaml.safe_load((home / "other/config.yaml").read_text())["data"]
    assert "test" not in section and section["arguments"]["faulty"] == "skip"


def test_photographs_come_with_the_server_of_the_examples(home: Path, photos: Path) -> None:
    example = Path(__file__).resolve().parents[2] / "examples" / "serve.py"
    assert (written("photos", photos).folder / "serve.py").read_bytes() == example.read_bytes()


def test_photographs_without_a_folder_say_what_to_fill_in(home: Path, rolewise) -> None:
    code, text, _ = rolewise("new", "trial", "--template", "photos")
    assert code == 0 and "Fill in data.root in config.yaml first" in text
    assert "fill in" in next(line for line in (home / "trial/config.yaml").read_text().splitlines() if "root:" in line)
    code, _, error = rolewise("data", "look", "trial/config.yaml")
    assert code == 2 and "FOLDER is missing" in error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("full", "--template", "own-data"), "full must be a new or an empty folder, got a folder that holds files"),
        (("full/file", "--template", "own-data"), "must be a new or an empty folder, got a file"),
        (("trial", "--template", "own_data"), "got 'own_data'; did you mean \"own-data\"?"),
        (("trial",), "--template, one of comparison, own-data, own-method, photos"),
        (("--template", "photos"), "new must have a folder"),
        (("trial", "--template", "own-data", "--data", "full"), "only photos reads a folder"),
        (("trial", "--template", "photos", "--data", "nowhere"), "nowhere is missing"),
        (("trial", "--template", "photos", "--data", "full"), "at least two classes"),
    ],
)
def test_what_cannot_be_made_leaves_nothing(home: Path, rolewise, arguments: tuple[str, ...], message: str) -> None:
    (home / "full").mkdir()
    (home / "full/file").write_text("mine")
    code, _, error = rolewise("new", *arguments)
    assert code == 2 and message in error
    assert [path.name for path in home.iterdir()] == ["full"]


@pytest.mark.parametrize("there", [False, True])
def test_all_files_or_none(home: Path, monkeypatch: pytest.MonkeyPatch, there: bool) -> None:
    if there:
        (home / "trial").mkdir()
    calls = []

    def full_disk(path: Path, text: str) -> None:
        calls.append(path)
        if len(calls) == 2:
            raise OSError("no space left")
        path.write_text(text)

    with monkeypatch.context() as patch:
        patch.setattr(templates, "write_text", full_disk)
        with pytest.raises(OSError, match="no space"):
            new_folder(home / "trial", "own-method")
    assert len(calls) == 2 and list(home.rglob("*")) == ([home / "trial"] if there else [])
    assert len(new_folder(home / "trial", "own-method").files) == len(list((home / "trial").iterdir())) == 3
    with pytest.raises(InputError, match="must be a new or an empty folder"):
        new_folder(home / "trial", "own-method")


def test_the_current_folder_may_be_filled(home: Path, rolewise) -> None:
    code, text, error = rolewise("new", ".", "--template", "comparison")
    assert code == 0 and "cd " not in text and (home / "study.yaml").is_file(), error


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_template_runs(home: Path, photos: Path, name: str) -> None:
    config, out = config_in(written(name, photos)), home / "out"
    if name == "comparison":
        made = run_study(load_study(config, SMALL[name]), out, isolate=False)
        assert len(made.rows) == 10 and not made.failed
    else:
        run(load(config, [*SHORT, *SMALL[name]]), out)
    assert (out / "report.html").is_file()
