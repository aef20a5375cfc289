"""Losses with learned parts or memories, of others and ours: the same weights, draws and memories on both sides."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import torch
from official_terms import B, K, Loss, T, called, given, labels, shapes
from torch import Tensor, nn
from torch.nn import functional

from rolewise.batch import Batch, Context, Outputs
from rolewise.distill import Shapes
from rolewise.distill.maps import same_size
from rolewise.distill.methods.crd import CRD
from rolewise.distill.methods.ft import FT
from rolewise.distill.methods.mgd import MGD
from rolewise.distill.methods.ofa import OFA
from rolewise.distill.methods.semckd import SemCKD
from rolewise.distill.methods.srrl import SRRL
from rolewise.distill.methods.uskd import USKD
from rolewise.distill.methods.vitkd import ViTKD

#: Examples of the memories, their width, and negatives.
N, WIDTH, NEGATIVES = 40, 7, 12


def seeded(kind: Any, *arguments: Any, **settings: Any) -> Any:
    """Returns a term with weights that are always the same, in float64."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        return kind(*arguments, **settings).double()


def copied(to: nn.Module, source: nn.Module) -> None:
    """Copies parameters in their order; theirs and ours are as many, of the same shapes."""
    for own, aim in zip(to.parameters(), source.parameters(), strict=True):
        own.data.copy_(aim.data)


def identities(count: int) -> nn.ModuleList:
    """Returns parts that leave everything as it is."""
    return nn.ModuleList(nn.Identity() for _ in range(count))


def own_contrast(student: list[Tensor], teacher: list[Tensor]) -> Tensor:
    """Returns CRD in its first step."""
    size = [torch.Size((B, WIDTH))]
    term = seeded(
        CRD, Shapes(size, size, examples=N), width=WIDTH, negatives=NEGATIVES, negatives_from="all"
    )  # the maps go next: vectors are embeddings already
    term.student_map, term.teacher_map, term.pairs, term.name = nn.Identity(), nn.Identity(), (("f", "f"),), "crd"
    outputs = (Outputs({}, {"f": one[0]}) for one in (student, teacher))
    found: Tensor = term(*outputs, Batch(None, labels(), indices=torch.arange(B)), Context()).mean()
    return found


def official_contrast(criterion: Any) -> Loss:
    """Returns RepDistiller's CRD with the memories, the rows and the width of ours."""
    size = [torch.Size((B, WIDTH))]
    term = seeded(CRD, Shapes(size, size, examples=N), width=WIDTH, negatives=NEGATIVES, negatives_from="all")
    term.name = "crd"
    options = SimpleNamespace(
        s_dim=WIDTH, t_dim=WIDTH, feat_dim=WIDTH, nce_k=NEGATIVES, nce_t=0.07, nce_m=0.5, n_data=N
    )
    loss = criterion.CRDLoss(options).double()
    loss.embed_s.linear, loss.embed_t.linear = nn.Identity(), nn.Identity()
    loss.contrast.params = torch.tensor([NEGATIVES, 0.07, -1, -1, 0.5], dtype=torch.float64)
    loss.contrast.memory_v1, loss.contrast.memory_v2 = (
        term.student_bank.values.double(),
        term.teacher_bank.values.double(),
    )
    rows = torch.arange(B)
    drawn = term.drawn(Batch(None, labels(), indices=rows), Context())
    return lambda s, t: loss(s[0], t[0], rows, torch.cat([rows[:, None], drawn], 1))


def own_factors(student: list[Tensor], teacher: list[Tensor]) -> Tensor:
    """Returns FT of maps that are factors already."""
    term = FT(shapes(student[:1], teacher[:1]))
    term.translators, term.estimator = identities(1), nn.ModuleList([nn.Module()])
    term.estimator[0].encoder, term.estimator[0].decoder = nn.Identity(), nn.Identity()
    term.pairs = (("0", "0"),)
    outputs = (Outputs({}, {"0": one[0]}) for one in (student, teacher))
    found: Tensor = term(*outputs, Batch(None), Context())[""].mean()
    return found


def own_calibration(student: list[Tensor], teacher: list[Tensor]) -> Tensor:
    """Returns SemCKD with regressors that leave maps as they are; every stage meets every other."""
    term = _calibration()
    term.regressors = identities(4)
    return called(term, student, teacher)


def _calibration() -> SemCKD:
    size = [one.shape for one in given("maps", 0)]
    term: SemCKD = seeded(SemCKD, Shapes(size, size), width=5)
    return term


