"""The regression task against numpy and scikit-learn."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn import metrics as sk
from torch import nn

from rolewise.batch import Batch, Outputs
from rolewise.errors import InputError
from rolewise.tasks import TASKS, Regression, build_task, task_settings

B = 30


def draws(width: int | None, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    stream = torch.Generator().manual_seed(seed)
    shape = (B,) if width is None else (B, width)
    targets = 10 * torch.randn(shape, generator=stream, dtype=torch.double)
    return targets + torch.randn(shape, generator=stream, dtype=torch.double), targets


def batch_of(targets: object) -> Batch:
    return Batch(torch.zeros(B, 1, 4, 4), targets)


def predicted(values: torch.Tensor) -> Outputs:
    class Given(nn.Module):
        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            return values

    return Regression().run(Given(), torch.zeros(B, 1))


@pytest.mark.parametrize("width", [None, 1, 3])
@pytest.mark.parametrize("error", ["squared", "absolute", "huber"])
def test_the_loss_is_the_mean_error_of_each_example(error: str, width: int | None):
    predictions, targets = draws(width)
    task = Regression(error=error, huber_delta=0.7)
    losses = task.losses(predicted(predictions), batch_of(targets))["labels"]
    distance = np.abs((predictions - targets).numpy()).reshape(B, -1)
    each = {
        "squared": distance**2,
        "absolute": distance,
        "huber": np.where(distance <= 0.7, distance**2 / 2, 0.7 * (distance - 0.35)),
    }[error]
    np.testing.assert_allclose(losses.numpy(), each.mean(1), rtol=1e-12)
    assert torch.equal(task.losses(predicted(predictions), batch_of(targets), reduction="sum")["labels"], losses.sum())


def test_a_column_never_broadcasts_against_a_row():
    predictions, targets = draws(None)
    column = Regression().losses(predicted(predictions[:, None]), batch_of(targets))["labels"]
    assert column.shape == (B,)
    assert torch.equal(column, Regression().losses(predicted(predictions), batch_of(targets[:, None]))["labels"])


@pytest.mark.parametrize("width", [None, 3])
@pytest.mark.parametrize("weighted", [False, True])
def test_every_metric_is_scikit_learns(width: int | None, weighted: bool):
    predictions, targets = draws(width, 1)
    weights = torch.randint(0, 4, (B,), generator=torch.Generator().manual_seed(2)).double() if weighted else None
    metric = Regression().metric()
    for part in (slice(0, 11), slice(11, B)):
        metric.add(Outputs({"predictions": predictions[part].reshape(-1, width or 1)}), Batch(None, targets[part]))
    y, p, given = targets.numpy(), predictions.numpy(), {"sample_weight": weights}
    assert metric.compute(weights) == pytest.approx(
        {
            "rmse": np.sqrt(sk.mean_squared_error(y, p, **given)),
            "mae": sk.mean_absolute_error(y, p, **given),
            "r2": sk.r2_score(y, p, **given),
        }
    )
    assert metric.per_example() is None


def test_the_first_metric_is_what_is_trained_on():
    assert [Regression(error=error).metrics[0].key for error in ("squared", "absolute", "huber")] == [
        "rmse",
        "mae",
        "mae",
    ]
    predictions, targets = draws(3)
    metric = Regression(error="absolute").metric()
    metric.add(predicted(predictions), batch_of(targets))
    each = metric.per_example()
    assert each is not None
    assert each.shape == (B,)
    assert float(each.mean()) == pytest.approx(metric.compute()["mae"])
    assert not any(info.higher_is_better for info in Regression().metrics[:2])


def test_a_constant_number_has_no_variance_to_explain():
    metric = Regression().metric()
    metric.add(Outputs({"predictions": torch.tensor([[1.0], [2.0]])}), Batch(None, torch.tensor([3.0, 3.0])))
    values = metric.compute()
    assert np.isnan(values["r2"])
    assert values["mae"] == 1.5


@pytest.mark.parametrize("name", ["predictions", "logits"])
@pytest.mark.parametrize("kind", [dict, SimpleNamespace])
def test_networks_may_return_a_mapping_or_an_object(name: str, kind: type):
    class Network(nn.Module):
        def forward(self, ids: torch.Tensor) -> object:
            return kind(**{name: ids.float()[:, :1]})

    outputs = Regression().run(Network(), {"ids": torch.ones(4, 2)})
    assert torch.equal(outputs.values["predictions"], torch.ones(4, 1))


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        (torch.zeros(B, dtype=torch.int64), r"got torch.int64 \[30\]; numbers become so with targets.float\(\), and"),
        (torch.zeros(B, 2, 2), r"got torch.float32 \[30, 2, 2\]$"),
        (torch.zeros(B - 1), "one row for each of 30 inputs"),
        (np.zeros(B), "got ndarray; make them with torch.as_tensor"),
    ],
)
def test_targets_of_another_kind_are_refused(targets: object, message: str):
    with pytest.raises(InputError, match=message):
        Regression().check(batch_of(targets))


def test_outputs_that_do_not_go_with_the_targets_are_refused():
    with pytest.raises(InputError, match=r"as many numbers as there are targets, \[30, 3\], got \[30, 1\]; give the"):
        Regression().check_outputs(predicted(torch.zeros(B)), batch_of(torch.zeros(B, 3)), values=False)
    with pytest.raises(InputError, match="finite numbers, got inf"):
        Regression().check_outputs(predicted(torch.zeros(B)), batch_of(torch.full((B,), torch.inf)), values=True)
    with pytest.raises(InputError, match=r"must return predictions \[B\] or \[B, D\].*got \[30, 3, 3\]"):
        predicted(torch.zeros(B, 3, 3))
    with pytest.raises(InputError, match=r"must predict the same numbers, got \[30, 2\] and \[30, 3\]"):
        Regression().rows(predicted(torch.zeros(B, 2)), predicted(torch.zeros(B, 3)), batch_of(None))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"error": "l2"}, "error must be squared, absolute or huber, got 'l2'"),
        ({"huber_delta": 0}, "huber_delta must be a positive number, got 0"),
        ({"delta": 1}, 'task.delta no such setting of "regression"; did you mean "huber_delta"|known'),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, object], message: str):
    with pytest.raises(InputError, match=message):
        build_task({"name": "regression", **settings})


def test_tasks_are_named():
    assert list(TASKS) == ["classification", "detection", "multi_label", "regression", "segmentation", "tagging"]
    assert build_task("regression").name == "regression"
    with pytest.raises(InputError, match="no task is called 'regresion'; did you mean"):
        build_task("regresion")
    with pytest.raises(InputError, match="task must be the name of a task"):
        build_task({"error": "absolute"})


def test_example_targets_go_with_the_outputs():
    logits, numbers = torch.zeros(4, 3), torch.zeros(4, 2)
    for name, outputs in (
        ("classification", Outputs({"logits": logits})),
        ("multi_label", Outputs({"logits": logits})),
        ("regression", Outputs({"predictions": numbers})),
    ):
        task = build_task(name)
        batch = Batch(torch.zeros(4, 1, 2, 2), task.example_targets(outputs))
        task.check(batch)
        task.check_outputs(outputs, batch, values=True)


def test_a_task_of_ones_own_is_named_by_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "tasks_of_mine.py").write_text(
        "from rolewise.tasks import Regression\n\n\nclass Scaled(Regression):\n"
        "    def __init__(self, *, scale: float = 1.0) -> None:\n"
        "        super().__init__()\n        self.scale = scale\n"
        "\n\nclass Bare:\n    name = 'bare'\n\n\nnumber = 3\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    task = build_task({"name": "tasks_of_mine:Scaled", "scale": 2.0})
    assert (task.name, task.scale) == ("regression", 2.0)  # type: ignore[attr-defined]
    assert task_settings("tasks_of_mine:Scaled") == {"scale": 1.0}
    for given, message in (
        ({"name": "tasks_of_mine:Scaled", "scal": 2.0}, 'task.scal no such setting of .*did you mean "scale"'),
        ("tasks_of_mine:Bare", '"tasks_of_mine:Bare" must have metrics, rows_hold, row_classes, check, run'),
        ("tasks_of_mine:number", "must be a class of a task, got int"),
        ("tasks_of_mine:Missing", "has no 'Missing'"),
    ):
        with pytest.raises(InputError, match=message):
            build_task(given)
