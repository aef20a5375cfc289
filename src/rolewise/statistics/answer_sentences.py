"""Sentences on the answers of a run and of a study: no stronger than intervals and Holm's p values allow."""

from __future__ import annotations

from rolewise.metric_info import MetricInfo
from rolewise.statistics.answers import NOT_ALONE, OWN, SHARED, Gain, StudentAnswer
from rolewise.statistics.arm_differences import ArmDifference
from rolewise.statistics.estimates import Estimate
from rolewise.statistics.gap_share import NOT_BETTER, NOT_TOLD, ONE_SEED, SAME, GapShare
from rolewise.statistics.noise_levels import Noise, noise_words
from rolewise.words import counted, sentence_start

#: The key of a config that adds arms with or without distillation.
ADDS_ARMS = "arms.distill: [true, false]"
#: The caution on a run of one seed.
ONE_SEED_CAUTION = (
    "Of one seed: what differs between trainings is in no interval. Run more seeds before believing a difference."
)
_NAMES = {OWN: "its own searched schedule", SHARED: "the teacher's schedule", "none": "no augmentation"}


def answer_sentences(answer: StudentAnswer) -> list[str]:
    """Returns the sentences of one student: the gain of distillation, its share of the gap, effects of augmentation.

    Args:
        answer: of `rolewise.statistics.answers.run_answers`.
    """
    single = [ONE_SEED_CAUTION] if answer.seeds == 1 else []
    return [*gain_sentences(answer), *effect_lines(answer), *single]


def gain_sentences(answer: StudentAnswer) -> list[str]:
    """Returns the sentences on the gain of distillation: the gain, the gap to the teacher, and further gains."""
    if answer.missing is not None:
        return [lack_sentence(answer.missing)]
    if answer.headline is None:
        return ["The gain of distillation cannot be told: no seed has a number for both of its arms."]
    return [gain_sentence(answer.headline), share_sentence(answer.headline), *further_sentences(answer)]


def lack_sentence(missing: str, key: str = ADDS_ARMS) -> str:
    """Returns the sentence on a gain that cannot be judged, with the setting that adds the arms.

    Args:
        missing: the kind of arm that is not there (see `rolewise.statistics.answers.StudentAnswer`).
        key: the setting.
    """
    arms = "without" if missing == NOT_ALONE else "with"
    return f"The gain of distillation cannot be told: there is {missing}. {key} trains the same arms {arms} it."


def gain_sentence(gain: Gain) -> str:
    """Returns the sentence on what distillation changed, with its interval and how far that stands out."""
    metric, scores = (
        gain.metric,
        f"{gain.metric.shown(gain.control_score.mean)} to {gain.metric.shown(gain.score.mean)}",
    )
    alone = f"{'over' if gain.difference.mean > 0 else 'compared with'} the same student alone"
    if gain.noise is Noise.WITHIN:
        change = _signed(gain.difference, metric)
        evidence = f"{change} {alone} ({scores}; {_evidence(gain)})"
        return f"Whether distillation changes {metric.title} cannot be told: {evidence}."
    return f"Distillation {_changed(gain)} {alone}{_valued(gain)} ({scores}; {_evidence(gain)})."


def further_sentences(answer: StudentAnswer) -> list[str]:
    """Returns a sentence that counts the gains under other augmentations and of other teachers; none without any."""
    rest = answer.gains[1:]
    if not rest or answer.seeds == 1:
        return []
    better, worse = (sum(one.told and (one.improvement > 0) is side for one in rest) for side in (True, False))
    counts = {"augmentations": len({one.of for one in answer.gains})}
    counts["teachers"] = len({one.teacher for one in answer.gains})
    where = "other " + " and ".join(name for name, count in counts.items() if count > 1)
    every = rest[0].family[1]
    among = f"beyond the noise of {'both' if every == 2 else f'all {every}'}" if every > 1 else "beyond the noise"
    return [
        f"Under {where}, distillation is better in {better} and worse in {worse} of "
        f"{counted(len(rest), 'comparison')}, {among}; in {len(rest) - better - worse} it cannot be told."
    ]


def share_sentence(gain: Gain) -> str:
    """Returns the sentence on the share of the gap between teacher and student that distillation closed."""
    closed = gain.closed
    if closed.reason == NOT_BETTER and closed.gap is not None:
        return (
            f"There is no gap to close: the teacher is not better than the student alone "
            f"({_signed(closed.gap, gain.metric)})."
        )
    if closed.reason == NOT_TOLD and closed.gap is not None:
        return (
            "The share of the gap to the teacher that it closed cannot be told: the teacher's lead over the student "
            f"alone ({_signed(closed.gap, gain.metric)}{_interval(closed.gap, gain.metric, ', ')}) is within the noise."
        )
    if closed.value is None:
        return f"The share of the gap to the teacher that it closed is not known: {closed.reason}."
    return f"{_closed(gain)} ({_share_evidence(closed)}; the teacher {_lead(gain)} the student alone)."


