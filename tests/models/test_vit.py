"""The vision transformer: its sizes against the papers', an independent computation, its tokens and its two heads."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import rolewise as rw
from rolewise.batch import Batch, Context, Outputs
from rolewise.distill import Distiller, Shapes
from rolewise.distill.methods.deit_token import DeiTToken
from rolewise.errors import InputError
from rolewise.models import build, count_parameters
from rolewise.models.vit import VisionTransformer


def images(num: int = 6, seed: int = 3) -> Tensor:
    return torch.rand(num, 1, 8, 8, generator=torch.Generator().manual_seed(seed))


def small(seed: int = 1, **arguments: object) -> nn.Module:
    return build("vit_mini", num_classes=5, channels=1, size=(8, 8), seed=seed, depth=2, **arguments)


@pytest.mark.parametrize(
    # Touvron et al. (2021), table 1, rounded there to 5 and 22 million; the counts of timm's networks of these sizes.
    ("name", "arguments", "count"),
    [
        ("vit_tiny", {}, 5_717_416),
        ("vit_tiny", {"distilled": True}, 5_910_800),
        ("vit_small", {}, 22_050_664),
        ("vit_small", {"distilled": True}, 22_436_432),
    ],
)
def test_sizes_are_the_papers(name: str, arguments: dict[str, object], count: int) -> None:
    with torch.device("meta"):
        assert count_parameters(build(name, num_classes=1000, size=(224, 224), **arguments)) == count


def by_hand(network: nn.Module, given: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Logits of both heads, head by head and token by token, in numpy."""
    weights = {key: value.detach().numpy() for key, value in network.state_dict().items()}

    def linear(x: np.ndarray, name: str) -> np.ndarray:
        return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    def normed(x: np.ndarray, name: str) -> np.ndarray:
        scaled = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6)
        return scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    erf = np.vectorize(math.erf)
    found = []
    for image in given:
        kernel = weights["patches.weight"].reshape(64, -1)
        patches = [image[:, i : i + 4, j : j + 4].ravel() for i in (0, 4) for j in (0, 4)]
        tokens = np.array([kernel @ patch + weights["patches.bias"] for patch in patches])
        tokens = np.concatenate([weights["prefix"][0], tokens]) + weights["positions"][0]
        for block in ("blocks.0", "blocks.1"):
            ready, rows = normed(tokens, f"{block}.norm1"), []
            query, key, value = (linear(ready, f"{block}.{name}") for name in ("query", "key", "value"))
            for head in range(4):
                part = slice(16 * head, 16 * head + 16)
                scores = np.exp(query[:, part] @ key[:, part].T / 4)
                rows.append(scores / scores.sum(1, keepdims=True) @ value[:, part])
            tokens = tokens + linear(np.concatenate(rows, 1), f"{block}.out")
            hidden = linear(normed(tokens, f"{block}.norm2"), f"{block}.mlp.0")
            tokens = tokens + linear(hidden * (1 + erf(hidden / math.sqrt(2))) / 2, f"{block}.mlp.2")
        tokens = normed(tokens, "norm")
        found.append((linear(tokens[0], "head"), linear(tokens[1], "token_head")))
    return np.array([one for one, _ in found]), np.array([two for _, two in found])


def test_it_agrees_with_an_independent_computation_and_ends_in_the_mean_of_both_heads() -> None:
    network = small(distilled=True).double()
    for index, weight in enumerate(network.parameters()):
        weight.data = 0.4 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(index)).double()
    given = images(3).double()
    first, second = by_hand(network, given.numpy())
    with rw.tap(network, ["token_logits", "penultimate"]) as features, torch.no_grad():
        np.testing.assert_allclose(network(given).numpy(), first, rtol=1e-9)
        np.testing.assert_allclose(features["token_logits"].numpy(), second, rtol=1e-9)
        network.eval()
        np.testing.assert_allclose(network(given).numpy(), (first + second) / 2, rtol=1e-9)
        assert features["penultimate"].shape == (3, 64)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(InputError, match=r"patch must divide the size of the images, \[28, 28\], got 5"):
        build("vit_tiny", num_classes=5, size=(28, 28), patch=5)
    with pytest.raises(InputError, match="width must be a multiple of heads"):
        VisionTransformer(10, 1, 3, 4, 5, 1, (8, 8))


