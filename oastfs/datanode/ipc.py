"""Hadoop RPC on the data port: one connection, served by its own thread, one call after the other.

A connection that begins with ``hrpc`` instead of a data transfer operation comes here, so the port
that HDFS calls ipcPort is the data port. What is answered is in ``client_protocol``.
"""

from __future__ import annotations

from typing import Final

import structlog

from oastfs.core.errors import NoSuchVerb, OastError, ProtocolError
from oastfs.datanode.client_protocol import PROTOCOL, ClientProtocol
from oastfs.wire.hadoop_rpc import Request, ServerSession, encode_error, encode_response
from oastfs.wire.proto.rpc_pb2 import RpcResponseHeader
from oastfs.wire.transfer.connection import TransferConnection

log = structlog.get_logger(__name__)

FRAME_BYTES_MAX: Final = 1024 * 1024
"""The longest real request is a plan of Hadoop's disk balancer."""
_READ_BYTES: Final = 64 * 1024
_NO_PROTOCOL: Final = "org.apache.hadoop.ipc.RpcNoSuchProtocolException"
_IO_EXCEPTION: Final = "java.io.IOException"


def serve(connection: TransferConnection, protocol: ClientProtocol) -> None:
    """Answer calls until the client closes or sends what is not of the protocol."""
    session = ServerSession(FRAME_BYTES_MAX)
    received = bytes(connection.buffer.take(len(connection.buffer)))
    while True:
        session.feed(received)
        try:
            _answer_all(connection, session, protocol)
        except ProtocolError as error:
            log.info("an RPC connection was closed", reason=error.message)
            connection.send(session.take_output())
            connection.linger(1.0)
            return
        if session.closing:
            return
        connection.idle = True
        received = _receive(connection)
        connection.idle = False


def _receive(connection: TransferConnection) -> bytes:
    data = bytearray(_READ_BYTES)
    count = connection.recv_into(memoryview(data))
    return bytes(data[:count])


def _answer_all(connection: TransferConnection, session: ServerSession, protocol: ClientProtocol) -> None:
    while (request := session.next_request()) is not None:
        # What the session has to say comes before the answers to later frames.
        connection.send(session.take_output() + _answer(request, session.user, protocol))
    if output := session.take_output():
        connection.send(output)


def _answer(request: Request, user: str, protocol: ClientProtocol) -> bytes:
    if request.protocol != PROTOCOL:
        message = f"Unknown protocol: {request.protocol}"
        return _error(request, _NO_PROTOCOL, message, RpcResponseHeader.ERROR_NO_SUCH_PROTOCOL)
    try:
        return encode_response(request, protocol.call(user, request.method, request.body))
    except NoSuchVerb as error:
        return _error(request, error.java_class, error.message, RpcResponseHeader.ERROR_NO_SUCH_METHOD)
    except OastError as error:
        return _error(request, error.java_class, error.message)
    except OSError as error:
        log.warning("a call failed", method=request.method, error=str(error))
        return _error(request, _IO_EXCEPTION, f"I/O error: {error.strerror or error}")
    except Exception as error:
        log.exception("a call failed by a fault of this program", method=request.method)
        return _error(request, _IO_EXCEPTION, f"{type(error).__name__}: {error}")


def _error(
    request: Request,
    exception_class: str,
    message: str,
    detail: RpcResponseHeader.RpcErrorCode.ValueType = RpcResponseHeader.ERROR_APPLICATION,
) -> bytes:
    return encode_error(
        request.call_id, request.client_id, request.retry_count, exception_class, message, detail
    )
