"""A server of one page on this machine alone, for a run that goes on."""

from __future__ import annotations

import errno
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from rolewise.errors import InputError
from rolewise.report.live_page import LivePage

#: The only address that is served: nobody else on the network can see the page.
LOOPBACK = "127.0.0.1"
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'unsafe-inline'; connect-src 'self'"


def live_server(page: LivePage, port: int) -> ThreadingHTTPServer:
    """Returns a server that is bound and not yet started; ``server_address`` holds its port.

    ``/`` is the page; ``/?known=VERSION`` is empty (204) while the page is still of that version.

    Args:
        page: the page.
        port: 1 to 65535, or 0 for a free one.

    Raises:
        InputError: the port is out of range, taken or not allowed.
    """
    if not 0 <= port <= 65535:
        raise InputError(f"port must be 0 to 65535, got {port}; 0 takes a free one")
    try:
        server = ThreadingHTTPServer((LOOPBACK, port), _handler(page))
    except OSError as error:
        why = "is taken" if error.errno == errno.EADDRINUSE else f"cannot be used ({error.strerror})"
        raise InputError(
            f"port must be a free one of this machine, got {port}, which {why}; 0 takes a free one"
        ) from error
    server.daemon_threads = True
    return server


def _handler(page: LivePage) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        """Answers requests for the page; it reads and never writes."""

        def do_GET(self) -> None:
            """Sends the page, or nothing where the reader has this version already."""
            address = urlsplit(self.path)
            if not self._is_local():
                self._send(HTTPStatus.FORBIDDEN, "this page is for the machine that it is served on")
            elif address.path != "/":
                self._send(HTTPStatus.NOT_FOUND, "there is one page: /")
            else:
                shown = page.now()
                known = parse_qs(address.query).get("known", [""])[0]
                if known == shown.version:
                    self._send(HTTPStatus.NO_CONTENT, "")
                else:
                    self._send(HTTPStatus.OK, shown.text, "text/html", shown.version)

        def _is_local(self) -> bool:
            """Returns whether the address is of this machine: another site may point its own name here."""
            host = (self.headers.get("Host") or "").rpartition(":")[0]
            return host in (LOOPBACK, "localhost")

        def _send(self, status: HTTPStatus, text: str, kind: str = "text/plain", version: str = "") -> None:
            body = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", f"{kind}; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.send_header("Content-Security-Policy", _POLICY)
            self.send_header("X-Version", version)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Writes nothing: a line for each look would fill the terminal."""

    return Handler
