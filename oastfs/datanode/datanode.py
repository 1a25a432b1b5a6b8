"""A datanode put together: volumes, replicas, data port, namenodes, scrubber.

``process.py`` runs one as a process; tests run several in theirs.
"""

from __future__ import annotations

import threading
import uuid
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import structlog

from oastfs.core.errors import ForeignDatanode, InvalidArgument, OastError
from oastfs.datanode.block_store import BlockStore
from oastfs.datanode.commands import Commands
from oastfs.datanode.config import DatanodeConfig
from oastfs.datanode.context import DataContext
from oastfs.datanode.data_server import DataServer
from oastfs.datanode.http import HttpPort, WebPart
from oastfs.datanode.links import NamenodeLinks, Told
from oastfs.datanode.metrics import Metrics
from oastfs.datanode.namenodes import Identity, NamenodeLink
from oastfs.datanode.reporter import Registered, Reporter
from oastfs.datanode.scrubber import Scrubber
from oastfs.datanode.small_blocks import SmallBlocks
from oastfs.datanode.volume import Volume

log = structlog.get_logger(__name__)


class Datanode:
    """Everything of one datanode.

    ``on_fatal`` is called when it cannot go on, ``on_stop`` when an administrator asks for its end.
    """

    def __init__(
        self,
        config: DatanodeConfig,
        on_fatal: Callable[[OastError], None],
        web: WebPart | None = None,
        on_stop: Callable[[], None] = lambda: None,
    ) -> None:
        self.config = config
        self._web = web
        self._on_fatal = on_fatal
        self.metrics = Metrics()
        self.reporter = Reporter(self._registered)
        self.store = BlockStore(open_volumes(config), self.reporter.changed, config.held_bytes_max)
        self._links: NamenodeLinks | None = None
        self._http: HttpPort | None = None
        self._stopping = threading.Event()
        self._watcher = threading.Thread(target=self._watch_volumes, name="volumes", daemon=True)
        try:
            self.store.load()
            self.scrubber = Scrubber(
                self.store, self.metrics, config.scrub_bytes_per_second, config.scrub_period_seconds
            )
            self.small_blocks = SmallBlocks(self.store, self._registered, self.metrics)
            self.commands = Commands(
                self.store,
                self.reporter,
                self.scrubber.check_soon,
                self.small_blocks,
                config.connection_timeout_seconds,
                config.sync_on_close,
            )
            self.server = DataServer(
                DataContext(
                    self.store,
                    config,
                    self.metrics,
                    self.scrubber.check_soon,
                    self.small_blocks,
                    self._report_blocks,
                    on_stop,
                )
            )
        except BaseException:
            self.store.close()
            raise

    def start(self) -> None:
        """Serve, and look for namenodes in the background. Raises InvalidArgument for a port in use."""
        config = self.config
        self.metrics.watch(self.store)
        if config.http_port is not None:
            self._http = HttpPort(
                self.metrics.registry, config.host, config.http_port, self._web, self._find_namenode
            )
        self.server.start()
        self.reporter.start(self.store)
        self.small_blocks.start()
        self.scrubber.start()
        self._watcher.start()
        http_port = self._http.port if self._http is not None else 0
        identity = Identity(config, self.server.data_port, self.server.local_socket, http_port)
        self._links = NamenodeLinks(partial(self._link, identity))
        self._links.start(config.namenodes)
        log.info("datanode serves", host=config.host, data_port=self.server.data_port)

    def _link(self, identity: Identity, address: str, on_namenodes: Callable[[Told], None]) -> NamenodeLink:
        return NamenodeLink(
            address,
            identity,
            self.store,
            self.reporter,
            self.commands,
            self._active_transfers,
            self.config,
            self._foreign,
            on_namenodes,
        )

    def stop(self) -> None:
        """Let connections end, tell namenodes the last changes, give the volumes back."""
        self._stopping.set()
        if self._http is not None:
            self._http.close()
        self.commands.stop()
        self.server.stop(self.config.stop_grace_seconds)
        self.scrubber.stop()
        self.small_blocks.stop()
        self.reporter.stop()
        if self._links is not None:
            self._links.stop()
        if self._watcher.is_alive():
            self._watcher.join()
        self.store.close()

    @property
    def endpoints(self) -> str:
        """Where this datanode serves, for people."""
        host = self.config.host
        parts = [f"data {f'[{host}]' if ':' in host else host}:{self.server.data_port}"]
        if self.server.local_socket:
            parts.append(self.server.local_socket)
        if self._http is not None:
            parts.append(f"http://{host}:{self._http.port}/metrics")
        return " ".join(parts)

    def _registered(self) -> list[Registered]:
        return [] if self._links is None else self._links.registered()

    def _find_namenode(self, address: str) -> str | None:
        return None if self._links is None else self._links.find(address)

    def _report_blocks(self, incremental: bool) -> None:
        if incremental:
            self.reporter.retry()
        else:
            self.reporter.report_soon()

    def _active_transfers(self) -> int:
        return self.server.active_connections + self.commands.active

    def _foreign(self, error: ForeignDatanode) -> None:
        self._on_fatal(error)

    def _watch_volumes(self) -> None:
        """Probe every volume now and then; forget the replicas of those that failed."""
        while not self._stopping.wait(self.config.volume_check_seconds):
            working = [volume for volume in self.store.volumes if volume.check()]
            lost = self.store.drop_failed()
            if lost:
                log.error("replicas were lost with failed volumes", replicas=lost)
            if not working:
                self._on_fatal(InvalidArgument("every volume of this datanode has failed"))
                return


