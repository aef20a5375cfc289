"""One training in two processes: batches, gradients, terms, norms and bytes as in one."""

from __future__ import annotations

import json
import shutil
import socket
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import distributed, multiprocessing, nn
from train_toys import SPEC, data

from rolewise.augment import Mix, build_schedule
from rolewise.batch import Batch, Outputs
from rolewise.distill import Distiller, configure, single_process
from rolewise.distill.single_process import check_first_levels
from rolewise.errors import InputError
from rolewise.models import build
from rolewise.quant import quantise
from rolewise.train import Mixing, OptimizerSettings, Ranks, Trainee, TrainSettings, fit
from rolewise.train.global_norm import use_global_norms
from rolewise.train.ranks import by_rows

#: Methods that take each example by itself, and others that relate examples, remember them, or have norms.
ALONE = (("kd", 0.9), ("fitnets", 0.1))
RELATED = (("rkd", 0.5), ("crd", 0.3), ("review_kd", 0.2))


def training(
    ranks: Ranks | None = None,
    *,
    count: int = 60,
    mixing: Mixing | None = None,
    methods: tuple[tuple[str, float], ...] = ALONE,
    teacher_mode: Any = "eval",
    quantiser: str = "",
    **settings: Any,
) -> Trainee:
    student, teacher = (
        build("small_cnn", num_classes=3, channels=1, size=(8, 8), seed=seed, widths=widths)
        for seed, widths in ((1, [4, 6]), (2, [6, 8]))
    )
    if quantiser:
        student = quantise(student, 4, quantiser=quantiser, keep=())
    distiller = Distiller(
        teacher,
        student,
        [configure(name, weight=weight) for name, weight in methods],
        student_input=SPEC,
        teacher_input=SPEC,
        example=data().images[:2],
        label_weight=0.5,
        labels=data(count).labels,
        teacher_mode=teacher_mode,
    )
    given: dict[str, Any] = {"epochs": 3, "batch_size": 13, "optimizer": OptimizerSettings(learning_rate=0.05)}
    return Trainee(
        distiller,
        data(count),
        torch.arange(count),
        augmentation=build_schedule("randaugment"),
        settings=TrainSettings(**{**given, **settings}),
        seed=5,
        mixing=mixing,
        ranks=ranks,
    )


CASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "limited": {"distill_gradient": "limited", "clip_norm": 1.0, "accumulate": 2, "ema": 0.9},
    "mixed": {"mixing": Mixing(Mix("cutmix"))},
    "related": {"methods": RELATED, "accumulate": 2},
    "drawn": {"methods": (("mgd", 0.1), ("kd", 0.1))},
    "teacher": {"teacher_mode": "batch_statistics"},
}
#: Those whose levels begin with the first batch; a step of all examples is one step.
FROM_DATA = ("lsq", "pact", "affine")


def levels_of(trainee: Trainee) -> dict[str, torch.Tensor]:
    """Takes one step and returns the levels of the student's inputs, by name."""
    trainee.run_epochs(0, 1)
    state = trainee.student.state_dict()
    return {name: value for name, value in state.items() if name.rsplit(".", 1)[-1] in ("step", "height", "ends")}


def test_a_part_is_contiguous_and_parts_are_the_batch() -> None:
    images, labels = torch.arange(14.0).view(7, 2), torch.arange(7)
    batch = Batch(images, labels, labels, {"teacher": images + 1}, outputs={"teacher": Outputs({"logits": images})})
    parts = [Ranks(rank, 3).part_of(batch) for rank in range(3)]
    assert [len(part.inputs) for part, _ in parts] == [2, 2, 3]
    assert [share for _, share in parts] == pytest.approx([6 / 7, 6 / 7, 9 / 7])
    for of in (lambda one: one.inputs, lambda one: one.views["teacher"] - 1, lambda one: one.outputs["teacher"].logits):
        assert torch.equal(torch.cat([of(part) for part, _ in parts]), images)
    assert torch.equal(torch.cat([part.indices for part, _ in parts]), labels)
    texts = Batch({"input_ids": images}, [{"boxes": row} for row in images])
    assert [len(Ranks(rank, 2).part_of(texts)[0].targets) for rank in range(2)] == [3, 4]
    with pytest.raises(InputError, match="at least 8 examples, one for each process, got 7"):
        Ranks(0, 8).part_of(batch)


def test_one_process_alone_changes_nothing() -> None:
    plain, alone = training(), training(Ranks.of_group())
    assert alone.ranks == Ranks(0, 1)
    for trainee in (plain, alone):
        trainee.run_epochs(0, 2)
    for name, value in plain.distiller.state_dict().items():
        assert torch.equal(value, alone.distiller.state_dict()[name]), name
    terms = plain.distiller(data().images[:4], data().labels[:4])
    assert by_rows(terms, 1.0) is terms and torch.equal(by_rows(terms, 2.0).total, terms.total * 2)


