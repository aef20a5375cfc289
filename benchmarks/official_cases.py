"""The losses that are compared with the code of others, each with the file that it is in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import official_learned as learned
import official_memory as memory
import official_stages as stages
import official_terms as terms
import torch
from official_terms import Loss, Maker, T, given, labels, sizes
from torch import Tensor

from rolewise.distill import METHODS
from rolewise.distill.methods.ab import boundary_distances

#: Owner by the name of a repository, which is also the name of its folder.
REPOSITORIES = {
    "RepDistiller": "HobbitLong",
    "mdistiller": "megvii-research",
    "torchdistill": "yoshitomo-matsubara",
    "TTM": "zkxufo",
    "cls_KD": "yzd-v",
    "Multi-Level-Logit-Distillation": "Jin-Ying",
    "logit-standardization-KD": "sunshangquan",
    "CAT-KD": "GzyAftermath",
    "SemCKD": "DefangChen",
    "DIST_KD": "hunto",
    "OFAKD": "Hao840",
    "mmrazor": "open-mmlab",
    "TorchDistiller": "irfanICMLL",
    "CIRKD": "winycg",
}


@dataclass(frozen=True)
class Case:
    """One loss of somebody else's beside ours.

    Args:
        method: the method's key.
        repository: of `REPOSITORIES`.
        file: path in it.
        kind: of the tensors that both get (see `official_terms.given`).
        official: their loss of the student's and the teacher's tensors, made of the imported module.
        own: makes our loss.
        reason: of a difference above `LIMIT`; empty where there is to be none.
        part: what of the method is compared; empty for all of it but maps of widths.
    """

    method: str
    repository: str
    file: str
    kind: str
    official: Callable[[Any], Loss]
    own: Maker
    reason: str = ""
    part: str = ""


def plain(name: str, at: int | None = 0, **settings: Any) -> Maker:
    """Makes the mean of a registered loss, of one tensor of each network; of all stages where ``at`` is None."""

    def loss(student: list[Tensor], teacher: list[Tensor]) -> Tensor:
        pair = (student, teacher) if at is None else (student[at], teacher[at])
        found: Tensor = METHODS[name].loss(*pair, **settings).mean()
        return found

    return lambda: loss


def summed(name: str, **settings: Any) -> Maker:
    """Makes the sum of a registered loss over the pairs of maps, mean over the batch."""
    each = METHODS[name].loss
    return lambda: (
        lambda student, teacher: sum(each(*pair, **settings).mean() for pair in zip(student, teacher, strict=True))
    )


def vectors(name: str, **settings: Any) -> Maker:
    """Makes the mean of a registered loss of the first maps as vectors."""
    each = METHODS[name].loss
    return lambda: lambda student, teacher: each(student[0].flatten(1), teacher[0].flatten(1), **settings).mean()


def first(of: Callable[[Any], Callable[..., Any]], *, flat: bool = False) -> Callable[[Any], Loss]:
    """Returns their loss of the first tensors, flattened or not."""

    def made(module: Any) -> Loss:
        loss = of(module)
        return lambda s, t: loss(*(one[0].flatten(1) if flat else one[0] for one in (s, t)))

    return made


def slope(loss: Loss) -> Loss:
    """Returns a loss of value 1 and the same gradient, of one that differs from another by a constant."""

    def moved(student: list[Tensor], teacher: list[Tensor]) -> Tensor:
        value = loss(student, teacher)
        return value - value.detach() + 1

    return moved


def listed(of: Callable[[Any], Callable[..., Any]]) -> Callable[[Any], Loss]:
    """Returns their loss of lists of maps, whose results are added."""

    def made(module: Any) -> Loss:
        loss = of(module)
        return lambda s, t: torch.stack([one.sum() for one in loss(s, t)]).sum()

    return made


def _distillers(name: str) -> str:
    return f"mdistiller/distillers/{name}.py"


ZOO, MID = "distiller_zoo", "torchdistill/losses/mid_level.py"
WHERE = {f"{role}_{key}": "it" for role in ("student", "teacher") for key in ("module_path", "module_io")}
DIS, RAZOR = "mmcls/models/dis_losses", "mmrazor/models/losses"
LENGTHS, DEVIATION = "1e-8 beside the product of two lengths there", "1e-6 beside a deviation there"
BITS = "numbers of 32 bits in between there"
SMALL = "1e-7 beside a sum or a deviation there"


def _at(loss: Any) -> Callable[..., Any]:
    """Returns torchdistill's loss as a function of two tensors."""
    return lambda student, teacher: loss({"it": {"it": student}}, {"it": {"it": teacher}}, targets=None)


