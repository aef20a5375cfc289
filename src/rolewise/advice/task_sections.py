"""Advice on a task as sections of sentences and tables."""

from __future__ import annotations

from rolewise.advice.advice_section import AdviceSection
from rolewise.advice.task_faults import TaskDiagnosis
from rolewise.advice.task_result import TaskAdvice
from rolewise.diagnosis.fault_kinds import FAULTS
from rolewise.metric_info import MetricInfo
from rolewise.words import counted, sentence_start


def task_sections(advice: TaskAdvice) -> list[AdviceSection]:
    """Returns the sections in their order.

    Args:
        advice: the advice.
    """
    found = [
        task_faults_section(advice.info, advice.diagnosis),
        _measures(advice),
        AdviceSection("What does not apply", advice.absent),
    ]
    if advice.choices:
        rows = [(one.setting, _value(one.value), one.confidence) for one in advice.choices]
        reasons = tuple(f"{one.setting}: {one.reason}. Source: {one.source}." for one in advice.choices)
        found.append(AdviceSection("The proposal", (), ("setting", "value", "confidence"), tuple(rows), reasons))
    return [*found, AdviceSection("What this rests on", advice.notes)]


def task_faults_section(info: MetricInfo, diagnosis: TaskDiagnosis) -> AdviceSection:
    """Returns the section on the teacher's faults.

    Args:
        info: the task's first metric.
        diagnosis: the faults, and what was tried.
    """
    what = "texts" if diagnosis.reading is None else "images"
    tried = counted(len(diagnosis.tried), "correction was", "corrections were")
    sentences = tuple(
        f"{fault.name}: {FAULTS[fault.name]}. {sentence_start(fault.sentence)}."
        + (f" The {what} cannot distinguish this from: {', '.join(fault.also)}." if fault.also else "")
        + f" Remedy: {fault.remedy}."
        for fault in diagnosis.faults
    ) or (f"No fault was found: {tried} tried on {diagnosis.examples} {what}.",)
    rows = tuple(
        (one.fault, one.label, info.shown(one.before), info.shown(one.after), f"{one.adjusted:.2g}")
        for one in diagnosis.tried
    )
    columns = ("fault", "tried instead", "as it is", "with it", "adjusted p") if rows else ()
    title, warns = "Is the teacher fed and read as it was trained?", bool(diagnosis.faults)
    return AdviceSection(title, sentences, columns, rows, warns=warns)


def _measures(advice: TaskAdvice) -> AdviceSection:
    first = (advice.info.title, advice.info.shown(advice.diagnosis.value))
    rows = ((f"{first[0]}, validation", first[1]), *advice.measures.items())
    pulls = tuple(
        f"The gradient of {one.name} at weight {one.weight:g} is {one.ratio:.2g} times that of the labels' term at "
        "weight 1."
        for one in advice.pulls
    )
    if pulls and advice.task == "detection":
        pulls += ("Boxes and the distances to their sides have terms of their own, which these ratios leave out.",)
    return AdviceSection("The teacher", (), ("measure", "teacher"), rows, pulls)


def _value(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
