"""Every sentence of results in the documents follows from the committed figures, and moves with them."""

from __future__ import annotations

import ast
import io
import re
import sys
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))

import pictures  # noqa: E402
import results_table  # noqa: E402
from claims import program  # noqa: E402
from claims.coverage import DERIVED, blocks, looks_like_result, loose, rest, sentences  # noqa: E402
from claims.figures import Figures  # noqa: E402
from claims.plain import KINDS, PLAIN, plain  # noqa: E402
from claims.telling import PARAGRAPHS, Paragraph, aside, told, written  # noqa: E402

from rolewise.advice import rules  # noqa: E402

DOCUMENTS = results_table.documents()
FIGURES = Figures()
MOVED = [Figures(seed) for seed in range(8)]
#: What has a digit in its name, and settings that are no figures.
NAMES = re.compile(
    r"`[^`]*`|\]\([^)]*\)|ResNet-\d+|CIFAR-\d+|95%|float32|\b\d+x\d+\b|int8|[48]-bit|QLinear\w+|Holm's .05|beats 4"
    r"|(?:temperatures?|Temperature|temperature of|above|batch|against|from|under) "
    r"(?:1 against 4|4 and 1|1 and 64|1|4|100)\b|10%, 30%, 50%|\"10%\"|32, 8, 4 and 2 bits|[248] bits|1 \+ share"
)


def told_by(name: str, figures: Figures):
    return list(PARAGRAPHS[name].tell(figures))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_a_document_says_what_the_figures_say(document: Path):
    held = DOCUMENTS[document]
    assert results_table.renewed(held, FIGURES) == held, "run python tools/results_table.py"


def test_the_page_of_benchmarks_says_which_results_are_of_earlier_draws():
    held = results_table.BENCHMARKS.read_text(encoding="utf-8")
    assert "says: earlier_draws" in held
    assert results_table.renewed(held, FIGURES) == held, "run python tools/results_table.py"


def test_pictures_of_a_committed_page_are_those_that_the_documents_show():
    page = (ROOT / "benchmarks" / "results" / "mixup_digits" / "report.html").read_text(encoding="utf-8")
    if pictures.is_drawn(page):
        # Browsers draw the same markup a little differently: a picture keeps the digest of what it was drawn from.
        for name, part in pictures.parts(page).items():
            shown = Image.open(pictures.IMAGES / f"{name}.png")
            assert shown.info[pictures.SOURCE] == pictures.digest(part), "run python tools/pictures.py PAGE"
    else:
        found = pictures.take(page)
        assert found.keys() == pictures.SHOWN["mixup_digits"].keys()
        for name, content in found.items():
            shown, taken = (Image.open(one) for one in (pictures.IMAGES / f"{name}.png", io.BytesIO(content)))
            assert shown.size == taken.size and shown.tobytes() == taken.tobytes(), "run python tools/pictures.py PAGE"
    with pytest.raises(ValueError, match="got another"):
        pictures.take(page.replace("<h1>mixup_digits", "<h1>another"))
    old, new = "What each role sees.", "Training image, clean"
    with pytest.raises(ValueError, match="no picture that begins with: "):
        pictures.take(page.replace(old, "What nobody sees.").replace(new, "Nothing"))


def test_every_picture_of_the_documents_has_its_page():
    shown = {found for text in DOCUMENTS.values() for found in re.findall(r"images/(\w+)\.png", text)}
    assert shown == {name for held in pictures.SHOWN.values() for name in held}


def test_every_paragraph_stands_in_a_document():
    names = {found[2] for text in DOCUMENTS.values() for found in DERIVED.finditer(text) if found[1] == "says"}
    assert names == set(PARAGRAPHS)
    assert len(names) > 20


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_nothing_that_looks_like_a_result_stands_by_itself(document: Path):
    found = [one for one in loose(DOCUMENTS[document]) if plain(document.name, one) is None]
    assert not found, "derive it in tools/claims, or say in tools/claims/plain.py what it is instead"


def test_what_is_no_result_is_still_there_and_says_so():
    texts = {path.name: rest(text) for path, text in DOCUMENTS.items()}
    every = {name: [one for block in blocks(text) for one in sentences(block)] for name, text in texts.items()}
    for name, begins, kind in PLAIN:
        assert kind in KINDS
        assert any(one.startswith(begins) for one in every[name]), f"{name} does not say any more: {begins}"
        if kind == "once":
            assert "measured once" in texts[name], f"{name} must say that its figures were measured once"
        if kind == "held":
            assert "a test holds" in texts[name]


