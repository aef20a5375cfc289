"""Settings for which a tokenizer lacks something, where the data are texts."""

from __future__ import annotations

from collections.abc import Iterator

from rolewise.config.faults import Steps
from rolewise.config.schema import ExperimentConfig
from rolewise.experiment import builders
from rolewise.experiment.trial.text_facts import TextFacts


def tokenizer_faults(config: ExperimentConfig, texts: TextFacts) -> Iterator[tuple[Steps, str]]:
    """Yields (path, message) for a view that two tokenizers cannot share, and for a mask token that is missing.

    Args:
        config: the experiment.
        texts: facts of its texts.
    """
    if not texts.shared and config.distill.view == "shared" and True in config.arms.distill:
        rule = 'must be "clean" or "own" where teacher and student have tokenizers of their own, got "shared"'
        yield ("distill", "view"), f"{rule}: what is done to the student's tokens cannot be done to other ones"
    if "token_mask" in builders.learned_ops(config):
        for role, facts in (("student", texts.student), ("teacher", texts.teacher)):
            if facts.mask is None:
                rule = f'must leave out "token_mask": the tokenizer of the {role}, {facts.name}, has no mask token'
                yield ("augment", "ops"), f"{rule}; name the other operations"
                return
