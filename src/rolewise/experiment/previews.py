"""Previews of each role's view: a few images under its schedule at the start, the middle and the end of training."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rolewise.augment import Plan, Schedule, apply, apply_to_masks, mix_images
from rolewise.augment import build_schedule as build_augmentation
from rolewise.batch import IGNORED
from rolewise.config.schema import DataSection, ExperimentConfig
from rolewise.data import RawData, TextData, read, read_with, stratified_subset
from rolewise.data.reading_rules import reads_texts
from rolewise.data.targets import kind_of_targets
from rolewise.data.tokenisation import shown_tokens
from rolewise.errors import InputError, near
from rolewise.experiment import builders
from rolewise.experiment.drawn_targets import coloured, with_boxes, with_masks
from rolewise.experiment.role_section import section_of
from rolewise.experiment.run_folder import RunFolder
from rolewise.experiment.seed_data import seed_data_of
from rolewise.experiment.stage_graph import stages_of
from rolewise.experiment.text_previews import drawn_texts, text_arrays, texts_seen
from rolewise.files import write_bytes
from rolewise.seals import write_product
from rolewise.seeds import generator
from rolewise.threads import torch_threads
from rolewise.train import Mixing
from rolewise.train.moved_labels import moved_labels

FRACTIONS = (0.0, 0.5, 1.0)


def write_previews(run: RunFolder, images: int = 8) -> None:
    """Writes ``previews.npz`` of the first seed: ``clean`` and ``<search>/<fraction>``, uint8 [images, C, H, W].

    Boxes and masks are drawn on their images. Of texts the arrays hold their tokens, text [images].
    """
    config = run.config()
    seed = config.seeds[0]
    data = seed_data_of(config, seed, torch.device("cpu"))
    chosen = data.some(min(images, len(data.train)), data.train, "previews")
    searches = [stage for stage in stages_of(config) if stage.kind == "search" and stage.seed == seed]
    schedules = {
        stage.subject: Schedule.load(run.needed(stage.name, builders.schedule_file(run.stage(stage.name)).name))
        for stage in searches
    }

    def stream_of(subject: str, fraction: float, *more: str) -> torch.Generator:
        return generator(seed, "preview", subject, str(fraction), *more)

    arrays: dict[str, Any]
    if reads_texts(config.data.name):
        arrays = dict(text_arrays(data.seen_by, chosen, schedules, FRACTIONS, stream_of))
    else:
        clean, labels = data.source.batch(chosen), data.source.labels[chosen]
        size = (clean.shape[1], clean.shape[2], clean.shape[3])
        arrays = {"clean": _with_targets(clean, labels).numpy()}
        for stage in searches:
            mixing = builders.mixing_of(section_of(config, stage.role).mix, config)
            for fraction in FRACTIONS:
                stream = stream_of(stage.subject, fraction)
                plan = schedules[stage.subject].at(fraction).draw(len(clean), size, stream)
                seen = apply(clean, plan, interpolation=config.augment.interpolation, fill=config.augment.fill)
                seen = _with_targets(seen, labels, plan)
                mixed = _mixed(seen, labels, mixing, fraction, stream_of(stage.subject, fraction, "mix"))
                arrays[f"{stage.subject}/{fraction:g}"] = mixed.numpy()
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    write_product(run.root / "previews.npz", buffer.getvalue())


def _with_targets(images: torch.Tensor, labels: torch.Tensor, plan: Plan | None = None) -> torch.Tensor:
    """Returns images with their boxes or masks drawn on them, moved by a plan where there is one."""
    kind, (height, width) = kind_of_targets(labels), images.shape[2:]
    if kind not in ("boxes", "masks"):
        return images
    moved = labels if plan is None else moved_labels(labels, plan, (height, width))
    return with_boxes(images, moved) if kind == "boxes" else with_masks(images, moved)


def _mixed(
    images: torch.Tensor, labels: torch.Tensor, mixing: Mixing | None, fraction: float, stream: torch.Generator
) -> torch.Tensor:
    """Returns images as a role has them mixed, in grey levels; pairs by entropy, which need a network, as any."""
    if mixing is None:
        return images
    plan = mixing.at(fraction).draw(labels.cpu(), (images.shape[2], images.shape[3]), stream)
    mixed = mix_images(images, plan)
    return mixed if mixed.dtype == torch.uint8 else (mixed * 255).round().to(torch.uint8)


def draw_preview(
    spec: str, out: Path, config: ExperimentConfig | None = None, images: int = 10, role: str = ""
) -> Path:
    """Draws rows of images: clean, then under an augmentation at the beginning, the middle and the end of training.

    Below each row of images with masks stand their masks, a colour for each class, white where pixels do not count.
    Boxes are drawn on their images, a colour for each class, white for those that do not count. Of texts there are
    lines of tokens, with those that are hidden on a ground of their own.

    Args:
        spec: a preset or a schedule file.
        out: the PNG to write.
        config: takes data, operations and interpolation from there; digits by default.
        images: columns.
        role: of the config; its images are mixed as that role's are.

    Raises:
        InputError: a role is given without a config, or is none of it; or the file's name is no PNG's.
    """
    if out.suffix.lower() != ".png":
        raise InputError(f"--out must end in .png, in which form the picture is written, got {str(out)!r}; rename it")
    if config is not None and reads_texts(config.data.name):
        return _drawn_texts(spec, out, config, images, role)
    mixing = _mixing_of(role, config) if role else None
    with torch_threads(config.threads if config is not None else 1):
        return _drawn(spec, out, config, images, mixing)


def _drawn(spec: str, out: Path, config: ExperimentConfig | None, images: int, mixing: Mixing | None) -> Path:
    from PIL import Image

    section = config.augment if config is not None else None
    schedule = build_augmentation(spec, ops=section.ops, ranges=section.ranges) if section else build_augmentation(spec)
    source = _read(config.data).train if config else read("digits").train
    chosen = stratified_subset(torch.arange(len(source)), source.labels, min(images, len(source)), 0)
    clean = source.batch(chosen)
    size = (clean.shape[1], clean.shape[2], clean.shape[3])
    labels = source.labels[chosen]
    boxes, masks = _boxes(labels), labels if kind_of_targets(labels) == "masks" else None
    first = clean if boxes is None else with_boxes(clean, boxes)
    rows = [first] if masks is None else [clean, coloured(masks, size[0])]
    for fraction in FRACTIONS:
        plan = schedule.at(fraction).draw(len(clean), size, generator(0, "preview", str(fraction)))
        interpolation = section.interpolation if section else "bilinear"
        stream = generator(0, "preview", str(fraction), "mix")
        seen = apply(clean, plan, interpolation=interpolation)
        if boxes is not None:
            seen = with_boxes(seen, moved_labels(boxes, plan, source.size))
        rows.append(_mixed(seen, source.labels[chosen], mixing, fraction, stream))
        if masks is not None:
            rows.append(coloured(apply_to_masks(masks, plan, fill=IGNORED), size[0]))
    gap = torch.full((clean.shape[1], size[1], 1), 255, dtype=torch.uint8)
    strips = [torch.cat([torch.cat([image, gap], 2) for image in row], 2) for row in rows]
    line = torch.full((clean.shape[1], 1, strips[0].shape[2]), 255, dtype=torch.uint8)
    page = torch.cat([torch.cat([strip, line], 1) for strip in strips], 1).permute(1, 2, 0).numpy()
    scale = max(1, 64 // max(size[1:]))
    picture = Image.fromarray(page[..., 0] if page.shape[2] == 1 else page)
    buffer = io.BytesIO()
    picture.resize((picture.width * scale, picture.height * scale), Image.Resampling.NEAREST).save(buffer, "PNG")
    write_bytes(out, buffer.getvalue())
    return out


def _drawn_texts(spec: str, out: Path, config: ExperimentConfig, texts: int, role: str) -> Path:
    _mixing_of(role, config) if role else None
    whole, schedule = _read(config.data).train, builders.preset(config, spec)
    assert isinstance(whole, TextData)
    source = whole.for_role(role or "student")
    chosen = stratified_subset(torch.arange(len(source)), source.labels, min(texts, len(source)), 0)
    rows = {"clean": texts_seen(source, chosen, None)}
    for fraction, moment in zip(FRACTIONS, ("beginning", "middle", "end"), strict=True):
        rows[moment] = texts_seen(source, chosen, schedule, fraction, generator(0, "preview", str(fraction)))
    mask = source.facts.mask
    hidden = "" if mask is None else shown_tokens(source.facts.name, [mask])
    buffer = io.BytesIO()
    drawn_texts(rows, hidden).save(buffer, "PNG")
    write_bytes(out, buffer.getvalue())
    return out


def _boxes(labels: torch.Tensor) -> torch.Tensor | None:
    """Returns packed boxes; None where labels are others."""
    return labels if kind_of_targets(labels) == "boxes" else None


def _read(section: DataSection) -> RawData:
    return read_with(
        section.name,
        section.arguments,
        root=section.root,
        download=section.download,
        memory_budget_mb=section.memory_budget_mb,
        # A few images are decoded before a process would have started.
        decoders=0,
    )


def _mixing_of(role: str, config: ExperimentConfig | None) -> Mixing | None:
    roles = ["teacher", *(student.name for student in config.students)] if config is not None else []
    if config is None or role not in roles:
        rule = f"one of {', '.join(roles)}" if roles else "of a config; add --config"
        raise InputError(f"role must be {rule}, got {role!r}{near(role, roles)}")
    return builders.mixing_of(section_of(config, role).mix, config)
