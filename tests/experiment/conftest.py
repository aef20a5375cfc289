"""The command line as tests call it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rolewise import cli


@pytest.fixture
def rolewise(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[int, str, str]]:
    """Calls a command in this process; gives its exit code, what it printed, and its errors."""

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["rolewise", *map(str, arguments)])
        code = 0
        try:
            cli.main()
        except SystemExit as ending:
            code = int(ending.code or 0)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call
