"""Losses and gradients here against code of others, in float64: the largest relative difference of each.

python benchmarks/official_losses.py --sources DIR [--json FILE]

DIR holds clones of the repositories of `REPOSITORIES` by name (``git clone https://github.com/HobbitLong/RepDistiller``,
and so on); what is missing is left out. Nothing of theirs is installed or kept here: single files of losses are
imported from where they lie, under names of their own, and what they want of other libraries is put in empty.
"""

from __future__ import annotations

import argparse
import importlib
import subprocess
import sys
import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from rolewise.batch import Batch, Context, Outputs
from rolewise.distill import METHODS, Shapes
from rolewise.distill.made_views import TURNED
from rolewise.distill.methods.ab import boundary_distances
from rolewise.distill.methods.cat_kd import CATKD
from rolewise.distill.methods.mlkd import MLKD
from rolewise.distill.methods.ofd import OFD
from rolewise.distill.methods.review_kd import on_grids
from rolewise.distill.methods.sskd import SSKD
from rolewise.distill.methods.vid import VID
from rolewise.files import write_json

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
}
#: The largest relative difference that needs no reason.
LIMIT = 1e-9
#: Modules of other libraries that their files import and no loss uses.
EMPTY = ("mmcls", "mmcls.registry", "turtle")
B, K, T = 8, 10, 4.0

Loss = Callable[[list[Tensor], list[Tensor]], Tensor]


@dataclass(frozen=True)
class Case:
    """One loss of somebody else's beside ours.

    Args:
        method: the method's key.
        repository: of `REPOSITORIES`.
        file: path in it.
        kind: ``logits`` or ``maps``, the tensors that both get.
        official: their loss of the student's and the teacher's tensors, made of the imported module.
        own: our loss.
        reason: of a difference above `LIMIT`; empty where there is to be none.
    """

    method: str
    repository: str
    file: str
    kind: str
    official: Callable[[Any], Loss]
    own: Loss
    reason: str = ""


def labels() -> Tensor:
    """Returns the classes of the examples, int64 [8]."""
    return torch.arange(B) * 3 % K


def given(kind: str, seed: int) -> list[Tensor]:
    """Returns a network's tensors: logits [8, 10], those of four views, or maps [8, 6, 8, 8] and [8, 6, 4, 4]."""
    stream = torch.Generator().manual_seed(seed)

    def drawn(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=stream, dtype=torch.float64)

    if kind == "logits":
        return [3 * drawn(B, K)]
    if kind == "views":
        return [3 * drawn(4 * B, K), drawn(4 * B, 7)]
    return [drawn(B, 6, 8, 8).relu(), drawn(B, 6, 4, 4).relu()]


def plain(name: str, at: int | None = 0, **settings: Any) -> Loss:
    """Returns the mean of a registered loss, of one tensor of each network; of all stages where ``at`` is None."""

    def loss(student: list[Tensor], teacher: list[Tensor]) -> Tensor:
        pair = (student, teacher) if at is None else (student[at], teacher[at])
        found: Tensor = METHODS[name].loss(*pair, **settings).mean()
        return found

    return loss


def summed(name: str, **settings: Any) -> Loss:
    """Returns the sum of a registered loss over the pairs of maps, mean over the batch."""
    each = METHODS[name].loss
    return lambda student, teacher: sum(each(*pair, **settings).mean() for pair in zip(student, teacher, strict=True))


def vectors(name: str, **settings: Any) -> Loss:
    """Returns the mean of a registered loss of the first maps as vectors."""
    each = METHODS[name].loss
    return lambda student, teacher: each(student[0].flatten(1), teacher[0].flatten(1), **settings).mean()


def first(of: Callable[[Any], Callable[..., Any]], *, flat: bool = False) -> Callable[[Any], Loss]:
    """Returns their loss of the first tensors, flattened or not."""

    def made(module: Any) -> Loss:
        loss = of(module)
        return lambda s, t: loss(*(one[0].flatten(1) if flat else one[0] for one in (s, t)))

    return made


