"""ClientDatanodeProtocol on the data port."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from oastfs.core.errors import ConnectionLost
from oastfs.core.version import VERSION
from oastfs.wire.frames import pack_length
from oastfs.wire.proto import datanode_ipc_pb2 as ipc
from oastfs.wire.proto import datatransfer_pb2 as pb
from oastfs.wire.proto.rpc_pb2 import RPC_PROTOCOL_BUFFER, RpcRequestHeader, RpcSaslMessage
from oastfs.wire.transfer import BlockId
from oastfs.wire.varint import encode_delimited
from tests.harness.waiting import wait_until
from tests.unit.datanode.peer import Node, Pipeline, nodes, read_block, write_block
from tests.unit.datanode.rpc_peer import TIMEOUT_SECONDS, RpcPeer

BLOCK = BlockId(1024, 5)
NOT_FOUND = "org.apache.hadoop.hdfs.server.datanode.ReplicaNotFoundException"


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    with nodes(tmp_path, 1) as (one,):
        yield one


def port(node: Node) -> int:
    return node.server.data_port


def length_request(block_id: int = 1024, stamp: int = 5) -> ipc.GetReplicaVisibleLengthRequest:
    block = ipc.ExtendedBlock(poolId="any", blockId=block_id, generationStamp=stamp)
    return ipc.GetReplicaVisibleLengthRequest(block=block)


def visible_length(peer: RpcPeer) -> int:
    response = peer.call("getReplicaVisibleLength", length_request())
    assert response.succeeded, response
    return ipc.GetReplicaVisibleLengthResponse.FromString(bytes(response.body)).length


def test_the_visible_length_grows_with_what_is_acknowledged(node: Node) -> None:
    pipeline = Pipeline([node.target], BLOCK)
    with RpcPeer(port(node), user="anyone") as peer:
        assert visible_length(peer) == 0
        assert pipeline.put(0, b"x" * 700) == [pb.SUCCESS]
        assert visible_length(peer) == 700
        assert read_block(node.target, BLOCK, 0, 700) == b"x" * 700
        # After a flush Java sends the partial chunk again, with what follows it.
        assert pipeline.put(512, b"x" * 188 + b"y" * 100) == [pb.SUCCESS]
        assert visible_length(peer) == 800
        assert pipeline.finish(800) == [pb.SUCCESS]
        assert visible_length(peer) == 800


def test_a_replica_that_is_not_here_has_no_length(node: Node) -> None:
    write_block([node.target], BLOCK, b"content")
    with RpcPeer(port(node)) as peer:
        missing = peer.call("getReplicaVisibleLength", length_request(block_id=2048))
        assert missing.exception_class == NOT_FOUND
        stale = peer.call("getReplicaVisibleLength", length_request(stamp=6))
        assert stale.exception_class == "java.io.IOException"
        assert "older than 6" in stale.message
        assert visible_length(peer) == 7


def test_what_administrators_see(node: Node) -> None:
    write_block([node.target], BLOCK, b"content")
    with RpcPeer(port(node)) as peer:
        info = peer.call("getDatanodeInfo", ipc.Nothing())
        local = ipc.GetDatanodeInfoResponse.FromString(bytes(info.body)).localInfo
        assert local.softwareVersion == VERSION
        report = peer.call("getVolumeReport", ipc.Nothing())
        (volume,) = ipc.GetVolumeReportResponse.FromString(bytes(report.body)).volumeInfo
        assert (volume.path, volume.numBlocks, volume.usedSpace) == (str(node.config.volumes[0]), 1, 7)
        bandwidth = peer.call("getBalancerBandwidth", ipc.Nothing())
        assert ipc.GetBalancerBandwidthResponse.FromString(bytes(bandwidth.body)).bandwidth > 0
        properties = peer.call("listReconfigurableProperties", ipc.Nothing())
        assert not ipc.ListReconfigurablePropertiesResponse.FromString(bytes(properties.body)).name
        for before in (True, False):
            status = peer.call("getReconfigurationStatus", ipc.Nothing())
            task = ipc.GetReconfigurationStatusResponse.FromString(bytes(status.body))
            assert (task.startTime == 0) == before
            assert task.HasField("endTime") != before
            assert peer.call("startReconfiguration", ipc.Nothing()).succeeded


def test_reports_and_the_end_are_passed_on(node: Node) -> None:
    with RpcPeer(port(node)) as peer:
        for incremental in (True, False):
            request = ipc.TriggerBlockReportRequest(incremental=incremental)
            assert peer.call("triggerBlockReport", request).succeeded
        assert peer.call("refreshNamenodes", ipc.Nothing()).succeeded
        assert peer.call("shutdownDatanode", ipc.ShutdownDatanodeRequest(forUpgrade=False)).succeeded
    assert node.asked == ["incremental report", "full report", "stop"]


def test_evicted_writers_end(node: Node) -> None:
    pipeline = Pipeline([node.target], BLOCK)
    assert pipeline.put(0, b"kept") == [pb.SUCCESS]
    with RpcPeer(port(node)) as peer:
        assert peer.call("evictWriters", ipc.Nothing()).succeeded
    wait_until(lambda: node.store.get(1024).writer is None, "the writer to let go")
    with pytest.raises(ConnectionLost):
        while pb.SUCCESS in pipeline.ack().reply:
            pass
        pipeline.ack()
    pipeline.close()
    assert node.store.get(1024).length == 4


@pytest.mark.parametrize(
    ("method", "request_message", "exception", "text"),
    [
        (
            "deleteBlockPool",
            ipc.DeleteBlockPoolRequest(blockPool="p", force=True),
            "java.io.IOException",
            "still running",
        ),
        ("getBlockLocalPathInfo", ipc.Nothing(), "org.apache.hadoop.security.AccessControlException", "path"),
        (
            "queryDiskBalancerPlan",
            ipc.Nothing(),
            "org.apache.hadoop.hdfs.server.diskbalancer.DiskBalancerException",
            "not enabled",
        ),
        ("noSuchCall", ipc.Nothing(), "org.apache.hadoop.ipc.RpcNoSuchMethodException", "noSuchCall"),
        (
            "getReplicaVisibleLength",
            ipc.Nothing(),
            "org.apache.hadoop.ipc.RpcServerException",
            "cannot be read",
        ),
    ],
)
def test_refusals(node: Node, method: str, request_message: ipc.Nothing, exception: str, text: str) -> None:
    with RpcPeer(port(node)) as peer:
        refused = peer.call(method, request_message)
        assert (refused.exception_class, text in refused.message) == (exception, True), refused
        assert peer.call("getDatanodeInfo", ipc.Nothing()).succeeded, "the connection goes on"


def test_strangers_may_look_but_not_change(node: Node) -> None:
    with RpcPeer(port(node), user="stranger") as peer:
        assert peer.call("getDatanodeInfo", ipc.Nothing()).succeeded
        for method in ("shutdownDatanode", "evictWriters", "triggerBlockReport", "getVolumeReport"):
            refused = peer.call(method, ipc.Nothing())
            assert refused.exception_class == "org.apache.hadoop.security.AccessControlException"
            assert "stranger" in refused.message
    assert node.asked == []


def test_another_protocol_is_not_here(node: Node) -> None:
    with RpcPeer(port(node), protocol="org.apache.hadoop.hdfs.protocol.ClientProtocol") as peer:
        refused = peer.call("getFileInfo", ipc.Nothing())
    assert refused.exception_class == "org.apache.hadoop.ipc.RpcNoSuchProtocolException"


def test_clients_that_begin_with_sasl_are_offered_simple(node: Node) -> None:
    """Java does, to ask for the visible length, also where security is off."""
    header = RpcRequestHeader(
        rpcKind=RPC_PROTOCOL_BUFFER,
        rpcOp=RpcRequestHeader.RPC_FINAL_PACKET,
        callId=-33,
        clientId=b"",
        retryCount=-1,
    )
    negotiate = RpcSaslMessage(state=RpcSaslMessage.NEGOTIATE)
    payload = encode_delimited(header.SerializeToString()) + encode_delimited(negotiate.SerializeToString())
    with socket.create_connection(("127.0.0.1", port(node)), TIMEOUT_SECONDS) as sock:
        sock.sendall(b"hrpc\x09\x00\xdf" + pack_length(len(payload)) + payload)
        assert b"SIMPLE" in sock.recv(4096)


def test_the_connection_of_an_idle_client_does_not_hold_up_the_end(tmp_path: Path) -> None:
    with nodes(tmp_path, 1, idle_seconds=60.0) as (node,):
        peer = RpcPeer(port(node))
        assert peer.call("getDatanodeInfo", ipc.Nothing()).succeeded
        node.stop()
        peer.__exit__(None, None, None)
        assert node.server.active_connections == 0
