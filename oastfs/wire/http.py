"""The HTTP port that a namenode and a datanode have: one aiohttp application, started and stopped.

What is served on it is up to its owner. Garbage is answered and not logged; what a handler raises
unexpectedly is logged and answered with 500.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

import structlog
from aiohttp import web

from oastfs.wire.request_line import EscapingProtocol

log = structlog.get_logger(__name__)

LINE_BYTES_MAX: Final = 64 * 1024
"""A path of 4096 bytes may be three times as long on the wire, and some requests name several."""
HEADERS_MAX: Final = 128
READ_BUFFER_BYTES: Final = 256 * 1024
IDLE_SECONDS: Final = 75.0
LINGER_SECONDS: Final = 2.0
"""How long the rest of a request is read that was answered early: closing at once could lose the answer."""
STOP_SECONDS: Final = 2.0

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

# What aiohttp would log beyond what is logged here is about peers that send garbage.
_silent = logging.getLogger("oastfs.http.garbage")
_silent.setLevel(logging.CRITICAL)


class HttpServer:
    """Serves an application on the running event loop."""

    def __init__(self, app: web.Application) -> None:
        self._listener: asyncio.Server | None = None
        app.middlewares.insert(0, _log_failures)
        app.on_response_prepare.append(_suit_java)
        self._runner = web.AppRunner(
            app,
            access_log=None,
            auto_decompress=False,  # contents are stored as they are sent
            handle_signals=False,
            keepalive_timeout=IDLE_SECONDS,
            lingering_time=LINGER_SECONDS,
            logger=_silent,
            max_field_size=LINE_BYTES_MAX,
            max_headers=HEADERS_MAX,
            max_line_size=LINE_BYTES_MAX,
            read_bufsize=READ_BUFFER_BYTES,
            shutdown_timeout=STOP_SECONDS,
        )

    async def start(self, host: str, port: int) -> int:
        """Listen; the port (a free one for 0). Raises OSError."""
        await self._runner.setup()
        server = self._runner.server
        assert server is not None
        try:
            self._listener = await asyncio.get_running_loop().create_server(
                lambda: EscapingProtocol(server()), host, port
            )
        except BaseException:
            await self._runner.cleanup()
            raise
        bound: int = self._listener.sockets[0].getsockname()[1]
        return bound

    async def stop(self) -> None:
        """Listen no more; requests under way may take a moment."""
        if self._listener is not None:
            self._listener.close()
        await self._runner.cleanup()


async def no_continue(request: web.Request) -> None:
    """For requests whose handler itself asks for the body, by ``send_continue``, or never does."""


async def send_continue(request: web.Request) -> None:
    """Ask for the body of a request that waits to be asked (``Expect: 100-continue``)."""
    if request.version >= (1, 1) and request.headers.get("Expect", "").lower() == "100-continue":
        writer = request.writer
        await writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        writer.output_size = 0  # the answer proper has not begun


async def _suit_java(request: web.Request, response: web.StreamResponse) -> None:
    """Hadoop 3.5 packs its client without what reads content types; where there is none it takes JSON."""
    if response.content_type == "application/json" and request.headers.get("User-Agent", "")[:5] == "Java/":
        del response.headers["Content-Type"]


@web.middleware
async def _log_failures(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except (web.HTTPException, ConnectionError):
        raise
    except Exception as error:
        log.error("a request failed", method=request.method, path=request.path, exc_info=error)
        raise web.HTTPInternalServerError(text="the request failed; the log says more\n") from None
