"""Digests of frozen teachers, by which a saved state notices that it is loaded beside another teacher."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

#: Bytes of a digest; all zero stands for a teacher that has no weights to tell it by.
SIZE = 16


class TeacherDigests:
    """The digests of some networks, computed when they are first wanted and again after a weight has changed.

    Args:
        networks: by role.
    """

    def __init__(self, networks: Mapping[str, nn.Module]) -> None:
        self._networks = dict(networks)
        self._known: dict[str, tuple[tuple[Any, ...], Tensor]] = {}
        self._all = torch.zeros(len(networks), SIZE, dtype=torch.uint8)

    def all(self) -> Tensor:
        """Returns uint8 [R, 16], a row for each network, on the CPU; the same tensor each time."""
        for row, role in zip(self._all, self._networks, strict=True):
            row.copy_(self._digest(role))
        return self._all

    def fault(self, saved: Any) -> str:
        """Returns the fault of a saved state that belongs to another teacher, and the remedy; empty without one.

        Args:
            saved: result of `all` when the state was saved; None where there was none.
        """
        roles = list(self._networks)
        if not isinstance(saved, Tensor) or saved.ndim != 2:
            return ""  # of no release that wrote digests in this form
        if len(saved) != len(roles):
            return (
                f"teacher must be as many networks as when the state was saved, {len(saved)}, got {len(roles)}; "
                f"{_REMEDY}"
            )
        for role, before in zip(roles, saved.cpu(), strict=True):
            now = self._digest(role)
            if before.any() and now.any() and not torch.equal(before, now):
                return (
                    f"{role} must be the network beside which the state was saved, got one with other weights (digest "
                    f"{_text(now)} in place of {_text(before)}); {_REMEDY}"
                )
        return ""

    def _digest(self, role: str) -> Tensor:
        tensors = [value for value in self._networks[role].state_dict().values() if isinstance(value, Tensor)]
        # A frozen teacher does not change: whether it did is far cheaper to find out than its digest.
        mark = tuple((tensor.data_ptr(), 0 if tensor.is_inference() else tensor._version) for tensor in tensors)
        known = self._known.get(role)
        if known is None or known[0] != mark:
            known = self._known[role] = mark, _digest_of(tensors)
        return known[1]


def digest_text(network: nn.Module) -> str:
    """Returns the digest of a network's weights and statistics in hexadecimals; zeros where it has none."""
    return bytes(_digest_of([one for one in network.state_dict().values() if isinstance(one, Tensor)]).tolist()).hex()


_REMEDY = "give that network, or call load_state_dict(state, strict=False) to keep this one"


def _digest_of(tensors: Sequence[Tensor]) -> Tensor:
    if not tensors or any(tensor.is_meta for tensor in tensors):
        return torch.zeros(SIZE, dtype=torch.uint8)
    total = hashlib.blake2b(digest_size=SIZE)
    for tensor in tensors:
        total.update(f"{tensor.dtype} {list(tensor.shape)};".encode())
        total.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return torch.tensor(list(total.digest()), dtype=torch.uint8)


def _text(digest: Tensor) -> str:
    return bytes(digest.tolist()).hex()[:8]
