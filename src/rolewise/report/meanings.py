"""The words of the pages that a reader may not know, and what they mean; a page explains those that it uses."""

from __future__ import annotations

#: Key -> (the word, its meaning).
MEANINGS = {
    "seed": (
        "seed",
        "One repetition of everything with other luck: another division of the data, other initial weights, other "
        "random draws. Several seeds show how much of a difference is luck.",
    ),
    "arm": (
        "arm",
        "One cell of the comparison: a student, the augmentation of what it sees, with or without distillation from a "
        "teacher. none+distill is trained without augmentation, with distillation.",
    ),
    "control": (
        "control",
        "The arm that others are compared with: the same student under the augmentation that arms.control names, which "
        "is none, without augmentation, by default.",
    ),
    "interval": (
        "95% interval",
        "Student's interval over seeds: of intervals made so, 19 of 20 hold the mean that endless seeds would have.",
    ),
    "paired": (
        "paired by seed",
        "A difference is taken within each seed, between networks with the same data and draws, then averaged.",
    ),
    "holm": (
        "Holm's p",
        "The probability of so large a difference by luck alone, raised for the number of differences that were looked "
        "at together (Holm, 1979): of twenty comparisons without any effect one is below 0.05 by itself.",
    ),
    "role": ("role", "Who an augmentation is for: the teacher, or one of the students."),
    "schedule": (
        "schedule",
        "Which operations change what a role sees, how often and how strongly, over the time of training.",
    ),
    "policy": ("policy", "A schedule at one moment: the probability and the strength of each operation."),
    "member": ("member", "One of the trainings that a search holds side by side, each under a policy of its own."),
    "axis": ("axis", "A setting of the experiment that the study varies, over its levels."),
    "cell": ("cell", "One combination of levels, trained and tested with every seed."),
    "contrast": (
        "contrast",
        "The difference that one level of an axis makes against the axis's first level, everything else equal.",
    ),
    "interaction": (
        "interaction",
        "How much the difference that one axis makes itself differs between two levels of another axis.",
    ),
}
