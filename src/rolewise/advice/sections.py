"""Advice as sections of sentences and tables, from which the terminal and the page are both made."""

from __future__ import annotations

from collections.abc import Mapping

from rolewise.advice.advice_section import AdviceSection
from rolewise.advice.deviation import Candidate
from rolewise.advice.result import Advice
from rolewise.advice.task_result import TaskAdvice
from rolewise.advice.task_sections import task_sections
from rolewise.diagnosis.fault_kinds import FAULTS, TeacherDiagnosis, Tried
from rolewise.words import duration, sentence_start

Rows = list[tuple[str, ...]]
_MEASURES = {
    "images": ("validation images", ",.0f"),
    "accuracy": ("accuracy", ".1%"),
    "nll": ("cross-entropy, nats", ".3f"),
    "ece": ("calibration error", ".3f"),
    "entropy": ("entropy, share of log K", ".3f"),
    "temperature": ("fitted temperature", ".2f"),
    "linearity_gap": ("linearity gap, nats", ".3f"),
}


def advice_sections(advice: Advice | TaskAdvice, *, whole: bool = False) -> list[AdviceSection]:
    """Returns the sections in their order.

    Args:
        advice: the advice.
        whole: every correction that was tried, and not the best of each fault alone.
    """
    if isinstance(advice, TaskAdvice):
        return task_sections(advice)
    found = [faults_section(advice.sanity, whole=whole), *([_networks(advice)] if advice.teacher else [])]
    if advice.candidates:
        found += [_candidates(advice), _proposal(advice), _cost(advice)]
    return [*found, AdviceSection("What this rests on", advice.notes)]


def faults_section(sanity: TeacherDiagnosis, *, whole: bool = False) -> AdviceSection:
    """Returns the section on the teacher's faults.

    Args:
        sanity: the checks of the teacher.
        whole: every correction that was tried, and not the best of each fault alone.
    """
    rule = sanity.thresholds
    sentences = []
    for fault in sanity.faults:
        also = f" The images cannot distinguish this from: {', '.join(fault.also)}." if fault.also else ""
        sentences.append(
            f"{fault.name}: {FAULTS[fault.name]}. {sentence_start(fault.sentence)}.{also} Remedy: {fault.remedy}."
        )
    if not sentences:
        sentences = [f"No fault was found: {len(sanity.tried)} corrections were tried on {sanity.images} images."]
    below = (
        f"A fault is what costs at least {rule.gain:.0%} of accuracy and {rule.repaired:.0%} of the errors (exact test "
        f"of McNemar, adjusted p at most {rule.level:g}). These images show gains from {sanity.smallest_gain:.1%} up.",
    )
    rows: Rows = [
        (one.fault, one.label, str(one.images), f"{one.before:.1%}", f"{one.after:.1%}", f"{one.adjusted:.2g}")
        for one in (sanity.tried if whole else _best_of_each(sanity.tried))
    ]
    rows += [
        (
            "weak_teacher",
            one.name,
            str(sanity.images),
            f"{one.teacher:.1%}",
            f"{one.accuracy:.1%}",
            f"{one.adjusted:.2g}",
        )
        for one in sanity.rivals
    ]
    columns = ("fault", "tried instead", "images", "as it is", "with it", "adjusted p")
    return AdviceSection(
        "Is the teacher fed and read as it was trained?",
        tuple(sentences),
        columns,
        tuple(rows),
        below,
        warns=bool(sanity.faults),
    )


def _best_of_each(tried: tuple[Tried, ...]) -> list[Tried]:
    best: dict[tuple[int, str], Tried] = {}
    for one in tried:
        known = best.get((one.round, one.fault))
        if known is None or (one.taken, one.after - one.before) > (known.taken, known.after - known.before):
            best[one.round, one.fault] = one
    return list(best.values())


def _networks(advice: Advice) -> AdviceSection:
    columns: Mapping[str, Mapping[str, float]] = {"teacher": advice.teacher} | (
        {advice.title: advice.student} if advice.student is not None else {}
    )
    rows = [
        (name, *(_number(values.get(key), form) for values in columns.values()))
        for key, (name, form) in _MEASURES.items()
    ]
    below = () if advice.student is not None else ("The student is not trained; nothing of it is measured here.",)
    return AdviceSection("The networks", (), ("on validation images", *columns), tuple(rows), below)


def _number(value: float | None, form: str) -> str:
    return "not named" if value is None or value != value else format(value, form)


def _candidates(advice: Advice) -> AdviceSection:
    rows = [_row(one) for one in advice.candidates]
    below = (
        "T.stddev is how much the teacher's mean answer moves from sample to sample; lower is expected to be better "
        "(Wang et al., 2022). Right is the share of the student's training images, so augmented, that the teacher is "
        "right about; entropy is a share of log K.",
    )
    columns = ("augmentation", "T.stddev", "to none", "95% interval", "right", "entropy")
    return AdviceSection("The teacher's outputs on augmented images", (), columns, tuple(rows), below)


def _row(one: Candidate) -> tuple[str, ...]:
    interval = "" if one.name == "none" else f"{one.low:.2f} to {one.high:.2f}"
    right = "" if one.accuracy is None else f"{one.accuracy:.1%}"
    return one.name, f"{one.deviation:.4f}", f"{one.ratio:.2f}", interval, right, f"{one.entropy:.2f}"


def _proposal(advice: Advice) -> AdviceSection:
    rows = [(one.setting, _value(one.value), one.confidence) for one in advice.choices]
    reasons = [f"{one.setting}: {one.reason}. Source: {one.source}." for one in advice.choices]
    return AdviceSection("The proposal", (), ("setting", "value", "confidence"), tuple(rows), tuple(reasons))


def _value(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _cost(advice: Advice) -> AdviceSection:
    cost, speed = advice.cost, advice.speed
    assert cost is not None and speed is not None
    sentences = (
        f"A step of {speed.batch_size} images takes {1000 * cost.seconds_per_step:.1f} ms on {speed.device} "
        f"({1 / cost.seconds_per_step:,.1f} steps a second), so that one training of {cost.steps:,} steps takes "
        f"{duration(cost.training)}, and the comparison's {cost.trainings} of this student "
        f"{duration(cost.training * cost.trainings)} one after another; teachers, searches and tests come beside.",
        f"A search for the student's own augmentation ({cost.members} members) would take {duration(cost.search)} for "
        "each seed. It was not shown to be better than presets in this tool's own experiments.",
    )
    return AdviceSection("What it costs", sentences)
