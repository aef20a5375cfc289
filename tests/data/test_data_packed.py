"""Images packed into Arrow files: from each kind of source, streamed and resident, damaged, broken off, and gone on."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import tarfile
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image, ImageOps

from rolewise.data import (
    DataWarning,
    ImageData,
    PackedImages,
    argument_faults,
    decoding_processes,
    divide,
    fingerprint,
    packing,
    read,
    reader_settings,
)
from rolewise.data import picture_pixels as pixels_of
from rolewise.data.decoding_processes import DecodingProcesses, shared_pool
from rolewise.data.image_decoder import FaultyImageError, decode_image
from rolewise.data.pack_record import RECORD, pack_digests
from rolewise.data.pack_sources import PackSource, folder_source, list_source
from rolewise.data.packed_files import PackSettings
from rolewise.data.packing import pack_images
from rolewise.data.tar_shards import tar_source
from rolewise.errors import InputError

datasets = pytest.importorskip("datasets")
ALL = torch.arange(12)
SETTINGS = PackSettings(size=16, images_per_file=5)


def photograph(number: int, size: tuple[int, int] = (24, 20)) -> Image.Image:
    """A smooth picture, no two alike: (width, height)."""
    y, x = np.mgrid[: size[1], : size[0]]
    levels = [(x * (5 + number) + y * 3 * c + 40 * c) % 256 for c in range(3)]
    return Image.fromarray(np.stack(levels, 2).astype(np.uint8)).resize(size)


def encoded(number: int, form: str = "JPEG", **how: Any) -> bytes:
    written = io.BytesIO()
    photograph(number, **how).save(written, form, quality=95)
    return written.getvalue()


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve training images of two classes, four of another part."""
    root = tmp_path_factory.mktemp("photographs")
    for part, start, count in (("train", 0, 6), ("val", 50, 2)):
        for label, name in enumerate(("cat", "dog")):
            (root / part / name).mkdir(parents=True)
            for number in range(count):
                content = encoded(start + 10 * label + number)
                (root / part / name / f"{number}.jpg").write_bytes(content)
    return root


def packed(source: PackSource, folder: Path, **more: Any) -> Path:
    pack_images(source, folder, SETTINGS, processes=0, **more)
    return folder


