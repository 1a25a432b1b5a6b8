"""A namenode from its configuration: opens the store, starts every part, stops them in order."""

from __future__ import annotations

import asyncio
import gc
import signal
import socket
import sys
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog

from oastfs.core.errors import AlreadyExists, OastError
from oastfs.core.logging import configure
from oastfs.core.supervision import tell_ready
from oastfs.core.types import SUPERUSER, NamenodeReport
from oastfs.core.version import VERSION
from oastfs.namenode import trash
from oastfs.namenode.control import HEARTBEAT_INTERVAL_SECONDS, ControlServer
from oastfs.namenode.filesystem import FormatOptions, format_store
from oastfs.namenode.hdfs.administration import AdministrationHandler
from oastfs.namenode.hdfs.handler import ClientProtocolHandler
from oastfs.namenode.jobs import JobRunner, all_jobs
from oastfs.namenode.jobs.election import Election
from oastfs.namenode.jobs.presence import Presence
from oastfs.namenode.namespace import Namespace
from oastfs.namenode.registry import Ports, address
from oastfs.namenode.server.audit import AuditLog
from oastfs.namenode.server.changes import Changes
from oastfs.namenode.server.completions import Completions
from oastfs.namenode.server.datanode_calls import DatanodeHandler
from oastfs.namenode.server.handler import Handler
from oastfs.namenode.server.http import StatusServer
from oastfs.namenode.server.inline_blocks import InlineBlocks
from oastfs.namenode.server.metrics import Metrics
from oastfs.namenode.server.native import MetadataHandler
from oastfs.namenode.server.rpc import RpcLimits, RpcServer
from oastfs.namenode.server.visible_length import VisibleLengthHandler
from oastfs.namenode.web.server import WebHdfs
from oastfs.store import open_store
from oastfs.store.transaction import Store

log = structlog.get_logger(__name__)

SWITCH_INTERVAL_SECONDS = 0.0005
"""How long the store's thread may keep the interpreter while the event loop wants it (Python's
default of 5 ms would be the latency of every read beside a writer)."""


@dataclass(frozen=True)
class NamenodeConfig:
    """Everything that one namenode is told. Ports may be 0 for free ones.

    ``format_options`` makes a filesystem if the store holds none; without them that is an error.
    """

    metadata: tuple[str, ...]
    host: str = "127.0.0.1"
    port: int = 8020
    control_port: int = 8120
    http_port: int = 9870
    format_options: FormatOptions | None = None
    audit_log: Path | None = None
    log_level: str = "info"
    stop_seconds: float = 10.0
    dead_after_seconds: float = 30.0
    trash_interval_minutes: int | None = None
    trash_checkpoint_interval_minutes: int | None = None
    """Settings of the filesystem: None leaves them as they are."""
    limits: RpcLimits = field(default_factory=RpcLimits)


@dataclass(frozen=True)
class Endpoints:
    """Where a running namenode listens."""

    host: str
    port: int
    control_port: int
    http_port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return (
            f"oastfs://{host}:{self.port} control {host}:{self.control_port} http://{host}:{self.http_port}"
        )


def run_namenode(config: NamenodeConfig) -> int:
    """Serve until SIGTERM or SIGINT; the exit code. Raises what keeps it from starting.

    Prints a line that starts with ``ready`` once calls succeed.
    """
    configure("namenode", level=config.log_level)
    sys.setswitchinterval(SWITCH_INTERVAL_SECONDS)
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve_until_signalled(config))
    return 0


async def _serve_until_signalled(config: NamenodeConfig) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    namenode = Namenode(config)
    try:
        endpoints = await namenode.start()
        log.info("namenode is ready", address=str(endpoints), version=VERSION, **namenode.identity())
        print(f"ready {endpoints}", flush=True)
        tell_ready()
        # What there is by now stays: collections need not look through it again, holding calls up meanwhile.
        gc.freeze()
        await stop.wait()
        log.info("namenode is stopping")
    finally:
        await namenode.stop()
    log.info("namenode has stopped")


