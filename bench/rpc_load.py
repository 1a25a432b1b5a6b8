"""Calls a second through a running namenode, from many connections with one call in flight each.

    python -m bench.rpc_load HOST:PORT [--connections 64] [--seconds 5] [--verb stat] [--pid PID]

With the namenode's pid (on this machine) it also tells the processor time that the namenode took per call.
The load generator itself takes about 15 us per call, so on two cores it keeps up with one namenode.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import time
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple, cast

from oastfs.client.remote import RemoteMetadata
from oastfs.client.url import parse_addresses
from oastfs.core.types import SUPERUSER, WriteRequest
from oastfs.wire.frames import FrameBuffer
from oastfs.wire.hadoop_rpc_client import FIRST_CALL_ID, RequestEncoder, decode_response
from oastfs.wire.verbs import PROTOCOL, encode_arguments

DIRECTORY = "/bench/rpc/load"  # with a file in it, depth 4
FILES = 64
CONTENT = b"x" * 1024
VERBS = ("stat", "open", "write_file")

Body = Callable[[int, int], bytes]
"""The arguments of a connection's n-th call."""


class Result(NamedTuple):
    """Figures of one run; ``server_us`` is 0 if the namenode's pid was not given."""

    calls_per_second: float
    server_us: float
    client_us: float

    def __str__(self) -> str:
        server = f", {self.server_us:.1f} us of namenode CPU each" if self.server_us else ""
        return f"{self.calls_per_second:,.0f} calls/s{server}, {self.client_us:.1f} us of client CPU each"


class LoadConnection(asyncio.Protocol):
    """Sends a call as soon as the one before was answered."""

    def __init__(self, number: int, verb: str, body: Body) -> None:
        self.calls = 0
        self._number = number
        self._verb = verb
        self._body = body
        self._buffer = FrameBuffer()
        self._encoder = RequestEncoder(uuid.uuid4().bytes, PROTOCOL)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(self._encoder.preamble())
        self._send()

    def data_received(self, data: bytes) -> None:
        self._buffer.feed(data)
        frame = self._buffer.next_frame()
        if frame is None:
            return
        if self.calls <= 2 and not decode_response(frame).succeeded:
            raise RuntimeError(f"{self._verb} failed: {decode_response(frame).message}")
        self._send()

    def stop(self) -> None:
        """Close; the answer that is on its way is not waited for."""
        self._transport.abort()

    def _send(self) -> None:
        body = self._body(self._number, self.calls)
        self._transport.write(self._encoder.encode(FIRST_CALL_ID + self.calls, 0, self._verb, body))
        self.calls += 1


def processor_seconds(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def bodies(verb: str) -> Body:
    """Arguments for each call: reads go round the files, writes make new ones."""
    if verb == "write_file":
        return lambda connection, call: encode_arguments(
            (SUPERUSER, f"{DIRECTORY}/{connection}-{call}", CONTENT)
        )
    made = [encode_arguments((SUPERUSER, f"{DIRECTORY}/{number}")) for number in range(FILES)]
    return lambda connection, call: made[(connection + call) % FILES]


def prepare(host: str, port: int) -> None:
    """Make the files that are read."""
    remote = RemoteMetadata([(host, port)])
    remote.mkdirs(SUPERUSER, DIRECTORY)
    remote.write_many(SUPERUSER, [WriteRequest(f"{DIRECTORY}/{number}", CONTENT) for number in range(FILES)])
    remote.close()


async def measure(
    host: str, port: int, verb: str, connections: int, seconds: float, pid: int | None
) -> Result:
    """Run for ``seconds`` after a short start-up."""
    loop = asyncio.get_running_loop()
    body = bodies(verb)
    running = []
    for number in range(connections):
        _, protocol = await loop.create_connection(partial(LoadConnection, number, verb, body), host, port)
        running.append(protocol)
    await asyncio.sleep(0.3)
    calls = sum(one.calls for one in running)
    server, client, started = processor_seconds(pid) if pid else 0.0, time.process_time(), time.perf_counter()
    await asyncio.sleep(seconds)
    elapsed = time.perf_counter() - started
    calls = sum(one.calls for one in running) - calls
    client_us = (time.process_time() - client) / calls * 1e6
    server_us = (processor_seconds(pid) - server) / calls * 1e6 if pid else 0.0
    for one in running:
        one.stop()
    await asyncio.sleep(0.1)
    return Result(calls / elapsed, server_us, client_us)


def run(host: str, port: int, verb: str, connections: int, seconds: float, pid: int | None) -> Result:
    """``measure`` on an event loop of its own."""
    import uvloop

    prepare(host, port)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(measure(host, port, verb, connections, seconds, pid))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("address", help="HOST:PORT of a namenode")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--verb", choices=VERBS, default="stat")
    parser.add_argument("--pid", type=int, help="of the namenode, to tell its processor time")
    options = parser.parse_args()
    address = parse_addresses(f"oastfs://{options.address}")[0]
    print(run(*address, options.verb, options.connections, options.seconds, options.pid))


if __name__ == "__main__":
    main()
