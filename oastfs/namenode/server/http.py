"""The HTTP port: figures for Prometheus and answers for health checks. GET only, one request each.

``/metrics``, ``/healthz`` (the process answers), ``/readyz`` (calls succeed), ``/status`` (JSON).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import msgspec
import structlog
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from oastfs.namenode.server.listening import listen_error

log = structlog.get_logger(__name__)

_REQUEST_BYTES_MAX: Final = 16 * 1024
_REQUEST_SECONDS: Final = 10.0
_CONNECTIONS_MAX: Final = 64
_REASONS: Final = {
    200: "OK", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed", 408: "Request Timeout",
    500: "Internal Server Error", 503: "Service Unavailable",
}  # fmt: skip
_TEXT: Final = "text/plain; charset=utf-8"

Answer = tuple[int, str, bytes]
"""Status, content type, body."""


class StatusServer:
    """Serves what its functions answer; they run on a thread, so they may take their time."""

    def __init__(
        self,
        registry: CollectorRegistry,
        ready: Callable[[], str],
        status: Callable[[], dict[str, object]],
    ) -> None:
        """``ready`` gives '' or what is amiss; ``status`` the object that ``/status`` shows."""
        self._registry = registry
        self._ready = ready
        self._status = status
        self._listener: asyncio.Server | None = None
        self._open = 0

    async def start(self, host: str, port: int) -> int:
        """Listen; the port (a free one for 0). Raises AddressInUse."""
        try:
            self._listener = await asyncio.start_server(self._serve, host, port, limit=_REQUEST_BYTES_MAX)
        except OSError as error:
            raise listen_error("HTTP", host, port, error) from None
        bound: int = self._listener.sockets[0].getsockname()[1]
        return bound

    def stop(self) -> None:
        """Listen no more."""
        if self._listener is not None:
            self._listener.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open += 1
        try:
            if self._open <= _CONNECTIONS_MAX:
                code, content_type, body = await self._answer(reader)
                head = (
                    f"HTTP/1.1 {code} {_REASONS[code]}\r\nContent-Type: {content_type}\r\n"
                    f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
                )
                writer.write(head.encode() + body)
                await asyncio.wait_for(writer.drain(), _REQUEST_SECONDS)
        except (OSError, asyncio.IncompleteReadError, TimeoutError):
            pass  # the peer is gone, and nobody is left to be told
        finally:
            self._open -= 1
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader) -> Answer:
        try:
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), _REQUEST_SECONDS)
        except asyncio.LimitOverrunError:
            return 400, _TEXT, b"the request is too long\n"
        except TimeoutError:
            return 408, _TEXT, b"the request did not come in time\n"
        words = head.split(b"\r\n", 1)[0].split(b" ")
        if len(words) != 3 or not words[2].startswith(b"HTTP/1."):
            return 400, _TEXT, b"this is not HTTP/1\n"
        if words[0] != b"GET":
            return 405, _TEXT, b"only GET is served here\n"
        try:
            path = words[1].split(b"?", 1)[0].decode("ascii", "replace")
            return await asyncio.to_thread(self._page, path)
        except Exception as error:
            log.error("status page failed", exc_info=error)
            return 500, _TEXT, b"the page failed; the log says more\n"

    def _page(self, path: str) -> Answer:
        if path == "/metrics":
            return 200, CONTENT_TYPE_LATEST, generate_latest(self._registry)
        if path == "/healthz":
            return 200, _TEXT, b"ok\n"
        if path == "/readyz":
            amiss = self._ready()
            return (503, _TEXT, f"{amiss}\n".encode()) if amiss else (200, _TEXT, b"ready\n")
        if path == "/status":
            return 200, "application/json", msgspec.json.encode(self._status()) + b"\n"
        return 404, _TEXT, b"there are /metrics, /healthz, /readyz and /status\n"