def listed(of: Callable[[Any], Callable[..., Any]]) -> Callable[[Any], Loss]:
    """Returns their loss of lists of maps, whose results are added."""

    def made(module: Any) -> Loss:
        loss = of(module)
        return lambda s, t: sum(torch.as_tensor(one).sum() for one in loss(s, t))  # type: ignore[return-value]

    return made


def called(term: Any, student: Sequence[Tensor], teacher: Sequence[Tensor]) -> Tensor:
    """Returns the mean loss of a term that reads pairs of features and nothing else."""
    names = [f"{at}" for at in range(len(student))]
    term.pairs = tuple((name, name) for name in names)
    outputs = (Outputs({}, dict(zip(names, one, strict=True))) for one in (student, teacher))
    found: Tensor = term(*outputs, Batch(None, labels()), Context()).mean()
    return found


def shapes(student: Sequence[Tensor], teacher: Sequence[Tensor]) -> Shapes:
    """Returns the shapes of the features."""
    return Shapes([one.shape for one in student], [one.shape for one in teacher])


def own_maps(student: list[Tensor], teacher: list[Tensor]) -> Tensor:
    """Returns CAT-KD of maps that are class activation maps already."""
    term = CATKD(shapes(student[:1], teacher[:1]), grid=2, normalise=True)
    term.heads = (nn.Identity(), nn.Identity())  # type: ignore[assignment]
    return called(term, student[:1], teacher[:1])


MARGIN = torch.linspace(-0.9, -0.2, 6, dtype=torch.float64)


def own_margins(student: list[Tensor], teacher: list[Tensor]) -> Tensor:
    """Returns OFD with known margins and without connectors, of features before a ReLU."""
    term = OFD(shapes(student, teacher)).double()
    term.connectors = nn.ModuleList(nn.Identity() for _ in student)
    for index in range(len(student)):
        getattr(term, f"margin{index}").copy_(MARGIN)
    return called(term, *_before_relu(student, teacher))


def _before_relu(*networks: list[Tensor]) -> list[list[Tensor]]:
    return [[one - 0.4 for one in network] for network in networks]


def official_margins(module: Any) -> Loss:
    """Returns the sum of mdistiller's OFD over stages, halved for the earlier one."""

    def loss(student: list[Tensor], teacher: list[Tensor]) -> Tensor:
        own, aim = _before_relu(student, teacher)
        parts = [module.feat_loss(s, t, MARGIN[None, :, None, None]) for s, t in zip(own, aim, strict=True)]
        found: Tensor = parts[0] / 2 + parts[1]
        return found

    return loss


def _gaussian(module: Any) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        return module.VIDLoss(6, 6, 6).double()  # type: ignore[no-any-return]


def own_gaussian(module: Any, student: list[Tensor], teacher: list[Tensor]) -> Tensor:
    """Returns VID with the weights of their regressor."""
    term, other = VID(shapes(student[:1], teacher[:1])).double(), _gaussian(module)
    by_size = (sorted(one.parameters(), key=lambda one: one.ndim) for one in (term, other))
    for own, aim in zip(*by_size, strict=True):
        own.data.copy_(aim.data)
    return called(term, student[:1], teacher[:1])


def own_levels(student: list[Tensor], teacher: list[Tensor]) -> Tensor:
    """Returns MLKD of one view without masks and without labels."""
    term = MLKD(Shapes(), teacher_share=1.0, masked=False)
    outputs = (Outputs({"logits": one[0]}) for one in (student, teacher))
    found: Tensor = term(*outputs, Batch(None, labels()), Context()).mean()
    return found


def official_levels(module: Any) -> Loss:
    """Returns the sum of their three terms at the five temperatures."""

    def loss(student: list[Tensor], teacher: list[Tensor]) -> Tensor:
        parts = (module.kd_loss, module.bc_loss, module.cc_loss)
        return sum(part(student[0], teacher[0], heat) for part in parts for heat in (2.0, 3.0, 4.0, 5.0, 6.0))  # type: ignore[return-value]

    return loss


