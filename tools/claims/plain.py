"""Sentences that look like results and are none of ours: what each is instead, and why nobody need derive it.

A sentence stands here by its document and its beginning. ``source`` is another's figure, ``rule`` a setting, a
definition or what a word means, ``held`` a figure that the named test holds, ``shown`` the output of a short example
whose document says that it shows what comes out, and ``once`` a time or size that was measured once: its document
must call it "measured once", since its figures are not committed.
"""

from __future__ import annotations

KINDS = ("source", "rule", "held", "shown", "once")

PLAIN: tuple[tuple[str, str, str], ...] = (
    ("advise.md", "A correction is a fault found where it gains at least 2 points", "rule"),
    ("advise.md", "A fault that costs less than the thresholds is not found", "rule"),
    ("advise.md", "| label weight |", "rule"),
    ("advise.md", "| method weights |", "rule"),
    ("advise.md", "| augmentation |", "rule"),
    ("analysis.md", "| accuracy | 0.970", "shown"),
    ("analysis.md", "| negative log-likelihood (`nll`)", "shown"),
    ("analysis.md", "| calibration error (`ece`)", "shown"),
    ("analysis.md", "| temperature | 0.785", "shown"),
    ("analysis.md", "| calibration error at it", "shown"),
    ("analysis.md", "| agreement | 1.000", "shown"),
    ("analysis.md", "| divergence from the teacher", "shown"),
    ("analysis.md", "| linearity gap, nats", "shown"),
    ("analysis.md", "| steepest sampled slope", "shown"),
    ("analysis.md", "- **Few images.** A calibration error is biased upwards", "rule"),
    ("augment.md", "| shear, pixels for each row |", "rule"),
    ("augment.md", "| translation |", "rule"),
    ("augment.md", "`scale` is the scale jitter", "rule"),
    ("augment.md", "| brightness, color, contrast, sharpness", "rule"),
    ("log.md", "| 2,048 of 8x8 |", "once"),
    ("log.md", "| 512 of 32x32 |", "once"),
    ("log.md", "| 64 of 224x224 |", "once"),
    ("log.md", "On 120 Imagenette photographs", "once"),
    ("log.md", "Of SST-2's training texts in random batches", "once"),
    ("log.md", "- Further 8-bit grids kept 92.1%", "once"),
    ("log.md", "Halves are better than threads inside", "once"),
    ("log.md", "- Hooks on arguments are set only where a path needs them", "once"),
    ("log.md", "115 and 126 s then", "once"),
    ("log.md", "- Estimates from labels, the teacher's pass and one operation", "once"),
    ("log.md", "Whole steps at the epoch's own size, the middle of three", "once"),
    ("log.md", "- MLflow's file store is refused", "once"),
    ("methods.md", "| `crd` | `penultimate`", "rule"),
    ("methods.md", "| `mgd` | `last_stage`", "rule"),
    ("methods.md", "| `ld` | distributions of", "rule"),
    ("methods.md", "| `aekd` | logits of several teachers", "rule"),
    ("methods.md", "| `tf_kd` | logits and labels", "rule"),
    ("methods.md", "| `byot` | all stages", "rule"),
    ("methods.md", "- The loss is the same for `a z + b`", "rule"),
    ("methods.md", "- **Learned parts with a loss of their own**", "rule"),
    ("from_torchdistill.md", "Tried on the 111 sample configs", "once"),
    ("compare.md", "| test metric |", "rule"),
    ("compare.md", "| difference to kd |", "rule"),
    ("config.md", "| `detection`", "rule"),
    ("config.md", "| `expected_calibration_error` | `classification`", "rule"),
    ("config.md", "| `detection` | boxes with a class each", "rule"),
    ("methods.md", "`benchmarks/step.py` times a whole step", "rule"),
    ("training.md", "A checkpoint is due every 15 seconds", "rule"),
    ("mixing.md", "What it calls 10% is 40.7% at batch 64", "source"),
    ("quant.md", "`rolewise export` takes at most 512 training images", "rule"),
    ("quant.md", "That moved up to 15% of the predictions", "once"),
    ("quant.md", "This file is for agreement, and slower than float32", "once"),
    ("report.md", "It begins with [what the run answers](#what-a-run-answers)", "rule"),
    ("report.md", "| What share of the gap between teacher and student", "rule"),
    ("report.md", "Differences are paired by seed, with Student's intervals. p values", "rule"),
    ("report.md", '"cannot be told" stands elsewhere.', "rule"),
    ("report.md", "Of an error, each sentence names the better way.", "rule"),
    ("report.md", "`±` means one thing", "rule"),
    ("report.md", "Markdown and LaTeX (`booktabs`, all text escaped) show mean", "rule"),
    ("report.md", "The best of a student is marked only where", "rule"),
    ("report.md", "`±` is a standard deviation over seeds", "rule"),
    ("robustness.md", "PGD worse than FGSM", "rule"),
    ("search.md", "It asks for a *member*", "rule"),
    ("search.md", "Within an interval a checkpoint is due every 15 seconds", "rule"),
    ("search.md", "(2020) published left 32.4%", "held"),
    ("study.md", "`rolewise study` ends with the answers to the study's", "rule"),
    ("study.md", "A `~` marks those that cannot be told from the first", "rule"),
    ("study.md", "| `calibration` |", "rule"),
    ("study.md", '"Raises" and "lowers" stand', "rule"),
    ("study.md", '"cannot be told apart" everywhere else', "rule"),
    ("study.md", 'The answer is "yes" or "no"', "rule"),
    ("training.md", "| `channels_last`, `compile` |", "once"),
    ("training.md", "On small images a second thread brings little", "once"),
    ("training.md", "There are up to 20 such epochs", "rule"),
    ("training.md", "A checkpoint is due every 15 seconds", "rule"),
    ("training.md", "1.2% more time", "once"),
)


def plain(document: str, sentence: str) -> str | None:
    """Returns what a sentence is instead of a result; None where nobody said."""
    return next((kind for name, begins, kind in PLAIN if name == document and sentence.startswith(begins)), None)
