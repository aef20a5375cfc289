"""Peers that are trained together: branches of one network, and students of several; values, gradients, resuming."""

from __future__ import annotations

import copy
from typing import Any

import distill_oracles_peers as oracles
import numpy as np
import pytest
import torch
from distill_cases import batch_of, networks
from torch import Tensor, nn

import rolewise as rw
from rolewise.batch import Batch, Context, Outputs
from rolewise.distill import METHODS, Distiller, Shapes, configure
from rolewise.distill.methods.kdcl import convex_of_least
from rolewise.distill.methods.okddip import OKDDip
from rolewise.distill.methods.one import ONE
from rolewise.distill.methods.pcl import PCL
from rolewise.errors import InputError
from rolewise.models import build
from rolewise.tasks import Classification

LABELS = torch.tensor([2, 0, 3, 4, 2, 0])


def drawn(*shape: int, seed: int) -> Tensor:
    return 2 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def called(term: Any, first: Tensor, logits: Tensor, epoch: float) -> Tensor:
    term.pairs = (("first", "first"), ("logits", "logits"))
    student = Outputs({"logits": logits[:, 0]}, {"first": first, "logits": logits})
    found = term(student, student.detached(), Batch(None, LABELS), Context(epoch=epoch))
    assert isinstance(found, Tensor)
    return found


def slope(function: Any, at: np.ndarray, towards: np.ndarray) -> float:
    return float((function(at + 1e-5 * towards).mean() - function(at - 1e-5 * towards).mean()) / 2e-5)


@pytest.mark.parametrize(("epoch", "rise"), [(0.0, 80.0), (20.0, 80.0), (90.0, 80.0), (0.0, 0.0)])
def test_the_gated_ensemble_agrees_with_an_independent_computation(epoch: float, rise: float) -> None:
    term = ONE(Shapes([torch.Size((2, 4, 3, 3)), torch.Size((2, 3, 5))]), rise=rise).double()
    shared, logits = drawn(6, 4, 3, 3, seed=1), drawn(6, 3, 5, seed=2).requires_grad_()
    loss = called(term, shared, logits, epoch)
    mapped = shared.numpy().mean((2, 3)) @ term.gate.weight.detach().numpy().T + term.gate.bias.detach().numpy()
    scaled = np.maximum((mapped - mapped.mean(0)) / np.sqrt(mapped.var(0) + 1e-5), 0)
    gates = np.array([oracles.softmax(row) for row in scaled])
    factor = oracles.ramp(epoch, rise)
    given = logits.detach().numpy()
    expected = oracles.one(given, gates, LABELS.numpy(), 3.0, factor)
    np.testing.assert_allclose(loss.detach().numpy(), expected, rtol=1e-9)
    loss.mean().backward()
    towards = drawn(6, 3, 5, seed=3).numpy()

    def oracle(moved: np.ndarray) -> np.ndarray:
        """The ensemble of the divergences stands still."""
        whole = oracles.one(moved, gates, LABELS.numpy(), 3.0, 0.0)
        for b, rows in enumerate(moved):
            target = oracles.softmax(sum(w * row for w, row in zip(gates[b], given[b], strict=True)) / 3)
            whole[b] += factor * 9 * sum(oracles.kl(target, oracles.softmax(row / 3)) for row in rows)
        return whole

    assert logits.grad is not None
    assert (logits.grad.numpy() * towards).sum() == pytest.approx(slope(oracle, given, towards), rel=1e-6)
    assert all(weight.grad is not None for weight in term.parameters())


@pytest.mark.parametrize("form", ["paper", "code"])
def test_attended_peers_agree_with_an_independent_computation(form: Any) -> None:
    term = OKDDip(Shapes([torch.Size((2, 4, 16)), torch.Size((2, 4, 5))]), form=form).double()
    features, logits = drawn(6, 4, 16, seed=1), drawn(6, 4, 5, seed=2).requires_grad_()
    loss = called(term, features, logits, 40.0)
    ask, tell = (features.numpy()[:, 1:] @ layer.weight.detach().numpy().T for layer in (term.query, term.key))
    factor, given = oracles.ramp(40, 80), logits.detach().numpy()
    expected = oracles.okddip(given, ask, tell, LABELS.numpy(), 3.0, factor)
    np.testing.assert_allclose(loss.detach().numpy(), expected, rtol=1e-9)
    loss.mean().backward()
    assert logits.grad is not None and all(weight.grad.abs().sum() > 0 for weight in term.parameters())
    towards = drawn(6, 4, 5, seed=3).numpy()
    if form == "code":
        wanted = slope(lambda moved: oracles.okddip(moved, ask, tell, LABELS.numpy(), 3.0, factor), given, towards)
        assert (logits.grad.numpy() * towards).sum() == pytest.approx(wanted, rel=1e-6)
        return
    # Only what a branch itself gives has a gradient: p(z / T) less the target, over T, beside that of its labels.
    shares = torch.from_numpy(
        np.array([[oracles.softmax(row) for row in a @ t.T] for a, t in zip(ask, tell, strict=True)])
    )
    peers = logits.detach()[:, 1:]
    targets = torch.cat([peers.mean(1, keepdim=True), shares @ peers], 1)
    soft = factor * 3 * ((logits.detach() / 3).softmax(2) - (targets / 3).softmax(2))
    hard = logits.detach().softmax(2) - nn.functional.one_hot(LABELS, 5)[:, None]
    hard[:, 0] = 0
    torch.testing.assert_close(logits.grad, (soft + hard) / 6)


