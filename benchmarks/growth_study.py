"""What a study of many cells costs beside its trainings, which are marked as done: planning, table and page."""

from __future__ import annotations

import random
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from rolewise.config.study import Study
from rolewise.seals import DONE, SECONDS, write_sealed
from rolewise.study.job_graph import JobGraph, graph_of
from rolewise.study.linked_cells import make_cell
from rolewise.study.study_folder import StudyFolder, open_study
from rolewise.study.study_run import load_study
from rolewise.study.table import Ledger

if TYPE_CHECKING:
    from growth import Figures

BASE = Path(__file__).parent.parent / "configs" / "digits.yaml"


def grown_study(root: Path, cells: int, figures: Figures) -> None:
    """Plans a study, ends its stages one after another, and writes its page."""
    path = root / "study.yaml"
    across = max(2, round(cells**0.5))
    values = {
        "name": "growth",
        "base": str(BASE.resolve()),
        "grid": {
            "distill.methods.0.temperature": [1 + number / 10 for number in range(across)],
            "distill.methods.0.weight": [0.1 + number / 100 for number in range(cells // across)],
        },
        "seeds": [0, 1],
        "measure": ["accuracy"],
    }
    path.write_text(yaml.safe_dump(values, sort_keys=False))
    study: Study = figures.timed("load", lambda: load_study(path))
    graph: JobGraph = figures.timed("keys and jobs", lambda: graph_of(study))
    folder = figures.timed("open the folder", lambda: open_study(root / "out", study))
    figures.timed(
        "write the cells",
        lambda: [make_cell(folder, cell.name, cell.config, graph.keys[cell.name]) for cell in study.cells],
    )
    ledger = Ledger(study, graph, folder)
    rows = figures.timed("an empty table", ledger.write)
    for name, some in (("cells", study.cells), ("rows", rows), ("trainings", graph.trainings)):
        figures.keep(name, len(some))
    figures.keep("measurements", len(graph.measurements))
    simulate(study, graph, folder)
    rows = figures.timed("a full table", ledger.write)
    rows = figures.timed("a full table once more", ledger.write)
    assert all(row["status"] == "done" for row in rows)
    # Drawing needs matplotlib, whose loading is no part of the page.
    from rolewise.report import write_study_report

    page = figures.timed("page", lambda: write_study_report(root / "out"))
    figures.keep("page, MB", page.stat().st_size / 1e6)


def simulate(study: Study, graph: JobGraph, folder: StudyFolder) -> None:
    """Marks every stage as done, with results that are made up."""
    draws = random.Random(0)
    for job in graph.trainings:
        done = {"key": job.key, "files": {}, "images": 50_000, "parameters": 5_000}
        write_sealed(folder.store(job.key) / DONE, {**done, "validation_accuracy": draws.uniform(0.8, 0.9)})
        write_sealed(folder.store(job.key) / SECONDS, {"seconds": 10.0, "files": {}})
    for job in graph.measurements:
        found = {
            one.name: {"accuracy": draws.uniform(0.8, 0.9), "loss": draws.uniform(0.4, 0.6)} for one in job.measure
        }
        write_sealed(folder.store(job.key) / DONE, {"key": job.key, "files": {}, "measured": found, "test_images": 360})