class Namenode:
    """All parts of one namenode, on the running event loop."""

    def __init__(self, config: NamenodeConfig) -> None:
        self._config = config
        self._parts = ExitStack()
        self._rpc: RpcServer | None = None
        self._http: StatusServer | None = None
        self._client_port = config.port
        self._namespace: Namespace | None = None
        self._presence: Presence | None = None
        self._election: Election | None = None
        self.metrics = Metrics()

    async def start(self) -> Endpoints:
        """Open the store and listen on every port. On an error everything begun is undone."""
        try:
            return await self._start()
        except BaseException:
            await self.stop()
            raise

    async def _start(self) -> Endpoints:
        config = self._config
        store = _open(config)
        self._parts.callback(store.close)
        store.attend(asyncio.get_running_loop())
        namespace = self._namespace = Namespace(store, dead_after_seconds=config.dead_after_seconds)
        minutes = config.trash_interval_minutes, config.trash_checkpoint_interval_minutes
        if minutes != (None, None):
            store.write(lambda tx: trash.change(tx, *minutes))
        audit = None
        if config.audit_log is not None:
            audit = AuditLog(config.audit_log)
            self._parts.callback(audit.close)
        long_weight = config.limits.in_flight_max
        changes = Changes(asyncio.get_running_loop(), store)
        handler = MetadataHandler(namespace, self.metrics, changes, audit, long_weight=long_weight)
        self._parts.callback(handler.close)
        hdfs = ClientProtocolHandler(namespace, self.metrics, changes, audit, long_weight=long_weight)
        self._parts.callback(hdfs.close)
        blocks = InlineBlocks(namespace)
        self._parts.callback(blocks.close)
        lengths = VisibleLengthHandler(blocks, Completions(asyncio.get_running_loop()), self.metrics)
        administration = AdministrationHandler(
            namespace, hdfs, Completions(asyncio.get_running_loop()), self.metrics
        )
        self._parts.callback(administration.close)
        datanodes = DatanodeHandler(namespace, Completions(asyncio.get_running_loop()), self.metrics)
        self._parts.callback(datanodes.close)
        handlers: dict[str, Handler] = {one.protocol: one for one in (handler, hdfs, lengths, datanodes)}
        handlers |= dict.fromkeys(administration.calls, administration)
        self._rpc = RpcServer(handlers, blocks, self.metrics, config.limits)
        self._add_gauges(store, self._rpc)
        web = WebHdfs(namespace, hdfs, self.metrics, self.client_address)
        self._parts.callback(web.close)
        self._http = StatusServer(self.metrics.registry, self._amiss, self.status, [web.add_routes])
        http_port = await self._http.start(config.host, config.http_port)
        # A datanode may miss a few heartbeats before it counts as dead.
        heartbeat_seconds = min(HEARTBEAT_INTERVAL_SECONDS, config.dead_after_seconds / 6)
        control = ControlServer(
            namespace,
            f"{config.host}:{config.control_port}",
            heartbeat_interval_seconds=heartbeat_seconds,
            client_address=self.client_address,
            namenode_id=lambda: self._presence.namenode_id if self._presence is not None else 0,
        )
        control.start()
        self._parts.callback(control.stop)
        # Last: a client that reaches this port finds everything else in place.
        port = self._client_port = await self._rpc.start(config.host, config.port)
        self._start_jobs(namespace, Ports(port, http_port, control.port))
        return Endpoints(config.host, port, control.port, http_port)

    def _start_jobs(self, namespace: Namespace, ports: Ports) -> None:
        presence = self._presence = Presence(namespace, self._public_host(), ports)
        election = self._election = Election(namespace, lambda: presence.namenode_id)
        self.metrics.gauge("oastfs_leader", "1: this namenode runs the jobs.", lambda: election.leads)
        # On a thread of its own: other jobs' steps must not silence it.
        heartbeat = JobRunner([presence, election])
        jobs = JobRunner(all_jobs(namespace, lambda: election.leads), leads=lambda: election.leads)
        # Undone in the opposite order: when another leads, these jobs have ended.
        self._parts.callback(presence.leave)
        self._parts.callback(election.leave)
        self._parts.callback(heartbeat.stop)
        heartbeat.start()
        self._parts.callback(jobs.stop)
        jobs.start()

    async def stop(self) -> None:
        """Answer what is in flight, then stop everything in the opposite order of its start."""
        if self._rpc is not None:
            await self._rpc.stop(self._config.stop_seconds)
        if self._http is not None:
            await self._http.stop()
        await asyncio.to_thread(self._parts.close)

    def client_address(self) -> str:
        """How this namenode names itself in redirects to datanodes; '' if not known yet."""
        return address(self._public_host(), self._client_port) if self._client_port else ""

    def _public_host(self) -> str:
        host = self._config.host
        return socket.gethostname() if host in ("", "0.0.0.0", "::") else host

    def identity(self) -> dict[str, str]:
        """What says which filesystem this is."""
        assert self._namespace is not None
        return {"filesystem": self._namespace.info.filesystem_id}

    def status(self) -> dict[str, object]:
        """What ``/status`` shows."""
        assert self._namespace is not None and self._rpc is not None
        used, free = self._namespace.store.usage()
        return {
            "version": VERSION,
            "filesystem_id": self._namespace.info.filesystem_id,
            "stopping": self._rpc.stopping,
            "leads": self._election is not None and self._election.leads,
            "namenodes": [_shown(one) for one in self._namespace.namenodes(SUPERUSER)],
            "connections": len(self._rpc.connections),
            "calls": sum(verb.count for verb in self.metrics.verbs.values()),
            "store_used_bytes": used,
            "store_free_bytes": free,
        }

    def _amiss(self) -> str:
        """Why calls would not succeed; '' if they would."""
        if self._rpc is None or self._namespace is None or not self._rpc.serving:
            return "not serving"
        try:
            self._namespace.store.usage()
        except OastError as error:
            return error.message
        return ""

    def _add_gauges(self, store: Store, rpc: RpcServer) -> None:
        gauge = self.metrics.gauge
        gauge("oastfs_rpc_connections", "Open connections.", lambda: len(rpc.connections))
        gauge("oastfs_rpc_in_flight", "Calls that wait for the store.", rpc.in_flight)
        gauge("oastfs_store_used_bytes", "Space that the store takes.", lambda: store.usage()[0])
        gauge("oastfs_store_free_bytes", "Space left for the store.", lambda: store.usage()[1])
        gauge("oastfs_store_trips", "Trips to the database so far.", store.trips)
        hints = self._namespace.hints if self._namespace is not None else None
        if hints is not None:
            gauge("oastfs_hint_paths", "Paths looked up so far.", lambda: hints.paths)
            gauge("oastfs_hint_paths_known", "Of these, read in one trip.", lambda: hints.known)


