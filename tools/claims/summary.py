"""The short answers that the README begins its results with."""

from __future__ import annotations

from collections.abc import Iterator

from claims.digits import PRESETS
from claims.figures import Estimate, Figures, count, some
from claims.mixing import MIXED
from claims.systems import answers, known_systems
from claims.telling import Told, paragraph, told
from claims.verdicts import asked, firm, grouped, jointly
from rolewise.statistics import ArmRow
from rolewise.systems.system_result import verdict_of

#: Committed runs with searched arms: their data in words, their students in words, and the arm without any schedule.
RUNS = {
    "digits": ("digits", {"small": "the small student", "tiny": "the tiny one"}, "none"),
    "fashion_mnist": ("Fashion-MNIST", {"small": "the small student", "tiny": "the tiny one"}, "none"),
    "cifar20": ("CIFAR-100's superclasses", {"float": "floating point", "w2a2": "2 bits"}, "standard"),
    "camvid": ("CamVid", {"small": "the segmenter"}, "standard"),
    "bccd": ("BCCD", {"quarter": "the detector"}, "standard"),
    "trec6": ("TREC-6", {"two-layers": "two layers of an encoder", "bag": "the bag of embeddings"}, "none"),
    "goemotions": ("GoEmotions", {"bag": "the bag of embeddings"}, "none"),
    "nuclei": ("nuclei", {"small": "the smaller segmenter"}, "standard"),
    "imagenette": ("Imagenette", {"small": "the student of photographs"}, "inception-area-0.6"),
    "sst2": ("SST-2", {"two-layers": "two layers of an encoder"}, "none"),
}


@paragraph("summary", points=True)
def summary(figures: Figures) -> Iterator[Told]:
    """README: a question and its answer in each point."""
    taught: dict[str, Estimate] = {}
    against: list[Estimate] = []
    differences = 0
    beyond: list[ArmRow] = []
    for name, (data, students, plain) in RUNS.items():
        arms = figures.arms(name)
        beyond, differences = [*beyond, *firm(arms)], differences + arms.family
        for student, words in students.items():
            taught[f"{words} on {data}"] = arms.difference(student, f"{plain}+distill", plain)
            against += [
                arms.difference(student, f"own{way}", f"{preset}{way}")
                for way in ("", "+distill")
                for preset in PRESETS
                if any(row.name == f"{preset}{way}" for row in arms.of(student))
            ]
    yield told(
        "**Does distillation help?** By itself, without a schedule and against the same student on labels alone, it is "
        f"{grouped(taught, FOR_STUDENTS)}.",
        begins=True,
    )
    gains = sum(row.difference is not None and row.difference.mean > 0 for row in beyond)
    yield told(
        f"**Does augmentation help?** Of {differences} differences between a student under a schedule and the same "
        "under none (on CIFAR-100, CamVid, BCCD and nuclei under the usual flips and shifts) "
        f"{count(gains)} {'is a gain' if gains == 1 else 'are gains'} and {count(len(beyond) - gains)} "
        f"{'is a loss' if len(beyond) - gains == 1 else 'are losses'} beyond the noise of all differences of the run.",
        begins=True,
    )
    above = sum(one.exceeds_noise and one.mean > 0 for one in against)
    number, _ = jointly(against)
    yield told(
        f"**Is a searched schedule better than a preset, which costs nothing?** In {count(above)} of {len(against)} "
        f"comparisons with RandAugment and TrivialAugment it is, by the noise of one; {some(number)} of all of them "
        "can be told when all are counted. At this size the search has not been shown to be worth its cost.",
        number == 0,
        begins=True,
    )
    one, other = (figures.table(name).answer(MIXED) for name in ("mixup_digits", "mixup_fashion_mnist"))
    yield told(
        "**Where teacher and student learn from mixed images, is the published claim right that temperature 1 "
        f"beats 4?** On digits: {one.verdict.lower()}, {asked(one)}; on Fashion-MNIST: {other.verdict.lower()}, "
        f"{asked(other)}.",
        begins=True,
    )
    known = known_systems()
    all_of_them = [verdict_of(answer) for name in known for answer in answers(figures, name)]
    found = [verdict for verdict in all_of_them if verdict != "not compared"]
    verdicts = [f"{found.count(word)} {word}" for word in ("confirmed", "refuted", "undecided")]
    yield told(
        f"**What of other papers' procedures shows at this size?** Of {len(found)} claims of {count(len(known))} "
        f"[systems](docs/systems.md) {verdicts[0]}, {verdicts[1]} and {verdicts[2]}.",
        begins=True,
    )


#: Words before the students for which a difference is higher, lower, or neither.
FOR_STUDENTS = ("higher for", "lower for", "within the noise of one comparison for")
