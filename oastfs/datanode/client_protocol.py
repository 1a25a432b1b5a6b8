"""ClientDatanodeProtocol: what HDFS clients and administrators ask a datanode by Hadoop RPC.

One method each, body in, body out. Clients need the first one, to open a file that is being written; the
rest is what ``hdfs dfsadmin`` shows and does. What changes the datanode is for the user that it runs as.
"""

from __future__ import annotations

import os
import pwd
import time
from collections.abc import Callable
from typing import Final, TypeVar

from google.protobuf.message import DecodeError, Message

from oastfs.core.errors import NoSuchVerb, OastError, PermissionDenied, ProtocolError
from oastfs.core.version import VERSION
from oastfs.datanode.context import DataContext
from oastfs.wire.proto import datanode_ipc_pb2 as pb

PROTOCOL: Final = "org.apache.hadoop.hdfs.protocol.ClientDatanodeProtocol"
COPY_BYTES_PER_SECOND: Final = 100 * 1024 * 1024
"""What is said of the rate of copies: HDFS's default. Copies are bounded by their number here."""

M = TypeVar("M", bound=Message)


class DiskBalancerDisabled(OastError):
    """There is no balancer between the disks of a datanode: new blocks go where there is room."""

    java_class = "org.apache.hadoop.hdfs.server.diskbalancer.DiskBalancerException"


class ClientProtocol:
    """The calls of one datanode."""

    def __init__(self, context: DataContext) -> None:
        self._context = context
        self._started = time.monotonic()
        self._reconfigured_ms = 0
        self._superuser = _user_name()
        self._methods: dict[str, Callable[[bytes | memoryview], Message]] = {
            "getReplicaVisibleLength": self._visible_length,
            "getDatanodeInfo": self._datanode_info,
            "getBalancerBandwidth": lambda _: pb.GetBalancerBandwidthResponse(
                bandwidth=COPY_BYTES_PER_SECOND
            ),
        }
        self._privileged: dict[str, Callable[[bytes | memoryview], Message]] = {
            "refreshNamenodes": self._refresh_namenodes,
            "deleteBlockPool": self._delete_block_pool,
            "getBlockLocalPathInfo": self._local_path,
            "shutdownDatanode": self._shut_down,
            "evictWriters": self._evict_writers,
            "getVolumeReport": self._volume_report,
            "triggerBlockReport": self._trigger_report,
            "getReconfigurationStatus": self._reconfiguration_status,
            "startReconfiguration": self._reconfigure,
            "listReconfigurableProperties": lambda _: pb.ListReconfigurablePropertiesResponse(),
            "submitDiskBalancerPlan": self._no_disk_balancer,
            "cancelDiskBalancerPlan": self._no_disk_balancer,
            "queryDiskBalancerPlan": self._no_disk_balancer,
            "getDiskBalancerSetting": self._no_disk_balancer,
        }

    def call(self, user: str, method: str, body: bytes | memoryview) -> bytes:
        """Carry out one call. Raises NoSuchVerb, PermissionDenied and what the call raises."""
        carry_out = self._methods.get(method)
        if carry_out is None:
            carry_out = self._privileged.get(method)
            if carry_out is None:
                raise NoSuchVerb(f"Unknown method {method} called on {PROTOCOL} protocol.")
            if user != self._superuser:
                raise PermissionDenied(
                    f"Access denied for user {user}. Superuser privilege is required: {self._superuser}"
                )
        return carry_out(body).SerializeToString()

    # --- for readers --------------------------------------------------------------------------------

    def _visible_length(self, body: bytes | memoryview) -> Message:
        block = _decode(pb.GetReplicaVisibleLengthRequest, body).block
        self._context.small_blocks.make_if_inline(block.blockId, block.generationStamp)
        replica = self._context.store.get(block.blockId)
        if replica.generation_stamp < block.generationStamp:
            # Not BlockNotFound: clients take that for a writer that has not begun, and the length for 0.
            raise OastError(
                f"block {block.blockId} has stamp {replica.generation_stamp} here, "
                f"older than {block.generationStamp}"
            )
        if replica.corrupt:
            raise OastError(f"block {block.blockId} is corrupt here")
        return pb.GetReplicaVisibleLengthResponse(length=replica.visible_length)

    # --- for administrators -------------------------------------------------------------------------

    def _datanode_info(self, _: bytes | memoryview) -> Message:
        info = pb.DatanodeLocalInfo(
            softwareVersion=VERSION,
            configVersion=f"core-{VERSION},hdfs-{VERSION}",
            uptime=int(time.monotonic() - self._started),
        )
        return pb.GetDatanodeInfoResponse(localInfo=info)

    def _volume_report(self, _: bytes | memoryview) -> Message:
        response = pb.GetVolumeReportResponse()
        for volume in self._context.store.volumes:
            if volume.failed:
                continue
            response.volumeInfo.add(
                path=str(volume.path),
                storageType=_storage_type(self._context.config.storage_type),
                usedSpace=volume.used_bytes,
                freeSpace=volume.space()[1],
                reservedSpace=volume.reserved_bytes,
                reservedSpaceForReplicas=0,
                numBlocks=sum(1 for _ in self._context.store.replicas(volume)),
            )
        return response

    def _trigger_report(self, body: bytes | memoryview) -> Message:
        request = _decode(pb.TriggerBlockReportRequest, body)
        self._context.report_blocks(request.incremental)
        return pb.Nothing()

    def _refresh_namenodes(self, _: bytes | memoryview) -> Message:
        """Namenodes are named when a datanode starts, and are looked for for ever: nothing to do."""
        return pb.Nothing()

    def _delete_block_pool(self, body: bytes | memoryview) -> Message:
        pool = _decode(pb.DeleteBlockPoolRequest, body).blockPool
        raise OastError(f"The block pool {pool} is still running, be sure to unregister before deleting it")

    def _local_path(self, _: bytes | memoryview) -> Message:
        raise PermissionDenied("paths of replicas are not told: ask for file descriptors on the local socket")

    def _shut_down(self, body: bytes | memoryview) -> Message:
        _decode(pb.ShutdownDatanodeRequest, body)
        self._context.request_stop()
        return pb.Nothing()

    def _evict_writers(self, _: bytes | memoryview) -> Message:
        for replica in list(self._context.store.replicas()):
            if writer := replica.writer:
                writer.fence()
        return pb.Nothing()

    def _reconfigure(self, _: bytes | memoryview) -> Message:
        """No property can change while a datanode runs, so this is done as soon as it is begun."""
        self._reconfigured_ms = int(time.time() * 1000)
        return pb.Nothing()

    def _reconfiguration_status(self, _: bytes | memoryview) -> Message:
        at = self._reconfigured_ms
        if not at:
            return pb.GetReconfigurationStatusResponse(startTime=0)
        return pb.GetReconfigurationStatusResponse(startTime=at, endTime=at)

    def _no_disk_balancer(self, _: bytes | memoryview) -> Message:
        raise DiskBalancerDisabled("Disk Balancer is not enabled.")


def _decode(kind: type[M], body: bytes | memoryview) -> M:
    try:
        message = kind.FromString(bytes(body))
    except DecodeError:
        raise ProtocolError(f"a {kind.__name__} cannot be read") from None
    if not message.IsInitialized():
        raise ProtocolError(f"a {kind.__name__} cannot be read: a field is missing")
    return message


def _storage_type(name: str) -> pb.StorageType.ValueType:
    return pb.StorageType.Value(name) if name in tuple(pb.StorageType.keys()) else pb.DISK


def _user_name() -> str:
    """Name of the user that the datanode runs as."""
    uid = os.geteuid()
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
