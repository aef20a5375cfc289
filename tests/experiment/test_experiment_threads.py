"""Everything that computes in the main process keeps to the number of threads that the config gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from rolewise import report
from rolewise.advice import experiment_advice
from rolewise.deploy import export
from rolewise.experiment import evaluation, load, pipeline, previews
from rolewise.threads import torch_threads

pytestmark = pytest.mark.usefixtures("figures_unrendered", "timed_briefly")

QUICK = Path(__file__).with_name("quick.yaml")
SMALL = (
    "seeds=[0]",
    "arms.teacher=[none]",
    "arms.student=[none]",
    "arms.control=none",
    "arms.distill=[true]",
    "threads=2",
    "students[0].quantise={weights: 4, activations: 4, quantiser: dorefa}",
)


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch):
    """Notes with how many threads chosen functions are called."""
    found: dict[str, set[int]] = {}

    def watch(module: Any, name: str) -> None:
        inner = getattr(module, name)

        def noting(*arguments: Any, **more: Any) -> Any:
            found.setdefault(name, set()).add(torch.get_num_threads())
            return inner(*arguments, **more)

        monkeypatch.setattr(module, name, noting)

    for module, name in (
        (pipeline, "write_previews"),
        (pipeline, "write_results"),
        (report, "write_report"),
        (evaluation, "evaluate"),
        (export, "trained_network"),
        (experiment_advice, "advise_case"),
        (previews, "apply"),
    ):
        watch(module, name)
    return found


@pytest.mark.slow
def test_all_that_the_main_process_computes_keeps_to_the_threads_of_the_config(seen, tmp_path: Path) -> None:
    config = load(QUICK, SMALL)
    out = tmp_path / "r"
    with torch_threads(3):
        pipeline.run(config, out)
        evaluation.evaluate_stage(out, "seed0/teacher-none")
        export.export_stage(out, "seed0/small-none+distill", "packed", tmp_path / "packed.safetensors")
        trained_teacher = experiment_advice.find_teacher(config, None, (out, "seed0/teacher-none"))
        experiment_advice.advise_experiment(config, trained_teacher, effort=experiment_advice.Effort(images=20))
        previews.draw_preview("randaugment", tmp_path / "p.png", config)
        assert torch.get_num_threads() == 3
    assert len(seen) == 7 and set().union(*seen.values()) == {2}, seen
