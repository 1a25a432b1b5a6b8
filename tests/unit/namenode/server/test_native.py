"""Every verb through a real socket, and what the native protocol says when it cannot serve a call."""

from __future__ import annotations

import inspect
import threading
from typing import Any

import msgspec
import pytest

from oastfs.client.remote import RemoteMetadata
from oastfs.core.errors import (
    AlreadyExists,
    InlineLimitExceeded,
    InvalidArgument,
    InvalidPath,
    LocksLost,
    NoDatanodes,
    NoSuchVerb,
    NotFound,
    OastError,
    PermissionDenied,
)
from oastfs.core.metadata import Metadata
from oastfs.core.types import (
    SUPERUSER,
    AclEntry,
    AclKind,
    AclScope,
    BlockCommit,
    Caller,
    Fault,
    FileLock,
    FileStatus,
    LockKind,
    LockType,
    Opened,
    RenameMode,
    WriteRequest,
)
from oastfs.namenode.ops.rename import rename_entry
from oastfs.namenode.removal import hide_tree
from oastfs.namenode.server.process import Endpoints
from oastfs.store.schema import ROOT_ID
from oastfs.wire.hadoop_rpc_client import FIRST_CALL_ID
from oastfs.wire.proto.rpc_pb2 import RpcResponseHeader
from oastfs.wire.varint import decode_delimited
from oastfs.wire.verbs import VERBS, encode_arguments
from tests.harness.waiting import wait_until
from tests.unit.namenode.server.conftest import RawClient

ROOT = SUPERUSER
SECONDS = 30.0
STORE_THREAD = "oastfs-store"
EVE = Caller("eve", 1003, (1003,))

CALLS: dict[str, tuple[Any, ...]] = {
    "abandon_block": ("/open", "writer", 1),
    "access": ("/file", 4),
    "add_block": ("/open", "writer", 0),
    "append": ("/file", "appender"),
    "chmod": ("/file", 0o600),
    "chown": ("/file", 7, 8),
    "commit": ("/open", "writer", [BlockCommit(1, 1, 0, 1, (1,))]),
    "concat": ("/file", ["/tail"]),
    "complete": ("/open", "writer", []),
    "content_summary": ("/",),
    "create": ("/created",),
    "datanodes": (),
    "delete": ("/directory", True),
    "filesystem_info": (),
    "forget": ([77], "writer"),
    "get_acl": ("/file",),
    "get_lock": (77, "mount", FileLock(LockKind.POSIX, LockType.WRITE, 2**64 - 1)),
    "get_xattrs": ("/file",),
    "link": ("/file", "/linked"),
    "listdir": ("/",),
    "lookup": (ROOT_ID, "file"),
    "mkdirs": ("/made/deep",),
    "mknod": ("/node", 0o010644),
    "modify_acl": ("/file", [AclEntry(AclScope.ACCESS, AclKind.USER, 7, 4)]),
    "namenodes": (),
    "open": ("/file",),
    "path_of": (1,),
    "principal_ids": (["someone"], ["somegroup"]),
    "principal_names": ([0], [0]),
    "quota_usage": ("/directory",),
    "read_many": (["/file", "/none"],),
    "readlink": ("/symlink",),
    "recover_lease": ("/open",),
    "remove_acl": ("/file",),
    "remove_acl_entries": ("/file", [AclEntry(AclScope.ACCESS, AclKind.USER, 7)]),
    "remove_default_acl": ("/directory",),
    "remove_xattr": ("/file", "user.x"),
    "rename": ("/file", "/renamed", RenameMode.POSIX),
    "release_locks": ("mount",),
    "renew_lease": ("writer",),
    "renew_locks": ("mount",),
    "report_bad_blocks": ([(1, 1)],),
    "rmdir": ("/directory",),
    "set_acl": (
        "/file",
        [AclEntry(AclScope.ACCESS, kind, -1, 6) for kind in (AclKind.USER, AclKind.GROUP, AclKind.OTHER)],
    ),
    "safe_mode": ("get",),
    "set_storage_policy": ("/directory", "COLD"),
    "get_storage_policy": ("/directory",),
    "list_storage_policies": (),
    "set_lock": (77, "mount", FileLock(LockKind.POSIX, LockType.UNLOCK, 2**64 - 1)),
    "set_quota": ("/directory", 10, -1),
    "set_replication": ("/file", 3),
    "set_xattr": ("/file", "user.y", b"1"),
    "stat": ("/file",),
    "stat_many": (["/file", "/none"],),
    "statfs": (),
    "symlink": ("/another", "/file"),
    "truncate": ("/file", 2),
    "unlink": ("/file",),
    "update_block": ("/open", "writer", 0, 1),
    "utimes": ("/file", 1, 2),
    "write_file": ("/new", b"content"),
    "write_inline": ("/file", [(0, b"XY")]),
    "write_many": ([WriteRequest("/many", b"1")],),
}
"""Arguments with which each verb can be called on the tree of ``populate``."""

