"""The packages that write and run ONNX files, looked for before the work that needs them."""

from __future__ import annotations

import importlib.util

from rolewise.errors import InputError

#: The command that brings them.
ONNX_EXTRA = 'pip install "rolewise[export]"'
_WRITING, _RUNNING = ("onnx", "onnx_ir", "onnxscript"), ("onnxruntime",)


def missing_onnx_packages(*, run: bool = True) -> tuple[str, ...]:
    """Returns those packages of the extra ``export`` that are not installed; nothing is imported.

    Args:
        run: whether files are run as well as written.
    """
    return tuple(name for name in _WRITING + (_RUNNING if run else ()) if importlib.util.find_spec(name) is None)


def check_onnx_packages(*, run: bool = True) -> None:
    """Checks that ONNX files can be written here, and run.

    Args:
        run: as of `missing_onnx_packages`.

    Raises:
        InputError: a package is not installed.
    """
    missing = missing_onnx_packages(run=run)
    if missing:
        names = f"{', '.join(missing[:-1])} and {missing[-1]}" if len(missing) > 1 else missing[0]
        raise InputError(f"format onnx needs {names}, not installed here; {ONNX_EXTRA}, or take another format")
