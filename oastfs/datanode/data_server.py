"""The data port and the Unix socket: a thread for each connection, many operations on each.

The data port also takes Hadoop RPC: the first byte of a connection tells.

Whatever a peer sends, the worst that happens is the end of its connection.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog

from oastfs.core.errors import ConnectionLost, InvalidArgument, OastError, ProtocolError, Unsupported
from oastfs.datanode import ipc, operations
from oastfs.datanode.acceptors import Acceptors
from oastfs.datanode.client_protocol import ClientProtocol
from oastfs.datanode.context import DataContext
from oastfs.datanode.pipeline import BlockReceiver
from oastfs.wire.transfer.connection import TransferConnection
from oastfs.wire.transfer.ops import TRANSFER_VERSION, Op

log = structlog.get_logger(__name__)

RECEIVE_BUFFER_BYTES = 32 * 1024
RECEIVE_BUFFER_BYTES_MAX = 1024 * 1024
"""Packets that arrive together are written together."""
BACKLOG = 256

_OPERATIONS: dict[Op, Callable[[DataContext, TransferConnection, Any], bool]] = {
    Op.WRITE_BLOCK: lambda context, connection, request: BlockReceiver(context, connection, request).run(),
    Op.READ_BLOCK: operations.read_block,
    Op.BLOCK_CHECKSUM: operations.block_checksum,
    Op.TRANSFER_BLOCK: operations.transfer_block,
    Op.REQUEST_SHORT_CIRCUIT_FDS: operations.request_descriptors,
    Op.RELEASE_SHORT_CIRCUIT_FDS: operations.release_descriptors,
    Op.REQUEST_SHORT_CIRCUIT_SHM: operations.request_shared_memory,
}


class DataServer:
    """Listens and serves until ``stop``. Raises InvalidArgument if an address cannot be had."""

    def __init__(self, context: DataContext) -> None:
        self._context = context
        self._client_protocol = ClientProtocol(context)
        self._connections: set[TransferConnection] = set()
        self._lock = threading.Lock()
        self._stopping = False
        config = context.config
        listeners = [_listen_tcp(config.host, config.data_port)]
        self.data_port: int = listeners[0].getsockname()[1]
        self.local_socket = ""
        try:
            if config.local_socket is not None:
                listeners.append(_listen_local(config.local_socket))
                self.local_socket = str(config.local_socket)
        except OastError:
            listeners[0].close()
            raise
        self._acceptors = [Acceptors(listener, self._begin) for listener in listeners]

    def start(self) -> None:
        """Begin to accept connections."""
        for one in self._acceptors:
            one.start()

    def stop(self, grace_seconds: float) -> None:
        """Accept no more, let operations go on for a while, then end them."""
        self._stopping = True
        for one in self._acceptors:
            one.stop()
        if self.local_socket:
            Path(self.local_socket).unlink(missing_ok=True)
        with self._lock:
            connections = list(self._connections)
        for connection in connections:
            if connection.idle:
                connection.shut_down(socket.SHUT_RDWR)
        threads = [thread for one in self._acceptors for thread in one.threads]
        deadline = _Deadline(grace_seconds)
        for thread in threads:
            _join(thread, deadline)
        for connection in connections:
            connection.shut_down(socket.SHUT_RDWR)
        last = _Deadline(1.0)
        for thread in threads:
            _join(thread, last)

    @property
    def active_connections(self) -> int:
        """How many connections are in the middle of an operation."""
        with self._lock:
            return sum(not connection.idle for connection in self._connections)

    # --- connections ----------------------------------------------------------------------------

    def _begin(self, accepted: socket.socket) -> None:
        if accepted.family != socket.AF_UNIX:
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = TransferConnection(accepted, RECEIVE_BUFFER_BYTES, RECEIVE_BUFFER_BYTES_MAX)
        with self._lock:
            if self._stopping or len(self._connections) >= self._context.config.connections_max:
                connection.close()
                return
            self._connections.add(connection)
        self._context.metrics.connections.inc()
        self._serve(connection)

    def _serve(self, connection: TransferConnection) -> None:
        try:
            if self._speaks_rpc(connection):
                ipc.serve(connection, self._client_protocol)
                return
            while not self._stopping and self._serve_one(connection):
                pass
        except ConnectionLost:
            pass  # the usual end
        except OSError as error:
            log.info("a connection ended", error=str(error))
        except Exception:
            log.exception("a connection ended by a fault of this program")
        finally:
            self._end(connection)

    def _end(self, connection: TransferConnection) -> None:
        connection.close()
        with self._lock:
            self._connections.discard(connection)
        self._context.metrics.connections.dec()

    def _speaks_rpc(self, connection: TransferConnection) -> bool:
        """Whether a connection begins otherwise than data transfer does."""
        connection.idle = True
        connection.set_timeout(self._context.config.idle_seconds)
        if connection.sock.family == socket.AF_UNIX:
            return False
        while not len(connection.buffer):
            connection.fill()
        return connection.buffer.peek(1)[0] != TRANSFER_VERSION >> 8

    def _serve_one(self, connection: TransferConnection) -> bool:
        """One operation; whether the connection is good for another."""
        config, metrics = self._context.config, self._context.metrics
        connection.idle = True
        connection.set_timeout(config.idle_seconds)
        try:
            op, request = connection.receive_request()
        except Unsupported as error:
            operations.answer_refusal(connection, error)
            return False
        connection.idle = False
        connection.set_timeout(config.connection_timeout_seconds)
        metrics.operations.labels(op.name).inc()
        operation = _OPERATIONS.get(op)
        try:
            if operation is None:
                raise Unsupported(f"operation {op.name} is not supported")
            return operation(self._context, connection, request)
        except (ConnectionLost, TimeoutError, ProtocolError):
            metrics.failures.labels(op.name).inc()
            raise
        except OSError as error:
            metrics.failures.labels(op.name).inc()
            log.info("an operation was refused", operation=op.name, error=str(error))
            operations.answer_refusal(connection, error)
            return False


def _join(thread: threading.Thread, deadline: _Deadline) -> None:
    if thread.ident is not None:  # else it was about to be started, and finds that we are stopping
        thread.join(deadline.left())


class _Deadline:
    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        return max(0.0, self._end - time.monotonic())


def _listen_tcp(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise InvalidArgument(f"cannot listen on {host}:{port} for data: {error.strerror}") from None


def _listen_local(path: Path) -> socket.socket:
    """Listen on a Unix socket that every local user may connect to. A dead process's leftover is replaced."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        if path.is_socket():
            _remove_dead(path)
        listener.bind(str(path))
        path.chmod(0o666)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise InvalidArgument(f"cannot listen on {path}: {error.strerror or error}") from None
    return listener


def _remove_dead(path: Path) -> None:
    probe = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        probe.connect(str(path))
    except OSError:
        path.unlink()
    finally:
        probe.close()