@pytest.mark.parametrize("name", PARAGRAPHS)
def test_a_sentence_moves_when_its_figures_do(name: str):
    still = told_by(name, FIGURES)
    assert all(one.holds for one in still), [one.text for one in still if not one.holds]
    fixed = {place for place, one in enumerate(still) if one.result}
    for figures in MOVED:
        if not fixed:
            break
        moved = told_by(name, figures)
        assert len(moved) == len(still)
        fixed -= {at for at in fixed if moved[at].text != still[at].text or not moved[at].holds}
    assert not fixed, [f"hangs on no figure: {still[place].text}" for place in fixed]
    asides = [one.text for one in still if not one.result]
    assert not [one for one in asides if re.search(r"±|\d points|\(\S+ to \S+\)", one)], "an aside that is a result"


@pytest.mark.parametrize(
    "said, of_figures",
    [
        (rules.FOUND_SHORT, program.short),
        (rules.FOUND_RESCALED, program.logits),
        (rules.FOUND_MIXED, program.mixing),
        (rules.FOUND_METHODS, program.methods),
    ],
)
def test_what_advise_says_of_results_is_what_the_figures_say(said: str, of_figures) -> None:
    assert said == of_figures(FIGURES)
    assert any(of_figures(figures) != said for figures in MOVED[:2])


@pytest.mark.slow
def test_a_figure_that_moves_under_a_sentence_is_found():
    """A document is written otherwise, or refused; refused are words that the figures do not choose themselves."""
    refused = []
    for document, held in DOCUMENTS.items():
        for figures in MOVED[:3] if DERIVED.search(held) else ():
            try:
                assert results_table.renewed(held, figures) != held
            except ValueError as error:
                assert "do not bear this out" in str(error)
                refused.append(document.name)
    assert "methods.md" in refused and "README.md" not in refused


@pytest.mark.parametrize("path", sorted((ROOT / "tools" / "claims").glob("*.py")), ids=lambda path: path.stem)
def test_no_figure_is_written_by_hand(path: Path):
    """What a sentence says in digits is computed; a digit in its words is part of a name, or a setting."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    calls = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("told", "aside")
    ]
    for call in calls:
        text = "".join(
            part.value if isinstance(part, ast.Constant) else "{}"
            for part in (call.args[0].values if isinstance(call.args[0], ast.JoinedStr) else [call.args[0]])
            if isinstance(part, (ast.Constant, ast.FormattedValue))
        )
        assert not re.search(r"\d", NAMES.sub("", text)), f"{path.name}:{call.lineno}: {NAMES.sub('', text)}"


@pytest.mark.parametrize(
    "planted",
    [
        "With augmentation the small student gains 2.3 points.",
        "The search reaches 95.9 ± 0.7.",
        "Distillation helps the tiny student under every loss.",
        "It is 3.1 times as fast as float32.",
        "Mixing is better than RandAugment.",
        "The difference is within the noise.",
        "TrivialAugment beats the search.",
        "No arm can be told from another.",
        "The export takes 12 ms.",
        "Accuracy falls from 99% to 90.",
        "| `kd` | 98.3 | 98.4 |",
    ],
)
def test_a_planted_result_is_found(planted: str):
    assert looks_like_result(planted)
    assert loose(f"# A page\n\nSome words before.\n\n{planted}\n") == [planted]
    assert plain("README.md", planted) is None


@pytest.mark.parametrize(
    "harmless",
    [
        "Two commands do everything, and are safe to repeat.",
        "`fit` measures the norms of the gradients of the labels and of each method.",
        "The default is `temperature: 4.0`.",
        "| `students` | a list of at least 1 |",
    ],
)
def test_what_says_nothing_of_results_is_left_alone(harmless: str):
    assert not looks_like_result(harmless)


def test_a_paragraph_whose_sentence_does_not_hold_is_refused():
    def tell(figures: Figures):
        yield told("The sky is green.", False)

    with pytest.raises(ValueError, match="The sky is green"):
        written(Paragraph("sky", tell, False), FIGURES)


def test_a_line_of_a_paragraph_is_never_a_point_of_a_list():
    def tell(figures: Figures):
        yield aside("word " * 27 + "- word " * 40)

    lines = written(Paragraph("dashes", tell, False), FIGURES).splitlines()
    assert len(lines) > 1
    assert " ".join(lines).count("- word") == 40