def _shown(namenode: NamenodeReport) -> dict[str, object]:
    return {
        "host": namenode.host,
        "port": namenode.port,
        "http_port": namenode.http_port,
        "live": namenode.live,
        "leader": namenode.leader,
    }


def _open(config: NamenodeConfig) -> Store:
    options = config.format_options
    store = open_store(list(config.metadata), create=options is not None)
    if options is not None:
        try:
            format_store(store, options)
        except AlreadyExists:
            pass  # what it holds is never touched
        except BaseException:
            store.close()
            raise
    return store


@contextmanager
def namenode_thread(config: NamenodeConfig) -> Iterator[Endpoints]:
    """A namenode on a thread of this process, for tests and benchmarks of what is above it."""
    started: Future[Endpoints] = Future()
    stop = asyncio.Event()

    async def serve() -> None:
        namenode = Namenode(config)
        try:
            started.set_result(await namenode.start())
        except BaseException as error:
            started.set_exception(error)
            return
        try:
            await stop.wait()
        finally:
            await namenode.stop()

    import uvloop

    loop = uvloop.new_event_loop()
    with ThreadPoolExecutor(1, thread_name_prefix="namenode") as executor:
        finished = executor.submit(_run_loop, loop, serve)
        try:
            yield started.result()
        finally:
            if not loop.is_closed():
                loop.call_soon_threadsafe(stop.set)
            finished.result()


def _run_loop(loop: asyncio.AbstractEventLoop, serve: Callable[[], Coroutine[Any, Any, None]]) -> None:
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(serve())
