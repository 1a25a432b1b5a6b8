"""Pages of listings, statuses and small files: what is compiled gives the bytes that Python gives, and bears
rows of any bytes."""

from __future__ import annotations

import stat
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oastfs.core.types import Flag, RenameMode
from oastfs.namenode import tree
from oastfs.namenode.hdfs import pages, small_files
from oastfs.namenode.hdfs import status as status_module
from oastfs.namenode.hdfs.call import Call
from oastfs.namenode.hdfs.names import Names
from oastfs.namenode.namespace import Namespace
from oastfs.namenode.tree import Node
from oastfs.store.lmdb_driver.codec import key_decoder, key_encoder
from oastfs.store.schema import INODE, ROOT_ID, Inode
from oastfs.store.transaction import EncodedRows, Transaction
from oastfs.wire.proto import hdfs_pb2 as types
from tests.unit.namenode.conftest import ALICE, ROOT
from tests.unit.namenode.hdfs.conftest import SERVER, Hdfs

compiled: Any = pytest.importorskip("oastfs.namenode.hdfs._pages")

DIRECTORY_ID = 1 << 40
_encode_key = key_encoder(INODE.key)
_decode_key = key_decoder(INODE.key)
_decode_value = msgspec.msgpack.Decoder(Inode).decode

_numbers = st.integers(0, (1 << 63) - 1) | st.integers(0, 300) | st.integers(0, 1 << 32)
_times = st.integers(-(10**10), 2 * 10**18) | st.sampled_from([0, 1, 999_999, 1_000_000])
_kinds = st.sampled_from(
    [stat.S_IFREG] * 6 + [stat.S_IFDIR] * 3 + [stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFCHR]
)
_flags = st.sampled_from([0, 0, 0, int(Flag.BLOCKS), int(Flag.XATTRS | Flag.OPEN), int(Flag.ACL), 7 << 8])
_names = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=60)
_inodes = st.builds(
    lambda kind, bits, **fields: Inode(mode=kind | bits, **fields),
    _kinds,
    st.integers(0, 0o7777),
    id=_numbers,
    uid=st.integers(-1, 1 << 31) | st.sampled_from([0, 1001]),
    gid=st.integers(0, 5),
    length=_numbers,
    atime_ns=_times,
    mtime_ns=_times,
    ctime_ns=_times,
    flags=_flags,
    block_size=st.sampled_from([0, 0, 4096, 1 << 30]),
    replication=st.sampled_from([0, 0, 1, 3, 512]),
)
_entries = st.dictionaries(_names, _inodes, max_size=30)
_generously = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def _decode(raw_key: bytes, raw_value: bytes) -> tuple[Any, Inode]:
    return _decode_key(raw_key), _decode_value(raw_value)


def _call(namespace: Namespace) -> Call:
    return Call(namespace.context(ROOT), Names(), "127.0.0.1", SERVER)


def _directory(inode_id: int = DIRECTORY_ID) -> Node:
    return Node(ROOT_ID, "d", Inode(inode_id, stat.S_IFDIR | 0o755, 0, 0, 0, 1, 2, 3))


def _compiled_and_not(namespace: Namespace, entries: dict[str, Inode]) -> tuple[bytes, bytes]:
    raws = [
        (_encode_key((DIRECTORY_ID, name)), msgspec.msgpack.encode(entries[name])) for name in sorted(entries)
    ]

    def both(tx: Transaction) -> tuple[bytes, bytes]:
        nodes = [Node(DIRECTORY_ID, name, entries[name]) for name in sorted(entries)]
        rows = EncodedRows(raws, _decode)
        return (
            pages.encode_rows(tx, _call(namespace), _directory(), "/d", rows),
            pages.encode_nodes(tx, _call(namespace), _directory(), nodes),
        )

    return namespace.store.read(both)


@_generously
@given(entries=_entries)
def test_both_give_the_same(namespace: Namespace, entries: dict[str, Inode]) -> None:
    fast, slow = _compiled_and_not(namespace, entries)
    assert fast == slow
    listing = types.DirectoryListing.FromString(fast + b"\x10\x00")
    assert [one.path.decode() for one in listing.partialListing] == sorted(entries)