REFUSED: dict[str, type[OastError]] = {"add_block": NoDatanodes, "renew_locks": LocksLost}
"""Verbs that need a datanode to succeed, or locks, and what they say without."""
MAY_FAIL = {"abandon_block", "commit", "update_block"}


def populate(remote: RemoteMetadata) -> None:
    remote.write_file(ROOT, "/file", b"hello")
    remote.write_file(ROOT, "/tail", b"world")
    remote.set_xattr(ROOT, "/file", "user.x", b"v")
    remote.mkdirs(ROOT, "/directory")
    remote.symlink(ROOT, "/symlink", "/file")
    remote.create(ROOT, "/open", holder="writer")


def test_there_is_a_call_for_every_verb() -> None:
    assert set(CALLS) == set(VERBS)


@pytest.mark.parametrize("verb", sorted(CALLS))
def test_every_verb(remote: RemoteMetadata, verb: str) -> None:
    populate(remote)
    if verb in REFUSED:
        with pytest.raises(REFUSED[verb]):
            remote.call(verb, ROOT, *CALLS[verb])
        return
    try:
        result = remote.call(verb, ROOT, *CALLS[verb])
    except OastError as error:
        assert verb in MAY_FAIL and type(error) is not OastError, error
        return
    annotation = inspect.signature(getattr(Metadata, verb), eval_str=True).return_annotation
    # What the wire brought is what the interface promises: converting it changes nothing.
    packed = msgspec.msgpack.encode(result)
    assert msgspec.msgpack.decode(packed, type=annotation or type(None)) == result


@pytest.mark.parametrize("verb", sorted(CALLS))
def test_every_verb_refuses_wrong_types(remote: RemoteMetadata, verb: str) -> None:
    wrong = (*CALLS[verb], *[{"no": "such"}] * 9)
    with pytest.raises(InvalidArgument, match=rf"^{verb}: "):
        remote.call(verb, ROOT, *wrong)
    if CALLS[verb]:
        with pytest.raises(InvalidArgument, match=rf"^{verb}: "):
            remote.call(verb, ROOT, {"no": "such"}, *CALLS[verb][1:])


def test_effects_are_seen_by_other_clients(endpoints: Endpoints, remote: RemoteMetadata) -> None:
    remote.mkdirs(ROOT, "/a/b")
    status = remote.write_file(ROOT, "/a/b/f", b"x" * 5000)
    other = RemoteMetadata([("127.0.0.1", endpoints.port)])
    assert other.stat(ROOT, "/a/b/f") == status
    opened = other.open(ROOT, "/a/b/f")
    assert isinstance(opened, Opened) and opened.data == b"x" * 5000
    other.close()


def test_errors_come_with_their_paths(remote: RemoteMetadata) -> None:
    with pytest.raises(NotFound) as caught:
        remote.stat(ROOT, "/no/such")
    assert caught.value.filename == "/no/such"
    assert isinstance(caught.value, FileNotFoundError)
    with pytest.raises(InvalidPath):
        remote.stat(ROOT, "/a/../b")
    remote.write_file(ROOT, "/f", b"")
    with pytest.raises(AlreadyExists):
        remote.mknod(ROOT, "/f", 0o100644)
    with pytest.raises(PermissionDenied):
        remote.write_file(EVE, "/eve", b"")
    with pytest.raises(InlineLimitExceeded):
        remote.write_file(ROOT, "/f", b"x" * 100_000)


def test_callers_are_told_apart_on_one_connection(remote: RemoteMetadata) -> None:
    remote.mkdirs(ROOT, "/private", 0o700)
    remote.write_file(ROOT, "/private/f", b"")
    with pytest.raises(PermissionDenied):
        remote.stat(EVE, "/private/f")
    assert remote.stat(ROOT, "/private/f").is_file


