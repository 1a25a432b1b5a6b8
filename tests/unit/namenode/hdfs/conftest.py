"""HDFS's calls made on a namespace in this process: what the handler does, without sockets."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.message import Message

from oastfs.core.types import Caller
from oastfs.namenode.hdfs.call import Address, Call
from oastfs.namenode.hdfs.handler import carry_out
from oastfs.namenode.hdfs.methods import METHODS
from oastfs.namenode.hdfs.names import Names
from oastfs.namenode.namespace import Namespace
from oastfs.wire.proto import client_namenode_pb2 as pb
from oastfs.wire.proto import hdfs_pb2 as types
from tests.unit.namenode.conftest import ROOT

SERVER = Address("127.0.0.1", 8020)
RESPONSES = {"getHAServiceState": "HAServiceStateResponse", "getFsStats": "GetFsStatsResponse"}


class Hdfs:
    """Makes calls by their names, and reads their answers."""

    def __init__(self, namespace: Namespace) -> None:
        self.namespace = namespace
        self.names = Names()

    def call(self, method: str, caller: Caller = ROOT, **fields: Any) -> Any:
        """The answer of a call."""
        declared = METHODS[method]
        request = declared.request(**fields)
        context = self.namespace.context(caller)
        context.group_of_parent = True
        call = Call(context, self.names, "127.0.0.1", SERVER)
        store = self.namespace.store
        run = store.read if declared.reads else store.write
        encoded = run(lambda tx: carry_out(declared, tx, call, request))
        return self._response(method).FromString(encoded)

    @staticmethod
    def _response(method: str) -> type[Message]:
        name = RESPONSES.get(method) or method[0].upper() + method[1:] + "Response"
        response: type[Message] = getattr(pb, name)
        return response

    def create(self, path: str, client: str = "writer", caller: Caller = ROOT, **more: Any) -> int:
        """A new file, being written; its id."""
        fields: dict[str, Any] = {
            "masked": types.FsPermission(perm=0o644),
            "createFlag": 1,
            "createParent": True,
            "replication": 2,
            "blockSize": 4096,
        }
        fields.update(more)
        answer = self.call("create", caller, src=path, clientName=client, **fields)
        return int(answer.fs.fileId)

    def locations(self, path: str, offset: int = 0, length: int = 1 << 40) -> types.LocatedBlocks:
        """The blocks of a file."""
        answer = self.call("getBlockLocations", src=path, offset=offset, length=length)
        found: types.LocatedBlocks = answer.locations
        return found

    def exists(self, path: str) -> bool:
        return bool(self.call("getFileInfo", src=path).HasField("fs"))


@pytest.fixture
def hdfs(namespace: Namespace) -> Hdfs:
    return Hdfs(namespace)
