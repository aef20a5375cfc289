"""HKD agrees with an independent computation in value, gradient and memories; its graph is a neighbour mean."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from distill_called import arrays, drawn, shaken
from distill_cases import CLASSES, batch_of, networks, with_rows
from distill_oracles_logits import probabilities
from distill_oracles_terms import embedded, slope
from torch import nn

import rolewise as rw
from rolewise.batch import Batch, Context, Outputs
from rolewise.distill import Distiller, Shapes
from rolewise.distill.methods.hkd import HKD, neighbours_of
from rolewise.errors import InputError

LABELS = torch.tensor([0, 1, 2, 0, 1, 2, 0, 1, 2, 0])


def nearest(logits: np.ndarray, count: int) -> list[list[int]]:
    """Sorted by the cosine of probabilities, oneself first."""
    shares = [probabilities(row) for row in logits]
    found = []
    for i, own in enumerate(shares):
        cosines = [own @ other / math.sqrt((own @ own) * (other @ other)) for other in shares]
        order = sorted(range(len(shares)), key=lambda j: (j != i, -cosines[j]))
        found.append(order[:count])
    return found


def nce(anchor: np.ndarray, positive: np.ndarray, others: np.ndarray, temperature: float) -> float:
    scores = np.array([anchor @ positive, *(others @ anchor)]) / temperature
    return float(np.log(np.exp(scores - scores[0]).sum()))


def hkd(
    features: list[np.ndarray], weights: dict[str, np.ndarray], fixed: list[np.ndarray] | None, given: Any
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Example by example; the losses, and the neighbourhoods' embeddings, which as positives are held ``fixed``."""
    singles, wholes = [], []
    for side, feature, logits in zip(("student", "teacher"), features, given["logits"], strict=True):
        single = embedded(feature, weights[f"{side}_map.weight"], weights[f"{side}_map.bias"])
        around = [single[rows].mean(0) for rows in nearest(logits, given["neighbours"])]
        graph = weights[f"{side}_graph.weight"], weights[f"{side}_graph.bias"]
        singles.append(single)
        wholes.append(embedded(np.concatenate([single, np.array(around)], 1), *graph))
    positives, losses = fixed or wholes, np.zeros(len(features[0]))
    for side, other in ((0, "teacher"), (1, "student")):
        bank = weights[f"{other}_bank.values"]
        for b, row in enumerate(given["indices"]):
            mixed = 0.75 * bank[row] + 0.25 * positives[1 - side][b]
            negatives = bank[given["rows"][b]]
            losses[b] += nce(singles[side][b], bank[row], negatives, given["temperature"])
            whole = nce(wholes[side][b], mixed / np.linalg.norm(mixed), negatives, given["temperature"])
            losses[b] += given["holistic"] * whole
    return losses, wholes


@pytest.mark.parametrize("settings", [{"holistic": 0.6}, {"neighbours": 50}, {"negatives_from": "all"}])
def test_it_agrees_with_an_independent_computation(settings: dict[str, Any]) -> None:
    given: dict[str, Any] = {"holistic": 1.0, "neighbours": 3, "temperature": 0.5, **settings}
    shapes = Shapes([torch.Size((2, 3))], [torch.Size((2, 4))], 5, len(LABELS), LABELS)
    term: Any = shaken(HKD(shapes, width=6, negatives=4, **given))
    term.name, term.pairs = "hkd", (("f", "f"),)
    features = [drawn(5, 3, seed=1).requires_grad_(), drawn(5, 4, seed=2)]
    logits, indices = [2 * drawn(5, 5, seed=seed) for seed in (3, 4)], torch.tensor([1, 4, 5, 7, 8])
    batch, context = Batch(None, LABELS[indices], indices), Context(step=2, seed=3)
    both = [Outputs({"logits": values}, {"f": one}) for values, one in zip(logits, features, strict=True)]
    losses = term(*both, batch, context)
    given |= {"rows": term.others.draw(indices, 4, context.generator("hkd")).numpy(), "indices": indices.tolist()}
    given["logits"] = [values.numpy() for values in logits]
    at = {"feature": features[0].detach().numpy(), **arrays(term)}

    def oracle(values: dict[str, np.ndarray], fixed: Any = None) -> tuple[np.ndarray, list[np.ndarray]]:
        return hkd([values["feature"], features[1].numpy()], values, fixed, given)

    expected, wholes = oracle(at)
    np.testing.assert_allclose(losses.detach().numpy(), expected, rtol=1e-9)
    losses.mean().backward()
    leaves = {"feature": features[0], **dict(term.named_parameters())}
    for seed in range(3):
        towards = {key: drawn(*leaf.shape, seed=9 * seed + i).numpy() for i, (key, leaf) in enumerate(leaves.items())}
        found = sum(float((leaf.grad.numpy() * towards[key]).sum()) for key, leaf in leaves.items())  # type: ignore[union-attr]
        assert found == pytest.approx(slope(lambda values: oracle(values, wholes)[0], at, towards), rel=1e-6)
    if "negatives_from" not in settings:
        assert not (LABELS[torch.from_numpy(given["rows"])] == LABELS[indices][:, None]).any()


