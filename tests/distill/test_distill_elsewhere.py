"""The pages for people who come from elsewhere: every block runs, and is what the other library's formula gives."""

from __future__ import annotations

import copy
import re
import sys
import types
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor, nn
from torch.nn import functional

from rolewise.distill import build_methods
from rolewise.experiment import load

DOCS = Path(__file__).resolve().parents[2] / "docs"
IMAGES = torch.rand(6, 3, 8, 8, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(6) % 3


class Net(nn.Module):
    """A network with the names of a ResNet's parts; with ``two`` of heads it returns both, as DeiT does."""

    def __init__(self, seed: int, width: int = 4, two: bool = False) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.default_generator.manual_seed(seed)
            self.layer3 = nn.Sequential(nn.Conv2d(3, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU())
            self.layer4 = nn.Sequential(nn.Conv2d(width, width, 3, padding=1), nn.ReLU())
            self.fc = nn.Linear(width, 3)
            self.head_dist = nn.Linear(width, 3) if two else None

    def forward(self, images: Tensor) -> Any:
        pooled = self.layer4(self.layer3(images)).mean((2, 3))
        return self.fc(pooled) if self.head_dist is None else (self.fc(pooled), self.head_dist(pooled))


def blocks(page: str, language: str) -> list[str]:
    text = (DOCS / f"{page}.md").read_text(encoding="utf-8")
    assert set(re.findall(r"```(\w+)", text)) <= {"python", "yaml", "bash"}, "a block that no test runs"
    found = re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)
    assert found or language == "yaml"
    return found


def ran(page: str, count: int, **given: Any) -> dict[str, Any]:
    """Runs the first blocks of a page one after another, and returns their names."""
    names = {
        "teacher": Net(1, 6).eval(),
        "student": Net(2),
        "images": IMAGES,
        "labels": LABELS,
        "__name__": page,
        **given,
    }
    for block in blocks(page, "python")[:count]:
        exec(block, names)
    return names


def cross_entropy(names: dict[str, Any]) -> Tensor:
    return functional.cross_entropy(names["terms"].student_logits, LABELS)


def divergence(names: dict[str, Any], temperature: float) -> Tensor:
    student, teacher = (
        logits / temperature for logits in (names["terms"].student_logits, names["terms"].teacher_logits)
    )
    target = functional.softmax(teacher, 1)
    return temperature**2 * functional.kl_div(functional.log_softmax(student, 1), target, reduction="batchmean")


# torchdistill


def test_torchdistill_s_kd_is_the_page_s() -> None:
    names = ran("from_torchdistill", 1)
    theirs, here = (yaml.safe_load(block) for block in blocks("from_torchdistill", "yaml"))
    given = theirs["train"]["criterion"]["kwargs"]["sub_terms"]["kd"]["criterion"]["kwargs"]
    alpha, temperature = given["alpha"], given["temperature"]
    expected = alpha * cross_entropy(names) + (1 - alpha) * divergence(names, temperature)
    torch.testing.assert_close(names["terms"].total, expected)
    (method,) = names["distiller"].methods
    assert method.settings["temperature"] == temperature == here["distill"]["methods"][0]["temperature"]
    assert here["distill"]["label_weight"] == alpha == names["distiller"].label_weight
    assert here["distill"]["methods"][0]["weight"] == pytest.approx(1 - alpha) == method.weight(0)


def test_torchdistill_s_training_is_the_page_s_config(tmp_path: Path) -> None:
    theirs, text = (
        yaml.safe_load(blocks("from_torchdistill", "yaml")[0])["train"],
        blocks("from_torchdistill", "yaml")[1],
    )
    (tmp_path / "ours.yaml").write_text(text)
    config = load(tmp_path / "ours.yaml")
    for network in (config.teacher, *config.students):
        train = network.train
        assert train.epochs == theirs["num_epochs"]
        assert train.batch_size == theirs["train_data_loader"]["kwargs"]["batch_size"]
        given = theirs["optimizer"]["kwargs"]
        assert (train.optimizer.name, train.optimizer.nesterov) == ("sgd", False)
        assert train.optimizer.learning_rate == given["lr"] and train.optimizer.momentum == given["momentum"]
        assert train.optimizer.weight_decay == pytest.approx(given["weight_decay"])
        assert train.schedule.gamma == theirs["scheduler"]["kwargs"]["gamma"]
        milestones = [int(str(milestone).split()[0]) for milestone in train.schedule.milestones]
        assert milestones == theirs["scheduler"]["kwargs"]["milestones"]


def test_torchdistill_s_attention_is_the_page_s() -> None:
    names = ran("from_torchdistill", 2)
    expected = torch.zeros(())
    for path in ("layer3", "layer4"):
        student, teacher = (
            functional.normalize(names["terms"].outputs[role].features[path].square().mean(1).flatten(1))
            for role in ("student", "teacher")
        )
        expected = expected + (student - teacher).square().mean()
    torch.testing.assert_close(names["terms"]["attention"], expected)
    torch.testing.assert_close(names["terms"].total, cross_entropy(names) + 1000 * expected)


def test_the_losses_on_the_page_exist() -> None:
    text = (DOCS / "from_torchdistill.md").read_text(encoding="utf-8")
    _, _, losses = text.partition("\nLosses, all 25")
    lines = re.findall(r"`(\{name: [^`]+\})`", losses)
    assert len(lines) >= 25
    for line in lines:
        assert build_methods([yaml.safe_load(line)]), line


# timm


def test_timm_s_logit_distillation_is_the_page_s() -> None:
    names = ran("from_timm", 1)
    assert names["distiller"].specs["teacher"] == names["imagenet"]
    expected = 0.3 * cross_entropy(names) + 0.7 * divergence(names, 4)
    torch.testing.assert_close(names["terms"].total, expected)


def test_timm_s_feature_distillation_is_the_page_s() -> None:
    names = ran("from_timm", 2)
    distiller, student = names["distiller"], names["student"]
    learned = list(distiller.terms.parameters())
    assert learned and {id(weight) for weight in learned} < {id(weight) for weight in names["optimizer_parameters"]}
    terms = distiller(IMAGES, LABELS)
    pooled, wanted = (terms.outputs[role].features["fc:input"] for role in ("student", "teacher"))
    (map_of,) = distiller.terms["match"].maps
    torch.testing.assert_close(terms["match"], functional.mse_loss(map_of(pooled), wanted))
    torch.testing.assert_close(terms.total, functional.cross_entropy(terms.student_logits, LABELS) + 5 * terms["match"])
    assert torch.equal(student.fc(pooled), terms.student_logits)


def test_timm_s_distillation_token_is_the_page_s() -> None:
    two_headed = Net(3, two=True)
    names = ran("from_timm", 3, two_headed=two_headed)
    terms = names["terms"]
    with torch.no_grad():
        first, second = copy.deepcopy(two_headed).train()(IMAGES)
    torch.testing.assert_close(terms.student_logits, first)
    torch.testing.assert_close(terms["hard"], functional.cross_entropy(second, names["teacher"](IMAGES).argmax(1)))


# Lightning and the loops


@pytest.fixture
def _lightning(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lightning itself, or a stand-in with what the page uses of it."""
    try:
        import pytorch_lightning  # noqa: F401
    except ImportError:

        class LightningModule(nn.Module):
            def log_dict(self, values: dict[str, Tensor]) -> None:
                assert all(value.ndim == 0 for value in values.values())

            def optimizer_step(self, epoch: int, index: int, optimizer: Any, closure: Any) -> None:
                optimizer.step(closure)

        module: Any = types.ModuleType("pytorch_lightning")
        module.LightningModule = LightningModule
        monkeypatch.setitem(sys.modules, "pytorch_lightning", module)


@pytest.mark.usefixtures("_lightning")
@pytest.mark.filterwarnings("ignore")  # Lightning's own, where it is installed
def test_the_module_of_the_page_on_lightning_trains() -> None:
    names = ran("from_lightning", 2)
    module = names["Distillation"](names["teacher"], names["student"])
    optimizer = module.configure_optimizers()
    losses = []
    for index in range(8):

        def closure(index: int = index) -> Tensor:
            optimizer.zero_grad()
            loss: Tensor = module.training_step([IMAGES, LABELS], index)
            loss.backward()
            losses.append(loss.item())
            return loss

        optimizer.step(closure)
        module.distiller.after_step()
    assert losses[-1] < losses[0] and not module.distiller.teacher.training
    assert not any("teacher" in name for name in module.state_dict())
    assert issubclass(names["Distillation"], names["Classifier"])


def test_the_page_on_loops_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = ran("loops", 1, held_out=IMAGES, held_out_labels=LABELS)
    assert len(names["result"].history) == 3 and (tmp_path / "student.safetensors").exists()
    names = ran("loops", 99, held_out=IMAGES, held_out_labels=LABELS)
    assert set(names["terms"].parts) == {"labels", "kd", "my"}
    assert names["terms"].weights["my"] == 0.5
