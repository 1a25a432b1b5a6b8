"""Calls of datanodes on the port of a real namenode."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest

from oastfs.datanode.namenode_calls import NamenodeCalls, Refused
from oastfs.namenode.hdfs.handler import PROTOCOL as CLIENT_PROTOCOL
from oastfs.namenode.namespace import Namespace
from oastfs.namenode.server.process import namenode_thread
from oastfs.store import open_store
from oastfs.store.schema import BLOCK
from oastfs.store.transaction import Store
from oastfs.wire.datanode_calls import STORE_INLINE
from oastfs.wire.hadoop_rpc_client import RequestEncoder
from oastfs.wire.proto import client_namenode_pb2 as pb_client
from oastfs.wire.proto import control_pb2 as pb
from oastfs.wire.proto import hdfs_pb2 as hdfs
from tests.harness.fleet import Fleet
from tests.harness.ports import free_port
from tests.harness.waiting import wait_until
from tests.unit.namenode.server.conftest import RawClient, make_config

BODY = pb.StoreInlineRequest(block_id=1 << 20, generation_stamp=1, data=b"data").SerializeToString()


@pytest.fixture
def calls() -> NamenodeCalls:
    return NamenodeCalls(timeout_seconds=2)


def accepted(calls: NamenodeCalls, address: str) -> bool:
    return pb.StoreInlineResponse.FromString(calls.call(address, STORE_INLINE, BODY)).accepted


def test_a_connection_serves_many_calls(calls: NamenodeCalls, tmp_path: Path) -> None:
    with namenode_thread(make_config(tmp_path)) as endpoints:
        address = f"127.0.0.1:{endpoints.port}"
        assert [accepted(calls, address) for _ in range(3)] == [False] * 3, "there is no such block"
        assert len(calls._free[address]) == 1
        threads = [threading.Thread(target=accepted, args=(calls, address)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        assert 1 <= len(calls._free[address]) <= 9
        for method, body in (("nonsense", BODY), (STORE_INLINE, b""), (STORE_INLINE, b"\xff")):
            with pytest.raises(Refused):
                calls.call(address, method, body)
        assert accepted(calls, address) is False
        calls.close()
        assert not calls._free


def test_a_namenode_that_was_started_anew_is_found_again(calls: NamenodeCalls, tmp_path: Path) -> None:
    port = free_port()
    for _ in range(2):
        with namenode_thread(make_config(tmp_path, port=port)):
            assert not accepted(calls, f"127.0.0.1:{port}")
    with pytest.raises(ConnectionError):
        accepted(calls, f"127.0.0.1:{port}")
    calls.close()


def test_one_that_does_not_answer_is_not_waited_for(tmp_path: Path) -> None:
    calls = NamenodeCalls(timeout_seconds=0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(OSError):
        accepted(calls, f"127.0.0.1:{silent.getsockname()[1]}")
    calls.close()


def staged(store: Store) -> list[bytes | None]:
    return [row.staged for _, row in store.read(lambda tx: list(tx.scan(BLOCK)))]


def begin_file(port: int) -> hdfs.ExtendedBlock:
    """A new file of an HDFS client, and its first block."""
    client = RawClient(port, CLIENT_PROTOCOL)
    client.encoder = RequestEncoder(bytes(16), CLIENT_PROTOCOL, "root")
    client.open()
    mode = hdfs.FsPermission(perm=0o644)
    create = pb_client.CreateRequest(
        src="/f",
        masked=mode,
        clientName="c",
        createFlag=1,
        createParent=True,
        replication=1,
        blockSize=1 << 20,
    )
    client.send(0, "create", create.SerializeToString())
    made = client.receive()
    assert made is not None and made.succeeded, made
    bodies: list[bytes] = []

    def add_block() -> bool:
        client.send(1, "addBlock", pb_client.AddBlockRequest(src="/f", clientName="c").SerializeToString())
        answer = client.receive()
        assert answer is not None
        bodies.append(bytes(answer.body))
        return answer.succeeded

    wait_until(add_block, "the namenode to know of the datanode")
    client.close()
    block: hdfs.ExtendedBlock = pb_client.AddBlockResponse.FromString(bodies[-1]).block.b
    return block


@pytest.mark.parametrize("stops", [True, False])
def test_what_a_namenode_keeps_is_written_soon(calls: NamenodeCalls, tmp_path: Path, stops: bool) -> None:
    """Soon, if its file is not completed, or when the namenode stops."""
    config = make_config(tmp_path)
    with namenode_thread(config) as endpoints:
        store = open_store(*config.metadata)
        Fleet(Namespace(store)).add()
        block = begin_file(endpoints.port)
        request = pb.StoreInlineRequest(
            block_id=block.blockId, generation_stamp=block.generationStamp, data=b"data"
        )
        body = request.SerializeToString()
        answer = calls.call(f"127.0.0.1:{endpoints.port}", STORE_INLINE, body)
        assert pb.StoreInlineResponse.FromString(answer).accepted
        if not stops:
            wait_until(lambda: staged(store) == [b"data"], "it to be written")
    assert staged(store) == [b"data"]
    store.close()
    calls.close()