def test_collaborating_branches_agree_with_an_independent_computation() -> None:
    shape = Shapes([torch.Size((2, 3, 4)), torch.Size((2, 3, 5))], [torch.Size((2, 3, 4)), torch.Size((2, 3, 5))])
    term = PCL(shape).double()
    term.pairs = (("f", "f"), ("z", "z"))
    features, logits, average = drawn(6, 3, 4, seed=1), drawn(6, 3, 5, seed=2).requires_grad_(), drawn(6, 3, 5, seed=3)
    student = Outputs({"logits": logits[:, 0]}, {"f": features, "z": logits})
    teacher = Outputs({"logits": average[:, 0]}, {"f": features, "z": average})
    loss = term(student, teacher, Batch(None, LABELS), Context(epoch=40.0))
    joint = features.numpy().reshape(6, -1) @ term.joint.weight.detach().numpy().T + term.joint.bias.detach().numpy()
    factor, given = oracles.ramp(40, 80), logits.detach().numpy()

    def oracle(moved: np.ndarray) -> np.ndarray:
        return oracles.pcl(moved, joint, average.numpy(), LABELS.numpy(), 3.0, factor)

    np.testing.assert_allclose(loss.detach().numpy(), oracle(given), rtol=1e-9)
    loss.mean().backward()
    towards = drawn(6, 3, 5, seed=4).numpy()
    assert logits.grad is not None
    assert (logits.grad.numpy() * towards).sum() == pytest.approx(slope(oracle, given, towards), rel=1e-6)
    # What teaches has no gradient: that of the joint classifier is its labels' alone.
    truth = nn.functional.one_hot(LABELS, 5).double()
    wanted = (torch.from_numpy(joint).softmax(1) - truth).mean(0)
    torch.testing.assert_close(term.joint.bias.grad, wanted)


@pytest.mark.parametrize("target", ["naive", "linear", "minimum"])
def test_one_target_for_all_agrees_with_an_independent_computation(target: str) -> None:
    rows = [drawn(6, 5, seed=seed) for seed in range(3)]
    kind = METHODS["kdcl"].term
    assert kind is not None
    term = kind(Shapes(), target=target)  # type: ignore[call-arg]
    term.task = Classification()
    student = rows[0].requires_grad_()
    others = {f"p{k}": Outputs({"logits": row}) for k, row in enumerate(rows[1:])}
    loss = term(Outputs({"logits": student}), others, Batch(student, LABELS), Context())  # type: ignore[arg-type]
    assert isinstance(loss, Tensor)
    given = [row.detach().numpy() for row in rows]
    wanted = [oracles.kdcl_target([row[b] for row in given], int(LABELS[b]), target) for b in range(6)]

    def oracle(own: np.ndarray) -> np.ndarray:
        return np.array(
            [4 * oracles.kl(oracles.softmax(t / 2), oracles.softmax(s / 2)) for t, s in zip(wanted, own, strict=True)]
        )

    linear = target == "linear"
    np.testing.assert_allclose(
        loss.detach().numpy(), oracle(given[0]), rtol=0.1 if linear else 1e-9, atol=0.02 if linear else 0
    )
    loss.mean().backward()
    towards = drawn(6, 5, seed=8).numpy()
    assert student.grad is not None
    found = (student.grad.numpy() * towards).sum()
    assert found == pytest.approx(slope(oracle, given[0], towards), rel=0.1 if linear else 1e-6)


