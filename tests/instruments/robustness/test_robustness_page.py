"""What the page on robustness shows runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from torch import Tensor, nn

PAGE = Path(__file__).resolve().parents[3] / "docs" / "robustness.md"


def test_the_page_s_blocks_run(network: nn.Module, digits: tuple[Tensor, Tensor]) -> None:
    images, labels = digits[0][1300:1340], digits[1][1300:1340]
    levels = (images * 255).round().byte()
    known: dict[str, Any] = {
        "model": network,
        "other": nn.Sequential(nn.Flatten(), nn.Linear(64, 10)),
        "images": images,
        "labels": labels,
        "levels": levels,
        "batches": [(levels[:20], labels[:20]), (levels[20:], labels[20:])],
    }
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.S | re.M)
    assert len(blocks) == 3
    for block in blocks:
        exec(block, known)
    assert 0 < known["table"].mean < known["table"].clean <= 1
    assert known["similarity"].values.shape == (2, 2) and len(known["pairs"].mixed) > 3
