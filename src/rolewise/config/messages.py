"""The schema's findings as faults of a document: one fault for one setting, at its line."""

from __future__ import annotations

from pydantic import BaseModel, ValidationError

from rolewise.config.document import Document
from rolewise.config.faults import Fault, dotted
from rolewise.config.schema import ExperimentConfig
from rolewise.setting_messages import messages_of


def faults_of(
    error: ValidationError, document: Document, kind: type[BaseModel] = ExperimentConfig, owner: str = "an experiment"
) -> list[Fault]:
    """Returns one fault for each setting that the schema refuses.

    Args:
        error: the schema's error.
        document: the document that was checked.
        kind: the schema.
        owner: the whole document's name.
    """
    messages = messages_of(error, document.value, kind, owner)
    return [Fault(document.place(path), dotted(path), message) for path, message in messages.items()]