@_generously
@given(inode=_inodes, data=st.data())
def test_damaged_rows(namespace: Namespace, inode: Inode, data: st.DataObject) -> None:
    value = bytearray(msgspec.msgpack.encode(inode))
    for _ in range(data.draw(st.integers(1, 3))):
        value[data.draw(st.integers(0, len(value) - 1))] = data.draw(st.integers(0, 255))
    _compare_raw(namespace, bytes(value[: data.draw(st.integers(0, len(value)))]))


@_generously
@given(value=st.binary(max_size=60) | st.binary(max_size=60).map(lambda rest: b"\x9e" + rest))
def test_any_bytes(namespace: Namespace, value: bytes) -> None:
    _compare_raw(namespace, value)


def _compare_raw(namespace: Namespace, value: bytes) -> None:
    """Where the row can be read its fields are shown; where not, Python is asked, or its end passed over."""
    key = _encode_key((DIRECTORY_ID, "name"))
    asked: list[bytes] = []

    def other(raw_key: bytes, raw_value: bytes) -> bytes:
        asked.append(raw_value)
        return b""

    def encode(owner: bytes) -> bytes:
        return bytes(
            compiled.encode_page(
                [(key, value)], 8, 0, b"", lambda *_: owner, lambda *_: b"\x58\x00", lambda _: None, other
            )
        )

    encoded = encode(b"\x2a\x00")
    assert encoded == encode(b"\x2a\x00") and encoded[:1] == b"\x0a"
    if asked:
        assert encoded == b"\x0a\x00" and set(asked) == {value}
        return
    try:
        inode = _decode_value(value)
    except msgspec.DecodeError:
        return
    status = types.HdfsFileStatus()
    status.MergeFromString(encoded[2:] if encoded[1] < 0x80 else encoded[3:])
    assert (status.path, status.fileId) == (b"name", inode.id)
    assert status.length == (inode.length if stat.S_ISREG(inode.mode) else 0)
    assert status.modification_time == max(inode.mtime_ns, 0) // 1_000_000


_parts = st.binary(max_size=300)


@given(
    st.tuples(st.integers(1, 3), _parts, _numbers, _parts, _times, _times, _parts, _parts, _numbers, _parts)
)
def test_one_status(fields: tuple[Any, ...]) -> None:
    assert compiled.encode_status(*fields) == status_module._put_together(*fields)


@pytest.mark.parametrize(
    "fields",
    [
        (1, b"", 1, b"", 1, 1, b"", b"", 1),
        (1, "", 1, b"", 1, 1, b"", b"", 1, b""),
        (-1, b"", 1, b"", 1, 1, b"", b"", 1, b""),
        (1, b"", -1, b"", 1, 1, b"", b"", 1, b""),
        (1, b"", 1, b"", 1, 1, b"", b"", -1, b""),
        (1, b"", 1 << 63, b"", 1, 1, b"", b"", 1, b""),
        (1, b"", 1, None, 1, 1, b"", b"", 1, b""),
        (1, b"", 1, b"", 1.5, 1, b"", b"", 1, b""),
    ],
)
def test_what_is_no_status(fields: tuple[Any, ...]) -> None:
    with pytest.raises((TypeError, ValueError, OverflowError)):
        compiled.encode_status(*fields)


@given(_numbers, st.integers(0, (1 << 64) - 1), *[st.binary(max_size=300)] * 3)
def test_one_small_file(length: int, block_id: int, before: bytes, between: bytes, rest: bytes) -> None:
    fields = length, block_id, before, between, rest
    assert compiled.encode_small_file(*fields) == small_files._put_together(*fields)