def test_long_batches_and_listings(remote: RemoteMetadata) -> None:
    names = [f"/d/{number:05}" for number in range(3000)]
    remote.mkdirs(ROOT, "/d")
    remote.write_many(ROOT, [WriteRequest(name, name.encode()) for name in names])
    statuses = remote.stat_many(ROOT, [*names, "/none"])
    assert [item.name for item in statuses[:-1] if isinstance(item, FileStatus)] == [n[3:] for n in names]
    assert isinstance(statuses[-1], Fault)
    contents = remote.read_many(ROOT, names)
    assert [item.data for item in contents if isinstance(item, Opened)] == [n.encode() for n in names]
    assert len(remote.listdir(ROOT, "/d", limit=10_000).entries) == 3000


def test_pipelined_calls_are_answered_each(raw: RawClient, remote: RemoteMetadata) -> None:
    remote.mkdirs(ROOT, "/d")
    raw.open()
    total = 500
    for number in range(total):
        body = encode_arguments((ROOT, f"/d/{number}", b"w"))
        raw.send(FIRST_CALL_ID + 2 * number, "write_file", body)
        raw.send(FIRST_CALL_ID + 2 * number + 1, "stat", encode_arguments((ROOT, "/d")))
    answered = set()
    for _ in range(2 * total):
        response = raw.receive()
        assert response is not None and response.succeeded
        answered.add(response.call_id)
    assert answered == set(range(FIRST_CALL_ID, FIRST_CALL_ID + 2 * total))


def test_unknown_method_and_protocol_leave_the_connection_usable(endpoints: Endpoints) -> None:
    raw = RawClient(endpoints.port).open()
    stat = encode_arguments((ROOT, "/"))
    for verb in ("nonsense", "__init__", "call", "close", "_load"):
        raw.send(FIRST_CALL_ID, verb, stat)
        response = raw.receive()
        assert response is not None and response.exception_class == "oastfs.NoSuchVerb"
    raw.send(FIRST_CALL_ID + 1, "stat", stat)
    response = raw.receive()
    assert response is not None and response.succeeded
    raw.close()
    stranger = RawClient(endpoints.port, "org.apache.hadoop.hdfs.protocol.Unknown").open()
    for _ in range(2):
        stranger.send(FIRST_CALL_ID, "getFileInfo", b"")
        response = stranger.receive()
        assert response is not None
        assert response.exception_class == "org.apache.hadoop.ipc.RpcNoSuchProtocolException"
    stranger.close()


def test_no_such_verb_has_hadoops_error_detail(endpoints: Endpoints) -> None:
    raw = RawClient(endpoints.port).open()
    raw.send(FIRST_CALL_ID, "nonsense", b"\x90")
    frame = raw.sock.recv(65536)
    header = RpcResponseHeader.FromString(decode_delimited(frame, 4)[0])
    assert header.errorDetail == RpcResponseHeader.ERROR_NO_SUCH_METHOD
    raw.close()


def test_the_client_knows_its_verbs(remote: RemoteMetadata) -> None:
    with pytest.raises(NoSuchVerb):
        remote.call("nonsense", ROOT)


# --- the retry cache ------------------------------------------------------------------------------


def repeat(raw: RawClient, verb: str, arguments: tuple[Any, ...], call_id: int, retry: int) -> Any:
    raw.send(call_id, verb, encode_arguments((ROOT, *arguments)), retry)
    response = raw.receive()
    assert response is not None
    return response.exception_class or VERBS[verb].decode_result(response.body)


def test_a_repeated_call_is_answered_from_before(endpoints: Endpoints, remote: RemoteMetadata) -> None:
    raw = RawClient(endpoints.port).open()
    first = repeat(raw, "mknod", ("/f", 0o100644), FIRST_CALL_ID, 0)
    remote.chmod(ROOT, "/f", 0o640)
    raw.close()
    again = RawClient(endpoints.port)
    again.encoder = raw.encoder
    again.open()
    assert repeat(again, "mknod", ("/f", 0o100644), FIRST_CALL_ID, 1) == first
    assert repeat(again, "mknod", ("/f", 0o100644), FIRST_CALL_ID + 1, 0) == "oastfs.AlreadyExists"
    assert repeat(again, "unlink", ("/f",), FIRST_CALL_ID + 2, 0).inode_id == first.inode_id
    assert repeat(again, "unlink", ("/f",), FIRST_CALL_ID + 2, 5).inode_id == first.inode_id
    again.close()


