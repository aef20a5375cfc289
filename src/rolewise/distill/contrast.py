"""The contrast of examples within a batch."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def contrast_loss(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    r"""Returns the loss of finding each example's teacher features among those of the batch (InfoNCE).

    .. math:: \ell_b = - \log \frac{\exp(\cos(f^s_b, f^t_b) / T)}{\sum_i \exp(\cos(f^s_b, f^t_i) / T)}

    Source: van den Oord et al. (2018), equation 4, with cosines.

    Args:
        student: [B, D].
        teacher: [B, D].
        temperature: T.

    Returns:
        [B], nats.
    """
    cosines = F.normalize(student, dim=1) @ F.normalize(teacher, dim=1).T
    return F.cross_entropy(cosines / temperature, torch.arange(len(student), device=student.device), reduction="none")
