"""What every page must have, read from its markup: names, labels, numbers, nothing from outside; and its colours."""

from __future__ import annotations

import base64
import csv
import io
import itertools
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rolewise.errors import InputError
from rolewise.experiment.predictions import PREDICTIONS, write_predictions
from rolewise.experiment.run_folder import RunFolder
from rolewise.report import write_report
from rolewise.report.opening import lead_of
from rolewise.report.palette import SERIES, SURFACES, colours, declarations
from rolewise.report.strips import strip
from rolewise.seals import write_product
from rolewise.statistics.answer_sentences import lack_sentence
from rolewise.statistics.answers import NOT_ALONE

VOID = {"meta", "link", "img", "input", "br", "wbr"}


class Page(HTMLParser):
    """Elements of a page with their attributes, and the faults of its nesting."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.faults: list[str] = []
        self.figures: list[list[str]] = []
        self._open: list[str] = []
        self.feed(text)
        self.faults += [f"{tag} is not closed" for tag in self._open]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag == "figure":
            self.figures.append([])
        if "figure" in self._open:
            self.figures[-1].append(f"{tag} {dict(attrs).get('class', '')}")
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if "figure" in self._open:
            self.figures[-1].append(f"{tag} {dict(attrs).get('class', '')}")

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open[-1] != tag:
            self.faults.append(f"</{tag}> at {self.getpos()} closes {self._open[-3:]}")
        else:
            self._open.pop()


def faults(text: str) -> list[str]:
    """Returns what is wrong with the markup of a page."""
    page = Page(text)
    found = list(page.faults)
    ids = [held["id"] for _, held in page.elements if "id" in held]
    found += [f"id {name} is not the only one" for name in {one for one in ids if ids.count(one) > 1}]
    for tag, held in page.elements:
        for name in ("href", "src"):
            address = held.get(name) or ""
            if address.startswith("#") and address[1:] not in ids:
                found.append(f"{tag} leads to {address}, which is nowhere")
            elif address and not address.startswith(("data:", "#")):
                found.append(f"{tag} takes {address} from outside")
        if tag == "img" and not held.get("alt"):
            found.append("an image without a text")
        if tag == "svg" and not (held.get("role") == "img" and held.get("aria-label")):
            found.append("a figure without a label")
        if tag == "div" and "wide" in str(held.get("class")) and not (held.get("aria-label") and "tabindex" in held):
            found.append("a part that scrolls cannot be reached by keys, or has no name")
        found += [f"{name} of {held[name]}" for name in ("aria-labelledby",) if name in held and held[name] not in ids]
        found += [f"{tag} has {name}" for name in held if name.startswith("on")]
    found += [f"figure {n} has no numbers" for n, inner in enumerate(page.figures) if "a numbers" not in inner]
    return found


def test_what_is_said_large_is_one_sentence() -> None:
    evidence = "80.3% to 90.3%; 3 seeds, p = 0.01"
    assert lead_of(f"It raised accuracy by 3.1 points ({evidence}).") == (
        "It raised accuracy by 3.1 points.",
        f"{evidence}.",
    )
    assert lead_of("It was (Within 0.1 points).") == ("It was.", "Within 0.1 points.")
    lead, remedy = lead_of(lack_sentence(NOT_ALONE))
    assert lead == "The gain of distillation cannot be told: there is no arm without distillation."
    assert remedy == "arms.distill: [true, false] trains the same arms without it.", "a setting keeps its small letter"
    assert lead_of("It is so.") == ("It is so.", "")


def test_faults_of_a_page_are_found() -> None:
    bad = '<p id="a"><b></p></b><img src="http://x/y.png"><a href="#c" id="a">x</a><figure><svg></svg></figure>'
    found = " | ".join(faults(bad))
    for part in ("closes", "not the only one", "from outside", "without a text", "nowhere", "no numbers", "a label"):
        assert part in found, part


def test_a_finished_run_s_page_is_whole_and_small(finished: Path) -> None:
    text = (finished / "report.html").read_text()
    assert not faults(text) and len(text) < 1e6
    titles = re.findall(r"<h2[^>]*>(.*?)</h2>", text)
    assert titles[:4] == ["What augmentation did", "The arms", "Class by class", "Pictures that are hard"]
    listed = re.findall(r'<li><a href="#[\w-]+">(.*?)</a></li>', text)
    assert listed == titles
    # Command, date and duration at the top; terms explained where they are first used, each once.
    head = text[: text.index("<h2")]
    assert all(f"<dt>{name}</dt>" in head for name in ("Command", "Started", "Time of all processes", "Test set"))
    terms = re.findall(r'class="term" href="#term-(\w+)"', text)
    assert len(terms) == len(set(terms)) >= 6 and all(f'<dt id="term-{term}"' in text for term in terms)


def test_a_run_that_is_not_finished_or_not_begun_has_a_whole_page(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished, tmp_path / "r")
    for name in ("results.json", "timing.json", "previews.npz", PREDICTIONS):
        (tmp_path / "r" / name).unlink()
    assert not faults(write_report(tmp_path / "r").read_text())
    shutil.rmtree(tmp_path / "r" / "stages")
    text = write_report(tmp_path / "r").read_text()
    assert not faults(text) and "0 stages done" in text


def test_numbers_of_a_figure_are_those_of_the_results(finished: Path) -> None:
    text = (finished / "report.html").read_text()
    found = {name: address for name, address in re.findall(r'download="([\w.+-]+)" href="([^"]+)"', text)}
    tables = {
        name: list(csv.reader(io.StringIO(base64.b64decode(one.partition("base64,")[2]).decode())))
        for name, one in found.items()
    }
    results = json.loads((finished / "results.json").read_text())
    arms = {(row[0], row[1]): row for row in tables["arms.csv"][1:]}
    for arm in results["arms"]:
        values = list(arm["metrics"]["accuracy"].values())
        row = arms[arm["student"], arm["name"]]
        assert float(row[3]) == pytest.approx(np.mean(values), rel=1e-5)
        assert [float(one) for one in row[6:]] == pytest.approx(values, rel=1e-5)
    # Over all seeds the right answers of the matrix are the accuracy of the arm.
    (student,) = {arm["student"] for arm in results["arms"]}
    counts = np.array([[int(one) for one in row[1:]] for row in tables[f"confusion_{student}.csv"][1:]])
    right = np.trace(counts) / counts.sum()
    distilled = next(arm for arm in results["arms"] if arm["name"] == "none+distill")
    assert right == pytest.approx(np.mean(list(distilled["metrics"]["accuracy"].values())), rel=1e-6)


def test_predictions_are_kept_once_and_again_where_the_networks_differ(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(finished, tmp_path / "r")
    folder, results = RunFolder(tmp_path / "r"), json.loads((finished / "results.json").read_text())
    held = (tmp_path / "r" / PREDICTIONS).read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr("rolewise.experiment.predictions.trained_network", lambda *given: pytest.fail("evaluated again"))
        assert write_predictions(folder, results)
    (tmp_path / "r" / PREDICTIONS).write_bytes(b"damaged")
    with pytest.raises(InputError, match=PREDICTIONS):
        write_report(tmp_path / "r")
    assert write_predictions(folder, results) and (tmp_path / "r" / PREDICTIONS).read_bytes() == held
    with np.load(io.BytesIO(held)) as arrays:
        assert len(arrays["index"]) == len(arrays["pictures"]) > 0
        kept: dict[str, Any] = {name: arrays[name] for name in arrays.files if name != "labels"}
    buffer = io.BytesIO()
    np.savez(buffer, **kept)
    write_product(tmp_path / "r" / PREDICTIONS, buffer.getvalue())
    with pytest.raises(InputError, match="must hold the answers of the run's networks"):
        write_report(tmp_path / "r")


def test_a_run_of_an_early_release_has_no_part_on_single_images(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished, tmp_path / "r")
    (tmp_path / "r" / PREDICTIONS).unlink()
    text = write_report(tmp_path / "r").read_text()
    assert "Class by class" not in text and "Pictures that are hard" not in text and not faults(text)


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """Returns the contrast of two colours after the Web Content Accessibility Guidelines, 1 to 21."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("mode", [0, 1])
def test_text_and_marks_can_be_told_from_what_is_behind_them(mode: int) -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21) and contrast("#777777", "#ffffff") < 4.5
    shades = {name: both[mode] for name, both in SURFACES.items()}
    for text, back in itertools.product(("ink", "grey", "accent", "good", "bad"), ("paper", "raised")):
        assert contrast(shades[text], shades[back]) >= 4.5, (text, back)
    for both in SERIES:
        assert contrast(both[mode], shades["paper"]) >= 3, both
    # Colours beyond those of the palette are the same in both modes.
    for colour in colours(24)[len(SERIES) :]:
        assert contrast(colour, shades["paper"]) >= 3, colour
    assert all(f"--{name}: {shade};" in declarations(mode) for name, shade in shades.items())