@pytest.fixture(scope="module")
def folder(photographs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return packed(folder_source(photographs, {}), tmp_path_factory.mktemp("packed") / "whole")


def reading(folder: Path, **arguments: Any) -> Any:
    given = {"path": folder.name, "size": 14, "crop_ratio": 0.875, "memory_budget_mb": 1e-9} | arguments
    data = read("packed", root=folder.parent, **given)
    for part in (data.train, data.test):
        if isinstance(part, PackedImages):
            part.decoders = 0
    return data


def test_both_decoders_of_jpeg_give_the_same_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("simplejpeg")
    contents = [encoded(3), encoded(4, size=(61, 47))]
    written = io.BytesIO()
    photograph(5).convert("L").save(written, "JPEG")
    contents.append(written.getvalue())

    def seen() -> list[np.ndarray]:
        return [decode_image(io.BytesIO(one), (16, 16), channels) for one in contents for channels in (1, 3)]

    fast = seen()
    with pytest.raises(FaultyImageError):
        decode_image(io.BytesIO(contents[1][:-300]), (16, 16), 3)
    monkeypatch.setattr(pixels_of, "_simplejpeg", lambda: None)
    assert all(np.array_equal(one, other) for one, other in zip(fast, seen(), strict=True))
    with pytest.raises(FaultyImageError):
        decode_image(io.BytesIO(contents[1][:-300]), (16, 16), 3)


def test_a_crop_of_the_right_size_is_cut_out_and_torch_resamples_almost_as_pillow() -> None:
    picture = photograph(1, (64, 64))
    written = io.BytesIO()
    picture.save(written, "PNG")
    for size, ratio in ((56, 0.875), (40, 0.875), (24, 1.0), (90, 1.0)):
        expected = np.asarray(ImageOps.fit(picture, (size, size), bleed=(1 - ratio) / 2)).transpose(2, 0, 1)
        how: dict[str, Any] = {"size": (size, size), "channels": 3, "crop_ratio": ratio}
        assert np.array_equal(decode_image(io.BytesIO(written.getvalue()), **how), expected)
        other = decode_image(io.BytesIO(written.getvalue()), **how, resampling="torch")
        differing = np.abs(other.astype(int) - expected)
        # Pillow sees the pixels beyond a crop's edge, torch does not.
        within = differing[:, 2:-2, 2:-2] if ratio < 1 else differing
        assert within.max() <= (0 if size == 56 else 2)
    for resize in ("pad", "squash"):
        both = [
            decode_image(io.BytesIO(encoded(2)), (16, 12), 3, 9, resize=resize, resampling=code).astype(int)
            for code in ("pillow", "torch")
        ]
        assert np.abs(both[0] - both[1]).max() <= 2


def test_a_folder_is_packed_and_the_library_reads_it(folder: Path, photographs: Path) -> None:
    whole = datasets.load_from_disk(str(folder))
    assert {part: len(rows) for part, rows in whole.items()} == {"train": 12, "validation": 4}
    assert whole["train"].features["label"].names == ["cat", "dog"] and whole["train"]["label"] == [0] * 6 + [1] * 6
    first = whole["train"][0]["image"]
    assert first.size == (16, 16) and whole["train"][7]["label"] == 1
    expected = decode_image(photographs / "train/cat/0.jpg", (16, 16), 3, resampling="torch")
    assert np.abs(np.asarray(first).transpose(2, 0, 1).astype(int) - expected).mean() < 12  # encoded once more
    assert len(list((folder / "train").glob("*.arrow"))) == 3
    assert not list(folder.parent.glob(".*"))


def test_streamed_resident_and_limited_images_have_the_same_bytes(folder: Path) -> None:
    streamed, resident = reading(folder, test="validation"), reading(folder, test="validation", memory_budget_mb=99.0)
    assert isinstance(streamed.train, PackedImages) and isinstance(resident.train, ImageData)
    order = torch.tensor([11, 0, 5, 5])
    for part in ("train", "test"):
        one, other = getattr(streamed, part), getattr(resident, part)
        some = order[order < len(one)]
        assert torch.equal(one.batch(some), other.batch(some)) and torch.equal(one.labels, other.labels)
        assert one.classes == ("cat", "dog")
    how: dict[str, Any] = {"name": "packed", "test": None, "limit": 6, "split_seed": 0}
    few = divide(streamed.train, streamed.test, **how, budget_mb=1.0)
    left = divide(streamed.train, streamed.test, **how, budget_mb=1e-9)
    assert isinstance(few.source, ImageData) and len(few.source) == 6
    assert torch.equal(few.source.batch(few.usable), left.source.batch(left.usable))
    wide = reading(folder, train_crop_ratio=1.0).train
    assert not torch.equal(wide.batch(ALL), streamed.train.batch(ALL))


def test_a_list_and_tar_files_pack_the_same_rows(photographs: Path, folder: Path, tmp_path: Path) -> None:
    for part in ("train", "val"):
        files = sorted((photographs / part).rglob("*.jpg"))
        lines = [f"{file.relative_to(photographs)},{file.parent.name}" for file in files]
        (photographs / f"{part}.csv").write_text("image,label\n" + "\n".join(lines) + "\n")
        for shard in range(2):
            with tarfile.open(photographs.parent / f"{part}-{shard}.tar", "w") as tar:
                for at, file in enumerate(files):
                    if at // (len(files) // 2) == shard:
                        sides = {".jpg": file.read_bytes(), ".json": json.dumps({"label": file.parent.name}).encode()}
                        for ending, content in sides.items():
                            member = tarfile.TarInfo(f"{file.parent.name}{at:03d}{ending}")
                            member.size = len(content)
                            tar.addfile(member, io.BytesIO(content))
    how: dict[str, Any] = {"image": "image", "label": "label", "root": None, "classes": None}
    listed = packed(list_source(photographs / "train.csv", {"validation": "val.csv"}, **how), tmp_path / "listed")
    shards = packed(tar_source(photographs.parent, {}, None), tmp_path / "shards")
    assert pack_digests(listed) == pack_digests(shards) == pack_digests(folder)
    numbers = tar_source(photographs.parent / "train-0.tar", {}, ["cat", "dog", "owl"])
    assert numbers.classes == ("cat", "dog", "owl") and len(numbers.parts["train"]) == 6


def test_tar_files_without_a_class_or_compressed_are_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        member = tarfile.TarInfo("n/1.jpg")
        member.size = len(encoded(1))
        tar.addfile(member, io.BytesIO(encoded(1)))
    with pytest.raises(InputError, match=r"a\.tar/n/1\.jpg has no class; add a member"):
        tar_source(tmp_path / "a.tar", {}, None)
    with tarfile.open(tmp_path / "b.tar", "w:gz"):
        pass
    with pytest.raises(InputError, match="uncompressed tar file"):
        tar_source(tmp_path / "b.tar", {}, None)
    with pytest.raises(InputError, match="--test 't-"):
        tar_source(tmp_path, {"test": "t-*"}, None)


def test_damaged_images_are_named_and_only_their_file_is_left_to_do(photographs: Path, tmp_path: Path) -> None:
    content = {at: encoded(at) for at in range(12)}
    content[7] = content[7][:100]
    for at, one in content.items():
        place = tmp_path / "in" / ("cat" if at < 6 else "dog")
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{at:02d}.jpg").write_bytes(one)
    source = folder_source(tmp_path / "in", {})
    with pytest.raises(InputError, match=r"^dog/07\.jpg cannot be read as an image .*give --faulty skip"):
        packed(source, tmp_path / "out")
    partial = tmp_path / ".out.packing/train"
    assert not (tmp_path / "out").exists()
    kept = {file.name: file.stat().st_mtime_ns for file in partial.glob("*.arrow")}
    assert len(kept) == 2
    with pytest.raises(InputError, match=r"settings; size 16 then, 8 now; give what was given then"):
        pack_images(source, tmp_path / "out", PackSettings(8, images_per_file=5), processes=0)
    with pytest.warns(DataWarning, match="left out: 1 image of 12"):
        counts = pack_images(source, tmp_path / "out", SETTINGS, processes=0, faulty="skip")
    assert counts == {"train": 11}
    now = {file.name: file.stat().st_mtime_ns for file in (tmp_path / "out/train").glob("*.arrow")}
    assert len(now) == 3 and kept.items() <= now.items()
    with pytest.raises(InputError, match="must not be there yet"):
        packed(source, tmp_path / "out")


def test_packing_that_was_broken_off_goes_on(
    photographs: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, write, written = folder_source(photographs, {}), packing.write_packed_file, []

    def broken(file: Path, *rest: Any) -> Any:
        written.append(file.name)
        if len(written) == 3:
            raise KeyboardInterrupt
        return write(file, *rest)

    monkeypatch.setattr(packing, "write_packed_file", broken)
    with pytest.raises(KeyboardInterrupt):
        packed(source, tmp_path / "out")
    with pytest.raises(InputError, match="is not packed to its end"):
        pack_digests(tmp_path / ".out.packing")
    packed(source, tmp_path / "out")
    assert len(written) == 5  # two files are not written twice
    assert pack_digests(tmp_path / "out") == pack_digests(folder)
    for file in (folder / "train").glob("*.arrow"):
        assert file.read_bytes() == (tmp_path / "out/train" / file.name).read_bytes()


def test_what_was_changed_after_packing_is_refused(photographs: Path, tmp_path: Path) -> None:
    whole = packed(folder_source(photographs, {}), tmp_path / "whole")
    assert fingerprint(reading(whole).train)["pixels"]
    file = sorted((whole / "train").glob("*.arrow"))[1]
    content = bytearray(file.read_bytes())
    content[content.index(b"\xff\xd9") - 5] ^= 1
    file.write_bytes(content)
    with pytest.raises(InputError, match="whole, split train must have the digest"):
        fingerprint(reading(whole).train)
    (whole / RECORD).write_text("{}")
    with pytest.raises(InputError, match="pack the data set anew"):
        reading(whole)


def test_a_folder_of_the_hubs_layout_is_read_as_it_is(tmp_path: Path) -> None:
    features = datasets.Features({"photo": datasets.Image(), "kind": datasets.Value("string")})
    rows = [{"photo": {"bytes": encoded(at), "path": None}, "kind": "ba"[at % 2]} for at in range(8)]
    (tmp_path / "hub").mkdir()
    for name, some in (("train", rows[:5]), ("test", rows[5:])):
        part = datasets.Dataset.from_list(some, features=features)
        part.to_parquet(str(tmp_path / f"hub/{name}-00000-of-00001.parquet"))
    datasets.DatasetDict(
        {"train": datasets.Dataset.from_list(rows[:5], features=features), "dev": datasets.Dataset.from_list(rows[5:])}
    ).cast(features).save_to_disk(str(tmp_path / "saved"))
    data = reading(tmp_path / "hub", image="photo", label="kind")
    assert data.train.classes == ("a", "b") and data.train.labels.tolist() == [1, 0, 1, 0, 1] and len(data.test) == 3
    joined = reading(tmp_path / "saved", image="photo", label="kind", validation="dev")
    assert joined.test is None and joined.train.validating.tolist() == [5, 6, 7]
    assert torch.equal(joined.train.batch(torch.tensor([6])), data.test.batch(torch.tensor([1])))
    held = reading(tmp_path / "saved", image="photo", label="kind", validation="dev", memory_budget_mb=9.0).train
    assert held.validating.tolist() == [5, 6, 7] and torch.equal(held.images, joined.train.batch(torch.arange(8)))
    assert (
        fingerprint(data.train)["pixels"]
        == fingerprint(reading(tmp_path / "hub", image="photo", label="kind").train)["pixels"]
    )
    for wrong, match in (
        ({"label": "kinds"}, r'label must be one of the columns photo, kind .*did you mean "kind"'),
        ({"image": "kind"}, "image must be a column of images"),
        ({"train": "trian"}, r'did you mean "train"'),
        ({"classes": ["a", "c"]}, r"row 0: must be one of the 2 classes, got 'b'"),
    ):
        with pytest.raises(InputError, match=match):
            reading(tmp_path / "hub", **({"image": "photo", "label": "kind"} | wrong))


def test_an_undecodable_row_is_named(tmp_path: Path) -> None:
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["a", "b"])})
    rows = [
        {"image": {"bytes": encoded(at)[: 90 if at == 3 else None], "path": None}, "label": at % 2} for at in range(6)
    ]
    datasets.Dataset.from_list(rows, features=features).save_to_disk(str(tmp_path / "set"))
    data = reading(tmp_path / "set")
    assert len(data.train.batch(torch.tensor([0, 5]))) == 2
    with pytest.raises(FaultyImageError, match="set, split train, row 3 cannot be read as an image"):
        data.train.batch(torch.tensor([0, 3]))
    with pytest.raises(InputError, match=r"1 of 6 images cannot be read:\n  set, split train, row 3"):
        fingerprint(data.train)


