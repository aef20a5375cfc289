"""The faults of a teacher by name, what makes one, and what a search for them found."""

from __future__ import annotations

from dataclasses import dataclass

from rolewise.diagnosis.baselines import Baseline
from rolewise.diagnosis.preprocessing import Preprocessing

#: Every fault that is looked for. The order decides between corrections that the images cannot tell apart: what has
#: fewer ways to fit comes first.
FAULTS: dict[str, str] = {
    "channel_order": "the channels come in the wrong order (BGR for RGB)",
    "normalisation": "the pixels are normalised otherwise than in the teacher's training",
    "input_size": "the images have another size than in the teacher's training",
    "class_order": "the outputs stand for the classes in another order than the labels",
    "norm_mode": "batch norms (or dropout) are in training mode, or their statistics do not fit the images",
    "weak_teacher": "the teacher is right less often than something that it should teach",
}
#: What to do about each.
REMEDIES = {
    "channel_order": "reverse the channels of what the teacher is fed, or take weights of the other order",
    "normalisation": "set teacher.model.mean and teacher.model.std to what the teacher was trained with",
    "input_size": "set teacher.model.size to what the teacher was trained with",
    "class_order": "put the rows of the teacher's last layer into the order of the data's classes, or name the output "
    "of each class in teacher.label_map, beside teacher.weights",
    "norm_mode": "call eval(), and let the norms see training images before the weights are kept",
    "weak_teacher": "train the teacher further, or take another",
}


@dataclass(frozen=True)
class Thresholds:
    """Thresholds beyond which a difference is a fault.

    Args:
        level: the highest p value, adjusted (Holm) for all corrections that were tried beside it.
        gain: the least accuracy that undoing it must bring, in [0, 1].
        repaired: the least share of the errors that it must take away.
    """

    level: float = 0.01
    gain: float = 0.02
    repaired: float = 0.1


@dataclass(frozen=True)
class Tried:
    """One correction and what it brought.

    Args:
        fault: the name of the fault that it would undo.
        label: the change in words.
        round: 0, or how many corrections had been taken over before.
        images: the number of images that both were run on.
        before: accuracy as it was, on them.
        after: accuracy with the correction.
        adjusted: p value that it is no better, adjusted for all that were tried in the round.
        taken: whether it was taken over.
    """

    fault: str
    label: str
    round: int
    images: int
    before: float
    after: float
    adjusted: float
    taken: bool = False


@dataclass(frozen=True)
class TeacherFault:
    """A fault that was found.

    Args:
        name: one of `FAULTS`.
        sentence: the measurement in words.
        remedy: the remedy in words.
        also: other corrections that the images do not distinguish from this one, in words.
    """

    name: str
    sentence: str
    remedy: str
    also: tuple[str, ...] = ()


@dataclass(frozen=True)
class TeacherDiagnosis:
    """The result of a diagnosis: the corrections that were tried, and the faults that were found.

    Args:
        faults: in the order in which they were found.
        tried: every correction.
        rivals: the baselines that the teacher was compared with.
        reading: the preprocessing that the teacher should have, faults undone.
        accuracy: of the teacher read so.
        images: the number of images that the teacher was run on.
        smallest_gain: the least gain in accuracy that so many images and corrections could have shown.
        thresholds: the limits beyond which a difference is a fault.
    """

    faults: tuple[TeacherFault, ...]
    tried: tuple[Tried, ...]
    rivals: tuple[Baseline, ...]
    reading: Preprocessing
    accuracy: float
    images: int
    smallest_gain: float
    thresholds: Thresholds