def simulated(colour: str, matrix: list[list[float]]) -> np.ndarray:
    """Returns a colour in CIELAB as somebody sees it who lacks one kind of cone (Machado and others, 2009)."""
    parts = np.array([int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)])
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    seen = np.clip(np.array(matrix) @ linear, 0, 1)
    tristimulus = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ seen
    x, y, z = np.cbrt(tristimulus / np.array([0.9505, 1, 1.089]))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


DEUTERANOPIA = [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]]
PROTANOPIA = [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]


@pytest.mark.parametrize("mode", [0, 1])
@pytest.mark.parametrize("sight", [np.eye(3).tolist(), DEUTERANOPIA, PROTANOPIA], ids=["all", "no green", "no red"])
def test_colours_of_lines_are_told_apart_also_without_one_kind_of_cone(mode: int, sight: list[list[float]]) -> None:
    seen = [simulated(both[mode], sight) for both in SERIES]
    # 2.3 is what somebody just notices of two patches side by side.
    apart = [float(np.linalg.norm(a - b)) for a, b in itertools.combinations(seen, 2)]
    assert min(apart) > 10


@pytest.mark.parametrize("channels", [1, 3])
def test_rows_of_pictures_are_small_and_keep_their_pixels(channels: int) -> None:
    from PIL import Image

    images = np.arange(3 * channels * 24 * 12, dtype=np.uint32).reshape(3, channels, 24, 12).astype(np.uint8)
    found = strip("row", images)
    assert (found.count, found.width, found.height, found.whole) == (3, 12, 24, 38)
    held = np.asarray(Image.open(io.BytesIO(base64.b64decode(found.address.partition(",")[2]))).convert("RGBA"))
    first = held[:, :12, :channels].transpose(2, 0, 1)
    assert (first == images[0]).all() and (held[:, 12, 3] == 0).all()
    large = strip("row", np.zeros((1, channels, 300, 200), np.uint8))
    assert (large.height, large.width) == (96, 64)


def test_the_documents_pictures_are_found_on_a_page(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parent.parent.parent / "tools"))
    import pictures

    page = (finished / "report.html").read_text(encoding="utf-8").replace("<h1>quick-report", "<h1>digits")
    found = pictures.parts(page)
    assert pictures.is_drawn(page) and found.keys() == pictures.SHOWN["digits"].keys()
    assert all(one.startswith(("<figure", "<div")) and "<figcaption" not in one for one in found.values())
    assert found["views"].count("<img") == 4 and "small, seed 0" in found["search"]
    with pytest.raises(ValueError, match="no picture that begins with: small, seed"):
        pictures.parts(page.replace('aria-label="small, seed', 'aria-label="large, seed'))
