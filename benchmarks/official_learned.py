"""Losses with learned parts, of others and ours: the same weights and draws on both sides."""

from __future__ import annotations

from typing import Any

import torch
from official_terms import Loss, T, called, given, labels, on_logits, shapes, sizes
from torch import Tensor, nn
from torch.nn import functional

from rolewise.batch import Batch, Context, Outputs
from rolewise.distill import Shapes
from rolewise.distill.methods.ft import FT
from rolewise.distill.methods.mgd import MGD
from rolewise.distill.methods.ofa import OFA
from rolewise.distill.methods.srrl import SRRL
from rolewise.distill.methods.uskd import USKD
from rolewise.distill.methods.vitkd import ViTKD


def seeded(kind: Any, *arguments: Any, **settings: Any) -> Any:
    """Returns a term with weights that are always the same, in the precision of the tensors."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        return kind(*arguments, **settings).to(sizes().dtype)


def copied(to: nn.Module, source: nn.Module) -> None:
    """Copies parameters in their order; theirs and ours are as many, of the same shapes."""
    for own, aim in zip(to.parameters(), source.parameters(), strict=True):
        own.data.copy_(aim.data)


def identities(count: int) -> nn.ModuleList:
    """Returns parts that leave everything as it is."""
    return nn.ModuleList(nn.Identity() for _ in range(count))


def own_factors() -> Loss:
    """Returns FT of maps that are factors already."""
    one = given("maps", 0)[:1]
    term = FT(shapes(one, one))
    term.translators, term.estimator = identities(1), nn.ModuleList([nn.Module()])
    term.estimator[0].encoder, term.estimator[0].decoder = nn.Identity(), nn.Identity()
    term.pairs = (("0", "0"),)

    def loss(student: list[Tensor], teacher: list[Tensor]) -> Tensor:
        outputs = (Outputs({}, {"0": one[0]}) for one in (student, teacher))
        found: Tensor = term(*outputs, Batch(None), Context())[""].mean()
        return found

    return loss


def own_generation() -> Loss:
    """Returns MGD of channels, with the weight of classifiers."""
    term = _generation()
    return lambda student, teacher: 7e-5 * called(term, student[:1], teacher[:1])


def _generation() -> MGD:
    one = given("maps", 0)[:1]
    term: MGD = seeded(MGD, shapes(one, one), drop=0.15, drop_from="channels")
    term.name = "mgd"
    return term


def official_generation(module: Any) -> Loss:
    """Returns MGD with the weights of ours and the same channels dropped."""
    loss = module.MGDLoss("", True, *[sizes().channels] * 2).to(sizes().dtype)
    copied(loss, _generation())
    return _drawn_alike("mgd", lambda s, t: loss(s[0], t[0]))


def _drawn_alike(name: str, loss: Loss) -> Loss:
    """Returns a loss that draws from torch's own stream what ours draws from its step's."""

    def drawn(student: list[Tensor], teacher: list[Tensor]) -> Tensor:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(Context().generator(name).initial_seed())
            return loss(student, teacher)

    return drawn


def own_tokens() -> Loss:
    """Returns ViTKD of two shallow layers and a deep one."""
    term = _tokens()
    return lambda student, teacher: called(term, student, teacher)


def _tokens() -> ViTKD:
    term: ViTKD = seeded(ViTKD, shapes(*(given("tokens", seed) for seed in (1, 2))))
    term.name = "vitkd"
    return term


def official_tokens(module: Any) -> Loss:
    """Returns ViTKD with the weights of ours and the same tokens hidden."""
    loss, term = module.ViTKDLoss("", True, *sizes().token_widths).to(sizes().dtype), _tokens()
    for index in range(2):
        copied(loss.align2[index], term.maps[index])
    copied(loss.align, term.maps[2])
    copied(loss.generation, term.generator)
    loss.mask_token.data.copy_(term.token.data)
    return _drawn_alike("vitkd", lambda s, t: loss([torch.stack(s[:2], 1), s[2]], [torch.stack(t[:2], 1), t[2]]))


def own_weak() -> Loss:
    """Returns USKD without its other classes, which the code ranks by logarithms and the paper by probabilities."""
    term = _weak()
    term.pairs = (("f", "f"),)

    def loss(student: list[Tensor], teacher: list[Tensor]) -> Tensor:
        outputs = Outputs({"logits": student[0]}, {"f": student[1]}), Outputs({})
        found: Tensor = term(*outputs, Batch(None, labels()), Context()).mean()
        return found

    return loss


def _weak() -> USKD:
    size = [one.shape for one in given("pair", 0)[1:]]
    term: USKD = seeded(USKD, Shapes(size, size, classes=sizes().classes), others=0.0)
    return term


def official_weak(module: Any) -> Loss:
    """Returns USKD with the weak classifier of ours."""
    at = sizes()
    loss = module.USKDLoss("", True, channel=at.vector, beta=0.0, num_classes=at.classes).to(at.dtype)
    copied(loss, _weak())
    return lambda student, teacher: loss(student[1], student[0], labels())


def own_enhanced() -> Loss:
    """Returns OFA of the networks' own logits."""
    return on_logits(OFA(Shapes([], [], classes=sizes().classes), power=1.5, temperature=T))


def official_enhanced(module: Any) -> Loss:
    """Returns their loss of logits under the enhanced target."""
    target = functional.one_hot(labels(), sizes().classes).to(sizes().dtype)
    return lambda s, t: module.ofa_loss(s[0], t[0], target, 1.5, T)


def _head() -> Tensor:
    width, classes = sizes().channels, sizes().classes
    return torch.linspace(-1, 1, width * classes, dtype=sizes().dtype).view(classes, width).sin()


def own_regression() -> Loss:
    """Returns SRRL without its connector."""
    one, head = given("maps", 0)[:1], _head()
    term = SRRL(shapes(one, one), regression=5.0)
    term.connector = nn.Identity()  # type: ignore[assignment]
    term.head = lambda mean: mean @ head.T  # type: ignore[assignment]
    return lambda student, teacher: called(term, student[:1], teacher[:1])


def official_regression(module: Any) -> Loss:
    """Returns their SRRL of the same maps and the logits that the teacher's classifier makes of them."""
    head, loss = _head(), module.SRRLLoss("", True, *[sizes().channels] * 2)
    return lambda s, t: loss(s[0], t[0], *(one[0].mean((2, 3)) @ head.T for one in (s, t)))
