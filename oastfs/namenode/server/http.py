"""The namenode's HTTP port: figures for Prometheus, answers for health checks, and what is added to it.

``/metrics``, ``/healthz`` (the process answers), ``/readyz`` (calls succeed), ``/status`` (JSON),
``/profile``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Final

import msgspec
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from oastfs.diagnostics.page import profile
from oastfs.namenode.server.listening import listen_error
from oastfs.wire.http import Handler, HttpServer

_TEXT: Final = "text/plain; charset=utf-8"

Answer = tuple[int, str, bytes]
"""Status, content type, body."""
AddRoutes = Callable[[web.UrlDispatcher], None]


class StatusServer:
    """Serves what its functions answer; they run on a thread, so they may take their time."""

    def __init__(
        self,
        registry: CollectorRegistry,
        ready: Callable[[], str],
        status: Callable[[], dict[str, object]],
        others: Iterable[AddRoutes] = (),
    ) -> None:
        """``ready`` gives '' or what is amiss; ``status`` the object that ``/status`` shows.

        ``others`` add what is served besides.
        """
        self._registry = registry
        self._ready = ready
        self._status = status
        app = web.Application(middlewares=[_explain])
        for path, page in (
            ("/metrics", self._metrics),
            ("/healthz", lambda: (200, _TEXT, b"ok\n")),
            ("/readyz", self._readiness),
            ("/status", self._status_page),
        ):
            app.router.add_get(path, _on_thread(page))
        app.router.add_get("/profile", profile)
        for add_routes in others:
            add_routes(app.router)
        self._server = HttpServer(app)

    async def start(self, host: str, port: int) -> int:
        """Listen; the port (a free one for 0). Raises AddressInUse."""
        try:
            return await self._server.start(host, port)
        except OSError as error:
            raise listen_error("HTTP", host, port, error) from None

    async def stop(self) -> None:
        """Listen no more."""
        await self._server.stop()

    def _metrics(self) -> Answer:
        return 200, CONTENT_TYPE_LATEST, generate_latest(self._registry)

    def _readiness(self) -> Answer:
        amiss = self._ready()
        return (503, _TEXT, f"{amiss}\n".encode()) if amiss else (200, _TEXT, b"ready\n")

    def _status_page(self) -> Answer:
        return 200, "application/json", msgspec.json.encode(self._status()) + b"\n"


def _on_thread(page: Callable[[], Answer]) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        status, content_type, body = await asyncio.to_thread(page)
        return web.Response(status=status, body=body, headers={"Content-Type": content_type})

    return handle


@web.middleware
async def _explain(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPNotFound:
        text = "there are /metrics, /healthz, /readyz, /status, /profile, /webhdfs/v1 and /fsck\n"
        return web.Response(status=404, text=text)
    except web.HTTPMethodNotAllowed:
        return web.Response(status=405, text="only GET is served here\n")
