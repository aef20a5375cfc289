"""Previews of each role's view: a few images under its schedule at the start, the middle and the end of training."""

from __future__ import annotations

import colorsys
import io
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rolewise.augment import Schedule, apply, apply_to_masks, mix_images
from rolewise.augment import build_schedule as build_augmentation
from rolewise.batch import IGNORED
from rolewise.config.schema import DataSection, ExperimentConfig
from rolewise.data import RawData, read, read_with, stratified_subset
from rolewise.data.reading_rules import reads_texts
from rolewise.data.targets import kind_of_targets
from rolewise.errors import InputError, near
from rolewise.experiment import builders
from rolewise.experiment.drawn_boxes import with_boxes
from rolewise.experiment.role_section import section_of
from rolewise.experiment.run_folder import RunFolder
from rolewise.experiment.seed_data import seed_data_of
from rolewise.experiment.stage_graph import stages_of
from rolewise.files import write_bytes
from rolewise.seals import write_product
from rolewise.seeds import generator
from rolewise.threads import torch_threads
from rolewise.train import Mixing
from rolewise.train.moved_labels import moved_labels

FRACTIONS = (0.0, 0.5, 1.0)


def write_previews(run: RunFolder, images: int = 8) -> None:
    """Writes ``previews.npz`` of the first seed: ``clean`` and ``<search>/<fraction>``, uint8 [images, C, H, W].

    Boxes are drawn on their images; of texts nothing is written.
    """
    config = run.config()
    if reads_texts(config.data.name):
        return
    seed = config.seeds[0]
    data = seed_data_of(config, seed, torch.device("cpu"))
    chosen = data.some(min(images, len(data.train)), data.train, "previews")
    clean = data.source.batch(chosen)
    size = (clean.shape[1], clean.shape[2], clean.shape[3])
    boxes = _boxes(data.source.labels[chosen])
    arrays: dict[str, Any] = {"clean": (clean if boxes is None else with_boxes(clean, boxes)).numpy()}
    for stage in stages_of(config):
        if stage.kind != "search" or stage.seed != seed:
            continue
        schedule = Schedule.load(run.needed(stage.name, builders.schedule_file(run.stage(stage.name)).name))
        for fraction in FRACTIONS:
            plan = schedule.at(fraction).draw(
                len(clean), size, generator(seed, "preview", stage.subject, str(fraction))
            )
            seen = apply(clean, plan, interpolation=config.augment.interpolation, fill=config.augment.fill)
            if boxes is not None:
                seen = with_boxes(seen, moved_labels(boxes, plan, data.source.size))
            mixing = builders.mixing_of(section_of(config, stage.role).mix, config)
            stream = generator(seed, "preview", stage.subject, str(fraction), "mix")
            arrays[f"{stage.subject}/{fraction:g}"] = _mixed(
                seen, data.source.labels[chosen], mixing, fraction, stream
            ).numpy()
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    write_product(run.root / "previews.npz", buffer.getvalue())


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
    Boxes are drawn on their images, a colour for each class, white for those that do not count.

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
        raise InputError("a preview must be of images, and the data of this config are texts; leave --config out")
    mixing = _mixing_of(role, config) if role else None
    with torch_threads(config.threads if config is not None else 1):
        return _drawn(spec, out, config, images, mixing)


def _drawn(spec: str, out: Path, config: ExperimentConfig | None, images: int, mixing: Mixing | None) -> Path:
    from PIL import Image

    section = config.augment if config is not None else None
    schedule = build_augmentation(spec, ops=section.ops, ranges=section.ranges) if section else build_augmentation(spec)
    source = _images(config.data).train if config else read("digits").train
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


def _boxes(labels: torch.Tensor) -> torch.Tensor | None:
    """Returns packed boxes; None where labels are others."""
    return labels if kind_of_targets(labels) == "boxes" else None


def coloured(masks: torch.Tensor, channels: int) -> torch.Tensor:
    """Returns masks as pictures, uint8 [N, C, H, W]: a colour or grey level for each class, white for ignored pixels.

    Args:
        masks: uint8 [N, H, W].
        channels: C, 1 or 3.
    """
    # Steps of the golden angle keep neighbouring numbers apart, however many classes there are.
    hues = [colorsys.hsv_to_rgb((at * 0.618) % 1, 0.75, 0.45 + 0.45 * (at % 3) / 2) for at in range(IGNORED)]
    table = torch.tensor([*hues, (1.0, 1.0, 1.0)])
    table[0] = 0
    colours = (table * 255).to(torch.uint8)[masks.long()].movedim(3, 1)
    return colours if channels == 3 else colours.float().mean(1, keepdim=True).to(torch.uint8)


def _images(section: DataSection) -> RawData:
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
