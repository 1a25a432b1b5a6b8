"""Reads a second of small files as HDFS's clients make them: a block from the namenode's own port.

    python -m bench.transfer_load HOST:PORT [--readers 16] [--seconds 5] [--size 1024] [--keep] [--pid PID]

Each reader has one request in flight, on a new connection for each read unless ``--keep`` is given. With the
namenode's pid (on this machine) it also tells the processor time that the namenode took per read.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from typing import cast

from bench.rpc_load import Result, processor_seconds
from oastfs.client.remote import RemoteMetadata
from oastfs.client.url import parse_addresses
from oastfs.core.inline_blocks import inline_block_id
from oastfs.core.types import SUPERUSER
from oastfs.wire.proto import datatransfer_pb2 as pb
from oastfs.wire.transfer import BlockId, encode_delimited, read_request
from oastfs.wire.transfer.memory import MemoryBlock, read_answer
from oastfs.wire.transfer.ops import REQUEST_PREFIX_BYTES, decode_message, decode_varint

DIRECTORY = "/bench/transfer/load"
FILES = 64
_STOP_SECONDS = 10.0
VERDICT = encode_delimited(pb.ClientReadStatus(status=pb.CHECKSUM_OK))


def prepare(host: str, port: int, size: int) -> list[bytes]:
    """Make the files; a request for each."""
    remote = RemoteMetadata([(host, port)])
    remote.mkdirs(SUPERUSER, DIRECTORY)
    requests = []
    for number in range(FILES):
        status = remote.write_file(SUPERUSER, f"{DIRECTORY}/{number}", b"x" * size)
        block = BlockId(inline_block_id(status.inode_id), 1, size)
        requests.append(read_request(block, 0, size, client_name="bench"))
    remote.close()
    return requests


def answer_of(request: bytes, size: int) -> bytes:
    """What is expected."""
    length, begin = decode_varint(request, REQUEST_PREFIX_BYTES) or (0, 0)
    message = decode_message(pb.OpReadBlock, request[begin : begin + length])
    return b"".join(read_answer(MemoryBlock(0, b"x" * size, size), message))


class Reader(asyncio.Protocol):
    """Reads one file after the other."""

    def __init__(self, load: Load, number: int) -> None:
        self._load = load
        self._number = number
        self._received = 0
        self.reads = 0
        self.stopped = False
        self.unconnected = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self.unconnected.clear()
        if self.stopped:
            self._transport.abort()
        else:
            self._send()

    def _send(self) -> None:
        self._received = 0
        self._transport.write(self._load.requests[(self._number + self.reads) % FILES])

    def data_received(self, data: bytes) -> None:
        if self.reads == 0 and self._received == 0 and not self._load.answer.startswith(data):
            raise RuntimeError("not the expected answer")
        self._received += len(data)
        if self._received < len(self._load.answer):
            return
        self.reads += 1
        self._transport.write(VERDICT)
        if self._load.keep:
            self._send()
        else:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.unconnected.set()
        if not self.stopped:
            self._load.connect(self)

    def stop(self) -> None:
        """Read no more."""
        self.stopped = True
        self._transport.abort()


class Load:
    """All readers of one run."""

    def __init__(self, host: str, port: int, size: int, readers: int, keep: bool) -> None:
        self.address = host, port
        self.keep = keep
        self.requests = prepare(host, port, size)
        self.answer = answer_of(self.requests[0], size)
        self.readers = [Reader(self, number) for number in range(readers)]
        self._connecting: set[asyncio.Task[object]] = set()

    def connect(self, reader: Reader) -> None:
        """A connection for the reader's next read."""
        task = asyncio.ensure_future(
            asyncio.get_running_loop().create_connection(lambda: reader, *self.address)
        )
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    async def measure(self, seconds: float, pid: int | None) -> Result:
        """Run for ``seconds`` after a short start-up."""
        for reader in self.readers:
            self.connect(reader)
        await asyncio.sleep(0.3)
        reads = sum(reader.reads for reader in self.readers)
        server = processor_seconds(pid) if pid else 0.0
        client, started = time.process_time(), time.perf_counter()
        await asyncio.sleep(seconds)
        elapsed = time.perf_counter() - started
        reads = sum(reader.reads for reader in self.readers) - reads
        client_us = (time.process_time() - client) / reads * 1e6
        server_us = (processor_seconds(pid) - server) / reads * 1e6 if pid else 0.0
        await asyncio.wait_for(self._stop(), _STOP_SECONDS)
        return Result(reads / elapsed, server_us, client_us)

    async def _stop(self) -> None:
        """Leave no connection behind."""
        for reader in self.readers:
            reader.stop()
        await asyncio.gather(*self._connecting)
        for reader in self.readers:
            await reader.unconnected.wait()


def run(
    host: str, port: int, *, size: int, readers: int, keep: bool, seconds: float, pid: int | None
) -> Result:
    """Make the files and measure, on an event loop of its own."""
    import uvloop

    load = Load(host, port, size, readers, keep)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(load.measure(seconds, pid))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("address", help="HOST:PORT of a namenode")
    parser.add_argument("--readers", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--keep", action="store_true", help="read all files over one connection per reader")
    parser.add_argument("--pid", type=int, help="of the namenode, to tell its processor time")
    options = parser.parse_args()
    host, port = parse_addresses(f"oastfs://{options.address}")[0]
    print(
        run(
            host,
            port,
            size=options.size,
            readers=options.readers,
            keep=options.keep,
            seconds=options.seconds,
            pid=options.pid,
        )
    )


if __name__ == "__main__":
    main()