def test_the_convex_combination_is_as_good_as_the_best_of_a_grid() -> None:
    logits = torch.stack([drawn(6, 5, seed=seed) for seed in range(3)])
    weights = convex_of_least(logits, LABELS)
    mixed = torch.einsum("mb,mbk->bk", weights, logits).numpy()
    for b in range(6):
        label = int(LABELS[b])
        best = oracles.cross_entropy(oracles.kdcl_target(list(logits[:, b].numpy()), label, "linear"), label)
        assert oracles.cross_entropy(mixed[b], label) < best + 2e-3
    torch.testing.assert_close(weights.sum(0), torch.ones(6, dtype=torch.float64))


def branches(seed: int = 1, number: int = 3) -> nn.Module:
    arguments = {"base": "small_cnn", "arguments": {"widths": [4, 6]}, "branches": number}
    return build("branched", num_classes=5, channels=1, size=(8, 8), seed=seed, **arguments)


def test_the_first_branch_is_the_network_and_each_is_one_of_its_own() -> None:
    network, (images, _) = branches().eval(), batch_of(6)
    alone = build("small_cnn", num_classes=5, channels=1, size=(8, 8), widths=[4, 6], seed=1)
    weights = sum(weight.numel() for weight in network.branches[0].parameters())  # type: ignore[union-attr, index]
    assert sum(weight.numel() for weight in network.parameters()) == 2 * weights + sum(
        weight.numel() for weight in alone.parameters()
    )
    with rw.tap(network, ["branch_logits", "shared"]) as features, torch.no_grad():
        logits = network(images)
    for number in range(3):
        torch.testing.assert_close(network.branch(number)(images), features["branch_logits"][:, number])  # type: ignore[operator]
    torch.testing.assert_close(features["branch_logits"][:, 0], logits)
    assert not features["branch_logits"][:, 1].allclose(logits)
    for base, words in (("resnet21", "base must be a registered network"), ("cirkd", "base must be a registered")):
        with pytest.raises(InputError, match=words):
            build("branched", num_classes=5, base=base)
    for number, words in ((1, "branches must be a whole number of at least 2"),):
        with pytest.raises(InputError, match=words):
            build("branched", num_classes=5, branches=number)
    with pytest.raises(InputError, match="at least two stages"):
        build("branched", num_classes=5, channels=1, size=(8, 8), base="small_cnn", arguments={"widths": [4]})
    with pytest.raises(InputError, match="from 0 to 2, got 3"):
        network.branch(3)  # type: ignore[operator]


def test_networks_without_branches_are_refused() -> None:
    images, _ = batch_of(2)
    with pytest.raises(InputError, match="must read taps of both networks"):
        Distiller(None, networks()[1], [rw.one()], example=images)
    with pytest.raises(InputError, match=r'"one" must tap the logits \[B, M, K\] of branches last'):
        Distiller(None, networks()[1], [rw.one(student_taps=["stage1"], teacher_taps=["stage1"])], example=images)
    with pytest.raises(InputError, match='"okddip" must have a leader and at least two peers, got 2 branches'):
        Distiller(None, branches(number=2), [rw.okddip()], example=images)


@pytest.mark.parametrize("kind", ["one", "okddip", "averages", "peers"])
def test_a_training_of_peers_resumes_exactly(kind: str) -> None:
    images, labels = batch_of(8)

    def made(seed: int) -> tuple[Distiller, torch.optim.Optimizer]:
        if kind in ("one", "okddip"):
            distiller = Distiller(None, branches(seed), [configure(kind, rise=0)], example=images[:2])
        elif kind == "averages":
            average = rw.average_of("student", 0.9)
            distiller = Distiller(average, branches(seed), [rw.pcl(rise=0)], example=images[:2])  # type: ignore[arg-type]
        else:
            roles = {role: networks(seed + number)[number % 2] for number, role in enumerate("abc")}
            methods = [rw.kdcl(student=role, name=f"kdcl_{role}") for role in roles]
            distiller = Distiller(None, roles, methods)
        return distiller, torch.optim.SGD(distiller.trainable_parameters(), lr=0.05, momentum=0.9)

    def steps(distiller: Distiller, optimizer: torch.optim.Optimizer, start: int, stop: int) -> None:
        for step in range(start, stop):
            distiller(images, labels, Context(step=step, epoch=10.0 * step)).total.backward()
            optimizer.step()
            optimizer.zero_grad()
            distiller.after_step()

    whole, parts, rest = made(1), made(1), made(30)
    steps(*whole, 0, 4)
    steps(*parts, 0, 2)
    for part, other in zip(rest, parts, strict=True):
        part.load_state_dict(copy.deepcopy(other.state_dict()))
    steps(*rest, 2, 4)
    wanted = whole[0].state_dict()
    assert all(torch.equal(value, wanted[key]) for key, value in rest[0].state_dict().items() if key != "_extra_state")