@pytest.mark.parametrize(
    "fields",
    [
        (1, 1, b"", b""),
        (-1, 1, b"", b"", b""),
        (1, 1 << 64, b"", b"", b""),
        (1.5, 1, b"", b"", b""),
        (1, 1, "", b"", b""),
        (1, 1, b"", None, b""),
    ],
)
def test_what_is_no_small_file(fields: Any) -> None:
    with pytest.raises((TypeError, OverflowError)):
        compiled.encode_small_file(*fields)


_FILE = msgspec.msgpack.encode([1, 0o100644, 0, 0, 0, 0, 0, 0])
_DIRECTORY = msgspec.msgpack.encode([1, 0o040755, 0, 0, 0, 0, 0, 0])


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        (None, 8, 0, b"", *[None] * 4),
        ([()], 8, 0, b"", *[None] * 4),
        ([(b"", "")], 8, 0, b"", *[None] * 4),
        ([b""], 8, 0, b"", *[None] * 4),
        ([], -1, 0, b"", *[None] * 4),
        ([], 8, "", b"", *[None] * 4),
        ([], 8, 0, "", *[None] * 4),
        ([(b"k", b"v")], 0, 0, b"", *[None] * 4),
        ([(b"k", b"v")], 0, 0, b"", *[lambda *_: "text"] * 4),
        (
            [(b"k", _FILE)],
            0,
            0,
            b"",
            *[lambda *_: "text"] * 4,
        ),
        (
            [(b"k", _DIRECTORY)],
            0,
            0,
            b"",
            *[lambda *_: "text"] * 4,
        ),
    ],
)
def test_what_is_no_page(arguments: tuple[Any, ...]) -> None:
    with pytest.raises(TypeError):
        compiled.encode_page(*arguments)


def test_more_owners_and_layouts_than_are_kept(namespace: Namespace) -> None:
    entries = {
        f"{number:04}": Inode(
            number, stat.S_IFREG | number & 0o777, number % 40, number % 7, 1, 1, 2, 3,
            replication=1 + number % 21, block_size=512 * (1 + number % 19),
        )
        for number in range(2000)
    }  # fmt: skip
    fast, slow = _compiled_and_not(namespace, entries)
    assert fast == slow


def test_a_directory_of_everything(hdfs: Hdfs, namespace: Namespace, monkeypatch: pytest.MonkeyPatch) -> None:
    namespace.mkdirs(ROOT, "/d/sub/below")
    namespace.write_file(ROOT, "/d/file", b"content")
    namespace.write_file(ALICE, "/tmp/theirs", b"theirs")
    namespace.rename(ROOT, "/tmp/theirs", "/d/theirs", RenameMode.POSIX)
    namespace.link(ROOT, "/d/file", "/d/linked")
    namespace.symlink(ROOT, "/d/to-file", "file", False)
    namespace.symlink(ROOT, "/d/to-directory", "sub", False)
    namespace.symlink(ROOT, "/d/to-nothing", "nothing", False)
    namespace.mknod(ROOT, "/d/fifo", stat.S_IFIFO | 0o600, 0)
    hdfs.create("/d/open")
    for policy in (False, True):
        if policy:
            hdfs.call("setStoragePolicy", src="/d", policyName="COLD")
            hdfs.call("setStoragePolicy", src="/d/theirs", policyName="HOT")
        fast = _all_pages(hdfs)
        monkeypatch.setattr(pages, "_pages", None)
        assert _all_pages(hdfs) == fast and len(fast) == 9
        monkeypatch.undo()
        assert [one.storagePolicy for one in fast if one.path == b"file"] == [2 if policy else 0]
    node = namespace.store.read(lambda tx: tree.resolve(tx, namespace.context(ROOT), "/d/sub"))
    assert [one.fileId for one in fast if one.path == b"sub"] == [node.inode.id]


def _all_pages(hdfs: Hdfs) -> list[types.HdfsFileStatus]:
    found: list[types.HdfsFileStatus] = []
    while True:
        after = found[-1].path if found else b""
        listing = hdfs.call("getListing", src="/d", startAfter=after, needLocation=False).dirList
        found += listing.partialListing
        if not listing.remainingEntries:
            return found
