"""Several processes on one student: plain sums are those of one process, and everything else is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from distill_cases import FUNCTIONS, STAGES, batch_of, estimator_of, labels_of, make, pair, targets_for, with_rows
from torch import Tensor, distributed, nn

import rolewise.distill as rw
from rolewise.batch import Batch, Outputs
from rolewise.distill import METHODS, Distiller, limit_gradients
from rolewise.distill.joined_rows import join_rows, rows_of_all
from rolewise.distill.single_process import ranks
from rolewise.errors import InputError
from rolewise.models import build
from rolewise.train.gradients import gradient_norms


def network(seed: int) -> nn.Module:
    return build("small_cnn", num_classes=3, channels=1, size=(8, 8), widths=(4, 6), seed=seed)


IMAGES = torch.randn(8, 1, 8, 8, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(8) % 3


@pytest.fixture
def two(monkeypatch: pytest.MonkeyPatch) -> None:
    """A group of two, of which one is here."""
    monkeypatch.setattr(distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(distributed, "get_world_size", lambda: 2)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_method_says_rightly_whether_examples_stand_alone(name: str) -> None:
    """The halves of a batch give what the whole gives, and only then may processes divide it."""
    info = METHODS[name]
    student, teacher = pair(name, 8)
    settings: dict[str, Any] = {"estimator": estimator_of(name, teacher)} if info.estimator else {}
    for labels in labels_of(name, 8):

        def loss(rows: slice, labels: Tensor | None = labels) -> Tensor:
            given = {} if labels is None else targets_for(name, labels[rows])
            some = [
                [stage[rows] for stage in one] if isinstance(one, list) else one[rows] for one in (student, teacher)
            ]
            found: Tensor = info.loss(*some, **given, **settings)
            return found

        whole = loss(slice(0, 8))
        halves = torch.cat([loss(slice(0, 4)), loss(slice(4, 8))])
        assert torch.allclose(whole, halves, rtol=1e-9, atol=1e-12) == info.alone
    assert len(STAGES) > 1


def test_one_process_may_do_everything() -> None:
    assert ranks() == 1
    distiller = Distiller(network(0), network(1), [rw.kd(), rw.rkd()], reduction="sum")
    assert distiller(IMAGES, LABELS).total.requires_grad


@pytest.mark.usefixtures("two")
def test_what_is_no_plain_sum_is_refused_where_two_train() -> None:
    assert ranks() == 2
    assert Distiller(network(0), network(1), [rw.kd(), rw.attention()])(IMAGES, LABELS).total.requires_grad
    for name in ("rkd", "similarity", "pkt", "correlation"):
        distiller = Distiller(network(0), network(1), [rw.configure(name)])
        with pytest.raises(InputError, match=f'take each example by itself where 2 processes .* got "{name}", which'):
            distiller(IMAGES, LABELS)
        # Nothing is trained in evaluation.
        distiller.eval()(IMAGES, LABELS)
        with torch.no_grad():
            distiller.train()(IMAGES, LABELS)
    with pytest.raises(InputError, match=r'got "mhgd", whose learned part does, .* train in one process'):
        Distiller(network(0), network(1), [rw.mhgd()], example=IMAGES)(IMAGES, LABELS)
    with pytest.raises(InputError, match=r"reduction must be \"mean\" where 2 processes train together, .* got 'sum'"):
        Distiller(network(0), network(1), [rw.kd()], reduction="sum")(IMAGES, LABELS)
    distiller = Distiller(network(0), network(1), [rw.fitnets()], example=IMAGES)
    assert distiller(IMAGES, LABELS).total.requires_grad
    maps: Any = distiller.terms["fitnets"].maps
    maps[0] = nn.Sequential(maps[0], nn.BatchNorm2d(6))
    with pytest.raises(InputError, match=r'learned maps must have no buffers .* got "fitnets"'):
        distiller(IMAGES, LABELS)


@pytest.mark.usefixtures("two")
def test_terms_whose_state_would_differ_between_processes_are_refused_where_two_train() -> None:
    batch = with_rows(*batch_of(8))
    for name in ("crd", "review_kd"):
        with pytest.raises(InputError, match=f'take each example by itself where 2 processes .* got "{name}", which'):
            make(name)(batch)
        make(name).eval()(batch)
    assert make("vid")(batch).total.requires_grad


@pytest.mark.usefixtures("two")
def test_gradients_taken_apart_are_refused_where_two_train() -> None:
    distiller = Distiller(network(0), network(1), [rw.kd()])
    terms, weights = distiller(IMAGES, LABELS), list(distiller.trainable_parameters())
    assert terms.task is not None
    with pytest.raises(InputError, match=r"limited must be in one process, got a group of 2: .*distill_gradient"):
        task = torch.autograd.grad(terms.task, weights, retain_graph=True)
        limit_gradients(task, task, 0.5)
    with pytest.raises(InputError, match=r"gradients that are measured must be in one process, got a group of 2"):
        gradient_norms(terms, weights)


@pytest.mark.usefixtures("two")
def test_rows_of_all_processes_are_joined_or_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    # The other process has no rows: what is joined is this one's own, and so are loss and gradient.
    monkeypatch.setattr(distributed, "get_rank", lambda: 0)
    monkeypatch.setattr("rolewise.distill.joined_rows.sum_over_processes", lambda tensor: None)
    distiller = Distiller(network(0), network(1), [rw.rkd(), rw.kd()])
    weights = list(distiller.trainable_parameters())
    assert not join_rows(Distiller(network(0), network(1), [rw.kd()]))
    assert join_rows(distiller) == [distiller.terms["rkd"]]
    joined = distiller(IMAGES, LABELS)
    monkeypatch.setattr(distributed, "is_initialized", lambda: False)
    alone = distiller(IMAGES, LABELS)
    monkeypatch.setattr(distributed, "is_initialized", lambda: True)
    assert torch.equal(joined.total, alone.total)
    for one, other in zip(*(torch.autograd.grad(terms.total, weights) for terms in (joined, alone)), strict=True):
        assert torch.equal(one, other)
    outputs = {role: Outputs({"logits": LABELS[:, None].float(), "boxes": [1]}) for role in ("student", "teacher")}
    with pytest.raises(InputError, match=r'no tensors \[B, ...\], got "rkd", which needs the rows of all 2 processes'):
        rows_of_all(distiller, outputs, Batch(IMAGES, LABELS))


def _work(rank: int, folder: str) -> None:
    """One of two processes: a step of a plain sum, then everything that is refused."""
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    try:
        rows = slice(4 * rank, 4 * rank + 4)
        distiller = _distiller()
        wrapped = nn.parallel.DistributedDataParallel(distiller)
        wrapped(IMAGES[rows], LABELS[rows]).total.backward()
        gradients = {name: weight.grad for name, weight in distiller.named_parameters() if weight.grad is not None}
        refused = []
        for methods, more in (([rw.rkd()], {}), ([rw.kd()], {"reduction": "sum"})):
            other = nn.parallel.DistributedDataParallel(Distiller(network(0), network(1), methods, **more))
            try:
                other(IMAGES[rows], LABELS[rows])
            except InputError as error:
                refused.append(str(error))
        terms, weights = wrapped(IMAGES[rows], LABELS[rows]), list(distiller.trainable_parameters())
        try:
            task = torch.autograd.grad(terms.task, weights, retain_graph=True, allow_unused=True)
            limit_gradients(task, torch.autograd.grad(terms.distillation, weights, allow_unused=True), 0.5)
        except InputError as error:
            refused.append(str(error))
        torch.save({"gradients": gradients, "refused": refused}, Path(folder) / f"{rank}.pt")
    finally:
        distributed.destroy_process_group()


def _plain(seed: int) -> nn.Module:
    """A network without norms, which standardise over the batch at hand."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3))


def _distiller() -> Distiller:
    hint = rw.fitnets(student_taps="1", teacher_taps="1")
    return Distiller(_plain(0), _plain(1), [rw.kd(), hint], example=IMAGES, label_weight=0.3)


@pytest.mark.slow
def test_two_processes_under_ddp_give_the_gradient_of_one(tmp_path: Path) -> None:
    torch.multiprocessing.spawn(_work, args=(str(tmp_path),), nprocs=2)
    alone = _distiller()
    alone(IMAGES, LABELS).total.backward()
    expected = {name: weight.grad for name, weight in alone.named_parameters() if weight.grad is not None}
    for rank in (0, 1):
        found = torch.load(tmp_path / f"{rank}.pt")
        assert found["gradients"].keys() == expected.keys() and expected
        for name, gradient in expected.items():
            torch.testing.assert_close(found["gradients"][name], gradient, rtol=1e-4, atol=1e-6)
        assert [text.split(" where")[0].split(" must")[0] for text in found["refused"]] == [
            "methods",
            "reduction",
            "gradients that are limited",
        ]
