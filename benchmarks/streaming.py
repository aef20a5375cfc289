"""Images that are streamed from disk: decoding, random access, and whether a training waits for them.

    python benchmarks/streaming.py [--json FILE] [--quick]

Photographs of 500x375 pixels are generated and packed at 256. Then four comparisons, in turns, by ratios of one round:
decoding and resizing against Pillow's path (processor time of one thread); reading the encoded images in random order
from Arrow files against tar files with an index of offsets (the same); batches by processes that share memory against a
torch DataLoader with as many workers that decodes the same files by the same code (wall time); and an epoch of a small
network on streamed images against the same epoch on images in memory (wall time), whose ratio is the share of the time
that the training computes.
"""

from __future__ import annotations

import io
import os
import platform
import statistics
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import quiet
import torch
from PIL import Image
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

from rolewise.augment import build_schedule
from rolewise.data import PackedImages, batches, picture_pixels, read, shuffled
from rolewise.data.decoding_processes import shared_pool
from rolewise.data.image_decoder import decode_image
from rolewise.data.pack_sources import folder_source
from rolewise.data.packed_files import PackSettings
from rolewise.data.packing import pack_images
from rolewise.distill import Distiller
from rolewise.inputs import InputSpec
from rolewise.models import build
from rolewise.train import OptimizerSettings, Trainee, TrainSettings

CLASSES = 10
#: The way from a file to pixels: name, whether it is a photograph or a packed image, size, crop ratio.
WAYS: dict[str, tuple[str, int, float]] = {
    "photograph of 500x375 to 256": ("photograph", 256, 1.0),
    "packed image of 256 to the middle 224": ("packed", 224, 0.875),
    "packed image of 256 resampled to 224": ("packed", 224, 1.0),
}
BATCH = 64