def own_turned(student: list[Tensor], teacher: list[Tensor]) -> Tensor:
    """Returns SSKD of embedded features, with heads that leave them as they are."""
    term = SSKD(Shapes([torch.Size((B, 7))], [torch.Size((B, 7))]), kept_similarities=1.0).double()
    term.head, term.estimator, term.pairs = nn.Identity(), nn.Identity(), (("f", "f"),)

    def outputs(logits: Tensor, embedded: Tensor) -> Outputs:
        each = [Outputs({"logits": logits[at::4]}, {"f": embedded[at::4]}) for at in range(4)]
        return Outputs(each[0].values, each[0].features, views=dict(zip(TURNED, each[1:], strict=True)))

    found: Tensor = term(outputs(*student), outputs(*teacher), Batch(None, labels()), Context())[""].mean()
    return found


def official_turned(module: Any) -> Loss:
    """Returns torchdistill's SSKD without labels, of four images in turn."""
    weights = [0.0, 0.9, 10.0, 2.7]
    loss = module.SSKDLoss("z", "z", "f", "f", 4.0, 0.5, 4.0, 1.0, 1.0, loss_weights=weights)

    def both(tensors: list[Tensor]) -> dict[str, dict[str, Tensor]]:
        return {"z": {"output": tensors[0]}, "f": {"output": tensors[1]}}

    return lambda student, teacher: loss(both(student), both(teacher), labels())


def _distillers(name: str) -> str:
    return f"mdistiller/distillers/{name}.py"


ZOO, MID = "distiller_zoo", "torchdistill/losses/mid_level.py"
WHERE = {f"{role}_{key}": "it" for role in ("student", "teacher") for key in ("module_path", "module_io")}
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
            lambda s, t: 0.003 * s[0][0].numel() * boundary_distances(s[:1], t[:1], 1.0).mean(),
        ),
        Case("vid", rep, f"{ZOO}/VID.py", "maps", first(_gaussian), lambda s, t: own_gaussian(_loaded["vid"], s, t)),
        Case(
            "dkd", md, _distillers("DKD"), "logits",
            lambda m: lambda s, t: m.dkd_loss(s[0], t[0], labels(), 1.0, 8.0, T), plain("dkd", labels=labels()),
        ),
        Case("ofd", md, _distillers("OFD"), "maps", official_margins, own_margins),
        Case(
            "review_kd", md, _distillers("ReviewKD"), "maps", lambda m: lambda s, t: m.hcl_loss(s, t),
            lambda s, t: sum(on_grids(*pair).mean() for pair in zip(s, t, strict=True)),
        ),
        Case(
            "logit_standardisation", "logit-standardization-KD", _distillers("KD"), "logits",
            lambda m: lambda s, t: m.kd_loss(s[0], t[0], 2.0, True),
            plain("logit_standardisation", temperature=2.0), SMALL,
        ),
        Case(
            "mlkd", "Multi-Level-Logit-Distillation", _distillers("KD_ours"), "logits", official_levels, own_levels,
        ),
        Case("ttm", "TTM", f"{ZOO}/ttm.py", "logits", first(lambda m: m.TTM(0.1)), plain("ttm", power=0.1)),
        Case(
            "ttm", "TTM", f"{ZOO}/wttm.py", "logits", first(lambda m: m.WTTM(0.1)),
            plain("ttm", power=0.1, weighted=True),
        ),
        Case(
            "dist", "TTM", f"{ZOO}/dist.py", "logits", first(lambda m: m.DIST(2.0, 2.0, T)),
            plain("dist", inter=2.0, intra=2.0, temperature=T), "1e-8 beside the product of two lengths there",
        ),
        Case(
            "nkd", "cls_KD", "mmcls/models/dis_losses/nkd.py", "logits",
            lambda m: lambda s, t: m.NKDLoss("", True)(s[0], t[0], labels()), plain("nkd", labels=labels()),
        ),
        Case(
            "cat_kd", "CAT-KD", _distillers("CAT_KD"), "maps", lambda m: lambda s, t: m.CAT_loss(s[0], t[0], 2, True),
            own_maps,
        ),
        Case("sskd", "torchdistill", MID, "views", official_turned, own_turned),
        Case(
            "dist", "torchdistill", MID, "logits",
            first(lambda m: _at(m.DISTLoss(**WHERE, beta=2.0, gamma=2.0, tau=T))),
            plain("dist", inter=2.0, intra=2.0, temperature=T),
        ),
    ]  # fmt: skip


