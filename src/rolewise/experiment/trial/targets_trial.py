"""Whether the data of an experiment have the targets that its task predicts."""

from __future__ import annotations

from rolewise.data.targets import TargetKind
from rolewise.experiment.trial.image_facts import ImageFacts
from rolewise.tasks import build_task

#: Targets that each task of Rolewise's own takes.
_TARGETS: dict[str, tuple[TargetKind, ...]] = {
    "classification": ("classes",),
    "multi_label": ("labels", "numbers"),
    "regression": ("numbers",),
    "segmentation": ("masks",),
    "detection": ("boxes",),
    "tagging": ("tags",),
}


def target_fault(images: ImageFacts) -> str | None:
    """Returns the misfit of data and task, and its remedy; None where they fit, or the task is one's own.

    Args:
        images: facts of the data's images, and the task.
    """
    task = build_task(images.task)
    wanted = _TARGETS.get(task.name, ())
    if not wanted or images.kind in wanted:
        return None
    fitting = next((name for name, kinds in _TARGETS.items() if images.kind in kinds), None)
    if fitting is None:
        return f"must be a task of one's own, package.module:name, where the data have {images.kind}, got {task.name}"
    return (
        f"must fit the data: {task.name} predicts {' or '.join(wanted)}, and the data have {images.kind}; write task: "
        f"{fitting}, or set data.arguments.targets to {wanted[0]} where the data have those"
    )