def photographs(folder: Path, count: int) -> None:
    """Writes pictures with detail at all scales, as photographs have it, in a folder for each class."""
    stream = torch.Generator().manual_seed(0)
    for number in range(count):
        picture = torch.zeros(1, 3, 375, 500)
        for octave in range(2, 8):
            noise = torch.randn(1, 3, 3 * 2**octave // 4, 2**octave, generator=stream)
            picture += functional.interpolate(noise, (375, 500), mode="bilinear") * 2.0 ** (2 - octave)
        levels = (picture[0] * 30 + 128).clamp(0, 255).byte().permute(1, 2, 0).numpy()
        place = folder / f"class{number % CLASSES}"
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(levels).save(place / f"{number:05d}.jpg", quality=90)


def indexed_tar(contents: list[bytes], file: Path) -> list[tuple[int, int]]:
    """Writes images into a tar file; returns the first byte and the size of each."""
    with tarfile.open(file, "w") as tar:
        for number, content in enumerate(contents):
            member = tarfile.TarInfo(f"{number:06d}.jpg")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    with tarfile.open(file) as tar:
        return [(member.offset_data, member.size) for member in tar]


class TarImages(Dataset):
    """The images of an indexed tar file, for a DataLoader."""

    def __init__(self, file: Path, index: list[tuple[int, int]], decode: Callable[[Any], np.ndarray]) -> None:
        self.file, self.index, self.decode = file, index, decode
        self.handle: int | None = None

    def __len__(self) -> int:
        return len(self.index)

    def content(self, number: int) -> bytes:
        """Returns an encoded image."""
        if self.handle is None:  # of this process
            self.handle = os.open(self.file, os.O_RDONLY)
        start, size = self.index[number]
        return os.pread(self.handle, size, start)

    def __getitem__(self, number: int) -> torch.Tensor:
        return torch.from_numpy(self.decode(io.BytesIO(self.content(number))))


def in_turns(sides: dict[str, Callable[[], object]], rounds: int, clock: Callable[[], float]) -> dict[str, list[float]]:
    """Returns the seconds of each side in every round; the first round is left out."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    names = list(sides)
    for turn in range(-1, rounds):
        quiet.beat()
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            start = clock()
            sides[name]()
            if turn >= 0:
                seconds[name].append(clock() - start)
    return seconds


def compared(kind: str, seconds: dict[str, list[float]], reference: str, count: int) -> dict[str, Any]:
    """Returns images a second of each side, and its speed as a multiple of the reference's."""
    return {
        "kind": kind,
        "images_per_second": {name: count / statistics.median(values) for name, values in seconds.items()},
        "speed_over": reference,
        "speed": {
            name: quiet.ratio(seconds[reference], values) for name, values in seconds.items() if name != reference
        },
    }


def decoding(kind: str, contents: list[bytes], size: int, ratio: float, rounds: int) -> dict[str, Any]:
    """Decodes and resizes, by Pillow alone and by what is used where simplejpeg is installed."""
    fast = picture_pixels._simplejpeg()

    def side(resampling: Any, decoder: Any) -> Callable[[], None]:
        def decode() -> None:
            picture_pixels._simplejpeg = lambda: decoder  # type: ignore[assignment]
            for content in contents:
                decode_image(io.BytesIO(content), (size, size), 3, crop_ratio=ratio, resampling=resampling)

        return decode

    sides = {
        "Pillow": side("pillow", None),
        "Pillow, torch's resampling": side("torch", None),
        "simplejpeg, torch's resampling": side("torch", fast),
    }
    seconds = in_turns(sides, rounds, time.process_time)
    picture_pixels._simplejpeg = lambda: fast  # type: ignore[assignment]
    return compared(kind, seconds, "Pillow", len(contents))


def loading(source: PackedImages, tar: TarImages, processes: int, rounds: int) -> dict[str, Any]:
    """Loads every image in batches and a random order, by processes."""
    source.decoders = processes
    order = shuffled(torch.arange(len(source)), torch.Generator().manual_seed(0))
    loader = DataLoader(
        tar,
        BATCH,
        sampler=order.tolist(),
        num_workers=processes,
        persistent_workers=True,
        multiprocessing_context="forkserver",
    )

    def packed() -> None:
        for _ in batches(source, order, BATCH):
            pass

    def loaded() -> None:
        for _ in loader:
            pass

    seconds = in_turns({"packed": packed, "DataLoader": loaded}, rounds, time.perf_counter)
    return compared(f"batches of {BATCH} by {processes} processes", seconds, "DataLoader", len(source))


def busy(folder: Path, rounds: int, processes: int) -> dict[str, Any]:
    """Trains a small network for an epoch on streamed images, and on the same images in memory."""
    sides: dict[str, Callable[[], object]] = {}
    count = 0
    for name, budget in (("in memory", 1e6), ("streamed", 1e-9)):
        source = read("packed", root=folder, path="packed", crop_ratio=0.875, memory_budget_mb=budget).train
        if isinstance(source, PackedImages):
            source.decoders = processes
        count = len(source)
        spec = InputSpec((0.5,) * 3, (0.25,) * 3, (48, 48))
        student = build("resnet8", seed=1, num_classes=CLASSES, channels=3, size=(48, 48))
        made = Trainee(
            Distiller(None, student, [], student_input=spec),
            source,
            torch.arange(count),
            augmentation=build_schedule("inception"),
            settings=TrainSettings(
                epochs=10_000, batch_size=BATCH, optimizer=OptimizerSettings(learning_rate=1e-3), channels_last=True
            ),
            seed=0,
        )
        sides[name] = lambda made=made: made.run_epochs(made.epoch, made.epoch + 1)
    seconds = in_turns(sides, rounds, time.perf_counter)
    found = compared("an epoch of ResNet-8 at 48 pixels of 224", seconds, "in memory", count)
    return found | {"batch": BATCH, "processes": processes, "share_computing": found["speed"]["streamed"]["median"]}


def main() -> None:
    """Prints a table; with ``--json`` writes it too."""
    arguments = quiet.command_line(__doc__).parse_args()
    count, rounds = (128, 3) if arguments.quick else (1024, 12)
    quiet.begin(1)
    processes = max(1, (os.cpu_count() or 2) - 1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        photographs(folder / "photographs", count)
        pack_images(folder_source(folder / "photographs", {}), folder / "packed", PackSettings(256))
        source = read("packed", root=folder, path="packed", crop_ratio=0.875, memory_budget_mb=1e-9).train
        assert isinstance(source, PackedImages)
        few = list(range(min(count, 128)))
        large = [file.read_bytes() for file in sorted((folder / "photographs").rglob("*.jpg"))[: len(few)]]
        kinds = {"photograph": large, "packed": source.rows.contents(few)[0]}
        rows = [decoding(name, kinds[kind], size, ratio, rounds) for name, (kind, size, ratio) in WAYS.items()]
        index = indexed_tar(source.rows.contents(list(range(count)))[0], folder / "images.tar")
        tar = TarImages(folder / "images.tar", index, source.rows.decode)
        order = torch.randperm(count, generator=torch.Generator().manual_seed(1)).tolist()
        access = {
            "packed": lambda: [source.rows.contents(order[at : at + 16]) for at in range(0, count, 16)],
            "indexed tar": lambda: [tar.content(number) for number in order],
        }
        rows.append(
            compared(
                "encoded images in random order", in_turns(access, rounds, time.process_time), "indexed tar", count
            )
        )
        rows.append(loading(source, TarImages(tar.file, index, tar.decode), processes, rounds))
        rows.append(busy(folder, max(2, rounds // 3), processes))
        shared_pool(processes).close()
    for row in rows:
        rates = ", ".join(f"{name} {rate:,.0f}/s" for name, rate in row["images_per_second"].items())
        ratios = ", ".join(f"{name} {one['median']:.2f}" for name, one in row["speed"].items())
        print(f"{row['kind']}: {rates}; times {row['speed_over']}: {ratios}")
    content = {"machine": platform.machine(), "torch": torch.__version__, "images": count, "rows": rows}
    quiet.write(arguments.json, content, claim=not arguments.quick)


if __name__ == "__main__":
    main()
