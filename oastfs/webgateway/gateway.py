"""The HTTP handlers of a datanode for contents: OPEN, CREATE, APPEND and GETFILECHECKSUM."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar
from urllib.parse import quote

import structlog
from aiohttp import web

from oastfs.client.session import Session
from oastfs.client.url import Address
from oastfs.core.errors import OastError
from oastfs.webgateway.calls import UserCalls
from oastfs.webgateway.checksum import block_digest, file_checksum
from oastfs.webgateway.namenodes import FindNamenode, Namenodes
from oastfs.webgateway.reading import Reading
from oastfs.webgateway.writing import Writing
from oastfs.wire.http import no_continue, send_continue
from oastfs.wire.webhdfs import (
    BYTES_TYPE,
    ILLEGAL_ARGUMENT,
    JSON_TYPE,
    PREFIX,
    JavaError,
    WebRequest,
    encode_error,
    refuse_scripts,
    status_of,
)

log = structlog.get_logger(__name__)

THREADS: Final = 16
PIECE_BYTES: Final = 1024 * 1024
"""Contents are read in pieces of this size."""

T = TypeVar("T")


class WebGateway:
    """Serves contents by the namenodes that the datanode is registered with, and by no others."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="webhdfs")
        self._namenodes = Namenodes(lambda address: None)

    def add_routes(self, router: web.UrlDispatcher, find_namenode: FindNamenode) -> None:
        """What is below ``/webhdfs/v1``."""
        self._namenodes = Namenodes(find_namenode)
        for path in (PREFIX, PREFIX + "/{path:.*}"):
            router.add_route("*", path, self._answer, expect_handler=no_continue)

    def close(self) -> None:
        """Let go of connections to namenodes."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        self._namenodes.close()

    # --- one request ------------------------------------------------------------------------------

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        try:
            refuse_scripts(request.headers)
            asked = WebRequest(request.method, request.raw_path)
            asked.check()
            kind = {
                ("GET", "OPEN"): self._open,
                ("GET", "GETFILECHECKSUM"): self._checksum,
                ("PUT", "CREATE"): self._create,
                ("POST", "APPEND"): self._append,
            }.get((asked.method, asked.op))
            if kind is None:
                raise JavaError(ILLEGAL_ARGUMENT, f"Invalid operation {asked.op}")
            name = asked.required("namenoderpcaddress")
            address = self._namenodes.address(name)
            return await kind(request, asked, address)
        except OastError as error:
            return _ended(request, error_response(error))

    async def _run(self, function: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, function)

    def _session(self, address: Address) -> Session:
        return self._namenodes.session(address)

    async def _open(self, request: web.Request, asked: WebRequest, address: Address) -> web.StreamResponse:
        offset = asked.number("offset", 0)
        length = asked.number("length", -1)
        reading = await self._run(
            lambda: Reading(self._session(address), address, asked.user, asked.path, offset, length)
        )
        response = web.StreamResponse(headers={"Content-Type": BYTES_TYPE})
        response.content_length = reading.length
        try:
            await response.prepare(request)
            while piece := await self._run(lambda: reading.next(PIECE_BYTES)):
                await response.write(piece)
            await response.write_eof()
        except OSError as error:
            # A client that is still there sees by the length that this is not all.
            if isinstance(error, OastError):
                log.warning("a read ended early", path=asked.path, error=str(error))
            if request.transport is not None:
                request.transport.abort()
        finally:
            reading.close()
        return response

    async def _checksum(self, request: web.Request, asked: WebRequest, address: Address) -> web.Response:
        def work() -> bytes:
            with UserCalls(address, asked.user) as calls:
                located = calls.located_blocks(asked.path)
            return file_checksum(block_digest(block) for block in located.blocks)

        return web.Response(body=await self._run(work), content_type=JSON_TYPE)

    # --- writing ----------------------------------------------------------------------------------

    async def _create(self, request: web.Request, asked: WebRequest, address: Address) -> web.StreamResponse:
        await self._write(request, Writing(self._session, address, asked, creates=True))
        where = f"hdfs://{asked.required('namenoderpcaddress')}{quote(asked.path)}"
        return _ended(request, web.Response(status=201, headers={"Location": where}))

    async def _append(self, request: web.Request, asked: WebRequest, address: Address) -> web.StreamResponse:
        await self._write(request, Writing(self._session, address, asked, creates=False))
        return _ended(request, web.Response())

    async def _write(self, request: web.Request, writing: Writing) -> None:
        """Carry a body over. Whoever sent one that breaks off gets no answer, for nobody is there."""
        expected = request.content_length
        begun = writing.begins_first(expected)
        try:
            if begun:
                await self._run(writing.begin)
            await send_continue(request)
            while piece := await request.content.readany():
                await self._run(lambda piece=piece: writing.write(piece))  # type: ignore[misc]
            await self._run(writing.finish)
        except BaseException as error:
            if not isinstance(error, OastError):
                log.warning("an upload broke off", path=writing.path, error=repr(error))
            await asyncio.shield(self._run(writing.drop))
            raise


def _ended(request: web.Request, response: web.Response) -> web.Response:
    """After a body in chunks nobody can tell where a request line begins: see ``wire.request_line``."""
    if request.headers.get("Transfer-Encoding"):
        response.force_close()
    return response


def error_response(error: OastError) -> web.Response:
    """The RemoteException of an error."""
    body = encode_error(error.java_class, str(error))
    return web.Response(status=status_of(error.java_class), body=body, content_type=JSON_TYPE)
