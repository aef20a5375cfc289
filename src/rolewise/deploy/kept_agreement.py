"""The agreement of an exported file with its network, written into the file once it has been measured."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import save

from rolewise.deploy.file_agreement import Agreement
from rolewise.files import write_bytes
from rolewise.quant.packed_file import FORMAT
from rolewise.tensors import read_tensors
from rolewise.words import counted


def keep_agreement(path: Path, form: str, same: Agreement, part: str, runtime: str, unit: str) -> None:
    """Writes an agreement into the metadata of a file, beside what it keeps about itself.

    Args:
        path: the file.
        form: its format.
        same: the agreement.
        part: the images that it was measured on: ``test``, ``validation`` or ``given``.
        runtime: library that ran the file, with its version.
        unit: ``image`` or ``text``.
    """
    text = {
        "agreement": json.dumps(same.share),
        f"agreement_{unit}s": f"{same.unit}{counted(same.images, f'{part} {unit}')}, {runtime}",
    }
    write = {"onnx": _into_onnx, "packed": _into_packed, "torch": _into_program}[form]
    write_bytes(path, write(path, text))


def _into_onnx(path: Path, text: Mapping[str, str]) -> bytes:
    import onnx

    # Messages behind one another are one message, whose lists go on: the file itself need not be read as a graph.
    more = onnx.ModelProto()
    for key, value in text.items():
        more.metadata_props.add(key=key, value=value)
    added: bytes = more.SerializeToString()
    return path.read_bytes() + added


def _into_program(path: Path, text: Mapping[str, str]) -> bytes:
    content = io.BytesIO(path.read_bytes())
    with zipfile.ZipFile(content, "a", zipfile.ZIP_STORED) as archive:
        # Beside the facts: torch keeps extra files in a folder of their own, below one of any name.
        folder = next(name for name in archive.namelist() if name.endswith("/activation")).rpartition("/")[0]
        for key, value in text.items():
            # A moment of its own would make other bytes of an equal file.
            archive.writestr(zipfile.ZipInfo(f"{folder}/{key}"), value)
    return content.getvalue()


def _into_packed(path: Path, text: Mapping[str, str]) -> bytes:
    tensors, metadata = read_tensors(path, f"packed file {path}")
    head = json.loads(metadata[FORMAT])
    head["metadata"] = {**head["metadata"], **text}
    return save(tensors, metadata={FORMAT: json.dumps(head, sort_keys=True)})