def _fsp(module: Any) -> Callable[..., Any]:
    sizes = [one.shape for one in given("maps", 0)]
    return module.FSP(sizes, sizes)  # type: ignore[no-any-return]


_loaded: dict[str, Any] = {}


class _Empty(types.ModuleType):
    """A module in place of another library's: whatever is taken of it is a decorator, or nothing."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return types.SimpleNamespace(register_module=lambda *_, **__: lambda kind: kind)


def imported(folder: Path, file: str) -> Any:
    """Returns a file as a module without running the packages above it.

    Args:
        folder: of the repository.
        file: its path there.
    """
    for name in EMPTY:
        sys.modules.setdefault(name, _Empty(name))
    parts = ["held_" + "".join(one if one.isalnum() else "_" for one in folder.name), *Path(file).with_suffix("").parts]
    for depth in range(1, len(parts)):
        name = ".".join(parts[:depth])
        if name not in sys.modules:
            package = types.ModuleType(name)
            package.__path__ = [str(folder.joinpath(*parts[1:depth]))]
            sys.modules[name] = package
    return importlib.import_module(".".join(parts))


def compared(case: Case, module: Any) -> dict[str, float]:
    """Returns the relative differences of the loss, and of its gradient to the student's tensors."""
    _loaded[case.method] = module
    found = []
    for loss in (case.official(module), case.own):
        student = [one.requires_grad_() for one in given(case.kind, 1)]
        value = loss(student, given(case.kind, 2))
        gradients = torch.autograd.grad(value, student, allow_unused=True)
        found.append((value.detach().reshape(1), torch.cat([one.flatten() for one in gradients if one is not None])))
    pairs = zip(("loss", "gradient"), zip(*found, strict=True), strict=True)
    return {key: float((own - other).abs().max() / other.abs().max()) for key, (other, own) in pairs}


def commit_of(folder: Path) -> str:
    """Returns the commit of a clone."""
    run = subprocess.run(["git", "-C", str(folder), "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    return run.stdout.strip()


def table(sources: Path) -> list[dict[str, Any]]:
    """Returns a row for each loss whose repository is there.

    Args:
        sources: the folder of the clones.
    """
    rows = []
    for case in cases():
        folder = sources / case.repository
        if not folder.is_dir():
            print(f"{case.repository} is not in {sources}: {case.method} is left out")
            continue
        where = f"{REPOSITORIES[case.repository]}/{case.repository}"
        row = {"method": case.method, "repository": where, "commit": commit_of(folder), "file": case.file}
        rows.append({**row, **compared(case, imported(folder, case.file)), "reason": case.reason})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sources", type=Path, required=True)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    rows = table(arguments.sources)
    for row in rows:
        print(f"{row['method']:<22} {row['repository']:<48} {row['loss']:9.1e} {row['gradient']:9.1e}  {row['reason']}")
    if arguments.json is not None:
        write_json(arguments.json, {"limit": LIMIT, "torch": torch.__version__, "rows": rows})
    if any(max(row["loss"], row["gradient"]) > LIMIT and not row["reason"] for row in rows):
        raise SystemExit(f"a difference above {LIMIT} has no reason")


if __name__ == "__main__":
    main()
