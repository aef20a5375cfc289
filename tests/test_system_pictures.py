"""Pictures of systems: each shows the committed numbers, in both modes, with every claim in words."""

from __future__ import annotations

import re
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tools"))

import system_pictures
from claims.figures import Figures
from claims.systems import answers, known_systems

from rolewise.report.palette import declarations
from rolewise.systems import SYSTEMS


def test_every_system_that_was_run_has_its_picture_and_no_other_has() -> None:
    assert sorted(path.stem for path in system_pictures.IMAGES.iterdir()) == sorted(known_systems())
    moved = Figures(0)
    for name in known_systems():
        picture = (system_pictures.IMAGES / f"{name}.svg").read_text(encoding="utf-8")
        held, other = (system_pictures.shown(answers(figures, name)) for figures in (Figures(), moved))
        assert system_pictures.source(picture) == system_pictures.digest(held), "run python tools/results_table.py"
        assert system_pictures.digest(other) != system_pictures.digest(held)
        assert all(mode in picture for mode in (declarations(0), declarations(1), "prefers-color-scheme: dark"))


def test_a_picture_names_every_claim_and_is_drawn_anew_where_numbers_move(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(system_pictures, "IMAGES", tmp_path / "images")
    path = tmp_path / "images" / "hkd.svg"
    system_pictures.write(SYSTEMS["hkd"], answers(Figures(), "hkd"))
    first = path.read_text(encoding="utf-8")
    texts = " ".join(
        "".join(one.itertext()) for one in ElementTree.fromstring(first).iter() if one.tag.endswith("}text")
    )
    for claim in SYSTEMS["hkd"].claims:
        assert all(word in texts for word in claim.text.split())
    assert not re.search(r'href="https?:|url\(http', first)
    path.write_text(first + "<!-- kept -->", encoding="utf-8")
    system_pictures.write(SYSTEMS["hkd"], answers(Figures(), "hkd"))
    assert path.read_text(encoding="utf-8").endswith("<!-- kept -->")
    system_pictures.write(SYSTEMS["hkd"], answers(Figures(1), "hkd"))
    assert not path.read_text(encoding="utf-8").endswith("<!-- kept -->")
