"""Calls as a connection brings them: on which thread their changes are made."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import pytest
from google.protobuf.message import Message

from oastfs.core.types import SUPERUSER
from oastfs.namenode.hdfs.calls import names
from oastfs.namenode.hdfs.handler import PROTOCOL, ClientProtocolHandler
from oastfs.namenode.namespace import Namespace
from oastfs.namenode.ops.rename import rename_entry
from oastfs.namenode.server.changes import Changes
from oastfs.namenode.server.inline_blocks import InlineBlocks
from oastfs.namenode.server.metrics import Metrics
from oastfs.namenode.server.rpc import RpcServer
from oastfs.namenode.tree import Node
from oastfs.wire.hadoop_rpc_client import FIRST_CALL_ID, RequestEncoder
from oastfs.wire.proto import client_namenode_pb2 as pb

SECONDS = 30


async def make(namespace: Namespace, calls: list[tuple[str, Message]]) -> None:
    """Make calls one after the other, on this loop."""
    metrics = Metrics()
    changes = Changes(asyncio.get_running_loop(), namespace.store)
    handler = ClientProtocolHandler(namespace, metrics, changes, long_weight=1)
    server = RpcServer({PROTOCOL: handler}, cast(InlineBlocks, None), metrics)
    port = await server.start("127.0.0.1", 0)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    encoder = RequestEncoder(uuid4().bytes, PROTOCOL, SUPERUSER.user)
    writer.write(encoder.preamble())
    for number, (method, request) in enumerate(calls):
        writer.write(encoder.encode(FIRST_CALL_ID + number, 0, method, request.SerializeToString()))
        length = int.from_bytes(await asyncio.wait_for(reader.readexactly(4), SECONDS))
        await reader.readexactly(length)
    writer.close()
    await server.stop(SECONDS)
    handler.close()


@pytest.fixture
def store_url(tmp_path: Path) -> str:
    """The embedded store: on others no change is made on the loop's thread."""
    return f"lmdb://{tmp_path}/store"


def test_with_quotas_renames_are_not_made_on_the_loops_thread(
    namespace: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tree that moves into another quota is counted, and that may take long."""
    for name in ("counted", "tree", "other"):
        namespace.mkdirs(SUPERUSER, f"/{name}")
    namespace.write_file(SUPERUSER, "/tree/file", b"abc")
    threads = []

    def rename(*arguments: Any, **named: Any) -> Node:
        threads.append(threading.get_ident())
        return rename_entry(*arguments, **named)

    monkeypatch.setattr(names, "rename_entry", rename)
    asyncio.run(make(namespace, [("rename", pb.RenameRequest(src="/tree", dst="/other/tree"))]))
    namespace.set_quota(SUPERUSER, "/counted", 10, -1)
    moves = [
        ("rename", pb.RenameRequest(src="/other/tree", dst="/counted/tree")),
        ("rename2", pb.Rename2Request(src="/counted/tree", dst="/counted/moved", overwriteDest=False)),
    ]
    asyncio.run(make(namespace, cast(Any, moves)))
    assert namespace.quota_usage(SUPERUSER, "/counted").names == 3
    assert namespace.stat(SUPERUSER, "/counted/moved/file").length == 3
    here = threading.get_ident()
    assert [thread == here for thread in threads] == [True, True, False, True], "the second is refused there"
