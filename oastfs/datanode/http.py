"""The datanode's HTTP port: its figures, and what who started it has added. A thread with an event loop.

WebHDFS is such an addition: it works by the client library, which a datanode knows nothing of.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Protocol

import uvloop
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from oastfs.core.errors import InvalidArgument
from oastfs.diagnostics.page import profile
from oastfs.wire.http import HttpServer

FindNamenode = Callable[[str], str | None]
"""For the address that a namenode goes by: where it is reached; None if this datanode does not know it."""


class WebPart(Protocol):
    """Something served on the HTTP port besides the figures."""

    def add_routes(self, router: web.UrlDispatcher, find_namenode: FindNamenode) -> None:
        """Add what is to be served; called once, before anything is."""

    def close(self) -> None:
        """Nothing is served any more: give back what is held."""


class HttpPort:
    """Serves from its creation to ``close``. Raises InvalidArgument if the port is taken."""

    def __init__(
        self,
        registry: CollectorRegistry,
        host: str,
        port: int,
        part: WebPart | None = None,
        find_namenode: FindNamenode = lambda address: None,
    ) -> None:
        self._registry = registry
        self._part = part
        app = web.Application()
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/profile", profile)
        if part is not None:
            part.add_routes(app.router, find_namenode)
        self._server = HttpServer(app)
        self._loop = uvloop.new_event_loop()
        self._stop = asyncio.Event()
        started: Future[int] = Future()
        self._thread = threading.Thread(
            target=self._run, args=(host, port, started), name="http", daemon=True
        )
        self._thread.start()
        try:
            self.port = started.result()
        except OSError as error:
            self._thread.join()
            raise InvalidArgument(f"cannot listen on {host}:{port} for HTTP: {error.strerror}") from None

    def close(self) -> None:
        """Stop serving."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        if self._part is not None:
            self._part.close()

    def _run(self, host: str, port: int, started: Future[int]) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve(host, port, started))

    async def _serve(self, host: str, port: int, started: Future[int]) -> None:
        try:
            started.set_result(await self._server.start(host, port))
        except BaseException as error:
            started.set_exception(error)
            return
        await self._stop.wait()
        await self._server.stop()

    async def _metrics(self, request: web.Request) -> web.Response:
        body = await asyncio.to_thread(generate_latest, self._registry)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})
