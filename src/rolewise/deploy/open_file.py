"""Exported files opened again: a function that runs one, and the facts that it keeps about itself."""

from __future__ import annotations

import json
import struct
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from rolewise.deploy.file_agreement import Predict
from rolewise.deploy.file_facts import FileFacts, facts_of
from rolewise.deploy.file_formats import Subject, file_network, of_packed, open_onnx, session_of
from rolewise.deploy.text_file_facts import TOKENS, TextFileFacts, text_file_facts_of
from rolewise.deploy.text_formats import text_program, text_session
from rolewise.errors import InputError
from rolewise.files import kind_of
from rolewise.inputs import InputSpec
from rolewise.models import build
from rolewise.quant.packed_file import FORMAT
from rolewise.quant.program import load_program
from rolewise.tensors import read_tensors


def open_file(path: Path) -> tuple[Callable[..., Tensor], FileFacts | TextFileFacts]:
    """Returns an exported file as a function, and its facts; of images, or of texts.

    Args:
        path: of any format; its ending does not matter.

    Raises:
        InputError: it is missing, damaged or from elsewhere, or what runs it is not installed.
    """
    if kind_of(path) != "a file":
        raise InputError(f"{path} must be a run folder or an exported file, got {kind_of(path) or 'nothing there'}")
    with path.open("rb") as file:
        head = file.read(9)
    if head.startswith(b"PK"):
        return _program(path)
    if len(head) == 9 and head[8:] == b"{" and struct.unpack("<Q", head[:8])[0] < path.stat().st_size:
        return _packed(path)
    predict, metadata = open_onnx(path)
    if metadata.get("input") == TOKENS:
        facts = text_file_facts_of(metadata, f"ONNX file {path}")
        return text_session(session_of(path), facts, path), facts
    return predict, facts_of(metadata, f"ONNX file {path}")


def _program(path: Path) -> tuple[Callable[..., Tensor], FileFacts | TextFileFacts]:
    metadata: dict[str, str] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                # torch keeps extra files in a folder of their own, below one of any name.
                folder, _, last = name.rpartition("/")
                if folder.rpartition("/")[2] in ("extra", "extra_files"):
                    metadata[last] = archive.read(name).decode()
    except (zipfile.BadZipFile, ValueError) as error:
        raise InputError(f"torch program {path} is damaged ({error}); export it anew") from error
    if metadata.get("input") == TOKENS:
        known = text_file_facts_of(metadata, f"torch program {path}")
        return text_program(path, known), known
    facts = facts_of(metadata, f"torch program {path}")
    return load_program(path), facts


def _packed(path: Path) -> tuple[Predict, FileFacts]:
    what = f"packed file {path}"
    try:
        head: Mapping[str, Any] = json.loads(read_tensors(path, what)[1].get(FORMAT, "{}"))
        metadata: dict[str, str] = dict(head.get("metadata", {}))
    except (ValueError, TypeError, AttributeError) as error:
        raise InputError(f"{what} is damaged ({error}); export it anew") from error
    facts = facts_of(metadata, what)
    try:
        network = json.loads(metadata["network"])
        name, arguments = network["name"], network["arguments"]
        channels, height, width = network["input"]
    except (KeyError, ValueError, TypeError) as error:
        raise InputError(f"{what} must name its network; export it anew, or predict by its run") from error
    if ":" in name:
        # A file must not decide what code is run.
        raise InputError(
            f"{what} must be of a network that Rolewise knows by its name, got {name}; predict by its run, or export "
            "it as onnx or torch"
        )

    def plain() -> Any:
        classes = len(facts.classes)
        network = build(name, num_classes=classes, channels=channels, size=(height, width), seed=0, **arguments)
        return file_network(network, facts.kind, facts.rules.shape)

    spec = InputSpec(facts.mean, facts.std, (height, width), facts.form.interpolation)
    subject = Subject(plain(), plain, spec, (channels, height, width), None, facts)
    return of_packed(subject, path), facts
