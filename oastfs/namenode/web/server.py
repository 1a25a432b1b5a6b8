"""The HTTP handlers of a namenode for WebHDFS: the event loop passes requests on to threads."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

import msgspec
from aiohttp import web
from google.protobuf.message import Message

from oastfs.core.errors import OastError
from oastfs.core.types import SUPERUSER
from oastfs.namenode.hdfs.call import Address
from oastfs.namenode.hdfs.errors import describe
from oastfs.namenode.hdfs.handler import ClientProtocolHandler
from oastfs.namenode.namespace import Namespace
from oastfs.namenode.server.metrics import Metrics
from oastfs.namenode.web import absent, fsck, redirect
from oastfs.namenode.web.operations import JSON_NULL, OPERATIONS
from oastfs.wire.http import no_continue
from oastfs.wire.webhdfs import (
    BYTES_TYPE,
    ILLEGAL_ARGUMENT,
    JSON_TYPE,
    PREFIX,
    UNSUPPORTED,
    JavaError,
    WebRequest,
    encode_error,
    refuse_scripts,
    status_of,
)

THREADS: Final = 8
TEXT_PIECE_CHARACTERS: Final = 16 * 1024
_METHODS: Final = frozenset(method for method, _ in OPERATIONS)

M = TypeVar("M", bound=Message)

__all__ = ["WebHdfs", "absent"]


class WebHdfs:
    """Answers below ``/webhdfs/v1``. ``address``: how this namenode names itself in redirects."""

    def __init__(
        self,
        namespace: Namespace,
        handler: ClientProtocolHandler,
        metrics: Metrics,
        address: Callable[[], str],
    ) -> None:
        self._namespace = namespace
        self._handler = handler
        self._metrics = metrics
        self._address = address
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="webhdfs")

    def close(self) -> None:
        """Wait for what is under way."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """What is below ``/webhdfs/v1``. Bodies are not asked for: they go to datanodes."""
        for path in (PREFIX, PREFIX + "/{path:.*}"):
            router.add_route("*", path, self._answer, expect_handler=no_continue)
        router.add_get("/fsck", self._fsck)

    async def _fsck(self, request: web.Request) -> web.StreamResponse:
        """The page that ``hdfs fsck`` shows, as it comes."""
        try:
            refuse_scripts(request.headers)
            _, _, query = request.raw_path.partition("?")
            asked = WebRequest("GET", f"{PREFIX}/?{query}")
        except OastError as error:
            return web.Response(status=400, text=str(error))
        client = _client(request)
        user = asked.text("ugi") or asked.user
        calls = _UserCalls(self._handler, user, client, self._server())
        pieces = fsck.report(asked, calls, user, client.host)
        response = web.StreamResponse(headers={"Content-Type": "text/plain; charset=utf-8"})
        await response.prepare(request)
        loop = asyncio.get_running_loop()
        while text := await loop.run_in_executor(self._threads, _some, pieces):
            await response.write(text.encode())
        await response.write_eof()
        return response

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        client = _client(request)
        started_ns = time.perf_counter_ns()
        name = "webhdfs"
        try:
            refuse_scripts(request.headers)
            asked = WebRequest(request.method, request.raw_path)
            _check(asked)
            name = f"webhdfs_{asked.op.lower()}"
            loop = asyncio.get_running_loop()
            response = await loop.run_in_executor(self._threads, self._carry_out, asked, client)
        except Exception as error:
            elapsed_ns = time.perf_counter_ns() - started_ns
            self._metrics.verb(name).observe_error(elapsed_ns, type(error).__name__)
            if not isinstance(error, OastError):
                raise
            java_class, message = describe(error)
            body = encode_error(java_class, message)
            return web.Response(status=status_of(java_class), body=body, content_type=JSON_TYPE)
        self._metrics.verb(name).observe(time.perf_counter_ns() - started_ns)
        return response

    def _carry_out(self, asked: WebRequest, client: Address) -> web.Response:
        """On a thread: the response to a request."""
        calls = _UserCalls(self._handler, asked.user, client, self._server())
        if (asked.method, asked.op) in redirect.REDIRECTED:
            return self._redirect(asked, calls, client)
        answer = OPERATIONS[asked.method, asked.op](asked, calls)
        if answer is None:
            return web.Response(content_type=BYTES_TYPE)
        if answer is JSON_NULL:
            return web.Response(body=b"null", content_type=JSON_TYPE)
        return web.Response(body=msgspec.json.encode(answer), content_type=JSON_TYPE)

    def _redirect(self, asked: WebRequest, calls: _UserCalls, client: Address) -> web.Response:
        context = self._namespace.context(SUPERUSER)
        host, port = redirect.choose(
            asked,
            calls,
            lambda: self._namespace.store.read(lambda tx: redirect.live_places(tx, context)),
            client.host,
        )
        location = asked.at(host, port, self._address())
        if asked.flag("noredirect", False):
            return web.Response(body=msgspec.json.encode({"Location": location}), content_type=JSON_TYPE)
        return web.Response(status=307, headers={"Location": location}, content_type=BYTES_TYPE)

    def _server(self) -> Address:
        host, _, port = self._address().rpartition(":")
        return Address(host.removeprefix("[").removesuffix("]"), int(port or 0))


def _client(request: web.Request) -> Address:
    peer = request.transport.get_extra_info("peername") if request.transport else None
    return Address(*peer[:2]) if peer else Address("", 0)


def _some(pieces: Iterator[str]) -> str:
    """The next kilobytes of a text; '' at its end."""
    found: list[str] = []
    size = 0
    for piece in pieces:
        found.append(piece)
        size += len(piece)
        if size >= TEXT_PIECE_CHARACTERS:
            break
    return "".join(found)


def _check(asked: WebRequest) -> None:
    """Raise unless there is such an operation, and its parameters may have these values."""
    asked.check()
    if (asked.method, asked.op) in OPERATIONS or (asked.method, asked.op) in redirect.REDIRECTED:
        return
    if not asked.op:
        raise JavaError(UNSUPPORTED, "op=NULL is not supported")
    if asked.method not in _METHODS:
        raise JavaError(UNSUPPORTED, f"{asked.method} is not supported")
    problem = f"{asked.op} is not a valid {asked.method} operation."
    raise JavaError(ILLEGAL_ARGUMENT, f'Invalid value for webhdfs parameter "op": {problem}')


class _UserCalls:
    """Calls of ClientProtocol in this process, as the user of one request."""

    def __init__(self, handler: ClientProtocolHandler, user: str, client: Address, server: Address) -> None:
        self._handler = handler
        self._user = user
        self._client = client
        self._server = server

    def __call__(self, name: str, request: Message, answer: type[M]) -> M:
        body: Any = self._handler.run(name, request, self._user, self._client, self._server)
        return answer.FromString(body)
