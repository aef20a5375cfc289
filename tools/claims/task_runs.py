"""Runs of texts, photographs and detectors: what distillation and schedules did, and how near a student came."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

from claims.figures import RESULTS, Arms, Figures, count, listed, percent, size
from claims.telling import Told, aside, paragraph, told
from claims.verdicts import by_itself, changes, standing
from rolewise.statistics.estimates import estimate
from rolewise.words import sentence_start

#: The beginning of a sentence on each student of a run.
STUDENTS = {
    "bccd": {"quarter": "The student of a quarter of its width reaches"},
    "trec6": {"two-layers": "Two layers reach", "bag": "The bag of embeddings reaches"},
    "goemotions": {"bag": "The bag of embeddings reaches"},
    "sst2": {"two-layers": "Two layers reach"},
    "imagenette": {"small": "The student, a ResNet-8 of 48 pixels, reaches"},
    "nuclei": {"small": "The student of a quarter of its widths reaches"},
}
#: Second runs of a task, with other methods and without searches; left out until their figures are committed.
SECOND = {
    "bccd_levels": {"quarter": "The student reaches"},
    "camvid_channels": {"small": "The student reaches"},
}
#: The part of its teacher's accuracy that a distilled student of texts is to keep.
KEPT = 0.95


def compared(arms: Arms, students: dict[str, str], plain: str = "none", teacher: str = "none") -> Iterator[Told]:
    """Gives what was found of a run: the teacher, distillation by itself, and schedules.

    Args:
        arms: of the run.
        students: the beginning of a sentence on each, by its name.
        plain: the augmentation that others are compared with.
        teacher: the augmentation of the teacher that taught.
    """
    yield told(f"The teacher reaches {percent(estimate(list(arms.teacher(teacher).values())))}.")
    for name, words in students.items():
        taught, alone = arms.row(name, f"{plain}+distill"), arms.row(name, plain)
        change = arms.difference(name, f"{plain}+distill", plain)
        yield told(
            f"{words} {percent(taught.score)} with distillation and {percent(alone.score)} on labels alone: "
            f"{by_itself(change)}."
        )
    schedules = [row.difference for row in arms.compared]
    if schedules:
        yield told(f"Differences of other augmentations to {plain} are {changes(schedules)}.")
        yield told(standing(arms, lambda row: _named(row.student, row.name, students)))


def second_run(figures: Figures, name: str) -> Iterator[Told]:
    """Gives what a second run of a task found, with other methods; nothing before its figures are committed."""
    if (RESULTS / f"{name}.json").is_file():
        config = figures.config(f"{name}.yaml")
        methods = listed([f"`{one['name']}`" for one in config["distill"]["methods"]])
        yield aside(f"`configs/{name}.yaml` came after it, with {methods} and {count(len(config['seeds']))} seeds.")
        yield from compared(figures.arms(name), SECOND[name], "standard", "standard")


def _named(student: str, arm: str, students: dict[str, str]) -> str:
    where = f" ({student})" if len(students) > 1 else ""
    return f"{arm.removesuffix('+distill')} {'with' if arm.endswith('+distill') else 'without'} distillation{where}"


@paragraph("trec6")
def trec6(figures: Figures) -> Iterator[Told]:
    """The page on texts, below its table."""
    yield from compared(figures.arms("trec6"), STUDENTS["trec6"])


@paragraph("sst2")
def sst2(figures: Figures) -> Iterator[Told]:
    """The page on texts, below its table."""
    arms = figures.arms("sst2")
    yield from compared(arms, STUDENTS["sst2"])
    taught = arms.row("two-layers", "none+distill").score
    kept = taught.mean / statistics.fmean(arms.teacher("none").values())
    goal = f"{KEPT:.0%} was the goal, which is {'reached' if kept >= KEPT else 'missed'}"
    yield told(f"The distilled student keeps {size(kept)}% of its teacher's accuracy ({goal}).")


@paragraph("goemotions")
def goemotions(figures: Figures) -> Iterator[Told]:
    """The page on texts, below its table."""
    yield from compared(figures.arms("goemotions"), STUDENTS["goemotions"])


@paragraph("bccd")
def bccd(figures: Figures) -> Iterator[Told]:
    """The page on detection, below its table."""
    yield from compared(figures.arms("bccd"), STUDENTS["bccd"], "standard", "own")
    yield from second_run(figures, "bccd_levels")


@paragraph("nuclei")
def nuclei(figures: Figures) -> Iterator[Told]:
    """The page on segmentation, below its table."""
    arms = figures.arms("nuclei")
    yield from compared(arms, STUDENTS["nuclei"], "standard", "own")
    same = [values for values in zip(*(row.values for row in arms.rows), strict=True) if len(set(values)) == 1]
    yield told(
        f"In {count(len(same))} of {count(arms.seeds)} seeds every arm ends alike, at {size(same[0][0])}%: nucleus and "
        "outline share what is not background, and the student calls every pixel background."
        if same
        else "No seed ends alike in every arm."
    )


@paragraph("imagenette")
def imagenette(figures: Figures) -> Iterator[Told]:
    """The page on photographs."""
    yield from compared(figures.arms("imagenette"), STUDENTS["imagenette"], "inception-area-0.6")


#: The runs of each task, with the student and the augmentation under which it was taught.
TASKS = {
    "detection": {"bccd": ("quarter", "standard"), "bccd_levels": ("quarter", "standard")},
    "segmentation": {
        "camvid": ("small", "standard"),
        "camvid_channels": ("small", "standard"),
        "nuclei": ("small", "standard"),
    },
    "texts": {"sst2": ("two-layers", "none"), "trec6": ("two-layers", "none"), "goemotions": ("bag", "none")},
    "photographs": {"imagenette": ("small", "inception-area-0.6")},
}
#: Of how many tasks distillation was to raise its student beyond the interval.
WANTED = 3


@paragraph("log_task_gains")
def log_task_gains(figures: Figures) -> Iterator[Told]:
    """The log, on the goal that distillation shows in most tasks."""
    gained, found, seeds = [], [], {}
    second = [name for name in SECOND if (RESULTS / f"{name}.json").is_file()]
    tasks = {
        task: {name: of for name, of in runs.items() if name not in SECOND or name in second}
        for task, runs in TASKS.items()
    }
    for task, runs in tasks.items():
        changes_of = {
            name: figures.arms(name).difference(student, f"{plain}+distill", plain)
            for name, (student, plain) in runs.items()
        }
        seeds |= {name: figures.arms(name).seeds for name in runs}
        if any(change.exceeds_noise and change.mean > 0 for change in changes_of.values()):
            gained.append(task)
        shown = "; ".join(f"`configs/{name}.yaml` {by_itself(change)}" for name, change in changes_of.items())
        found.append(f"{sentence_start(task)}: {shown}.")
    apart = [f"{count(number)} of {name}" for name, number in seeds.items() if number != 3]
    yield told(
        f"A distilled student was to be above the same student alone by more than its interval in at least "
        f"{count(WANTED)} of {count(len(TASKS))} tasks. It is in {count(len(gained))}: {listed(gained)}; the goal is "
        f"{'reached' if len(gained) >= WANTED else 'missed'}. Three seeds each{''.join(f', {one}' for one in apart)}, "
        "no comparison adjusted for the others."
    )
    for sentence in found:
        yield told(sentence)
    names = {run: figures.config(f"{run}.yaml")["distill"]["methods"] for runs in tasks.values() for run in runs}
    plain = [run for run, methods in names.items() if [one["name"] for one in methods] == ["kd"]]
    others = {run: [one["name"] for one in methods] for run, methods in names.items() if run not in plain}
    more = "; ".join(f"{run} had {listed([f'`{one}`' for one in methods])}" for run, methods in others.items())
    untried = ["methods on features, longer trainings and more seeds", "further methods and still longer trainings"]
    what = untried[bool(second)]
    yield aside(
        f"What was tried is what the configs name, at one weight and one temperature each: logits alone for "
        f"{listed(plain)}; {more}. {sentence_start(what)} were not tried: "
        f"each {'of the first runs' if second else 'run'} was to end in half an hour of two cores, a detector's in an "
        "hour."
    )
    if second:
        yield aside(
            f"{listed([f'`{one}`' for one in second])} came after the figures of the others were known: methods and "
            "weights are those of papers, none of them chosen by these figures, the test images are the same, and a "
            "task counts where one of its runs does."
        )
