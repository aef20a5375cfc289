"""Whether a server of the web can be reached: one short trial, where a library would try for half a minute."""

from __future__ import annotations

import importlib
import socket
import threading
import time
import urllib.request
from urllib.parse import urlsplit

#: Seconds that a server has to accept a connection.
PATIENCE = 4.0
#: Seconds that an answer holds.
_HOLDS = 60.0
_KNOWN: dict[tuple[str, int], tuple[float, bool]] = {}


def is_reachable(address: str, patience: float = PATIENCE) -> bool:
    """Returns whether the server of an address, or the proxy to it, accepts a connection; nothing is sent.

    The answer holds for a minute, so that several files of a missing network cost one question.

    Args:
        address: such as ``https://huggingface.co``.
        patience: seconds within which it must answer.
    """
    place = _place(address)
    asked, found = _KNOWN.get(place, (float("-inf"), False))
    if time.monotonic() - asked > _HOLDS:
        found = _connects(place, patience)
        _KNOWN[place] = (time.monotonic(), found)
    return found


def _place(address: str) -> tuple[str, int]:
    """Returns host and port of an address; those of the proxy where requests to it take one."""
    parts = urlsplit(address)
    proxy = urllib.request.getproxies().get(parts.scheme)
    if proxy and not urllib.request.proxy_bypass(parts.hostname or ""):
        parts = urlsplit(proxy if "//" in proxy else f"http://{proxy}")
    return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


def _connects(place: tuple[str, int], patience: float) -> bool:
    # In a thread: looking up a name may take longer than any limit of a socket.
    found: list[bool] = []

    def ask() -> None:
        try:
            socket.create_connection(place, timeout=patience).close()
        except (OSError, UnicodeError):
            return
        found.append(True)

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(patience)
    return bool(found)


def hub_address() -> str:
    """Returns the address of the Hugging Face hub, as its package has it."""
    try:
        return str(importlib.import_module("huggingface_hub.constants").ENDPOINT)
    except (ImportError, AttributeError):
        return "https://huggingface.co"


def hub_options() -> dict[str, bool]:
    """Returns the options of a request to the hub: its cache alone where the hub cannot be reached."""
    return {} if is_reachable(hub_address()) else {"local_files_only": True}


def why_not(address: str, error: Exception) -> str:
    """Returns in a few words why a file could not be had.

    Args:
        address: of the server.
        error: of the library.
    """
    if not is_reachable(address):
        return f"{urlsplit(address).hostname} does not answer: there is no network here"
    text = f"{type(error).__name__}: {error}"
    if any(mark in text for mark in ("404", "401", "not a valid model identifier", "RepositoryNotFound")):
        return f"{urlsplit(address).hostname} has no such public repository or file"
    return " ".join(text.split())[:160]
