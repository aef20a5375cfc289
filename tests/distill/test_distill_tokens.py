"""Tokens [B, T, D] beside maps and vectors in every method that reads features, against sums written out in numpy."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from distill_cases import DENSE, FUNCTIONS, labels_of, loss_of, targets_for
from distill_oracles import ORACLES
from torch import Tensor, nn
from torch.nn import functional

import rolewise as rw
from rolewise.batch import Batch
from rolewise.distill import METHODS, Distiller, configure
from rolewise.distill.maps import columns, same_size, width_map
from rolewise.errors import InputError
from rolewise.models import build

Array = np.ndarray[Any, np.dtype[np.float64]]
FEATURES = [name for name in FUNCTIONS if METHODS[name].reads == "features"]
STAGES = [name for name in FUNCTIONS if METHODS[name].reads == "stages" and METHODS[name].estimator is None]


def tokens(seed: int, shape: tuple[int, ...] = (4, 9, 6)) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).relu()


def gram(features: Array) -> Array:
    found: Array = np.einsum("itd,jtd->ij", features, features)
    return found


def unit(rows: Array) -> Array:
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def attention(student: Array, teacher: Array) -> Array:
    maps = [unit(np.einsum("btd,btd->bt", some, some) / some.shape[2]) for some in (student, teacher)]
    found: Array = np.mean((maps[0] - maps[1]) ** 2, 1)
    return found


def nst(student: Array, teacher: Array) -> Array:
    one, two = (some / np.linalg.norm(some, axis=1, keepdims=True) for some in (student, teacher))

    def kernel(first: Array, second: Array) -> Array:
        found: Array = np.mean(np.einsum("btd,bte->bde", first, second) ** 2, (1, 2))
        return found

    return kernel(two, two) + kernel(one, one) - 2 * kernel(one, two)


def fitnets(student: Array, teacher: Array) -> Array:
    return np.einsum("btd->b", (student - teacher) ** 2) / student[0].size  # type: ignore[no-any-return]


def similarity(student: Array, teacher: Array) -> Array:
    return np.mean((unit(gram(student)) - unit(gram(teacher))) ** 2, 1)  # type: ignore[no-any-return]


def pkt(student: Array, teacher: Array) -> Array:
    def near(features: Array) -> Array:
        rows = (1 + gram(unit(features.reshape(len(features), 1, -1)))) / 2
        found: Array = rows / rows.sum(1, keepdims=True)
        return found

    one, two = near(student), near(teacher)
    return np.mean(two * np.log(two / one), 1)  # type: ignore[no-any-return]


def correlation(student: Array, teacher: Array) -> Array:
    def kernel(features: Array) -> Array:
        cosine = gram(unit(features.reshape(len(features), 1, -1)))
        found: Array = np.exp(-0.8) * (1 + 0.8 * cosine + 0.32 * cosine**2)
        return found

    return np.mean((kernel(student) - kernel(teacher)) ** 2, 1)  # type: ignore[no-any-return]


SUMS: dict[str, Callable[[Array, Array], Array]] = {
    "attention": attention,
    "nst": nst,
    "fitnets": fitnets,
    "similarity": similarity,
    "pkt": pkt,
    "correlation": correlation,
}


@pytest.mark.parametrize("name", list(SUMS))
def test_tokens_agree_with_sums_written_out(name: str) -> None:
    student, teacher = tokens(1), tokens(2)
    np.testing.assert_allclose(
        METHODS[name].loss(student, teacher).numpy(),
        SUMS[name](student.numpy(), teacher.numpy()),
        rtol=1e-9,
        atol=1e-13,
    )


def flow(before: Array, after: Array) -> Array:
    found: Array = np.einsum("btd,bte->bde", before, after) / before.shape[1]
    return found


def test_products_of_stages_agree_with_sums_written_out() -> None:
    widths = (3, 5, 4)
    student = [tokens(seed, (4, 9, width)) for seed, width in enumerate(widths)]
    teacher = [tokens(seed + 10, (4, 16, width)) for seed, width in enumerate(widths)]
    expected = 0.0
    for stage in (0, 1):
        one, two = (flow(some[stage].numpy(), some[stage + 1].numpy()) for some in (student, teacher))
        expected = expected + np.mean((one - two) ** 2, (1, 2))
    np.testing.assert_allclose(METHODS["fsp"].loss(student, teacher).numpy(), expected, rtol=1e-9)


def as_map(feature: Tensor, height: int) -> Tensor:
    return torch.unflatten(feature.transpose(1, 2), 2, (height, -1))


@pytest.mark.parametrize("name", FEATURES)
def test_tokens_are_the_places_of_a_map(name: str) -> None:
    """All that reads features gives tokens what the oracle gives the same values as maps."""
    student, teacher = tokens(1), tokens(2)
    loss = loss_of(name, teacher)
    found = loss(student, teacher)
    maps = [as_map(feature, 3).numpy() for feature in (student, teacher)]
    targets = {key: value.numpy() for key, value in targets_for(name, labels_of(name, 4)[0]).items()}
    np.testing.assert_allclose(found.numpy(), ORACLES[name](*maps, **targets), rtol=1e-9, atol=1e-12)
    # Off the zeros of a ReLU, and no two alike: where a maximum is shared it has no slope.
    apart = torch.linspace(0, 0.05, student.numel(), dtype=torch.float64).view_as(student)
    leaf = (student + 0.1 + apart).requires_grad_()
    assert torch.autograd.gradcheck(lambda value: loss(value, teacher), [leaf])


@pytest.mark.parametrize("name", STAGES)
def test_stages_of_tokens_are_stages_of_maps(name: str) -> None:
    student = [tokens(seed, (4, 9, 3 + seed)) for seed in range(3)]
    teacher = [tokens(seed + 10, (4, 9, 3 + seed)) for seed in range(3)]
    maps = [[as_map(feature, 3).numpy() for feature in some] for some in (student, teacher)]
    np.testing.assert_allclose(
        METHODS[name].loss(student, teacher).numpy(), ORACLES[name](*maps), rtol=1e-9, atol=1e-12
    )


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("name", ["fitnets", "attention", "nst", "qfr"])
def test_tokens_beside_a_map_become_one(name: str, turned: bool) -> None:
    """A student of 3 x 3 tokens beside a teacher's map of 6 x 6: the larger one is averaged down."""
    small, large = tokens(1), torch.rand(4, 6, 6, 6, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    halved = large.reshape(4, 6, 3, 2, 3, 2).mean((3, 5))
    given = (large, small) if turned else (small, large)
    wanted = (halved, as_map(small, 3)) if turned else (as_map(small, 3), halved)
    torch.testing.assert_close(METHODS[name].loss(*given), METHODS[name].loss(*wanted))


def test_what_has_no_common_places_is_refused_with_the_remedy() -> None:
    with pytest.raises(InputError, match=r"tokens must be as many in both features, got 9 and 16; declare the grid"):
        same_size(tokens(1), tokens(2, (4, 16, 6)))
    for pair in ((tokens(1, (4, 10, 6)), tokens(2, (4, 6, 3, 3))), (tokens(2, (4, 6, 3, 3)), tokens(1, (4, 10, 6)))):
        with pytest.raises(InputError, match=r"must be the places of a square, got \[4, 10, 6\]; declare class tokens"):
            same_size(*pair)
    for name in ("attention", "nst"):
        with pytest.raises(InputError, match=rf"{name} must tap maps .* or tokens .*, got \[4, 9, 6\] and \[4, 6\]"):
            METHODS[name].loss(tokens(1), tokens(1, (4, 6)))


@pytest.mark.parametrize("shape", [(4, 6), (4, 9, 6), (4, 6, 3, 3)])
def test_learned_maps_act_on_each_place(shape: tuple[int, ...]) -> None:
    feature = tokens(3, shape)
    learned = width_map(shape, (4, 8), bias=True) if len(shape) == 2 else width_map(shape, (4, 16, 8), bias=True)
    learned = learned.double()
    weight, bias = (value.detach().numpy().reshape(len(value), -1) for value in learned.parameters())
    expected = np.einsum("ed,bdn->ben", weight, columns(feature).numpy()) + bias
    np.testing.assert_allclose(columns(learned(feature)).detach().numpy(), expected, rtol=1e-9)
    assert isinstance(width_map(shape, shape), nn.Identity)
    with pytest.raises(InputError, match="a pair of taps must be two maps"):
        width_map(shape, (4, 8, 1, 1) if len(shape) == 2 else (4, 8))


class Vit(nn.Module):
    """A small vision transformer: patches of 2 x 2, a class token, blocks, the class token's logits."""

    def __init__(
        self, width: int = 8, *, size: int = 8, tokens: dict[str, object] | None = None, seed: int = 0
    ) -> None:
        super().__init__()
        self.patch = nn.Conv2d(1, width, 2, 2)
        self.token = nn.Parameter(torch.zeros(1, 1, width))
        self.place = nn.Parameter(torch.zeros(1, (size // 2) ** 2 + 1, width))
        layer = nn.TransformerEncoderLayer(width, 2, 2 * width, dropout=0.0, batch_first=True, norm_first=True)
        self.blocks = nn.ModuleList([layer, nn.TransformerEncoderLayer(width, 2, 16, 0.0, batch_first=True)])
        self.head = nn.Linear(width, 5)
        if tokens is not None:
            self.tokens = tokens
        stream = torch.Generator().manual_seed(seed)
        for weight in self.parameters():
            nn.init.normal_(weight, 0.0, 0.3, generator=stream)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        patches = self.patch(images).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.token.expand(len(patches), -1, -1), patches], 1) + self.place
        for block in self.blocks:
            tokens = block(tokens)
        return {"logits": self.head(tokens[:, 0]), "hidden": tokens}


IMAGES = torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(5))
LABELS = torch.arange(6) % 5


@pytest.mark.parametrize("name", [*(name for name in FEATURES if name not in DENSE), *STAGES, "mhgd", "vid"])
@pytest.mark.parametrize("prefix", [{"prefix": 1}, {"prefix": 1, "grid": (4, 4)}])
def test_a_cnn_teaches_a_transformer(name: str, prefix: dict[str, object]) -> None:
    teacher = build("small_cnn", num_classes=5, channels=1, size=(8, 8), widths=(6, 8), seed=1)
    student = Vit(tokens=prefix)
    taps = {"student_taps": ["blocks.0", "blocks.1"], "teacher_taps": ["stages.0", "stages.1"]}
    distiller = Distiller(teacher, student, [configure(name, **taps)], example=IMAGES[:2])
    terms = distiller(IMAGES, LABELS)
    assert terms.not_finite() is None
    terms[name].backward()
    assert student.patch.weight.grad is not None and student.patch.weight.grad.abs().sum() > 0


def test_stages_of_a_transformer_are_reviewed_where_it_declares_its_grid() -> None:
    teacher = build("small_cnn", num_classes=5, channels=1, size=(8, 8), widths=(6, 8), seed=1)
    method = configure("review_kd", student_taps=["blocks.0", "blocks.1"], teacher_taps=["stages.0", "stages.1"])
    distiller = Distiller(teacher, Vit(tokens={"prefix": 1, "grid": (4, 4)}), [method], example=IMAGES[:2])
    assert distiller(IMAGES, LABELS).not_finite() is None
    with pytest.raises(InputError, match=r"review_kd must tap maps .*got \[2, 16, 8\]; declare the grid"):
        Distiller(teacher, Vit(tokens={"prefix": 1}), [method], example=IMAGES[:2])


@pytest.mark.parametrize("name", ["fitnets", "attention", "similarity", "qfr"])
def test_a_transformer_teaches_others(name: str) -> None:
    teacher = Vit(12, tokens={"prefix": 1}, seed=1)
    student = build("small_cnn", num_classes=5, channels=1, size=(8, 8), widths=(4, 6), seed=1)
    for learner, tap in ((student, "stages.0"), (Vit(8, tokens={"prefix": 1}, seed=2), "blocks.0")):
        method = configure(name, student_taps=tap, teacher_taps="blocks.1")
        terms = Distiller(teacher, learner, [method], example=IMAGES[:2])(IMAGES, LABELS)
        terms[name].backward()
        assert terms.not_finite() is None


def test_the_class_token_and_the_network_s_own_output_can_be_tapped() -> None:
    teacher, student = Vit(8, seed=1, tokens={"prefix": 1}), Vit(8, seed=2, tokens={"prefix": 1})
    method = rw.similarity(
        student_taps=["blocks.0:token.0", ":output.hidden"], teacher_taps=["blocks.1:token.0", ":output.hidden"]
    )
    terms = Distiller(teacher, student, [method]).eval()(IMAGES, LABELS)
    with (
        rw.tap(student, ["blocks.0", ":output.hidden"]) as ours,
        rw.tap(teacher, ["blocks.1", ":output.hidden"]) as other,
    ):
        student.eval()(IMAGES), teacher(IMAGES)
    loss = METHODS["similarity"].loss
    expected = loss(ours["blocks.0"][:, 0], other["blocks.1"][:, 0])
    expected = expected + loss(ours[":output.hidden"][:, 1:], other[":output.hidden"][:, 1:])
    torch.testing.assert_close(terms["similarity"], expected.mean())


def test_a_transformer_that_declares_nothing_is_refused_at_the_trial() -> None:
    teacher = build("small_cnn", num_classes=5, channels=1, size=(8, 8), widths=(6, 8), seed=1)
    method = rw.attention(student_taps="blocks.1", teacher_taps="stage1")
    with pytest.raises(
        InputError, match=r'must be the places of a square, got .*, as in network.tokens = \{"prefix": 1'
    ):
        Distiller(teacher, Vit(), [method], example=IMAGES[:2])


class Text(nn.Module):
    """A text classifier as Hugging Face has them: inputs by keyword, outputs in an object."""

    def __init__(self, width: int, seed: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(20, width)
        self.encoder = nn.TransformerEncoderLayer(width, 2, 2 * width, 0.0, batch_first=True)
        self.classifier = nn.Linear(width, 3)
        self.tokens = {"prefix": 1}
        stream = torch.Generator().manual_seed(seed)
        for weight in self.parameters():
            nn.init.normal_(weight, 0.0, 0.3, generator=stream)

    def forward(self, ids: Tensor, mask: Tensor) -> SimpleNamespace:
        hidden = self.encoder(self.embedding(ids), src_key_padding_mask=mask)
        return SimpleNamespace(logits=self.classifier(hidden[:, 0]), hidden_states=(hidden,))


def test_text_by_keyword_with_outputs_in_an_object() -> None:
    stream = torch.Generator().manual_seed(0)
    ids = torch.randint(0, 20, (4, 7), generator=stream)
    inputs = {"ids": ids, "mask": torch.arange(7)[None] >= torch.tensor([7, 5, 7, 6])[:, None]}
    labels = torch.tensor([0, 1, 2, 0])
    teacher, student = Text(8, 1), Text(4, 2)
    methods = [
        rw.kd(),
        rw.match(student_taps="encoder", teacher_taps=":output.hidden_states.0", loss="cosine"),
        rw.similarity(student_taps=":input.ids", teacher_taps="embedding:input"),
    ]
    with pytest.raises(
        InputError, match=r"tap ':input.ids' must hold floating point features, got torch.int64; tap a later"
    ):
        Distiller(teacher, student, methods, example=Batch(inputs, labels))
    distiller = Distiller(teacher, student, methods[:2], example=Batch(inputs, labels))
    terms = distiller(Batch(inputs, labels))
    learned = distiller.get_submodule("terms.match.maps.0")
    with rw.tap(student, "encoder") as own, rw.tap(teacher, "encoder") as other:
        student(**inputs), teacher(**inputs)
    cosine = functional.cosine_similarity(learned(own["encoder"][:, 1:]), other["encoder"][:, 1:], dim=2)
    torch.testing.assert_close(terms["match"], (1 - cosine).mean())
    terms.total.backward()
    assert student.embedding.weight.grad is not None


def test_tokens_with_the_batch_second_are_refused() -> None:
    class Turned(Vit):
        def forward(self, images: Tensor) -> dict[str, Tensor]:
            outputs = super().forward(images)
            return {**outputs, "hidden": outputs["hidden"].transpose(0, 1)}

    taps = {"student_taps": ":output.hidden", "teacher_taps": ":output.hidden"}
    for method in (rw.similarity(**taps), rw.match(**taps)):
        with pytest.raises(InputError, match=r"must have the 2 examples of the batch in dimension 0, got \[17, 2, 8\]"):
            Distiller(Turned(seed=1), Turned(seed=2), [method], example=IMAGES[:2])


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "deit_tiny_distilled_patch16_224"])
def test_a_transformer_of_timm_tells_its_prefix(name: str) -> None:
    timm = pytest.importorskip("timm", reason="timm is not installed")
    student = timm.create_model(name, pretrained=False, num_classes=5, img_size=32, depth=2)
    teacher = build("resnet8", num_classes=5, channels=3, seed=1)
    method = rw.attention(student_taps="blocks.1", teacher_taps="stage3")
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    terms = Distiller(teacher, student, [method], example=images)(images, torch.tensor([0, 1]))
    assert terms.not_finite() is None