def official_calibration(module: Any) -> Loss:
    """Returns the authors' weighted differences under the attention that ours has."""
    term, loss = _calibration(), module.SemCKDLoss()

    def unit(parts: nn.ModuleList, maps: Sequence[Tensor]) -> Tensor:
        made = [part(one.mean((2, 3))) for part, one in zip(parts, maps, strict=True)]
        return functional.normalize(torch.stack(made, 1), dim=2)

    def both(student: list[Tensor], teacher: list[Tensor]) -> Tensor:
        weight = torch.einsum("bid,bjd->bij", unit(term.queries, student), unit(term.keys, teacher)).softmax(2)
        pairs = [[same_size(one, aim) for aim in teacher] for one in student]
        found: Tensor = loss([[s for s, _ in row] for row in pairs], [[t for _, t in row] for row in pairs], weight)
        return found

    return both


def own_generation(student: list[Tensor], teacher: list[Tensor]) -> Tensor:
    """Returns MGD of channels, with the weight of classifiers."""
    return 7e-5 * called(_generation(), student[:1], teacher[:1])


def _generation() -> MGD:
    one = given("maps", 0)[:1]
    term: MGD = seeded(MGD, shapes(one, one), drop=0.15, drop_from="channels")
    term.name = "mgd"
    return term


def official_generation(module: Any) -> Loss:
    """Returns MGD with the weights of ours and the same channels dropped."""
    loss = module.MGDLoss("", True, 6, 6).double()
    copied(loss, _generation())
    return _drawn_alike("mgd", lambda s, t: loss(s[0], t[0]))


def _drawn_alike(name: str, loss: Loss) -> Loss:
    """Returns a loss that draws from torch's own stream what ours draws from its step's."""

    def drawn(student: list[Tensor], teacher: list[Tensor]) -> Tensor:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(Context().generator(name).initial_seed())
            return loss(student, teacher)

    return drawn


def own_tokens(student: list[Tensor], teacher: list[Tensor]) -> Tensor:
    """Returns ViTKD of two shallow layers and a deep one."""
    return called(_tokens(), student, teacher)


def _tokens() -> ViTKD:
    term: ViTKD = seeded(ViTKD, shapes(given("tokens", 0), [one.new_zeros(B, 9, 5) for one in given("tokens", 0)]))
    term.name = "vitkd"
    return term


def official_tokens(module: Any) -> Loss:
    """Returns ViTKD with the weights of ours and the same tokens hidden."""
    loss, term = module.ViTKDLoss("", True, 4, 5).double(), _tokens()
    for index in range(2):
        copied(loss.align2[index], term.maps[index])
    copied(loss.align, term.maps[2])
    copied(loss.generation, term.generator)
    loss.mask_token.data.copy_(term.token.data)
    return _drawn_alike("vitkd", lambda s, t: loss([torch.stack(s[:2], 1), s[2]], [torch.stack(t[:2], 1), t[2]]))


def own_weak(student: list[Tensor], teacher: list[Tensor]) -> Tensor:
    """Returns USKD without its other classes, which the code ranks by logarithms and the paper by probabilities."""
    term = _weak()
    term.pairs = (("f", "f"),)
    found: Tensor = term(Outputs({"logits": student[0]}, {"f": student[1]}), Outputs({}), _labelled(), Context()).mean()
    return found


def _weak() -> USKD:
    size = [one.shape for one in given("pair", 0)[1:]]
    term: USKD = seeded(USKD, Shapes(size, size, classes=K), others=0.0)
    return term


def _labelled() -> Batch:
    return Batch(None, labels())


def official_weak(module: Any) -> Loss:
    """Returns USKD with the weak classifier of ours."""
    loss = module.USKDLoss("", True, channel=7, beta=0.0, num_classes=K).double()
    copied(loss, _weak())
    return lambda student, teacher: loss(student[1], student[0], labels())


def own_enhanced(student: list[Tensor], teacher: list[Tensor]) -> Tensor:
    """Returns OFA of the networks' own logits."""
    term = OFA(Shapes([], [], classes=K), power=1.5, temperature=T)
    outputs = (Outputs({"logits": one[0]}) for one in (student, teacher))
    found: Tensor = term(*outputs, _labelled(), Context()).mean()
    return found


def official_enhanced(module: Any) -> Loss:
    """Returns their loss of logits under the enhanced target."""
    target = functional.one_hot(labels(), K).double()
    return lambda s, t: module.ofa_loss(s[0], t[0], target, 1.5, T)


HEAD = torch.linspace(-1, 1, 6 * K, dtype=torch.float64).view(K, 6).sin()


def own_regression(student: list[Tensor], teacher: list[Tensor]) -> Tensor:
    """Returns SRRL without its connector."""
    term = SRRL(shapes(student[:1], teacher[:1]), regression=5.0)
    term.connector = nn.Identity()  # type: ignore[assignment]
    term.head = lambda mean: mean @ HEAD.T  # type: ignore[assignment]
    return called(term, student[:1], teacher[:1])


def official_regression(module: Any) -> Loss:
    """Returns their SRRL of the same maps and the logits that the teacher's classifier makes of them."""
    loss = module.SRRLLoss("", True, 6, 6)
    return lambda s, t: loss(s[0], t[0], *(one[0].mean((2, 3)) @ HEAD.T for one in (s, t)))
