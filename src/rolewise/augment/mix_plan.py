"""A plan of mixing: which image is mixed with which, how much, and where. Drawing is random, applying is not."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from safetensors.torch import save
from torch import Tensor

from rolewise.errors import InputError
from rolewise.files import AnyPath, write_bytes
from rolewise.tensors import read_tensors


@dataclass(frozen=True)
class MixPlan:
    """The sources, partners and ratios of M mixed images. An image that is its own partner stays as it is.

    Args:
        sources: [M] int64, numbers of the images that are mixed into.
        partners: [M] int64, numbers of the images that are mixed in.
        ratios: [M] float32 in [0, 1], the source's share of the image and of the label.
        boxes: [M, 4] int64 (top, left, bottom, right; the ends not included), what CutMix takes of the partner; None
            where whole images are blended (mixup).

    Raises:
        InputError: the shapes do not fit together.
    """

    sources: Tensor
    partners: Tensor
    ratios: Tensor
    boxes: Tensor | None = None

    def __post_init__(self) -> None:
        shapes = [tuple(some.shape) for some in (self.sources, self.partners, self.ratios)]
        rows = (len(self.sources),) if self.sources.ndim else ()
        if shapes != [rows] * 3 or not rows or (self.boxes is not None and self.boxes.shape != (*rows, 4)):
            got = ", ".join(str(list(shape)) for shape in shapes)
            boxes = "" if self.boxes is None else f", {list(self.boxes.shape)}"
            raise InputError(
                f"a mix plan must hold sources [M], partners [M], ratios [M] and boxes [M, 4] or none, got {got}{boxes}"
            )

    def __len__(self) -> int:
        return len(self.sources)

    def __getitem__(self, part: slice | Tensor) -> MixPlan:
        boxes = self.boxes[part] if self.boxes is not None else None
        return MixPlan(self.sources[part], self.partners[part], self.ratios[part], boxes)

    @property
    def mixed(self) -> Tensor:
        """[M] bool, which rows are mixed at all."""
        return self.sources != self.partners

    def describe(self, row: int) -> str:
        """Returns the mixture of one row, such as ``"0.7 of image 3, 0.3 of image 8"``."""
        source, partner, ratio = int(self.sources[row]), int(self.partners[row]), float(self.ratios[row])
        if source == partner:
            return f"image {source}"
        where = ""
        if self.boxes is not None:
            top, left, bottom, right = self.boxes[row].tolist()
            where = f" in rows {top} to {bottom - 1}, columns {left} to {right - 1}"
        return f"{ratio:.3g} of image {source}, {1 - ratio:.3g} of image {partner}{where}"

    def to(self, device: torch.device | str) -> MixPlan:
        """Returns the plan with its tensors on a device."""
        boxes = self.boxes.to(device) if self.boxes is not None else None
        return MixPlan(self.sources.to(device), self.partners.to(device), self.ratios.to(device), boxes)

    def shifted(self, offset: int) -> MixPlan:
        """Returns the plan for the same images, counted from elsewhere: ``offset`` is added to every number."""
        return MixPlan(self.sources + offset, self.partners + offset, self.ratios, self.boxes)

    def check(self, images: int, where: str = "mix plan") -> MixPlan:
        """Returns the plan if every number in it means something for so many images.

        Raises:
            InputError: a number is out of range or not finite, or a box is none.
        """
        for name, numbers in (("sources", self.sources), ("partners", self.partners)):
            if numbers.dtype != torch.int64:
                raise InputError(f"{where}: {name} must be int64, got {numbers.dtype}")
            if len(numbers) and not (int(numbers.min()) >= 0 and int(numbers.max()) < images):
                got = f"{int(numbers.min())} to {int(numbers.max())}"
                raise InputError(f"{where}: {name} must be 0 to {images - 1}, got {got}")
        # Written so that NaN fails too.
        if not self.ratios.is_floating_point() or not bool(((self.ratios >= 0) & (self.ratios <= 1)).all()):
            raise InputError(f"{where}: ratios must be floats from 0 to 1; draw it anew")
        if self.boxes is not None:
            top, left, bottom, right = self.boxes.unbind(1)
            if self.boxes.dtype != torch.int64 or not bool(
                ((top >= 0) & (top <= bottom) & (left >= 0) & (left <= right)).all()
            ):
                raise InputError(f"{where}: boxes must be int64 (top, left, bottom, right) in ascending order")
        return self

    def save(self, path: AnyPath) -> None:
        """Writes the plan as a safetensors file."""
        tensors = {"sources": self.sources, "partners": self.partners, "ratios": self.ratios}
        if self.boxes is not None:
            tensors["boxes"] = self.boxes
        write_bytes(path, save({name: tensor.cpu().contiguous() for name, tensor in tensors.items()}))

    @staticmethod
    def load(path: AnyPath) -> MixPlan:
        """Reads a plan that `save` wrote.

        Raises:
            InputError: the file is missing, damaged or of another kind; file and field are named.
        """
        where = f"mix plan {path}"
        content, _ = read_tensors(path, where)
        try:
            plan = MixPlan(content["sources"], content["partners"], content["ratios"], content.get("boxes"))
            highest = max((int(some.max()) for some in (plan.sources, plan.partners) if len(some)), default=0)
            return plan.check(highest + 1, where)
        except KeyError as error:
            raise InputError(f"{where} must hold {error}; it is damaged or of another kind") from error
        except ValueError as error:
            raise InputError(f"{where} is damaged or of another kind ({error}); save it anew") from error


def join(plans: list[MixPlan]) -> MixPlan:
    """Returns one plan with the rows of several; either all of them have boxes or none."""
    boxes = [plan.boxes for plan in plans if plan.boxes is not None]
    return MixPlan(
        torch.cat([plan.sources for plan in plans]),
        torch.cat([plan.partners for plan in plans]),
        torch.cat([plan.ratios for plan in plans]),
        torch.cat(boxes) if boxes else None,
    )


def after_clean(plan: MixPlan, images: int) -> MixPlan:
    """Returns a plan that begins with every image as it is; the mixed rows of ``plan`` follow."""
    everything = torch.arange(images, device=plan.sources.device)
    boxes = torch.zeros(images, 4, dtype=torch.int64, device=everything.device) if plan.boxes is not None else None
    clean = MixPlan(everything, everything, torch.ones(images, device=everything.device), boxes)
    return join([clean, plan[plan.mixed]])
