"""Calls of datanodes on the port of a real namenode."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest

from oastfs.datanode.namenode_calls import NamenodeCalls, Refused
from oastfs.namenode.server.process import namenode_thread
from oastfs.wire.datanode_calls import STORE_INLINE
from oastfs.wire.proto import control_pb2 as pb
from tests.harness.ports import free_port
from tests.unit.namenode.server.conftest import make_config

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
