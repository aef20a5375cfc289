"""Data of a study's pictures that its table does not hold: reliability, features on a plane, mixed images."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rolewise.config.study import Study
from rolewise.data import Opened
from rolewise.data.text_source import is_text
from rolewise.errors import InputError
from rolewise.experiment import builders
from rolewise.experiment.role_section import section_of
from rolewise.experiment.seed_data import SeedData, seed_data_of
from rolewise.experiment.stage_graph import Stage
from rolewise.experiment.stages import trained_network
from rolewise.files import as_json, read_json
from rolewise.instruments import predict, project_pairs, reliability
from rolewise.seals import top_product, write_product
from rolewise.seeds import generator
from rolewise.study.chosen_networks import ChosenNetwork, Row, choose
from rolewise.study.job_graph import JobGraph
from rolewise.study.keys import digest
from rolewise.study.mixings import draw_mixings, mixings_of
from rolewise.study.stage_measurement import NetworkImages
from rolewise.study.study_folder import StudyFolder
from rolewise.study.table import study_metrics

#: Raised when the same networks come to be drawn in another way.
VERSION = 1
_TEACHERS = 2


def write_pictures(folder: StudyFolder, study: Study, graph: JobGraph, rows: Sequence[Row]) -> None:
    """Writes ``pictures.npz`` and ``pictures.json`` beside the table, where they are not there for these networks.

    Reliability of all seeds together needs ``calibration`` among the measurements, features ``geometry``; mixed images
    are of the first seed, before normalisation.

    Args:
        folder: the study folder.
        study: the study.
        graph: its jobs.
        rows: its table; of one that is not finished nothing is drawn.
    """
    chosen = choose(rows, study_metrics(study)[0])
    if not chosen or any(row["status"] in ("waiting", "trained") for row in rows):
        return
    wanted = {one.name for one in study.measure}
    networks = [[graph.keys[one.cell][_stage(row)] for row in one.rows] for one in chosen]
    mixings = mixings_of(study)
    known = {
        "version": VERSION,
        "networks": networks,
        # A study that was extended may have the same networks in other cells, by which the page finds their levels.
        "chosen": [one.plain for one in chosen],
        "measure": sorted(wanted),
        "mixings": [one.plain for one in mixings],
    }
    key, record, kept = digest(known), folder.root / "pictures.json", folder.root / "pictures.npz"
    if record.exists() and kept.exists():
        top_product(kept)
        if read_json(top_product(record), "the record of the pictures").get("key") == key:
            return
    arrays: dict[str, Any] = {}
    said: dict[str, Any] = {"key": key, "chosen": known["chosen"]}
    if "calibration" in wanted:
        arrays |= _reliability(folder, graph, chosen)
    if "geometry" in wanted:
        said["planes"] = _planes(folder, graph, chosen, arrays)
    if mixings:
        said["mixed"] = draw_mixings(study, mixings, arrays)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    write_product(kept, buffer.getvalue())
    # Last: where it stands, the arrays are whole.
    write_product(record, as_json(said))


def _stage(row: Row) -> str:
    return f"seed{row['seed']}/{row['student']}-{row['arm']}"


def _opened(folder: StudyFolder, cell: str, stage: Stage) -> tuple[SeedData, nn.Module, Opened]:
    run = folder.cell(cell)
    config = run.config()
    data = seed_data_of(config, stage.seed, builders.configured_device(config.device), run.root)
    return data, trained_network(run, data, stage), data.test.open(f"pictures of {config.name}, seed {stage.seed}")


def _reliability(folder: StudyFolder, graph: JobGraph, chosen: Sequence[ChosenNetwork]) -> dict[str, Any]:
    """Returns bins of confidence over all seeds, raw and each at its own fitted temperature."""
    arrays: dict[str, Any] = {}
    for number, one in enumerate(chosen):
        read: dict[str, list[Tensor]] = {"raw": [], "fitted": []}
        truth = []
        for row in one.rows:
            stage = graph.stages[one.cell][_stage(row)]
            data, model, opened = _opened(folder, one.cell, stage)
            spec = data.spec(section_of(data.config, stage.role).model)
            source = data.seen_by(stage.role, opened.source)
            logits, labels = predict(model, NetworkImages(source, opened.indices, spec, data.device))
            read["raw"].append(logits.double())
            read["fitted"].append(logits.double() / float(row["fitted_temperature"]))
            truth.append(labels)
        for name, logits_of in read.items():
            found = reliability(torch.cat(logits_of), torch.cat(truth), bins=10)
            for part in ("edges", "confidence", "accuracy", "counts"):
                arrays[f"reliability/{number}/{name}/{part}"] = getattr(found, part).numpy()
    return arrays


def _planes(
    folder: StudyFolder, graph: JobGraph, chosen: Sequence[ChosenNetwork], arrays: dict[str, Any]
) -> list[dict[str, Any]]:
    """Projects teachers and students of the first seed on the plane of the classes that the control confuses most."""
    first = graph.stages[chosen[0].cell][_stage(chosen[0].rows[0])]
    data, control, _ = _opened(folder, chosen[0].cell, first)
    if is_text(data.source):
        return []  # two texts have no mixture
    spec = data.spec(section_of(data.config, first.role).model)
    classes = confused(*predict(control, NetworkImages(data.source, data.validation, spec, data.device)))
    looked: dict[str, tuple[str, str, Stage]] = {}
    for cell, stages in graph.stages.items():
        for stage in stages.values():
            if stage.kind == "teacher" and stage.seed == first.seed and len(looked) < _TEACHERS:
                looked.setdefault(graph.keys[cell][stage.name], ("teacher", cell, stage))
    for one in chosen:
        stage = graph.stages[one.cell][_stage(one.rows[0])]
        looked[graph.keys[one.cell][stage.name]] = (one.what, one.cell, stage)
    drawn: list[dict[str, Any]] = []
    for what, cell, stage in looked.values():
        data, model, opened = _opened(folder, cell, stage)
        pixels = NetworkImages(opened.source, opened.indices, None, data.device)
        spec = data.spec(section_of(data.config, stage.role).model)
        stream = generator(stage.seed, "pictures", "plane")
        try:
            found = project_pairs(model, pixels, classes, generator=stream, spec=spec)
        except InputError:
            continue  # A network without a linear layer at its end, or without the tap, has no templates.
        at = f"plane/{len(drawn)}"
        arrays |= {f"{at}/corners": found.plane.corners.numpy(), f"{at}/clean": found.clean.numpy()}
        arrays |= {f"{at}/labels": found.labels.numpy(), f"{at}/mixed": found.mixed.numpy()}
        arrays |= {f"{at}/pairs": found.pairs.numpy()}
        names = [data.source.classes[index] for index in classes]
        mix = section_of(data.config, stage.role).mix
        drawn.append(
            {"what": what, "cell": cell, "role": stage.role, "mix": "" if mix.method == "none" else mix.method}
            | {"classes": list(classes), "names": names}
        )
    return drawn


def confused(logits: Tensor, labels: Tensor) -> tuple[int, int, int]:
    """Returns the two classes that are most often taken for one another, and the one most often taken for either.

    Args:
        logits: [N, K], K at least 3.
        labels: int64 [N].
    """
    classes = logits.shape[1]
    if classes < 3:
        raise InputError(f"a plane must have three classes, got {classes}")
    counts = torch.zeros(classes, classes)
    # The mean probability breaks ties where nothing is confused.
    counts.index_add_(0, labels, logits.float().softmax(1) * 1e-3)
    answers = logits.argmax(1)
    counts.index_put_((labels, answers), torch.ones(len(labels)), accumulate=True)
    both = (counts + counts.T).fill_diagonal_(-1)
    one, other = divmod(int(both.argmax()), classes)
    towards = both[one] + both[other]
    towards[[one, other]] = -1
    return one, other, int(towards.argmax())