def cases() -> list[Case]:
    """Returns all comparisons."""
    rep, md = "RepDistiller", "mdistiller"
    return [
        Case("kd", rep, f"{ZOO}/KD.py", "logits", first(lambda m: m.DistillKL(T)), plain("kd", temperature=T)),
        Case("attention", rep, f"{ZOO}/AT.py", "maps", listed(lambda m: m.Attention()), summed("attention")),
        Case("fitnets", rep, f"{ZOO}/FitNet.py", "maps", first(lambda m: m.HintLoss()), plain("fitnets")),
        Case("nst", rep, f"{ZOO}/NST.py", "maps", listed(lambda m: m.NSTLoss()), summed("nst")),
        Case("pkt", rep, f"{ZOO}/PKT.py", "maps", first(lambda m: m.PKT(), flat=True), vectors("pkt"), SMALL),
        Case("rkd", rep, f"{ZOO}/RKD.py", "maps", first(lambda m: m.RKDLoss(25, 50), flat=True), vectors("rkd")),
        Case("similarity", rep, f"{ZOO}/SP.py", "maps", listed(lambda m: m.Similarity()), summed("similarity")),
        Case("fsp", rep, f"{ZOO}/FSP.py", "maps", listed(lambda m: _fsp(m)), plain("fsp", None)),
        Case(
            "ab", rep, f"{ZOO}/AB.py", "maps", lambda m: lambda s, t: m.ABLoss(1)(s[:1], t[:1])[0],
            lambda: lambda s, t: 0.003 * s[0][0].numel() * boundary_distances(s[:1], t[:1], 1.0).mean(),
        ),
        Case("vid", rep, f"{ZOO}/VID.py", "maps", terms.official_gaussian, terms.own_gaussian),
        Case(
            "dkd", md, _distillers("DKD"), "logits",
            lambda m: lambda s, t: m.dkd_loss(s[0], t[0], labels(), 1.0, 8.0, T), plain("dkd", labels=labels()),
        ),
        Case("ofd", md, _distillers("OFD"), "maps", terms.official_margins, terms.own_margins),
        Case(
            "review_kd", md, _distillers("ReviewKD"), "maps", stages.official_review, stages.own_review,
        ),
        Case(
            "logit_standardisation", "logit-standardization-KD", _distillers("KD"), "logits",
            lambda m: lambda s, t: m.kd_loss(s[0], t[0], 2.0, True),
            plain("logit_standardisation", temperature=2.0), SMALL,
        ),
        Case(
            "mlkd", "Multi-Level-Logit-Distillation", _distillers("KD_ours"), "logits",
            terms.official_levels, terms.own_levels,
        ),
        Case("ttm", "TTM", f"{ZOO}/ttm.py", "logits", first(lambda m: m.TTM(0.1)), plain("ttm", power=0.1)),
        Case(
            "ttm", "TTM", f"{ZOO}/wttm.py", "logits", first(lambda m: m.WTTM(0.1)),
            plain("ttm", power=0.1, weighted=True),
        ),
        Case(
            "dist", "TTM", f"{ZOO}/dist.py", "logits", first(lambda m: m.DIST(2.0, 2.0, T)),
            plain("dist", inter=2.0, intra=2.0, temperature=T), LENGTHS,
        ),
        Case(
            "nkd", "cls_KD", f"{DIS}/nkd.py", "logits",
            lambda m: lambda s, t: m.NKDLoss("", True)(s[0], t[0], labels()), plain("nkd", labels=labels()),
        ),
        Case(
            "cat_kd", "CAT-KD", _distillers("CAT_KD"), "maps", lambda m: lambda s, t: m.CAT_loss(s[0], t[0], 2, True),
            terms.own_maps,
        ),
        Case("sskd", "torchdistill", MID, "views", terms.official_turned, terms.own_turned),
        Case(
            "dist", "torchdistill", MID, "logits",
            first(lambda m: _at(m.DISTLoss(**WHERE, beta=2.0, gamma=2.0, tau=T))),
            plain("dist", inter=2.0, intra=2.0, temperature=T),
        ),
        Case(
            "dist", "DIST_KD", "segmentation/losses/dist_kd.py", "logits", first(lambda m: m.DIST(2.0, 3.0)),
            plain("dist", inter=2.0, intra=3.0), LENGTHS,
        ),
        Case("crd", rep, "crd/criterion.py", "vectors", memory.official_contrast, memory.own_contrast),
        Case(
            "semckd", "SemCKD", f"{ZOO}/SemCKD.py", "maps", stages.official_calibration, stages.own_calibration,
            BITS, part="differences under our attention",
        ),
        Case(
            "semckd", "SemCKD", "models/util.py", "maps", stages.official_regressed, stages.own_regressed,
            part="with regressors",
        ),
        Case("uskd", "cls_KD", f"{DIS}/uskd.py", "pair", learned.official_weak, learned.own_weak, part="`others=0`"),
        Case("vitkd", "cls_KD", f"{DIS}/vitkd.py", "tokens", learned.official_tokens, learned.own_tokens),
        Case("mgd", "cls_KD", f"{DIS}/mgd.py", "maps", learned.official_generation, learned.own_generation),
        Case("srrl", "cls_KD", f"{DIS}/srrl.py", "maps", learned.official_regression, learned.own_regression),
        Case(
            "wsld", "mmrazor", f"{RAZOR}/weighted_soft_label_distillation.py", "logits",
            lambda m: slope(lambda s, t: m.WSLD(T, 1.0, sizes().classes)(s[0], t[0], labels())),
            lambda: slope(plain("wsld", labels=labels(), temperature=T)()), part="gradient",
        ),
        Case(
            "ft", "mmrazor", f"{RAZOR}/factor_transfer_loss.py", "maps", first(lambda m: m.FTLoss()),
            learned.own_factors, part="factors",
        ),
        Case(
            "cwd", "mmrazor", f"{RAZOR}/cwd.py", "maps", first(lambda m: m.ChannelWiseDivergence(T)),
            plain("cwd", temperature=T),
        ),
        Case(
            "cwd", "TorchDistiller", "SemSeg-distill/utils/criterion.py", "maps",
            first(lambda m: m.CriterionCWD("channel", "kl", T)), plain("cwd", temperature=T),
        ),
        Case(
            "cirkd", "CIRKD", "losses/cirkd_mini_batch.py", "maps",
            lambda m: terms.below_zero(lambda s, t: m.CriterionMiniBatchCrossImagePair(0.1)(s[1][:16], t[1][:16])),
            lambda: terms.below_zero(lambda s, t: METHODS["cirkd"].loss(s[1][:16], t[1][:16]).mean()), BITS,
        ),
        Case(
            "pearson_kd", "mmrazor", f"{RAZOR}/pkd_loss.py", "maps", first(lambda m: m.PKDLoss()), plain("pearson_kd"),
            DEVIATION,
        ),
        Case(
            "ofa", "OFAKD", "distillers/ofa.py", "logits", learned.official_enhanced, learned.own_enhanced,
            part="without branches",
        ),
    ]  # fmt: skip


def _fsp(module: Any) -> Callable[..., Any]:
    sizes = [one.shape for one in given("maps", 0)]
    return module.FSP(sizes, sizes)  # type: ignore[no-any-return]
