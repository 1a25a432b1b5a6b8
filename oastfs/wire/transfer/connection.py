"""One blocking connection of the data transfer protocol, for clients and between datanodes.

The protocol's logic is in the other modules of this package, which know no sockets; this joins them
to one. The socket's timeout bounds every wait.
"""

from __future__ import annotations

import array
import os
import select
import socket
import time
from collections.abc import Sequence
from types import TracebackType

from google.protobuf.message import Message

from oastfs.core.errors import ConnectionLost, DeadlineExceeded, ProtocolError, Unreachable
from oastfs.wire.proto import datatransfer_pb2 as pb
from oastfs.wire.transfer.buffer import INITIAL_BYTES, TransferBuffer
from oastfs.wire.transfer.checksum import Buffer
from oastfs.wire.transfer.messages import BlockId, check_response, short_circuit_request
from oastfs.wire.transfer.ops import M, Op, Request, encode_delimited
from oastfs.wire.transfer.packet import Packet, PacketHeader, encode_prefix

IOV_MAX = 1024


class TransferConnection:
    """Sends bytes whole, receives messages and packets whole.

    Raises ConnectionLost when the peer is gone, DeadlineExceeded after the socket's timeout,
    ProtocolError for bytes that are not of the protocol. After any of them it is only good to close.
    """

    def __init__(
        self, sock: socket.socket, buffer_bytes: int = INITIAL_BYTES, buffer_bytes_max: int = 0
    ) -> None:
        self.sock = sock
        self.buffer = TransferBuffer(buffer_bytes, buffer_bytes_max)
        self._timeout_seconds = -1.0
        self.idle = False
        """For a server: between operations, so that closing disturbs nobody."""

    @classmethod
    def open(
        cls, host: str, port: int, timeout_seconds: float, buffer_bytes: int = INITIAL_BYTES
    ) -> TransferConnection:
        """Connect to a datanode's data port. Raises Unreachable."""
        try:
            sock = socket.create_connection((host, port), timeout_seconds)
        except OSError as error:
            raise Unreachable(f"no datanode answers at {host}:{port} ({error})") from None
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return cls(sock, buffer_bytes)

    @classmethod
    def open_local(cls, path: str, timeout_seconds: float) -> TransferConnection:
        """Connect to a datanode's Unix socket. Raises Unreachable."""
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(timeout_seconds)
        try:
            sock.connect(path)
        except OSError as error:
            sock.close()
            raise Unreachable(f"no datanode answers at {path} ({error})") from None
        return cls(sock)

    def __enter__(self) -> TransferConnection:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def set_timeout(self, seconds: float) -> None:
        """Bound every wait from now on; a system call only if that is new."""
        if seconds != self._timeout_seconds:
            self._timeout_seconds = seconds
            self.sock.settimeout(seconds)

    def close(self) -> None:
        """Close the socket; a peer that waits sees the end."""
        self.sock.close()

    def shut_down(self, how: int) -> None:
        """Shut one or both directions; wakes a thread that waits in them. Harmless when already closed."""
        try:
            self.sock.shutdown(how)
        except OSError:
            pass  # the peer was faster

    def linger(self, seconds: float = 5.0) -> None:
        """Before closing after a last message: read away what the peer still sends, until it has closed.

        Closing with unread bytes would reset the connection, and the peer might lose the message.
        """
        self.shut_down(socket.SHUT_WR)
        deadline = time.monotonic() + seconds
        waste = bytearray(64 * 1024)
        try:
            while (left := deadline - time.monotonic()) > 0:
                self.sock.settimeout(left)
                if not self.sock.recv_into(waste):
                    return
        except OSError:
            return  # timed out or reset: enough was done

    # --- sending --------------------------------------------------------------------------------

    def send(self, data: Buffer, *, more: bool = False) -> None:
        """Send all of ``data``; ``more`` says that the next send follows at once."""
        try:
            self.sock.sendall(data, socket.MSG_MORE if more else 0)
        except OSError as error:
            raise _translated(error) from None

    def send_message(self, message: Message) -> None:
        """Send one varint-delimited message."""
        self.send(encode_delimited(message))

    def send_packet(self, header: PacketHeader, checksums: Buffer, data: Buffer) -> None:
        """Send one packet without copying its data."""
        self.send_all((encode_prefix(header, len(checksums)), checksums, data))

    def send_all(self, buffers: Sequence[Buffer]) -> None:
        """Send all of ``buffers``, one after another, with as few system calls as it takes."""
        pending = [memoryview(buffer) for buffer in buffers if len(buffer)]
        try:
            while pending:
                sent = self.sock.sendmsg(pending[:IOV_MAX])
                done = 0
                while done < len(pending) and sent >= len(pending[done]):
                    sent -= len(pending[done])
                    done += 1
                del pending[:done]
                if sent:
                    pending[0] = pending[0][sent:]
        except OSError as error:
            raise _translated(error) from None

    def send_file(self, fd: int, offset: int, count: int) -> int:
        """Send a file's bytes from the kernel's cache; fewer than ``count`` where the file ends."""
        sent_bytes = 0
        try:
            while sent_bytes < count:
                try:
                    sent = os.sendfile(self.sock.fileno(), fd, offset + sent_bytes, count - sent_bytes)
                except BlockingIOError:
                    self._wait_writable()
                    continue
                if sent == 0:
                    break
                sent_bytes += sent
        except OSError as error:
            raise _translated(error) from None
        return sent_bytes

    def send_descriptors(self, data: bytes, descriptors: array.array[int]) -> None:
        """Pass file descriptors over a Unix socket, with ``data`` (a byte at least) to carry them."""
        try:
            self.sock.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptors)])
        except OSError as error:
            raise _translated(error) from None

    def _wait_writable(self) -> None:
        poll = select.poll()
        poll.register(self.sock, select.POLLOUT)
        timeout = self.sock.gettimeout()
        if not poll.poll(None if timeout is None else timeout * 1000):
            raise TimeoutError

    # --- receiving ------------------------------------------------------------------------------

    def fill(self) -> None:
        """Read once, waiting for at least a byte. Raises ConnectionLost at the end of the stream."""
        count = self.recv_into(self.buffer.writable())
        self.buffer.received(count)

    def has_more(self, seconds: float) -> bool:
        """Whether something comes within this time: bytes, or the end of the stream."""
        poll = select.poll()
        poll.register(self.sock, select.POLLIN)
        return bool(poll.poll(seconds * 1000))

    def recv_into(self, target: memoryview) -> int:
        """Read once into ``target``; at least one byte."""
        try:
            count = self.sock.recv_into(target)
        except OSError as error:
            raise _translated(error) from None
        if count == 0:
            raise ConnectionLost("the peer closed the connection")
        return count

    def receive_message(self, kind: type[M]) -> M:
        """The next varint-delimited message."""
        while (message := self.buffer.take_message(kind)) is None:
            self.fill()
        return message

    def receive_request(self) -> tuple[Op, Request]:
        """The next operation."""
        while (request := self.buffer.take_request()) is None:
            self.fill()
        return request

    def receive_packet(self) -> Packet:
        """The next packet. Its views are valid until the next receive."""
        while (packet := self.buffer.take_packet()) is None:
            self.fill()
        return packet

    def receive_packet_head(self) -> tuple[PacketHeader, memoryview]:
        """Header and checksums of the next packet; its data is then due to ``receive_data``."""
        while (head := self.buffer.take_packet_head()) is None:
            self.fill()
        return head

    def receive_data(self, target: memoryview) -> None:
        """Fill ``target`` with the bytes that come next, without a copy for those not yet read."""
        taken = self.buffer.take(len(target))
        at = len(taken)
        target[:at] = taken
        while at < len(target):
            at += self.recv_into(target[at:])

    def request_descriptors(self, block: BlockId) -> list[int]:
        """Ask for a replica's [data, checksums] descriptors over a Unix socket; the caller closes them.

        Raises what ``check_response`` does. Every read here has room for descriptors: the kernel drops those
        that come with bytes read without it.
        """
        self.send(short_circuit_request(block))
        found = array.array("i")
        response: pb.BlockOpResponse | None = None
        try:
            while response is None or len(self.buffer) < 1:
                found.extend(self._fill_with_descriptors())
                if response is None and (response := self.buffer.take_message(pb.BlockOpResponse)):
                    check_response(response)
            self.buffer.take(1)
            if len(found) != 2:
                raise ProtocolError(f"the datanode passed {len(found)} file descriptors, not two")
        except BaseException:
            for descriptor in found:
                os.close(descriptor)
            raise
        return list(found)

    def receive_loan(self) -> tuple[pb.BlockOpResponse, int | None]:
        """The answer to a write, and the replica's data file if that is lent; the caller closes it."""
        found = array.array("i")
        try:
            while (response := self.buffer.take_message(pb.BlockOpResponse)) is None:
                found.extend(self._fill_with_descriptors())
            while response.lent and not len(self.buffer):
                found.extend(self._fill_with_descriptors())
            if response.lent:
                self.buffer.take(1)
            if len(found) != response.lent:
                raise ProtocolError(f"the datanode lent {len(found)} files, not {int(response.lent)}")
        except BaseException:
            for descriptor in found:
                os.close(descriptor)
            raise
        return response, found[0] if found else None

    def _fill_with_descriptors(self) -> array.array[int]:
        room = socket.CMSG_SPACE(4 * array.array("i").itemsize)
        try:
            count, ancillary, _, _ = self.sock.recvmsg_into(
                [self.buffer.writable()], room, socket.MSG_CMSG_CLOEXEC
            )
        except OSError as error:
            raise _translated(error) from None
        found = array.array("i")
        for level, kind, data in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                found.frombytes(data[: len(data) - len(data) % found.itemsize])
        if count == 0:
            raise ConnectionLost("the peer closed the connection")
        self.buffer.received(count)
        return found


def _translated(error: OSError) -> ConnectionLost | DeadlineExceeded:
    if isinstance(error, TimeoutError):
        return DeadlineExceeded("the peer did not answer in time")
    return ConnectionLost(f"the connection broke ({error.strerror or error})")
