from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from oastfs.namenode.hdfs.encoding import layout, ownership, varint
from oastfs.wire.proto import hdfs_pb2 as types
from oastfs.wire.varint import decode_varint, encode_varint


@given(st.integers(0, (1 << 64) - 1) | st.integers(0, 1 << 15) | st.integers(0, 1 << 43))
def test_numbers(value: int) -> None:
    encoded = varint(value)
    assert encoded == encode_varint(value) and decode_varint(encoded, 0) == (value, len(encoded))


@given(st.integers(0, 0o1777), st.text(max_size=200), st.text(max_size=20), st.integers(0, 512))
def test_parts_of_a_status(permission: int, owner: str, group: str, replication: int) -> None:
    found = types.HdfsFileStatus()
    found.MergeFromString(ownership(permission, owner, group) + layout(replication, 128 << 20))
    assert (found.permission.perm, found.owner, found.group) == (permission, owner, group)
    assert (found.block_replication, found.blocksize) == (replication, 128 << 20)
