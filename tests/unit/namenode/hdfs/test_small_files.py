"""The answer about a small file that is encoded by hand is the one that generated code makes."""

from __future__ import annotations

import pytest

from oastfs.namenode import tree
from oastfs.namenode.hdfs import located, small_files
from oastfs.namenode.hdfs.call import Address, Call
from oastfs.namenode.namespace import Namespace
from oastfs.store.transaction import Transaction
from oastfs.wire.proto import client_namenode_pb2 as pb
from tests.unit.namenode.conftest import ROOT
from tests.unit.namenode.hdfs.conftest import Hdfs


def answers(hdfs: Hdfs, path: str, offset: int, server: Address, client: str) -> tuple[bytes | None, bytes]:
    """(by hand, by generated code)."""
    call = Call(hdfs.namespace.context(ROOT), hdfs.names, client, server)

    def ask(tx: Transaction) -> tuple[bytes | None, bytes]:
        node = tree.resolve(tx, call.context, path)
        found = located.located_blocks(tx, call, node, offset, 1 << 40)
        return (
            small_files.answer(tx, call, node.inode, offset),
            pb.GetBlockLocationsResponse(locations=found).SerializeToString(),
        )

    return hdfs.namespace.store.read(ask)


@pytest.mark.parametrize("length", [1, 127, 128, 1000])
@pytest.mark.parametrize("server", [Address("127.0.0.1", 8020), Address("::1", 100)])
def test_the_same_bytes(hdfs: Hdfs, namespace: Namespace, length: int, server: Address) -> None:
    namespace.write_file(ROOT, "/f", b"x" * length)
    for offset in {0, length // 2, length - 1}:
        for client in ("127.0.0.1", "10.1.2.3"):
            by_hand, generated = answers(hdfs, "/f", offset, server, client)
            assert by_hand == generated


def test_an_empty_file(hdfs: Hdfs, namespace: Namespace) -> None:
    namespace.write_file(ROOT, "/empty", b"")
    for offset in (0, 5):
        by_hand, generated = answers(hdfs, "/empty", offset, Address("127.0.0.1", 8020), "")
        assert by_hand == generated
    namespace.append(ROOT, "/empty", "writer")
    assert answers(hdfs, "/empty", 0, Address("127.0.0.1", 8020), "")[0] is None


def test_what_is_not_small_and_closed_is_left_to_generated_code(hdfs: Hdfs, namespace: Namespace) -> None:
    server = Address("127.0.0.1", 8020)
    namespace.write_file(ROOT, "/short", b"abc")
    assert answers(hdfs, "/short", 3, server, "")[0] is None
    namespace.truncate(ROOT, "/short", 10 << 20)
    assert answers(hdfs, "/short", 0, server, "")[0] is None
    namespace.write_file(ROOT, "/open", b"abc")
    namespace.append(ROOT, "/open", "writer")
    assert answers(hdfs, "/open", 0, server, "")[0] is None
