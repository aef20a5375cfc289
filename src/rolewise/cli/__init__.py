"""The command line: new, run, study, search, distill, evaluate, export, predict, report, advise and so on."""

from __future__ import annotations

import io
import shutil
import sys
import time

from rolewise.cli import (
    convert,
    data,
    experiments,
    explain,
    kernel_command,
    method_comparison,
    new,
    outcomes,
    overview,
    pack_command,
    predict,
    proposals,
    status,
    systems,
    tables,
    track,
    watching,
)
from rolewise.cli.options import app
from rolewise.errors import BrokenOff, InputError, Interrupted, RolewiseError
from rolewise.freed_memory import keep_freed_memory
from rolewise.jobs.worker_output import warn_in_one_line
from rolewise.threads import wait_passively
from rolewise.words import wrapped

__all__ = [
    "app",
    "convert",
    "data",
    "experiments",
    "explain",
    "kernel_command",
    "main",
    "method_comparison",
    "new",
    "outcomes",
    "overview",
    "pack_command",
    "predict",
    "proposals",
    "status",
    "systems",
    "tables",
    "track",
    "watching",
]


#: A path that was given is of another kind, or not for this user.
_WRONG_PLACE = (FileExistsError, FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError)

#: What typer makes of a KeyboardInterrupt.
_BROKEN_OFF = 130
_STOPPED = "Stopped."


def main() -> None:
    """Runs the command line; exits with 0, 1 (the run failed), 2 (bad input) or 3 (advise --check found a fault)."""
    # Before any command loads torch.
    wait_passively()
    keep_freed_memory()
    warn_in_one_line()
    _show_anything()
    started = time.monotonic()
    try:
        code = app(standalone_mode=False)
    except InputError as error:
        _fail(str(error), 2)
    except BrokenOff as error:
        _end_early()
        _fail(str(error), 1)
    except Interrupted as error:
        _end_early()
        seconds = time.monotonic() - started
        _fail(f"{error}\nStopped after {seconds:.0f} s; nothing is lost: run the same command again to resume.", 1)
    except RolewiseError as error:
        _fail(str(error), 1)
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        if isinstance(error, _WRONG_PLACE):
            _fail(f"{place}{error.strerror}; give a place that can be read and written", 2)
        _fail(f"{place}{error.strerror or error}; correct that and run the same command again to resume", 1)
    except KeyboardInterrupt:
        _fail(_STOPPED, 1)
    except Exception as error:
        # Click's own faults: an unknown command or option. Anything else is ours and keeps its traceback.
        show = getattr(error, "show", None)
        if show is None:
            raise
        show()
        options = getattr(getattr(getattr(error, "ctx", None), "command", None), "params", ())
        if type(error).__name__ == "NoSuchOption" and any("--set" in option.opts for option in options):
            print("A setting of the config is changed by --set, such as --set workers=3.", file=sys.stderr)
        raise SystemExit(2) from None
    # What `typer.Exit` was raised with comes back as a value here, and so does a Ctrl-C that broke off.
    if code == _BROKEN_OFF:
        _fail(_STOPPED, 1)
    if isinstance(code, int) and code:
        raise SystemExit(code)


def _show_anything() -> None:
    """Has what a terminal cannot show, such as a class's name in one of ASCII alone, written as its number."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")


def _end_early() -> None:
    from rolewise.jobs.worker_process import end_server

    end_server()


def _fail(text: str, code: int) -> None:
    # In a terminal over the ^C that it shows where a command is interrupted, which would push the first line's end out.
    shown = f"\r{wrapped(text, shutil.get_terminal_size().columns)}" if sys.stderr.isatty() else text
    print(shown, file=sys.stderr)
    raise SystemExit(code)