@pytest.mark.parametrize("target", ["hard", "soft"])
def test_the_token_s_loss_agrees_with_an_independent_computation(target: str) -> None:
    generator = torch.Generator().manual_seed(1)
    own, wanted = (2 * torch.randn(4, 5, generator=generator, dtype=torch.float64) for _ in range(2))
    own.requires_grad_()
    term = DeiTToken(Shapes(), target=target)  # type: ignore[arg-type]
    term.pairs = (("d", ""),)
    loss = term(Outputs({"logits": own}, {"d": own}), Outputs({"logits": wanted}), Batch(None), Context())
    loss.mean().backward()
    rows, slopes = [], []
    for d, t in zip(own.detach().numpy(), wanted.numpy(), strict=True):
        if target == "hard":
            p = np.exp(d) / np.exp(d).sum()
            rows.append(-math.log(p[t.argmax()]))
            slopes.append(p - np.eye(5)[t.argmax()])
        else:
            p, q = (np.exp(z / 3) / np.exp(z / 3).sum() for z in (d, t))
            rows.append(9 * sum(b * math.log(b / a) for a, b in zip(p, q, strict=True)))
            slopes.append(3 * (p - q))
    np.testing.assert_allclose(loss.detach().numpy(), rows, rtol=1e-9)
    assert own.grad is not None
    np.testing.assert_allclose(own.grad.numpy(), np.array(slopes) / 4, rtol=1e-9)


def test_methods_on_tokens_maps_and_vectors_read_it_beside_each_kind_of_teacher() -> None:
    student, teacher = small(distilled=True), small(seed=2)
    methods = [
        rw.deit_token(),
        rw.minilm(heads=4),
        rw.manifold(),
        rw.vitkd(student_taps=["layer1", "layer2"], teacher_taps=["layer1", "layer2"]),
        rw.rkd(),
    ]
    terms = Distiller(teacher, student, methods, example=images(2))(images(), torch.arange(6) % 5)
    assert terms.not_finite() is None and len(terms.parts) == 6
    convolutions = build("small_cnn", num_classes=5, channels=1, size=(8, 8), widths=(4, 6))
    hint = rw.match(student_taps="last_layer", teacher_taps="stage1")
    terms = Distiller(convolutions, student, [rw.deit_token(target="soft"), hint], example=images(2))(
        images(), torch.arange(6) % 5
    )
    terms.total.backward()
    assert terms.not_finite() is None
    with pytest.raises(InputError, match='"deit_token" must read taps of the student, and it has none of token_logits'):
        Distiller(convolutions, small(), [rw.deit_token()], example=images(2))


def test_a_training_by_its_token_resumes_exactly() -> None:
    teacher = build("small_cnn", num_classes=5, channels=1, size=(8, 8), widths=(4, 6))
    labels = torch.arange(6) % 5

    def made(seed: int) -> tuple[Distiller, torch.optim.Optimizer]:
        distiller = Distiller(teacher, small(seed, distilled=True), [rw.deit_token()], example=images(2))
        return distiller, torch.optim.AdamW(distiller.trainable_parameters(), lr=1e-3)

    def steps(distiller: Distiller, optimizer: torch.optim.Optimizer, number: int) -> None:
        for _ in range(number):
            distiller(images(), labels).total.backward()
            optimizer.step()
            optimizer.zero_grad()

    whole, parts, rest = made(1), made(1), made(5)
    steps(*whole, 4)
    steps(*parts, 2)
    for part, other in zip(rest, parts, strict=True):
        part.load_state_dict(copy.deepcopy(other.state_dict()))
    steps(*rest, 2)
    wanted = whole[0].student.state_dict()
    assert all(torch.equal(value, wanted[key]) for key, value in rest[0].student.state_dict().items())
    assert functional.cross_entropy(whole[0].student.eval()(images()), labels).isfinite()


@pytest.mark.slow
def test_it_is_exported_for_batches_of_any_size() -> None:
    network = small(distilled=True).eval()
    batch = torch.export.Dim("batch", min=1)
    program = torch.export.export(network, (images(2),), dynamic_shapes=({0: batch},))
    torch.testing.assert_close(program.module()(images(5)), network(images(5)))
