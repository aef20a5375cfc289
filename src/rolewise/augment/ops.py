"""The table of image operations: what each one does, its range and unit, and whether it has a sign.

Source: the fifteen operations of Population Based Augmentation (Ho et al., 2019, https://arxiv.org/abs/1905.05393),
with flip, pad-and-crop, the random resized crop, scale jitter and mosaic.
Differs from source: on the ``rolewise`` scale strength 0 is the identity and the effect grows with strength; the
original magnitudes, where that does not hold, are the ``pba`` scale (see `pba_value`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from rolewise.errors import InputError, near
from rolewise.foreign_code import is_import_path

OpKind = Literal["tone", "enhance", "geometric", "compose", "erase", "own", "tokens"]


@dataclass(frozen=True)
class Op:
    """One operation.

    Args:
        name: its key in `OPS`.
        kind: by grey levels alone, by a step from a degenerate image, by moving pixels, by other images of the batch,
            by erasing, by a function of the user's own; or of the tokens of a text.
        unit: the unit of its value.
        range: the value at strength 1; the value at strength 0 is 0, the identity.
        signed: whether the value's sign is drawn.
        effect: the effect of a value, in words.
        function: of an operation of the user's own (see `rolewise.augment.own_ops.operation`).
    """

    name: str
    kind: OpKind
    unit: str
    range: float
    signed: bool
    effect: str
    function: Callable[..., Tensor] | None = None


_TABLE = (
    Op("rotate", "geometric", "degrees", 30.0, True, "turns about the centre"),
    Op("translate_x", "geometric", "fraction of the width", 0.3, True, "moves along the row"),
    Op("translate_y", "geometric", "fraction of the height", 0.3, True, "moves along the column"),
    Op("shear_x", "geometric", "pixels for each row", 0.3, True, "shears along the row"),
    Op("shear_y", "geometric", "pixels for each column", 0.3, True, "shears along the column"),
    Op("brightness", "enhance", "factor - 1", 0.9, True, "scales towards black"),
    Op("contrast", "enhance", "factor - 1", 0.9, True, "scales about the mean grey level"),
    Op("color", "enhance", "factor - 1", 0.9, True, "scales about the pixel's grey level; identity for one channel"),
    Op("sharpness", "enhance", "factor - 1", 0.9, True, "scales about the smoothed image"),
    Op("posterize", "tone", "bits removed", 4.0, False, "keeps the upper bits"),
    Op("solarize", "tone", "grey levels", 256.0, False, "inverts the pixels from 256 - value up"),
    Op(
        "autocontrast", "tone", "share", 1.0, False, "stretches each channel to the full range, blended in by the share"
    ),
    Op("equalize", "tone", "share", 1.0, False, "flattens each channel's histogram, blended in by the share"),
    Op("invert", "tone", "switch", 1.0, False, "inverts, at any strength above 0"),
    Op("cutout", "erase", "fraction of the side", 0.6, False, "erases a square at a random place"),
    Op("flip", "geometric", "switch", 1.0, False, "mirrors left and right"),
    Op("crop", "geometric", "fraction of the side", 0.125, False, "pads with the fill and crops at a random place"),
    # What is new stands at the end: numbers in plans are places in this table.
    Op("resized_crop", "geometric", "fraction of the area", 0.92, False, "enlarges a random part to the whole image"),
    Op("scale", "geometric", "octaves", 1.0, True, "enlarges a random part, or shrinks the image to a random place"),
    Op("mosaic", "compose", "fraction of the side", 0.5, False, "puts parts of three other images beside it"),
)

_TOKENS = (
    Op("token_dropout", "tokens", "fraction of the tokens", 0.5, False, "leaves tokens out"),
    Op("token_swap", "tokens", "fraction of the neighbours", 0.5, False, "exchanges neighbouring tokens"),
    Op("token_mask", "tokens", "fraction of the tokens", 0.5, False, "hides tokens behind the tokenizer's mask"),
    Op("span_cut", "tokens", "fraction of the text", 0.5, False, "leaves a run of tokens out"),
)

#: Every operation of Rolewise on images by its name.
OPS: dict[str, Op] = {op.name: op for op in _TABLE}
#: Operations on the tokens of texts by their names.
TOKEN_OPS: dict[str, Op] = {op.name: op for op in _TOKENS}
#: The number of the first of them in a plan: far from those of images, so that no plan is taken for one of the others.
FIRST_TOKEN_OP = 1000
#: Operations of the user's own by their import paths, in the order in which this process imported them.
OWN: dict[str, Op] = {}
#: The number that stands for an operation of Rolewise in a plan; those of the user's own follow (see `number_of`).
INDEX: dict[str, int] = {op.name: index for index, op in enumerate(_TABLE)}
#: Names by number.
NAMES: tuple[str, ...] = tuple(OPS)
#: The fifteen operations of Population Based Augmentation.
PBA_OPS: tuple[str, ...] = NAMES[:15]


def check_op(name: str, where: str = "op") -> str:
    """Returns ``name`` if it is an operation.

    Raises:
        InputError: it is not; the near names are given.
    """
    if not isinstance(name, str):
        raise InputError(f"{where} must be the name of an operation, got {name!r}")
    if name not in OPS and name not in OWN and name not in TOKEN_OPS:
        if is_import_path(name):
            raise InputError(
                f"{where} must name an operation that is imported, got {name!r}; name it in augment.ops, or call "
                f"rolewise.augment.import_operation({name!r})"
            )
        raise InputError(f"{where} must name an operation, got {name!r}{near(name, [*OPS, *TOKEN_OPS])}")
    return name


def op_of(name: str) -> Op:
    """Returns the operation of a name that `check_op` accepts."""
    if name in TOKEN_OPS:
        return TOKEN_OPS[name]
    return OPS[name] if name in OPS else OWN[name]


def number_of(name: str) -> int:
    """Returns the number that stands for an operation in the plans of this process."""
    if name in TOKEN_OPS:
        return FIRST_TOKEN_OP + list(TOKEN_OPS).index(name)
    return INDEX[name] if name in INDEX else len(INDEX) + list(OWN).index(name)


def names_by_number() -> tuple[str, ...]:
    """Returns the names of all operations on images in the order of their numbers."""
    return (*NAMES, *OWN)


def name_of_number(number: int) -> str:
    """Returns the name of the operation that a number stands for in the plans of this process."""
    return [*TOKEN_OPS][number - FIRST_TOKEN_OP] if number >= FIRST_TOKEN_OP else names_by_number()[number]


def pba_value(name: str, level: int, side: int) -> float:
    """Returns the value of an operation at one of the original ten levels.

    Levels are truncated as the original's integer parameters are. Brightness, color, contrast and sharpness have the
    factor 0.1 + 0.18 level, so that level 5 is the identity and level 0 nearly removes them; posterize keeps 4 bits at
    level 0.

    Source: Ho et al. (2019), released code, as described for role-wise augmentation.

    Args:
        name: the operation.
        level: 0 to 9.
        side: the image's side in pixels that the pixel units are divided by.
    """
    if name in OWN:
        return OWN[name].range * level / 10
    if name == "rotate":
        return float(level * 30 // 10)
    if name in ("shear_x", "shear_y"):
        return level * 0.3 / 10
    if name in ("translate_x", "translate_y"):
        return level / side
    if name == "posterize":
        return 4.0 + level * 4 // 10
    if name == "solarize":
        return float(level * 256 // 10)
    if name in ("brightness", "contrast", "color", "sharpness"):
        return 0.1 + level * 1.8 / 10 - 1
    if name == "cutout":
        return 2 * level / side
    return 1.0


def is_signed(name: str, scale: str) -> bool:
    """Returns whether the sign of an operation's value is drawn on a scale."""
    if scale == "pba":
        return op_of(name).signed and op_of(name).kind == "geometric"
    return op_of(name).signed
