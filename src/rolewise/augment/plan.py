"""A plan: what was drawn for each image of a batch. Drawing is random, applying is not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor

from rolewise.augment.ops import FIRST_TOKEN_OP, NAMES, OWN, TOKEN_OPS, check_op, name_of_number, number_of, op_of
from rolewise.errors import InputError
from rolewise.files import AnyPath, write_bytes
from rolewise.tensors import read_tensors

#: The number of operations of images before the random resized crop was among them.
_EARLIER = 17


@dataclass(frozen=True)
class Plan:
    """Concrete operations for each of B images, in S slots that are applied from the first to the last.

    Args:
        ops: [B, S] int64, numbers of operations (`rolewise.augment.ops.INDEX`), -1 for none.
        values: [B, S] float32, in each operation's own unit, sign included.
        draws: [B, S, 2] float32 in [0, 1): places, of the hole of cutout and of a crop (along x, along y).

    Raises:
        InputError: the shapes do not fit together.
    """

    ops: Tensor
    values: Tensor
    draws: Tensor

    def __post_init__(self) -> None:
        if self.ops.ndim != 2 or self.values.shape != self.ops.shape or self.draws.shape != (*self.ops.shape, 2):
            raise InputError(
                "a plan must hold ops [B, S], values [B, S] and draws [B, S, 2], got "
                f"{list(self.ops.shape)}, {list(self.values.shape)}, {list(self.draws.shape)}"
            )

    def __len__(self) -> int:
        return len(self.ops)

    def __getitem__(self, part: slice | Tensor) -> Plan:
        return Plan(self.ops[part], self.values[part], self.draws[part])

    def describe(self, image: int) -> list[str]:
        """Returns the operations on one image, such as ``["rotate -12 degrees", "flip"]``."""
        lines = []
        for op, value in zip(self.ops[image].tolist(), self.values[image].tolist(), strict=True):
            if op >= 0:
                name = name_of_number(op)
                unit = op_of(name).unit
                lines.append(name if unit == "switch" else f"{name} {value:.3g} {unit}")
        return lines

    def to(self, device: torch.device | str) -> Plan:
        """Returns the plan with its tensors on a device."""
        return Plan(self.ops.to(device), self.values.to(device), self.draws.to(device))

    def check(self, where: str = "plan", *, tokens: bool = False) -> Plan:
        """Returns the plan if every number in it means something.

        Args:
            where: its origin, for errors.
            tokens: whether its operations are those of the tokens of texts, and not of images.

        Raises:
            InputError: an operation is unknown, a value is not finite, or a draw is outside [0, 1).
        """
        ops, values, draws = (tensor.cpu().numpy() for tensor in (self.ops, self.values, self.draws))
        if ops.dtype.kind != "i" or values.dtype.kind != "f" or draws.dtype.kind != "f":
            raise InputError(
                f"{where}: ops must be whole numbers, values and draws floats, got {ops.dtype}, {values.dtype} and "
                f"{draws.dtype}"
            )
        if not ops.size:
            return self
        known = len(NAMES) + len(OWN)
        if not tokens and (ops.min() < -1 or ops.max() >= known):
            raise InputError(f"{where}: ops must be -1 to {known - 1}, got {ops.min()} to {ops.max()}")
        drawn = ops[ops != -1]
        if tokens and drawn.size and not FIRST_TOKEN_OP <= drawn.min() <= drawn.max() < FIRST_TOKEN_OP + len(TOKEN_OPS):
            raise InputError(
                f"{where}: ops must be of tokens, {', '.join(TOKEN_OPS)}, got others; take a policy of these"
            )
        if not np.isfinite(values).all():
            raise InputError(f"{where}: values must be finite, got {values[~np.isfinite(values)][0]}")
        # Written so that NaN fails too.
        if not (draws.min() >= 0 and draws.max() < 1):
            raise InputError(f"{where}: draws must be at least 0 and below 1, got {draws.min()} to {draws.max()}")
        return self

    def save(self, path: AnyPath) -> None:
        """Writes the plan as a safetensors file, with the names of the operations that its numbers stand for."""
        # Of the user's own operations only those that occur are named, and counted from the end of the table.
        used = [name for name in OWN if bool((self.ops == number_of(name)).any())]
        ops = self.ops.cpu().clone()
        for at, name in enumerate(used, len(NAMES)):
            ops[self.ops.cpu() == number_of(name)] = at
        tensors = {"ops": ops, "values": self.values, "draws": self.draws}
        content = {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
        write_bytes(path, save(content, metadata={"ops": ",".join([*NAMES, *used])}))

    @staticmethod
    def load(path: AnyPath) -> Plan:
        """Reads a plan that `save` wrote.

        Raises:
            InputError: the file is missing, damaged or of another kind; file and field are named.
        """
        where = f"plan {path}"
        content, metadata = read_tensors(path, where)
        try:
            ops, values, draws = (content[name] for name in ("ops", "values", "draws"))
        except KeyError as error:
            raise InputError(f"{where} must hold {error}; it is damaged or of another kind") from error
        names = (metadata.get("ops") or "").split(",")
        # A plan of an earlier release knows the beginning of the table.
        first = len(NAMES) if tuple(names[: len(NAMES)]) == NAMES else _EARLIER
        if tuple(names[:first]) != NAMES[:first]:
            text = metadata.get("ops")
            raise InputError(f"{where}: metadata ops must name this release's operations, got {text!r}; draw it anew")
        try:
            for own in names[first:]:
                # Numbers of operations of the user's own are those of the process that wrote the plan.
                check_op(own, f"{where}: metadata ops")
            here = torch.tensor([*(number_of(name) for name in names), -1])
            if ops.dtype == torch.int64 and ops.numel() and int(ops.min()) >= -1 and int(ops.max()) < len(names):
                ops = here[ops]
            return Plan(ops, values, draws).check(where)
        except InputError as error:
            raise InputError(str(error) if str(error).startswith(where) else f"{where}: {error}") from error
