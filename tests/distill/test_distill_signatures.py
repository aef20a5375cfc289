"""What editors, ``help`` and ``dir`` know of the package: methods as functions, rooms that are called, the stub."""

from __future__ import annotations

import inspect
import subprocess
import sys
from importlib import resources
from pathlib import Path

import pytest

import rolewise as rw
from rolewise.distill import COMBINATIONS, METHODS
from rolewise.distill.method_makers import COMMON

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))

import method_signatures  # type: ignore[import-not-found]


def test_the_stub_is_that_of_the_methods() -> None:
    written = method_signatures.PLACE.read_text(encoding="utf-8")
    wanted = method_signatures.text()
    assert method_signatures.parameters_of(written) == method_signatures.parameters_of(wanted), (
        "run python tools/method_signatures.py"
    )
    assert len(method_signatures.parameters_of(written)) >= 20


@pytest.mark.parametrize("name", sorted(METHODS))
def test_a_method_s_function_has_a_signature_and_help(name: str) -> None:
    made = getattr(rw, name)
    parameters = inspect.signature(made).parameters
    assert all(one.kind is one.KEYWORD_ONLY for one in parameters.values())
    assert list(parameters)[: len(METHODS[name].settings)] == list(METHODS[name].settings)
    assert parameters["weight"].default == METHODS[name].weight
    assert ("student_taps" in parameters) == (METHODS[name].reads != "logits")
    text = inspect.getdoc(made)
    assert text is not None and text.startswith(METHODS[name].summary)
    _, _, arguments = text.partition("\nArgs:\n")
    listed = [line.strip().partition(":")[0] for line in arguments.splitlines() if line.startswith("    ")]
    assert set(parameters) <= set(listed), "each setting is explained"
    assert made.__name__ == name and made(weight=0.5).weight(0.0) == 0.5
    # What the signature promises, the function takes.
    assert made(**{key: one.default for key, one in parameters.items() if key not in COMMON}).info is METHODS[name]


def test_the_package_lists_what_is_public() -> None:
    names = dir(rw)
    assert {*rw.__all__, *METHODS, *COMBINATIONS} <= set(names) and names == sorted(set(names))
    assert "distill" in names and not [name for name in names if name.startswith("_") and name != "__version__"]
    assert not {"Any", "TYPE_CHECKING", "annotations", "importlib", "make_callable"} & set(names)
    assert set(METHODS) <= set(dir(rw.distill))
    assert all(hasattr(rw, name) for name in (*METHODS, *COMBINATIONS, "Distiller", "distill"))
    assert resources.files("rolewise").joinpath("py.typed").is_file()
    assert resources.files("rolewise").joinpath("distill", "signatures.pyi").is_file()


def test_rooms_are_functions_and_stay_rooms() -> None:
    import rolewise.distill as room
    from rolewise.search.search_call import search
    from rolewise.train import distill

    assert rw.distill is room and rw.distill.Distiller is rw.Distiller and callable(rw.search)  # type: ignore[attr-defined]
    assert inspect.signature(rw.distill) == inspect.signature(distill)
    assert inspect.signature(rw.search) == inspect.signature(search)
    with pytest.raises(TypeError, match=r"missing .* required"):
        rw.search()  # type: ignore[call-arg]


def test_importing_the_package_imports_no_torch() -> None:
    code = "import sys, rolewise; sys.exit(any(name in sys.modules for name in ('torch', 'numpy', 'rolewise.distill')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
