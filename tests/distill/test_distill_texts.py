"""Methods between networks of texts: independent computations in double precision, and padding that weighs nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from text_toys import encoder_folder, texts_of
from torch import Tensor

from rolewise.batch import Batch, Context, Outputs
from rolewise.distill import METHODS, Distiller, Shapes, Term, configure
from rolewise.errors import InputError
from rolewise.models import build, init_from

Array = np.ndarray
LENGTHS = (5, 3, 1)
COUNTS = {"minilm": 3, "minilm_v2": 3, "tinybert_attention": 4, "tinybert_hidden": 2, "hidden_cosine": 2, "patient": 2}
TEXTS = list(COUNTS)
WIDTHS = {"hidden_cosine": (4, 6), "tinybert_hidden": (4, 6), "minilm": (4, 6), "minilm_v2": (4, 6)}


def settings_of(name: str) -> list[dict[str, Any]]:
    if name == "patient":
        return [{"token": "first"}, {"token": "mean"}]
    return [{"heads": 2}, {"heads": 1}] if "heads" in METHODS[name].settings else [{}]


def mask() -> Tensor:
    return (torch.arange(max(LENGTHS)) < torch.tensor(LENGTHS)[:, None]).long()


def features(name: str, seed: int, width: int) -> list[Tensor]:
    stream = torch.Generator().manual_seed(seed)
    shape = len(LENGTHS), max(LENGTHS), width
    return [torch.randn(*shape, generator=stream, dtype=torch.float64) for _ in range(COUNTS[name])]


def term_of(name: str, **settings: Any) -> tuple[Term, list[Tensor], list[Tensor]]:
    widths = WIDTHS.get(name, (4, 4))
    student, teacher = features(name, 1, widths[0]), features(name, 2, widths[1])
    shapes = Shapes([one.shape for one in student], [one.shape for one in teacher])
    stream = torch.Generator().manual_seed(3)
    term: Term = METHODS[name].loss(shapes, **settings).double()
    for weight in term.parameters():
        weight.data = torch.randn(weight.shape, generator=stream, dtype=torch.float64)
    term.name, term.pairs = name, tuple((str(at), str(at)) for at in range(COUNTS[name]))
    return term, student, teacher


def run(term: Term, student: list[Tensor], teacher: list[Tensor], masked: bool = True) -> Tensor:
    outputs = [Outputs({}, {str(at): one for at, one in enumerate(some)}) for some in (student, teacher)]
    batch = Batch({"input_ids": mask(), **({"attention_mask": mask()} if masked else {})})
    loss = term(*outputs, batch, Context())
    assert isinstance(loss, Tensor)
    return loss


def softmax(scores: Array) -> Array:
    powers = np.exp(scores - scores.max())
    return powers / powers.sum()


def kl(wanted: Array, given: Array) -> float:
    return float((wanted * (np.log(wanted) - np.log(given))).sum())


def scores(rows: Array, columns: Array, heads: int, head: int) -> Array:
    size = rows.shape[1] // heads
    part = slice(head * size, (head + 1) * size)
    return rows[:, part] @ columns[:, part].T / np.sqrt(size)


def relation(first: tuple[Array, Array], second: tuple[Array, Array], heads: int) -> float:
    """The mean over heads and rows of the divergence of the second network's relations from the first's."""
    total = 0.0
    for head in range(heads):
        wanted, given = (scores(*one, heads, head) for one in (second, first))
        total += sum(kl(softmax(w), softmax(g)) for w, g in zip(wanted, given, strict=True)) / len(wanted)
    return total / heads


def oracle(name: str, term: Term, student: list[Array], teacher: list[Array], settings: dict[str, Any]) -> float:
    """The loss of one text without padding, each feature [T, D]."""
    heads = settings.get("heads", 1)
    weights = {key: value.detach().numpy() for key, value in term.named_parameters()}
    if name == "hidden_cosine":
        total = 0.0
        for at, (given, wanted) in enumerate(zip(student, teacher, strict=True)):
            mapped = given @ weights[f"maps.{at}.weight"].T
            cosines = (mapped * wanted).sum(1) / np.linalg.norm(mapped, axis=1) / np.linalg.norm(wanted, axis=1)
            total += float(np.mean(1 - cosines))
        return total
    if name == "tinybert_hidden":
        mapped = [one @ weights["map.weight"].T + weights["map.bias"] for one in student]
        return sum(float(np.mean((one - two) ** 2)) for one, two in zip(mapped, teacher, strict=True))
    if name == "patient":
        whole = [
            [one[0] if settings["token"] == "first" else one.mean(0) for one in some] for some in (student, teacher)
        ]
        unit = [[one / np.linalg.norm(one) for one in some] for some in whole]
        return sum(float(((one - two) ** 2).sum()) for one, two in zip(*unit, strict=True))
    if name == "tinybert_attention":
        total = 0.0
        for at in (0, 2):
            for head in range(heads):
                given, wanted = (scores(some[at], some[at + 1], heads, head) for some in (student, teacher))
                total += float(np.mean((given - wanted) ** 2)) / heads
        return total
    if name == "minilm":
        pairs = [((some[0], some[1]), (some[2], some[2])) for some in (student, teacher)]
        return sum(relation(one, two, heads) for one, two in zip(*pairs, strict=True))
    return sum(relation((one, one), (two, two), heads) for one, two in zip(student, teacher, strict=True))


@pytest.mark.parametrize("name", TEXTS)
def test_it_agrees_with_an_independent_computation_text_by_text(name: str) -> None:
    for settings in settings_of(name):
        term, student, teacher = term_of(name, **settings)
        loss = run(term, student, teacher).detach()
        assert loss.shape == (3,)
        for row, length in enumerate(LENGTHS):
            own, other = ([one[row, :length].numpy() for one in some] for some in (student, teacher))
            assert loss[row].item() == pytest.approx(oracle(name, term, own, other, settings), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("name", TEXTS)
def test_padding_weighs_nothing(name: str) -> None:
    for settings in settings_of(name):
        term, student, teacher = term_of(name, **settings)
        expected = run(term, student, teacher)
        there = mask()[:, :, None].bool()
        noise = [torch.where(there, one, 1e3 * (one + 1)) for one in student]
        leaves = [one.clone().requires_grad_() for one in noise]
        loss = run(term, leaves, [torch.where(there, one, -7.0) for one in teacher])
        torch.testing.assert_close(loss, expected, rtol=1e-12, atol=1e-12)
        loss.sum().backward()
        for leaf in leaves:
            assert leaf.grad is not None and leaf.grad.isfinite().all()
            assert leaf.grad[~there.expand_as(leaf)].abs().max() == 0
        assert not torch.equal(run(term, student, teacher, masked=False), expected) or settings == {"token": "first"}


@pytest.mark.parametrize("name", TEXTS)
def test_its_gradient_is_that_of_finite_differences(name: str) -> None:
    settings = settings_of(name)[-1]
    term, student, teacher = term_of(name, **settings)
    leaves = [one.requires_grad_() for one in student]
    assert torch.autograd.gradcheck(lambda *some: run(term, list(some), teacher), leaves)


@pytest.mark.parametrize("name", ["minilm", "minilm_v2", "tinybert_attention", "patient"])
def test_an_equal_student_is_at_the_minimum(name: str) -> None:
    term, _, _ = term_of(name, **settings_of(name)[0])
    own = features(name, 5, 4)
    leaves = [one.clone().requires_grad_() for one in own]
    loss = run(term, leaves, own)
    assert loss.abs().max() < 1e-12
    loss.sum().backward()
    assert all(leaf.grad is not None and leaf.grad.abs().max() < 1e-9 for leaf in leaves)


def test_what_does_not_fit_is_named() -> None:
    four, six = torch.Size((3, 5, 4)), torch.Size((3, 5, 6))
    with pytest.raises(InputError, match="must tap query and key of each layer, in this order, got 3 taps"):
        METHODS["tinybert_attention"].loss(Shapes([four] * 3, [four] * 3))
    with pytest.raises(InputError, match="must tap query, key and value of each layer"):
        METHODS["minilm"].loss(Shapes([four] * 2, [four] * 2))
    with pytest.raises(InputError, match="heads must divide the width of what is tapped, 4, got 3"):
        METHODS["minilm_v2"].loss(Shapes([four] * 3, [six] * 3), heads=3)
    with pytest.raises(InputError, match="hidden states of equal widths, got 4 and 6"):
        METHODS["patient"].loss(Shapes([four], [six]))
    with pytest.raises(InputError, match="one width in each network"):
        METHODS["tinybert_hidden"].loss(Shapes([four, six], [six, six]))
    term, student, teacher = term_of("hidden_cosine")
    with pytest.raises(InputError, match="as many tokens of both networks, got 5 and 4"):
        run(term, student, [one[:, :4] for one in teacher])


def test_an_encoder_teaches_a_part_of_itself_with_all_of_them(tmp_path) -> None:
    pytest.importorskip("transformers")
    name = f"hf:{encoder_folder(tmp_path / 'e')}"
    teacher = build(name, num_classes=2, vocabulary=17, seed=1)
    student = build(name, num_classes=2, vocabulary=17, layers=[0, 2], seed=2)
    init_from(student, teacher)
    methods = [configure("kd", temperature=2.0), *(configure(one, heads=2) for one in ("minilm", "minilm_v2"))]
    methods += [configure("hidden_cosine"), configure("tinybert_hidden"), configure("tinybert_attention", heads=2)]
    layers = {"student_taps": ["layer1", "layer2"], "teacher_taps": ["layer1", "layer3"]}
    methods.append(configure("patient", token="mean", **layers))
    texts = texts_of(6)
    inputs = texts.batch(torch.arange(6))
    inputs["input_ids"] = inputs["input_ids"] % 17
    distiller = Distiller(teacher, student, methods, example=inputs)
    terms = distiller(Batch(inputs, texts.labels, torch.arange(6)))
    # The first layer is the teacher's own, and so is its part in what is compared layer by layer.
    assert all(terms[one.name].isfinite() for one in methods) and terms["hidden_cosine"].item() > 1e-6
    terms.total.backward()
    assert all(weight.grad is None or weight.grad.isfinite().all() for weight in distiller.parameters())
