"""Features that are not offered: questions are answered, uses are refused as HDFS refuses them."""

from __future__ import annotations

from typing import Any

import pytest

from oastfs.core.errors import OastError
from oastfs.core.types import Caller
from oastfs.namenode.namespace import Namespace
from oastfs.wire.proto import client_namenode_pb2 as pb
from tests.unit.namenode.conftest import ROOT
from tests.unit.namenode.hdfs.conftest import Hdfs
from tests.unit.namenode.hdfs.test_writing import java_class

ALICE = Caller("alice", 1000)


@pytest.fixture(autouse=True)
def tree(namespace: Namespace) -> None:
    namespace.mkdirs(ROOT, "/d")
    namespace.write_file(ROOT, "/f", b"content")


@pytest.mark.parametrize(
    ("method", "fields", "error_class", "words"),
    [
        ("allowSnapshot", {"snapshotRoot": "/d"}, "UnsupportedOperationException", "not supported"),
        ("allowSnapshot", {"snapshotRoot": "/f"}, "PathIsNotDirectoryException", "/f"),
        ("allowSnapshot", {"snapshotRoot": "/x"}, "FileNotFoundException", "does not exist: /x"),
        ("createSnapshot", {"snapshotRoot": "/d"}, "SnapshotException", "directory: /d"),
        ("deleteSnapshot", {"snapshotRoot": "/d", "snapshotName": "s"}, "SnapshotException", "/d"),
        ("createEncryptionZone", {"src": "/d"}, "IOException", "zone for /d"),
        ("setErasureCodingPolicy", {"src": "/d"}, "UnsupportedOperationException", "not supported"),
        ("setErasureCodingPolicy", {"src": "/x"}, "FileNotFoundException", "/x"),
        ("unsetErasureCodingPolicy", {"src": "/d"}, "NoECPolicySetException", "/d"),
        ("removeCachePool", {"poolName": "p"}, "InvalidRequestException", "pool p"),
        ("addCacheDirective", {"info": pb.CacheDirectiveInfo(pool="p")}, "InvalidRequestException", "pool p"),
        ("removeCacheDirective", {"id": 7}, "InvalidRequestException", "ID 7"),
        ("addCachePool", {}, "UnsupportedOperationException", "caching"),
    ],
)
def test_uses_are_refused(
    hdfs: Hdfs, method: str, fields: dict[str, Any], error_class: str, words: str
) -> None:
    with pytest.raises(OastError, match=words) as error:
        hdfs.call(method, **fields)
    assert java_class(error) == error_class


@pytest.mark.parametrize(
    ("method", "fields"),
    [
        ("allowSnapshot", {"snapshotRoot": "/d"}),
        ("disallowSnapshot", {"snapshotRoot": "/d"}),
        ("addCachePool", {}),
        ("enableErasureCodingPolicy", {}),
    ],
)
def test_administrators_only(hdfs: Hdfs, method: str, fields: dict[str, Any]) -> None:
    with pytest.raises(OastError, match="Superuser privilege is required") as error:
        hdfs.call(method, ALICE, **fields)
    assert java_class(error) == "AccessControlException"


def test_questions_are_answered(hdfs: Hdfs) -> None:
    assert not hdfs.call("listCachePools").entries
    assert not hdfs.call("listEncryptionZones").zones
    assert not hdfs.call("getErasureCodingPolicy", src="/d").HasField("ecPolicy")
    hdfs.call("disallowSnapshot", snapshotRoot="/d")