def open_volumes(config: DatanodeConfig) -> list[Volume]:
    """Open every volume; all belong to one datanode of one filesystem.

    Raises InvalidArgument, ForeignDatanode. A volume whose disk fails is left out, with an error in
    the log, as long as another one works.
    """
    if not config.volumes:
        raise InvalidArgument("a datanode needs a directory for its blocks")
    datanode_uuid = _known_uuid(config.volumes) or str(uuid.uuid4())
    volumes: list[Volume] = []
    broken: list[OSError] = []
    try:
        for path in config.volumes:
            try:
                volumes.append(Volume.open(path, datanode_uuid, config.reserved_bytes))
            except OSError as error:
                if isinstance(error, OastError):
                    raise
                log.error("a volume is left out", volume=str(path), error=str(error))
                broken.append(error)
        if not volumes:
            raise InvalidArgument(f"no volume can be used: {broken[0]}")
        _check_identities(volumes)
    except BaseException:
        for volume in volumes:
            volume.close()
        raise
    _share_disks(volumes)
    return volumes


def _known_uuid(paths: tuple[Path, ...]) -> str | None:
    for path in paths:
        try:
            known = Volume.read_datanode_uuid(path)
        except OSError:
            continue  # opening it will say what is wrong
        if known is not None:
            return known
    return None


def _check_identities(volumes: list[Volume]) -> None:
    first = volumes[0]
    owner = next((volume for volume in volumes if volume.filesystem_id), first)
    for volume in volumes:
        if volume.datanode_uuid != first.datanode_uuid:
            raise InvalidArgument(f"volumes {first.path} and {volume.path} belong to different datanodes")
        if volume.filesystem_id and volume.filesystem_id != owner.filesystem_id:
            raise ForeignDatanode(f"volumes {owner.path} and {volume.path} belong to different filesystems")
        if volume.storage_uuid in {other.storage_uuid for other in volumes if other is not volume}:
            raise InvalidArgument(f"volume {volume.path} is a copy of another one")
    if owner.filesystem_id:
        for volume in volumes:
            volume.adopt(owner.filesystem_id)


def _share_disks(volumes: list[Volume]) -> None:
    """Volumes on one disk divide its space between them in what they report."""
    devices = Counter(volume.path.stat().st_dev for volume in volumes)
    for volume in volumes:
        volume.sharing = devices[volume.path.stat().st_dev]
