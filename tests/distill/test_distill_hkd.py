"""HKD: its graph layer is the published one; values, gradients and memories are those of an oracle in numpy."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from distill_called import arrays
from distill_cases import CLASSES, batch_of, networks
from distill_oracles_terms import embedded, slope
from torch import Tensor

import rolewise.distill as rw
from rolewise.batch import Batch, Context, Outputs
from rolewise.distill import Distiller, Shapes
from rolewise.distill.methods.hkd import HKD, with_neighbours
from rolewise.errors import InputError

Array = np.ndarray


def neighbours_of(logits: Array, count: int) -> list[list[int]]:
    """Of each example itself, then those whose probabilities have the highest cosine with its own."""
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    found = []
    for i in range(len(p)):
        cosines = [p[i] @ p[j] / math.sqrt((p[i] @ p[i]) * (p[j] @ p[j])) for j in range(len(p))]
        others = sorted((j for j in range(len(p)) if j != i), key=lambda j: -cosines[j])
        found.append([i, *others[: count - 1]])
    return found


def unit(vectors: Array) -> Array:
    return vectors / np.sqrt((vectors**2).sum(1, keepdims=True))


def told_apart(vectors: Array, positives: Array, negatives: Array, temperature: float) -> Array:
    """Cross-entropy of the positive among itself and negatives [B, M, D]: probabilities first."""
    positive = np.exp((vectors * positives).sum(1) / temperature)
    rest = np.exp(np.einsum("bd,bmd->bm", vectors, negatives) / temperature).sum(1)
    return -np.log(positive / (positive + rest))


def holistic(
    features: tuple[Array, Array],
    graphs: tuple[Array, Array],
    weights: dict[str, Array],
    rows: tuple[Array, Array],
    term: Any,
    steady: tuple[Array, ...] | None = None,
) -> tuple[Array, tuple[Array, ...], tuple[Array, ...]]:
    """The loss, the embeddings, and those of the graph, which stand in positives as ``steady`` where it is given."""
    sides = ("student", "teacher")
    own = tuple(
        embedded(feature, weights[f"{side}_map.weight"], weights[f"{side}_map.bias"])
        for feature, side in zip(features, sides, strict=True)
    )
    placed = tuple(
        unit(
            np.concatenate([e, graph @ e], 1) @ weights[f"{side}_graph.weight"].T + weights[f"{side}_graph.bias"],
        )
        for e, graph, side in zip(own, graphs, sides, strict=True)
    )
    banks = weights["student_bank.values"], weights["teacher_bank.values"]
    fixed = placed if steady is None else steady
    total: Array = np.zeros(len(rows[0]))
    for side in range(2):
        other = 1 - side
        negatives = banks[side if term.memory == "own" else other][rows[1]]
        positives = banks[other][rows[0]]
        mixed = unit((1 - term.share) * positives + term.share * fixed[other])
        total += term.individual * told_apart(own[side], positives, negatives, term.temperature)
        total += term.holistic * told_apart(placed[side], mixed, negatives, term.temperature)
    return total, own, placed


def moved_loss(teacher: Array, graphs: Any, rows: Any, term: Any, steady: Any, at: dict[str, Array]) -> Array:
    """The loss where the student's feature and the weights have moved."""
    return holistic((at["feature"], teacher), graphs, at, rows, term, steady)[0]


def graph_of(logits: Array, count: int) -> Array:
    """The matrix of neighbours as the published layer normalises it: by the roots of both degrees."""
    adjacency = np.zeros((len(logits), len(logits)))
    for i, near in enumerate(neighbours_of(logits, min(count, len(logits)))):
        adjacency[i, near] = 1
    roots = np.diag(adjacency.sum(1) ** -0.5)  # the degree is that of edges that come in
    return roots @ adjacency @ roots


@pytest.mark.parametrize(("batch", "count"), [(9, 3), (5, 8), (1, 8)])
def test_the_mean_of_neighbours_is_the_published_layer(batch: int, count: int) -> None:
    """TAGConv of one hop maps an example beside D^-1/2 A D^-1/2 of all, and k neighbours come into each."""
    draws = torch.Generator().manual_seed(0)
    embeddings = torch.randn(batch, 4, generator=draws, dtype=torch.float64)
    logits = torch.randn(batch, 6, generator=draws, dtype=torch.float64)
    expected = np.concatenate([embeddings.numpy(), graph_of(logits.numpy(), count) @ embeddings.numpy()], 1)
    np.testing.assert_allclose(with_neighbours(embeddings, logits, count).numpy(), expected, atol=1e-13)


def test_an_example_is_its_own_neighbour_and_no_gradient_goes_to_the_graph() -> None:
    embeddings = torch.eye(4, dtype=torch.float64).requires_grad_()
    logits = torch.zeros(4, 3, dtype=torch.float64, requires_grad=True)  # all as near as the example itself
    found = with_neighbours(embeddings, logits, 1)
    assert torch.equal(found, torch.cat([embeddings, embeddings], 1))
    found.sum().backward()
    assert logits.grad is None and embeddings.grad is not None