@pytest.mark.parametrize(("kind", "shape"), [(nn.BatchNorm2d, (9, 4, 5, 5)), (nn.BatchNorm1d, (7, 3))])
def test_a_norm_over_one_process_is_torch_s_own(kind: Any, shape: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"get_world_size": 1, "get_rank": 0}.items():
        monkeypatch.setattr(distributed, name, lambda *given, value=value: value)
    monkeypatch.setattr("rolewise.train.global_norm.sum_over_processes", lambda tensor: None)
    draws = torch.Generator().manual_seed(0)
    norms, parts = (kind(shape[1]), kind(shape[1])), torch.randn(2, *shape, generator=draws)
    for norm in norms:
        norm.weight.data.copy_(torch.arange(1.0, 1 + shape[1]))
    use_global_norms(norms[1])
    found = []
    for norm in norms:
        inputs = (parts[0] * 3 + 5).requires_grad_()
        result = norm(inputs)
        gradients = torch.autograd.grad((result * parts[1]).sum(), [inputs, norm.weight, norm.bias])
        found.append([result, *gradients, norm.running_mean, norm.running_var])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


def test_batches_that_are_too_small_are_refused_before_training() -> None:
    with pytest.raises(InputError, match="batch_size must leave 4 or more examples to each batch of 4 processes"):
        Ranks(0, 4).prepared(nn.Linear(1, 1), 16, 51)
    with pytest.raises(InputError, match=r"batch_size must leave 8 or more .* got 16, and 4 in the last one"):
        Ranks(0, 4, "local").prepared(nn.Linear(1, 1), 16, 52)


def _work(rank: int, port: int, folder: str) -> None:
    """One of two processes: each case to its end; one of them is stopped on the way by the other's wish."""
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    try:
        for name, settings in CASES.items():
            fit(training(Ranks.of_group(), **settings), Path(folder) / name)
        found = {name: levels_of(training(Ranks.of_group(), batch_size=60, quantiser=name)) for name in FROM_DATA}
        torch.save(found, Path(folder) / f"levels{rank}.pt")
        steps: list[int] = []

        def stopping() -> bool:
            steps.append(0)
            return rank == 1 and len(steps) == 7

        stopped = training(Ranks.of_group())
        assert not fit(stopped, Path(folder) / "stopped", should_stop=stopping)
        if rank == 0:
            shutil.copytree(Path(folder) / "stopped", Path(folder) / "fewer")
        fit(training(Ranks.of_group()), Path(folder) / "stopped")
        fit(training(Ranks.of_group("local")), Path(folder) / "local")
        with pytest.raises(InputError, match=r"Ranks\.of_group"):
            training()
        with pytest.raises(InputError, match=r'must run no network again where 2 processes train .* got "fcfd"'):
            training(Ranks.of_group(), methods=(("fcfd", 1.0),)).run_epochs(0, 1)
    finally:
        distributed.destroy_process_group()


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ranks")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    multiprocessing.spawn(_work, (port, str(folder)), nprocs=2)
    return folder


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "record.jsonl").read_text().splitlines()]


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_two_processes_follow_one(name: str, together: Path, tmp_path: Path) -> None:
    alone = training(**CASES[name])
    fit(alone, tmp_path)
    ours, theirs = lines(tmp_path), lines(together / name)
    assert len(ours) == len(theirs) == 3
    for one, other in zip(ours, theirs, strict=True):
        assert one["train_loss"] == pytest.approx(other["train_loss"], rel=2e-5)
        assert one["terms"] == pytest.approx(other["terms"], rel=2e-5)
        norms = [entry.get("gradients", {}).get("terms", {}) for entry in (one, other)]
        assert norms[0] == pytest.approx(norms[1], rel=1e-3)
    assert any("gradients" in entry for entry in theirs)


@pytest.mark.slow
@pytest.mark.parametrize("quantiser", FROM_DATA)
def test_levels_that_begin_with_a_batch_are_those_of_the_whole_batch(quantiser: str, together: Path) -> None:
    alone = levels_of(training(batch_size=60, quantiser=quantiser))
    parts = [torch.load(together / f"levels{rank}.pt")[quantiser] for rank in range(2)]
    assert alone and alone.keys() == parts[0].keys()
    for name, value in alone.items():
        assert torch.equal(parts[0][name], parts[1][name]), name
        torch.testing.assert_close(parts[0][name], value, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_stopped_by_one_and_resumed_by_both_the_bytes_are_the_same(together: Path) -> None:
    for file in ("weights.safetensors", "record.jsonl"):
        assert (together / "plain" / file).read_bytes() == (together / "stopped" / file).read_bytes()


@pytest.mark.slow
def test_one_process_goes_on_with_the_folder_of_two(together: Path) -> None:
    # Steps of a batch of 13 are 5 an epoch: the seventh is the second of the second one.
    assert len(lines(together / "fewer")) == 1
    fit(training(), together / "fewer")
    for one, other in zip(lines(together / "fewer"), lines(together / "plain"), strict=True):
        assert one["train_loss"] == pytest.approx(other["train_loss"], rel=2e-5)


@pytest.mark.slow
def test_local_norms_differ_and_end_as_one(together: Path) -> None:
    losses = [[entry["train_loss"] for entry in lines(together / name)] for name in ("plain", "local")]
    assert losses[0] != pytest.approx(losses[1], rel=1e-4)
    assert losses[0] == pytest.approx(losses[1], rel=0.2)


def test_levels_without_a_first_batch_are_refused_in_a_loop_of_one_s_own(monkeypatch: pytest.MonkeyPatch) -> None:
    student = training(quantiser="lsq").student
    check_first_levels([student])  # one process
    monkeypatch.setattr(single_process, "ranks", lambda: 2)
    with pytest.raises(InputError, match=r"levels of an input must be set before .* give the student one batch"):
        check_first_levels([student])
    student.train()(torch.rand(4, 1, 8, 8))
    check_first_levels([student])
    check_first_levels([nn.Linear(2, 2)])
