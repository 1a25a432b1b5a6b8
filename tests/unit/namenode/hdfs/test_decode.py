from __future__ import annotations

import pytest

from oastfs.namenode.hdfs.handler import decode
from oastfs.namenode.hdfs.methods import METHODS
from oastfs.wire.proto import client_namenode_pb2 as pb


@pytest.mark.parametrize(
    ("sent", "taken"),
    [("/a/b", "/a/b"), ("/a/b/", "/a/b"), ("/a//b///", "/a/b"), ("/", "/"), ("//", "/"), ("", "")],
)
def test_slashes_of_paths_that_are_looked_up(sent: str, taken: str) -> None:
    request = pb.GetFileInfoRequest(src=sent).SerializeToString()
    decoded = decode(METHODS["getFileInfo"], request)
    assert isinstance(decoded, pb.GetFileInfoRequest)
    assert decoded.src == taken


def test_doubled_slashes_of_new_paths_are_left_to_be_refused() -> None:
    request = pb.RenameRequest(src="/a//b/", dst="/c//d/").SerializeToString()
    decoded = decode(METHODS["rename"], request)
    assert isinstance(decoded, pb.RenameRequest)
    assert (decoded.src, decoded.dst) == ("/a//b", "/c//d")