@pytest.mark.parametrize(
    "settings",
    [{}, {"memory": "other", "negatives_from": "all", "share": 0.6}, {"individual": 0.0}, {"holistic": 0.0}],
)
def test_it_agrees_with_an_independent_computation_over_steps(settings: dict[str, Any]) -> None:
    """Value, gradients and memories; the second step holds fewer examples than each has neighbours."""
    teacher, student = networks()
    method = rw.configure("hkd", width=5, negatives=7, neighbours=4, momentum=0.8, temperature=0.3, **settings)
    images, labels = batch_of(24, torch.float64)
    given: dict[str, Any] = {"examples": 24, "labels": CLASSES, "example": images[:2].float()}
    distiller = Distiller(teacher, student, [method], **given).double().train()
    term: Any = distiller.terms["hkd"]
    optimizer = torch.optim.SGD(distiller.trainable_parameters(), lr=0.05)
    for step, part in enumerate([slice(0, 9), slice(9, 12), slice(3, 14)]):
        context, indices = Context(step=step, seed=3), torch.arange(24)[part]
        terms = distiller(Batch(images[part], labels[part], indices), context=context)
        drawn = term.others.draw(indices, 7, context.generator("hkd"))
        weights, rows = arrays(term), (indices.numpy(), drawn.numpy())
        roles = [terms.outputs[role] for role in ("student", "teacher")]
        taps = [outputs.features[path] for outputs, path in zip(roles, term.pairs[0], strict=True)]
        graphs: Any = tuple(graph_of(outputs.logits.detach().numpy(), 4) for outputs in roles)
        features: Any = tuple(tap.detach().numpy() for tap in taps)
        expected, own, placed = holistic(features, graphs, weights, rows, term)
        assert terms["hkd"].item() == pytest.approx(expected.mean(), rel=1e-10)
        learned = dict(term.named_parameters())
        found = torch.autograd.grad(
            terms["hkd"], [taps[0], *learned.values()], retain_graph=True, allow_unused=True, materialize_grads=True
        )
        for seed in range(2):
            draws = np.random.default_rng(seed)
            towards = {"feature": draws.normal(size=features[0].shape)}
            towards |= {key: draws.normal(size=tuple(weight.shape)) for key, weight in learned.items()}

            # What is a positive gets no gradient: the other network's place in its graph stays as it is.
            oracle = partial(moved_loss, features[1], graphs, rows, term, placed)
            wanted = slope(oracle, {"feature": features[0], **weights}, towards)
            got = sum(float((one.numpy() * along).sum()) for one, along in zip(found, towards.values(), strict=True))
            assert got == pytest.approx(wanted, rel=1e-6)
        optimizer.zero_grad()
        terms.total.backward()
        optimizer.step()
        distiller.after_step()
        for name, embeddings in zip(("student", "teacher"), own, strict=True):
            moved = weights[f"{name}_bank.values"]
            moved[part] = unit(0.8 * moved[part] + 0.2 * embeddings)
            np.testing.assert_allclose(arrays(term)[f"{name}_bank.values"], moved, rtol=1e-10)


def called(term: HKD, batch: int) -> Tensor:
    term.pairs = (("f", "f"),)
    draws = torch.Generator().manual_seed(0)
    given = (
        Outputs({"logits": torch.randn(batch, 5, generator=draws)}, {"f": torch.randn(batch, width, generator=draws)})
        for width in (3, 4)
    )
    return term(*given, Batch(None, None, torch.arange(batch)), Context())


def test_values_worked_by_hand() -> None:
    shapes = Shapes([torch.Size((2, 3))], [torch.Size((2, 4))], examples=10)
    settings: dict[str, Any] = {"negatives": 6, "negatives_from": "all", "width": 2}
    # Memories of zeros: all scores of an embedding are 0, and 7 of them share the probability.
    alone = HKD(shapes, **settings, holistic=0.0)
    for bank in (alone.student_bank, alone.teacher_bank):
        bank.values.zero_()
    assert called(alone, 3).tolist() == pytest.approx([2 * math.log(7)] * 3, rel=1e-6)
    # A graph layer of the bias (1, 0) alone puts both networks' examples and positives there: a score of 1 / T.
    graph = HKD(shapes, **settings, individual=0.0, temperature=0.5)
    for part in (graph.student_bank, graph.teacher_bank):
        part.values.zero_()
    for layer in (graph.student_graph, graph.teacher_graph):
        layer.weight.data.zero_()
        layer.bias.data = torch.tensor([2.0, 0.0])
    assert called(graph, 3).tolist() == pytest.approx([2 * math.log(1 + 6 * math.exp(-2))] * 3, rel=1e-6)


def test_what_it_needs_is_refused_by_name() -> None:
    teacher, student = networks()
    images, labels = batch_of(4)
    with pytest.raises(InputError, match=r'labels must be given for "hkd", .* add labels=all_labels'):
        Distiller(teacher, student, [rw.configure("hkd")], example=images, examples=24)
    with pytest.raises(InputError, match="hkd must have one pair of taps, got 2"):
        taps = ["stage1", "stage2"]
        method = rw.configure("hkd", student_taps=taps, teacher_taps=taps)
        Distiller(teacher, student, [method], example=images, labels=CLASSES)
    with pytest.raises(InputError, match='"hkd": memory must be one of own, other'):
        rw.configure("hkd", memory="both")
    distiller = Distiller(teacher, student, [rw.configure("hkd", negatives=5)], example=images, labels=CLASSES)
    with pytest.raises(InputError, match=r'indices must be given for "hkd"'):
        distiller(images, labels)