def effect_lines(answer: StudentAnswer) -> list[str]:
    """Returns a sentence for each effect of augmentation, or one on what the run lacks."""
    if not answer.effects and answer.augmentations > 1:
        return ["The effect of augmentation cannot be told: no seed has a number for two arms that differ in it."]
    if not answer.effects:
        return [
            f"The effect of augmentation cannot be told: every arm has the same one ({answer.control}). arms.student "
            "adds others, such as [none, own]."
        ]
    how = "with distillation, " if answer.distilled else ""
    return [effect_sentence(effect, how) for effect in answer.effects]


def effect_sentence(effect: ArmDifference, how: str = "") -> str:
    """Returns the sentence on one augmentation instead of another.

    Args:
        effect: the difference of both arms.
        how: words on the setting that both arms share, before the sentence.
    """
    of, against = (_NAMES.get(label, label) for label in (effect.of, effect.against))
    what = f"{how}{of} instead of {against}"
    what = sentence_start(what)
    if effect.noise is Noise.WITHIN:
        change = _signed(effect.difference, effect.metric)
        return f"{what} cannot be told apart in {effect.metric.title}: {change} ({_evidence(effect)})."
    return f"{what} {_changed(effect)}{_valued(effect)} ({_evidence(effect)})."


def _changed(one: ArmDifference) -> str:
    metric, size = one.metric, abs(one.difference.mean)
    verb = "raised" if one.difference.mean > 0 else "lowered"
    return f"{verb} {metric.title} by {metric.value(size)}{metric.change_unit}"


def _valued(one: ArmDifference) -> str:
    """Returns the direction of a change in words, where a reader might take it for the other one."""
    better = one.improvement > 0
    return "" if one.metric.higher_is_better and better else ", which is better" if better else ", which is worse"


def _signed(found: Estimate, metric: MetricInfo) -> str:
    return f"{metric.change(found.mean)}{metric.change_unit}"


def _interval(found: Estimate, metric: MetricInfo, before: str = "") -> str:
    if found.low is None or found.high is None:
        return ""
    return f"{before}95% interval {metric.change(found.low)} to {metric.change(found.high)}"


def _evidence(one: ArmDifference) -> str:
    found = one.difference
    if found.low is None:
        if found.count == 1:
            return "one seed, which says nothing about noise"
        return "every seed alike, so that the noise is unknown" if found.mean else "the same in every seed"
    seeds = "one seed, over its test set" if one.of_images else f"{found.count} seeds"
    return f"{_interval(found, one.metric)}, {seeds}; {noise_words(one.noise, one.family)}, {_p_values(one)}"


def _p_values(one: ArmDifference) -> str:
    """Returns the p values that the level of noise rests on."""
    every = one.family[1]
    together = one.difference.p if one.together is None else one.together
    if every < 2:
        return f"p = {together:.2g}"
    if one.noise is Noise.STUDENT and one.alone is not None:
        return f"Holm p = {one.alone:.2g}, and not of all {every}, {together:.2g}"
    return f"Holm p = {together:.2g}" + (f" over {every}" if one.noise is not Noise.TABLE else "")


def _closed(gain: Gain) -> str:
    closed = gain.closed
    assert closed.value is not None
    if gain.noise is Noise.WITHIN:
        return f"The share of the gap to the teacher that it closed is {closed.value:.0%}"
    if closed.value < 0:
        return f"It widened the gap to the teacher by {-closed.value:.0%}"
    if closed.value > 1:
        return f"It closed the gap to the teacher and went beyond it, {closed.value:.0%} of it"
    return f"It closed {closed.value:.0%} of the gap to the teacher"


def _share_evidence(closed: GapShare) -> str:
    if closed.low is None or closed.high is None:
        return {ONE_SEED: "one seed, no interval", SAME: "the same in every seed, no interval"}[closed.reason or SAME]
    return f"95% interval {closed.low:.0%} to {closed.high:.0%}"


def _lead(gain: Gain) -> str:
    gap, metric = gain.closed.gap, gain.metric
    assert gap is not None
    where = "above" if gap.mean > 0 else "below"
    return f"is {metric.value(abs(gap.mean))}{metric.change_unit} {where}"
