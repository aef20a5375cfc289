"""Code that is not Rolewise's: where it is found, that it is named before it runs, and what becomes of its errors."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from rolewise.data import ImageData
from rolewise.distill import Distiller, kd
from rolewise.errors import InputError
from rolewise.experiment.failures import keep_traceback
from rolewise.foreign_code import folders_of, import_path, modules_in, search_in
from rolewise.logits import are_probabilities, logits_in
from rolewise.models import build
from rolewise.quant.deployed import Deployed
from rolewise.train import evaluate

pytestmark = pytest.mark.usefixtures("figures_unrendered", "timed_briefly")

HERE = Path(__file__).parent
QUICK = HERE / "quick.yaml"
SMALL = ["seeds=[0]", "arms.student=[none]", "arms.teacher=[none]", "arms.distill=[true]", "teacher.train.epochs=1"]
SMALL += ["students[0].train.epochs=1", "distill.methods=[{name: kd}]"]
NETWORK = """
from torch import nn

class Net(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.fc = nn.Linear(64, num_classes)

    def forward(self, images):
        return {"logits": self.fc(images.flatten(1))}
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a config; the current folder is another one, and nothing of this test stays on Python's path."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "home").mkdir()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return tmp_path / "home"


def config_of(home: Path, module: str, name: str = "Net") -> Path:
    path = home / "config.yaml"
    path.write_text(
        f"extends: {QUICK}\nteacher:\n  model: {{name: '{module}:{name}'}}\n"
        f"students:\n  - name: small\n    model: {{name: '{module}:{name}'}}\n    images: 100\n"
    )
    return path


def sets(*more: str) -> list[str]:
    return [part for setting in (*SMALL, *more) for part in ("--set", setting)]


def test_a_module_beside_the_config_is_found_by_later_commands_too(rolewise, home: Path) -> None:
    (home / "beside_config.py").write_text(NETWORK)
    code, text, _ = rolewise("validate", config_of(home, "beside_config"), *sets())
    assert code == 0 and text.count("Imports code") == 1
    assert text.startswith("Imports code that is not Rolewise's, and runs it: beside_config (")
    out = home.parent / "run"
    code, text, error = rolewise("run", config_of(home, "beside_config"), "--out", out, *sets())
    assert code == 0, error
    assert text.count("Imports code") == 1
    # From another folder, as by a process that has not read the config.
    sys.path[:] = [path for path in sys.path if Path(path) != home]
    del sys.modules["beside_config"]
    code, text, error = rolewise("evaluate", out, "seed0/small-none+distill")
    assert code == 0 and "validation accuracy" in text, error


@pytest.mark.slow
def test_a_module_beside_the_config_is_found_by_workers(rolewise, home: Path) -> None:
    (home / "for_workers.py").write_text(NETWORK)
    out = home.parent / "run"
    settings = sets("seeds=[0, 1]", "workers=2")
    code, _, error = rolewise("run", config_of(home, "for_workers"), "--out", out, *settings)
    assert code == 0, error
    study = home / "study.yaml"
    study.write_text(
        "name: s\nset: {arms.student: [none], arms.teacher: [none], teacher.train.epochs: 1}\nbase: config.yaml\n"
        "workers: 2\nseeds: [0]\ngrid: {distill.label_weight: [0.1, 0.2]}\n"
    )
    code, text, error = rolewise("study", study, "--out", home.parent / "study")
    assert code == 0, text + error
    assert text.count("Imports code") == 1 and "for_workers (" in text


def test_a_module_in_the_current_folder_is_found(rolewise, home: Path) -> None:
    Path("in_current_folder.py").write_text(NETWORK)
    assert rolewise("validate", config_of(home, "in_current_folder"), *sets())[0] == 0


def test_rolewises_own_networks_are_not_announced(rolewise, home: Path) -> None:
    code, text, _ = rolewise("validate", QUICK, "--set", "teacher.model.name='rolewise.models.resnet:resnet20'")
    assert code == 2 or "Imports" not in text
    assert "Imports" not in rolewise("validate", QUICK)[1]


def test_a_missing_module_is_found_by_validate_with_its_remedy(rolewise, home: Path) -> None:
    code, text, error = rolewise("validate", config_of(home, "not_there.nets"), *sets())
    assert code == 2 and "not_there.nets (not found)" in text
    assert f"{home / 'config.yaml'}:3  teacher.model.name:" in error and "2 faults" in error
    assert "no module 'not_there'; put not_there.py beside the config or into the current folder (" in error
    assert "(looked in " in error and f"{home}, {Path.cwd()} and on Python's path)" in error
    (home / "not_here.py").write_text("")
    error = rolewise("validate", config_of(home, "not_there.nets"), *sets())[2]
    assert 'and on Python\'s path; did you mean "not_here"?)' in error
    (home / "needs_more.py").write_text("import not_there_either\n")
    code, _, error = rolewise("validate", config_of(home, "needs_more"), *sets())
    assert code == 2 and "module needs_more raised ModuleNotFoundError" in error and "(needs_more.py, line 1)" in error


def test_the_traceback_of_a_factory_is_in_the_run_folder_and_binds_nothing(rolewise, home: Path) -> None:
    (home / "broken_factory.py").write_text("def Net(num_classes):\n    return {}['width']\n")
    out = home.parent / "run"
    code, _, error = rolewise("run", config_of(home, "broken_factory"), "--out", out, *sets())
    assert code == 2 and "raised KeyError: 'width' (broken_factory.py, line 2); mend it there" in error
    assert "Traceback (" not in error and f"Traceback: {out / 'traceback.txt'}" in error
    assert "return {}['width']" in (out / "traceback.txt").read_text()
    (home / "mended_factory.py").write_text(NETWORK)
    code, _, error = rolewise("run", config_of(home, "mended_factory"), "--out", out, *sets())
    assert code == 0, error
    code, text, error = rolewise("evaluate", out, "seed0/small-none+distill")
    assert code == 0 and text.startswith("Imports code that is not Rolewise's, and runs it: mended_factory ("), error
    code, text, error = rolewise("export", out, "--format", "packed", "--out", home / "small.bin")
    assert text.startswith("Imports code that is not Rolewise's, and runs it: mended_factory ("), error


def test_what_a_network_raises_in_training_names_its_module_and_line(
    rolewise, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(HERE)
    out = home.parent / "run"
    path = config_of(home, "trial_toys", "Failing")
    code, _, error = rolewise("run", path, "--out", out, *sets("teacher.train.epochs=90"))
    assert code == 1 and "seed0/teacher-none: code that is not Rolewise's raised KeyError: 'a batch too many'" in error
    assert "(trial_toys.py, line " in error and "Traceback (" not in error
    assert "a batch too many" in (out / "traceback.txt").read_text()


def test_a_traceback_is_not_put_among_other_files(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("")
    assert keep_traceback(tmp_path, "x") is None
    assert keep_traceback(tmp_path / "thesis.txt", "x") is None
    assert keep_traceback(tmp_path / "new", "x") == tmp_path / "new" / "traceback.txt"


def test_import_paths_in_a_config_are_told_from_taps_devices_and_files() -> None:
    values = {"name": "a.b:c", "tap": "layer1:input", "device": "cuda:1", "root": "C:/data", "own": "rolewise.x:y"}
    assert modules_in([values, "a.b:other", ("torch.nn:Linear",), 3, None]) == ["a.b", "torch.nn"]


def test_modules_are_searched_behind_what_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = list(sys.path)
    search_in(tmp_path, tmp_path)
    assert sys.path == [*before, str(tmp_path.resolve())]
    (tmp_path / "a_package").mkdir()
    (tmp_path / "a_package" / "__init__.py").write_text("")
    (tmp_path / "a_module.py").write_text("import sys\nsys.exit(3)\n")
    assert folders_of(["a_package.part", "a_module", "nowhere_at_all"]) == [str(tmp_path.resolve())]
    with pytest.raises(InputError, match=r"module a_module raised SystemExit: 3 \(a_module.py, line 2\)"):
        import_path("a_module:x")


def test_a_mapping_with_logits_is_taken_as_an_object_with_logits_is() -> None:
    class Both(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = torch.nn.Linear(4, 3)

        def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"logits": self.fc(images.float().flatten(1))}

    network, images = Both(), torch.rand(6, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(6) % 3
    terms = Distiller(build("small_cnn", num_classes=3, channels=1, size=(2, 2), widths=[2]), network, [kd()])(
        images, labels
    )
    assert terms.total.requires_grad
    assert Deployed(network, (0.0,), (1.0,))(images).shape == (6, 3)
    source = ImageData((images * 255).to(torch.uint8), labels, ("a", "b", "c"))
    assert 0 <= evaluate(network, source, torch.arange(6), None).accuracy <= 1
    for output in ({"logit": images}, {"logits": 3}, None):
        with pytest.raises(InputError, match="a mapping or an object that has logits, got"):
            logits_in(output)


def test_probabilities_are_told_from_logits() -> None:
    logits = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))
    assert are_probabilities(logits.softmax(1)) and are_probabilities(torch.eye(4))
    for other in (logits, logits.log_softmax(1), logits.sigmoid(), torch.zeros(5, 4), torch.ones(5, 1)):
        assert not are_probabilities(other)