def test_the_graph_s_layer_is_the_normalised_adjacency_of_one_step() -> None:
    """A graph convolution of one step: x beside D^-1/2 A D^-1/2 x, of k edges into each node, equally weighted."""
    logits, vectors = drawn(9, 4, seed=1), nn.functional.normalize(drawn(9, 6, seed=2), dim=1)
    rows = neighbours_of(logits, 3)
    assert rows[:, 0].tolist() == list(range(9))
    edges = torch.zeros(9, 9, dtype=torch.float64).scatter(1, rows, 1.0)
    half = torch.diag(edges.sum(1) ** -0.5)
    term: Any = HKD(Shapes([torch.Size((2, 3))], [torch.Size((2, 4))], 5, 10, LABELS), width=6).double()
    term.neighbours = 3
    both = torch.cat([vectors, half @ edges @ half @ vectors], 1)
    expected = nn.functional.normalize(term.student_graph(both), dim=1)
    torch.testing.assert_close(term._around(vectors, logits, term.student_graph), expected)


def test_worked_by_hand() -> None:
    # Memories of zeros: all scores are 0 for single embeddings, and each of m + 1 is as likely as another.
    term: Any = HKD(
        Shapes([torch.Size((2, 3))], [torch.Size((2, 4))], 5, 10, LABELS), negatives=7, width=5, holistic=0.0
    )
    term.student_bank.values.zero_(), term.teacher_bank.values.zero_()
    term.name, term.pairs = "hkd", (("f", "f"),)
    both = (Outputs({"logits": torch.zeros(2, 5)}, {"f": torch.ones(2, width)}) for width in (3, 4))
    loss = term(*both, Batch(None, None, torch.tensor([1, 5])), Context())
    assert loss.tolist() == pytest.approx([2 * math.log(8)] * 2, rel=1e-6)


def test_memories_follow_the_embeddings_of_steps_that_are_taken() -> None:
    images, labels = batch_of(6)
    method = rw.hkd(width=5, negatives=8, momentum=0.9)
    distiller = Distiller(*networks(), [method], example=images[:2], labels=CLASSES).train()
    term: Any = distiller.terms["hkd"]
    before = arrays(term)
    terms = distiller(with_rows(images, labels))
    weights = arrays(term)
    terms.total.backward()
    assert all(np.array_equal(before[key], weights[key]) for key in before)
    distiller.after_step()
    for side in ("student", "teacher"):
        path = term.pairs[0][side == "teacher"]
        feature = terms.outputs[side].features[path].detach().numpy()
        vectors = embedded(feature, weights[f"{side}_map.weight"], weights[f"{side}_map.bias"])
        mixed = 0.9 * before[f"{side}_bank.values"][:6] + 0.1 * vectors
        after = arrays(term)[f"{side}_bank.values"]
        np.testing.assert_allclose(
            after[:6], mixed / np.linalg.norm(mixed, axis=1, keepdims=True), rtol=1e-4, atol=1e-6
        )
        assert np.array_equal(after[6:], before[f"{side}_bank.values"][6:])


def test_what_it_needs_is_refused_by_name() -> None:
    images, _ = batch_of(4)
    with pytest.raises(InputError, match=r'labels must be given for "hkd", .* add labels=all_labels'):
        Distiller(*networks(), [rw.hkd()], example=images, examples=24)
    taps = ["stage1", "stage2"]
    with pytest.raises(InputError, match="hkd must have one pair of taps, got 2"):
        Distiller(*networks(), [rw.hkd(student_taps=taps, teacher_taps=taps)], example=images, labels=CLASSES)