def test_a_repeat_that_never_arrived_before_is_carried_out(endpoints: Endpoints) -> None:
    raw = RawClient(endpoints.port).open()
    assert repeat(raw, "mknod", ("/f", 0o100644), FIRST_CALL_ID, 3).is_file
    raw.close()


def test_another_clients_equal_call_id_is_another_call(endpoints: Endpoints) -> None:
    one, two = RawClient(endpoints.port).open(), RawClient(endpoints.port).open()
    assert repeat(one, "mknod", ("/f", 0o100644), FIRST_CALL_ID, 0).is_file
    assert repeat(two, "mknod", ("/f", 0o100644), FIRST_CALL_ID, 1) == "oastfs.AlreadyExists"
    one.close()
    two.close()


def test_a_failed_call_is_not_remembered(endpoints: Endpoints, remote: RemoteMetadata) -> None:
    raw = RawClient(endpoints.port).open()
    assert repeat(raw, "unlink", ("/f",), FIRST_CALL_ID, 0) == "oastfs.NotFound"
    remote.write_file(ROOT, "/f", b"")
    assert repeat(raw, "unlink", ("/f",), FIRST_CALL_ID, 1).name == "f"
    raw.close()


def test_only_brief_changes_are_made_on_the_loops_thread(
    remote: RemoteMetadata, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tree that moves into another quota is counted, and that may take long."""
    threads = []

    def rename(*arguments: Any, **named: Any) -> Any:
        threads.append(threading.current_thread().name)
        return rename_entry(*arguments, **named)

    def is_made_on_the_loop() -> bool:
        remote.rename(ROOT, "/tree", "/other/tree")
        remote.rename(ROOT, "/other/tree", "/tree")
        return threads[-1] != STORE_THREAD

    monkeypatch.setattr("oastfs.namenode.ops.rename.rename_entry", rename)
    monkeypatch.setattr("oastfs.store.lmdb_driver.segments._QUICK_SECONDS", 1e9)
    for path in ("/counted", "/tree", "/other"):
        remote.mkdirs(ROOT, path)
    remote.write_file(ROOT, "/tree/file", b"abc")
    # While a job writes, the store's thread makes others' changes, too.
    wait_until(is_made_on_the_loop, "a rename on the loop's thread", SECONDS)
    remote.set_quota(ROOT, "/counted", 10, -1)
    remote.rename(ROOT, "/tree", "/counted/tree")
    assert threads[-1] == STORE_THREAD
    assert remote.quota_usage(ROOT, "/counted").names == 3
    remote.delete(ROOT, "/counted/tree", True)
    assert remote.quota_usage(ROOT, "/counted").names == 1


def test_a_tree_whose_permissions_are_looked_at_is_not_deleted_on_the_loops_thread(
    remote: RemoteMetadata, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = []

    def hide(*arguments: Any) -> None:
        threads.append(threading.current_thread().name)
        hide_tree(*arguments)

    def is_made_on_the_loop() -> bool:
        remote.mkdirs(EVE, "/eve/other/two")
        remote.delete(ROOT, "/eve/other", True)
        return threads[-1] != STORE_THREAD

    monkeypatch.setattr("oastfs.namenode.removal.hide_tree", hide)
    monkeypatch.setattr("oastfs.store.lmdb_driver.segments._QUICK_SECONDS", 1e9)
    remote.mkdirs(ROOT, "/eve")
    remote.chown(ROOT, "/eve", EVE.uid, EVE.gid)
    for path in ("/eve/one/two", "/eve/kept/two"):
        remote.mkdirs(EVE, path)
    remote.mkdirs(ROOT, "/eve/kept/two/three")
    wait_until(is_made_on_the_loop, "a deletion on the loop's thread", SECONDS)
    remote.delete(EVE, "/eve/one", True)
    assert threads[-1] == STORE_THREAD
    remote.chmod(ROOT, "/eve/kept/two", 0o700)
    remote.chown(ROOT, "/eve/kept/two", 0, 0)
    with pytest.raises(PermissionDenied):
        remote.delete(EVE, "/eve/kept", True)
    assert [entry.name for entry in remote.listdir(ROOT, "/eve").entries] == ["kept"]