def test_a_process_decodes_into_shared_memory(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = reading(folder).train
    expected, pool, tasks = source.batch(ALL), DecodingProcesses(2), []

    class Here:
        """Does in this process what others would do."""

        def submit(self, function: Any, *arguments: Any) -> Future[Any]:
            tasks.append(arguments)
            ended: Future[Any] = Future()
            ended.set_result(function(*arguments))
            return ended

        def shutdown(self, **how: Any) -> None:
            pass

    monkeypatch.setattr(pool, "_pool", Here())
    images, faults = pool.decode(source._pickled, ALL.tolist(), (3, 14, 14))
    assert torch.equal(torch.from_numpy(images), expected) and not faults and len(tasks) == 2
    # Where shared memory has room for five images at first, there are two rounds of two tasks.
    pool.close()
    tasks.clear()
    monkeypatch.setattr(pool, "_pool", Here())
    monkeypatch.setattr(decoding_processes.shutil, "disk_usage", lambda place: SimpleNamespace(free=10 * 3 * 14 * 14))
    images, _ = pool.decode(source._pickled, ALL.tolist(), (3, 14, 14))
    pool.close()
    assert torch.equal(torch.from_numpy(images), expected) and [len(task[1]) for task in tasks] == [3, 2, 4, 3]


@pytest.mark.slow
def test_processes_decode_the_same_bytes_and_one_that_is_killed_is_replaced(folder: Path) -> None:
    source = reading(folder).train
    expected = source.batch(ALL)
    source.decoders = 2
    assert torch.equal(source.batch(ALL), expected)
    for number in list(shared_pool(2)._pool._processes):
        os.kill(number, signal.SIGKILL)
    assert torch.equal(source.batch(ALL), expected)
    shared_pool(2).close()


@pytest.mark.slow
def test_a_worker_process_that_ends_leaves_no_shared_memory(folder: Path, tmp_path: Path) -> None:
    """Nor a warning that some leaked: such a process ends without what `atexit` knows."""
    script = tmp_path / "worker.py"
    script.write_text(
        f"""import torch
from pathlib import Path
from rolewise.data import read
from rolewise.jobs.worker_process import start_context

def work():
    source = read("packed", root={str(folder.parent)!r}, path={folder.name!r}, memory_budget_mb=1e-9).train
    source.decoders = 1
    print(source.batch(torch.tensor([0])).shape, flush=True)

if __name__ == "__main__":
    worker = start_context().Process(target=work)
    worker.start()
    worker.join()
"""
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=100)
    assert done.stdout == "torch.Size([1, 3, 224, 224])\n"
    assert done.stderr == ""


def test_the_example_of_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "streaming.md").read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    exec(compile(page.partition("```python\n")[2].partition("```")[0], "streaming.md", "exec"), {})
    assert capsys.readouterr().out.count("torch.Size([4, 3, 28, 28])") == 2
    arguments = yaml.safe_load(page.partition("```yaml\n")[2].partition("```")[0])["data"]["arguments"]
    assert not list(argument_faults("packed", arguments))
    settings = page.partition("| setting | meaning |")[2].partition("From Python")[0]
    assert set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`[^|]*) \|", settings, re.M)))) == set(
        reader_settings("packed")
    )
