"""Every kind of damage is found, told as what it is, and mended when fsck says that it can be."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from oastfs.core.types import Flag
from oastfs.namenode.filesystem import FormatOptions, format_store
from oastfs.namenode.fsck import DamagedError, Report, check, repair
from oastfs.namenode.namespace import Namespace
from oastfs.store import open_store
from oastfs.store.schema import (
    BLOCK,
    BLOCK_OWNER,
    CONTENT,
    COUNTER,
    DATANODE,
    DATANODE_COMMAND,
    DATANODE_NAME,
    DIRECTORY,
    INODE,
    LEASE,
    LINK,
    LINKED_INODE,
    OPEN_FILE,
    PLACE,
    PRINCIPAL_ID,
    PRINCIPAL_NAME,
    REPLICA,
    REPLICATION_NEED,
    ROOT_ID,
    STORAGE_NAME,
    XATTR,
    Block,
    BlockOwner,
    Content,
    Counter,
    DatanodeCommand,
    DatanodeName,
    Directory,
    Inode,
    Link,
    OpenFile,
    Place,
    PrincipalId,
    PrincipalName,
    Replica,
    ReplicationNeed,
    StorageName,
    Xattr,
)
from oastfs.store.transaction import Store, Transaction
from tests.harness.fleet import Fleet
from tests.unit.namenode.conftest import ROOT, Clock
from tests.unit.namenode.ops.test_truncate import write

_replace = msgspec.structs.replace
NOWHERE = 777 << 10


class Whole:
    """A filesystem with one of everything, and the ids that damages need."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self.store = store
        self.clock = clock
        self.namespace = ns = Namespace(store, clock_ns=clock)
        self.fleet = Fleet(ns)
        for _ in range(3):
            self.fleet.add()
        ns.mkdirs(ROOT, "/d/e/f")
        ns.write_file(ROOT, "/d/small", b"0123456789")
        ns.symlink(ROOT, "/d/symlink", "small")
        ns.write_file(ROOT, "/d/first", b"linked")
        ns.link(ROOT, "/d/first", "/d/e/second")
        write(ns, self.fleet, "/d/blocks", [4096, 100])
        ns.set_xattr(ROOT, "/d/small", "user.a", b"1")
        ns.create(ROOT, "/d/open", holder="writer")
        ns.add_block(ROOT, "/d/open", "writer", 0)
        ns.write_file(ROOT, "/d/orphan", b"x")
        self.orphan = ns.unlink(ROOT, "/d/orphan", "mount").inode_id
        ns.principal_ids(ROOT, ["someone-unheard-of"], [])
        self.d, self.e, self.f = (ns.stat(ROOT, path).inode_id for path in ("/d", "/d/e", "/d/e/f"))
        self.small, self.symlink, self.linked, self.blocks, self.open = (
            ns.stat(ROOT, f"/d/{name}", False).inode_id
            for name in ("small", "symlink", "first", "blocks", "open")
        )
        self.block_ids = [one.block_id for one in ns.open(ROOT, "/d/blocks").blocks]
        self.storage_id = ns.open(ROOT, "/d/blocks").blocks[0].locations[0].storage_id

    def check(self) -> Report:
        return check(self.store, now_ns=self.clock())

    def repair(self) -> Report:
        return repair(self.store, now_ns=self.clock())


@pytest.fixture
def whole(tmp_path: Any, clock: Clock) -> Iterator[Whole]:
    store = open_store(f"lmdb://{tmp_path}/store", create=True)
    format_store(store, FormatOptions(block_size=4096, replication=2, inline_limit=1024))
    yield Whole(store, clock)
    store.close()


Damage = Callable[[Transaction, Whole], None]
DAMAGES: dict[str, tuple[str, bool, Damage]] = {}


def damage(code: str, *, mended: bool = True) -> Callable[[Damage], Damage]:
    """A function that breaks something which fsck is to find as ``code``."""

    def note(function: Damage) -> Damage:
        DAMAGES[function.__name__] = (code, mended, function)
        return function

    return note


def entry(tx: Transaction, directory_id: int, name: str) -> Inode:
    row = tx.get(INODE, (directory_id, name))
    assert row is not None
    return row


def change(tx: Transaction, directory_id: int, name: str, **changes: int) -> None:
    tx.put(INODE, (directory_id, name), _replace(entry(tx, directory_id, name), **changes))


# --- the tree -------------------------------------------------------------------------------------


@damage("no-root")
def root_entry_lost(tx: Transaction, w: Whole) -> None:
    tx.delete(INODE, (0, ""))


@damage("no-root")
def root_directory_row_lost(tx: Transaction, w: Whole) -> None:
    tx.delete(DIRECTORY, (ROOT_ID,))


@damage("no-root", mended=False)
def root_is_a_file(tx: Transaction, w: Whole) -> None:
    change(tx, 0, "", mode=stat.S_IFREG | 0o644)


@damage("entry-without-directory")
def entry_in_nothing(tx: Transaction, w: Whole) -> None:
    tx.put(INODE, (NOWHERE, "small"), entry(tx, w.d, "small"))
    tx.delete(INODE, (w.d, "small"))
    tx.put(PLACE, (w.small,), Place(NOWHERE, "small"))


@damage("entry-without-directory")
def directory_lost_with_its_rows(tx: Transaction, w: Whole) -> None:
    tx.delete(INODE, (w.d, "e"))
    tx.delete(DIRECTORY, (w.e,))
    tx.delete(PLACE, (w.e,))


@damage("no-place")
def place_lost(tx: Transaction, w: Whole) -> None:
    tx.delete(PLACE, (w.small,))


@damage("no-place")
def place_elsewhere(tx: Transaction, w: Whole) -> None:
    tx.put(PLACE, (w.small,), Place(w.d, "other"))


@damage("dangling-place")
def place_of_nothing(tx: Transaction, w: Whole) -> None:
    tx.put(PLACE, (NOWHERE,), Place(w.d, "nothing"))


@damage("two-entries")
def file_in_two_places(tx: Transaction, w: Whole) -> None:
    tx.put(INODE, (w.e, "copy"), entry(tx, w.d, "small"))


@damage("two-entries")
def directory_in_two_places(tx: Transaction, w: Whole) -> None:
    tx.put(INODE, (ROOT_ID, "copy"), entry(tx, w.d, "e"))
    row = tx.get(DIRECTORY, (ROOT_ID,))
    assert row is not None
    tx.put(DIRECTORY, (ROOT_ID,), _replace(row, subdirectories=row.subdirectories + 1))


@damage("no-directory-row")
def directory_row_lost(tx: Transaction, w: Whole) -> None:
    tx.delete(DIRECTORY, (w.f,))


@damage("directory-without-entry")
def directory_entry_lost(tx: Transaction, w: Whole) -> None:
    tx.delete(INODE, (w.d, "e"))


@damage("directory-without-entry")
def empty_directory_entry_lost(tx: Transaction, w: Whole) -> None:
    tx.delete(INODE, (w.e, "f"))


@damage("subdirectory-count")
def subdirectories_miscounted(tx: Transaction, w: Whole) -> None:
    row = tx.get(DIRECTORY, (w.d,))
    assert row is not None
    tx.put(DIRECTORY, (w.d,), _replace(row, subdirectories=7))


@damage("cycle")
def directory_in_itself(tx: Transaction, w: Whole) -> None:
    """/d/e moves into /d/e/f, as two renames without a mutex could do it."""
    tx.put(INODE, (w.f, "e"), entry(tx, w.d, "e"))
    tx.delete(INODE, (w.d, "e"))
    tx.put(PLACE, (w.e,), Place(w.f, "e"))
    for inode_id, count in ((w.d, 0), (w.f, 1)):
        row = tx.get(DIRECTORY, (inode_id,))
        assert row is not None
        tx.put(DIRECTORY, (inode_id,), _replace(row, subdirectories=count))


@damage("bad-name")
def name_with_a_slash(tx: Transaction, w: Whole) -> None:
    tx.put(INODE, (w.d, "a/b"), entry(tx, w.d, "small"))
    tx.delete(INODE, (w.d, "small"))
    tx.put(PLACE, (w.small,), Place(w.d, "a/b"))


@damage("bad-name", mended=False)
def hidden_entry_misnamed(tx: Transaction, w: Whole) -> None:
    tx.put(INODE, (3, "17"), entry(tx, 3, str(w.orphan)))
    tx.delete(INODE, (3, str(w.orphan)))
    tx.put(PLACE, (w.orphan,), Place(3, "17"))


@damage("bad-mode", mended=False)
def kind_unknown(tx: Transaction, w: Whole) -> None:
    change(tx, w.d, "small", mode=0o030644)


# --- links ----------------------------------------------------------------------------------------


@damage("dangling-link")
def linked_inode_lost(tx: Transaction, w: Whole) -> None:
    tx.delete(LINKED_INODE, (w.linked,))


@damage("unlisted-link")
def link_row_lost(tx: Transaction, w: Whole) -> None:
    tx.delete(LINK, (w.linked, w.d, "first"))


@damage("link-without-entry")
def link_row_of_nothing(tx: Transaction, w: Whole) -> None:
    tx.put(LINK, (w.linked, w.f, "third"), Link())


@damage("link-count")
def links_miscounted(tx: Transaction, w: Whole) -> None:
    row = tx.get(LINKED_INODE, (w.linked,))
    assert row is not None
    tx.put(LINKED_INODE, (w.linked,), _replace(row, nlink=9))


@damage("link-count")
def link_count_of_a_plain_file(tx: Transaction, w: Whole) -> None:
    change(tx, w.d, "small", nlink=2)


@damage("linked-inode-without-entry")
def all_names_lost(tx: Transaction, w: Whole) -> None:
    tx.delete(INODE, (w.d, "first"))
    tx.delete(INODE, (w.e, "second"))
    tx.delete(LINK, (w.linked, w.d, "first"))
    tx.delete(LINK, (w.linked, w.e, "second"))


@damage("linked-flag")
def linked_flag_lost(tx: Transaction, w: Whole) -> None:
    row = tx.get(LINKED_INODE, (w.linked,))
    assert row is not None
    tx.put(LINKED_INODE, (w.linked,), _replace(row, flags=0))


# --- content and attributes -----------------------------------------------------------------------


@damage("content-without-inode")
def content_of_nothing(tx: Transaction, w: Whole) -> None:
    tx.put(CONTENT, (NOWHERE,), Content(b"x"))


@damage("content-beside-blocks")
def content_and_blocks(tx: Transaction, w: Whole) -> None:
    tx.put(CONTENT, (w.blocks,), Content(b"x"))


@damage("content-beside-blocks")
def blocks_promised(tx: Transaction, w: Whole) -> None:
    change(tx, w.d, "small", flags=int(Flag.BLOCKS | Flag.XATTRS))


@damage("content-too-long")
def content_past_the_length(tx: Transaction, w: Whole) -> None:
    change(tx, w.d, "small", length=3)


@damage("bad-symlink", mended=False)
def symlink_without_target(tx: Transaction, w: Whole) -> None:
    tx.delete(CONTENT, (w.symlink,))


@damage("bad-inode", mended=False)
def negative_length(tx: Transaction, w: Whole) -> None:
    change(tx, w.d, "open", length=-1)


@damage("xattr-without-inode")
def xattr_of_nothing(tx: Transaction, w: Whole) -> None:
    tx.put(XATTR, (NOWHERE, "user.a"), Xattr(b"1"))
    tx.put(XATTR, (NOWHERE, "user.b"), Xattr(b"1"))


@damage("flag")
def xattrs_hidden(tx: Transaction, w: Whole) -> None:
    change(tx, w.d, "small", flags=0)


@damage("flag")
def xattrs_promised(tx: Transaction, w: Whole) -> None:
    change(tx, w.d, "open", flags=int(Flag.OPEN | Flag.XATTRS))


@damage("flag")
def writers_hidden(tx: Transaction, w: Whole) -> None:
    change(tx, w.d, "open", flags=0)


@damage("flag")
def writers_promised(tx: Transaction, w: Whole) -> None:
    change(tx, w.d, "small", flags=int(Flag.OPEN | Flag.XATTRS))


@damage("flag")
def blocks_hidden(tx: Transaction, w: Whole) -> None:
    change(tx, w.d, "blocks", flags=0)


@damage("flag")
def blocks_of_a_symlink(tx: Transaction, w: Whole) -> None:
    change(tx, w.d, "symlink", flags=int(Flag.BLOCKS))


@damage("writer-without-file")
def writer_of_nothing(tx: Transaction, w: Whole) -> None:
    tx.put(OPEN_FILE, (NOWHERE, "writer"), OpenFile(True, 0))


@damage("writer-without-lease")
def lease_lost(tx: Transaction, w: Whole) -> None:
    tx.delete(LEASE, ("writer",))


@damage("two-writers")
def two_exclusive_writers(tx: Transaction, w: Whole) -> None:
    tx.put(OPEN_FILE, (w.open, "mount"), OpenFile(True, 0))


# --- blocks ---------------------------------------------------------------------------------------


def block_at(tx: Transaction, w: Whole, offset: int = 0) -> Block:
    row = tx.get(BLOCK, (w.blocks, offset))
    assert row is not None
    return row


@damage("block-without-file")
def blocks_of_nothing(tx: Transaction, w: Whole) -> None:
    tx.put(BLOCK, (NOWHERE, 0), Block(500 << 10, 10, 1))
    tx.put(BLOCK_OWNER, (500 << 10,), BlockOwner(NOWHERE, 0))
    tx.put(COUNTER, ("block",), Counter(501))


@damage("block-without-file")
def file_lost_with_its_entry(tx: Transaction, w: Whole) -> None:
    tx.delete(INODE, (w.d, "blocks"))
    tx.delete(PLACE, (w.blocks,))


@damage("block-owner")
def owner_lost(tx: Transaction, w: Whole) -> None:
    tx.delete(BLOCK_OWNER, (w.block_ids[0],))


@damage("owner-without-block")
def owner_of_nothing(tx: Transaction, w: Whole) -> None:
    tx.put(BLOCK_OWNER, (999,), BlockOwner(w.blocks, 1 << 30))


@damage("overlap", mended=False)
def blocks_overlap(tx: Transaction, w: Whole) -> None:
    block = block_at(tx, w, 4096)
    tx.delete(BLOCK, (w.blocks, 4096))
    tx.put(BLOCK, (w.blocks, 4000), block)
    tx.put(BLOCK_OWNER, (block.block_id,), BlockOwner(w.blocks, 4000))


@damage("bad-block", mended=False)
def block_too_long(tx: Transaction, w: Whole) -> None:
    tx.put(BLOCK, (w.blocks, 4096), _replace(block_at(tx, w, 4096), length=5000))
    change(tx, w.d, "blocks", length=10_000)


@damage("bad-block", mended=False)
def stamps_go_backwards(tx: Transaction, w: Whole) -> None:
    tx.put(BLOCK, (w.blocks, 0), _replace(block_at(tx, w), pending_stamp=1, holder="writer"))
    tx.put(OPEN_FILE, (w.blocks, "writer"), OpenFile(False, 0))
    change(tx, w.d, "blocks", flags=int(Flag.OPEN | Flag.BLOCKS))


@damage("bad-block")
def writer_left_in_a_committed_block(tx: Transaction, w: Whole) -> None:
    tx.put(BLOCK, (w.blocks, 0), _replace(block_at(tx, w), holder="writer"))


@damage("bad-block")
def block_neither_new_nor_committed(tx: Transaction, w: Whole) -> None:
    tx.put(BLOCK, (w.blocks, 8192), Block(700 << 10, 0, 0))
    tx.put(BLOCK_OWNER, (700 << 10,), BlockOwner(w.blocks, 8192))
    tx.put(COUNTER, ("block",), Counter(701))


@damage("block-without-writer")
def new_block_without_writer(tx: Transaction, w: Whole) -> None:
    tx.delete(OPEN_FILE, (w.open, "writer"))
    change(tx, w.d, "open", flags=0)


@damage("block-without-writer")
def update_without_writer(tx: Transaction, w: Whole) -> None:
    tx.put(BLOCK, (w.blocks, 0), _replace(block_at(tx, w), pending_stamp=2, holder="nobody"))


@damage("length")
def blocks_past_the_length(tx: Transaction, w: Whole) -> None:
    change(tx, w.d, "blocks", length=10)


@damage("not-queued")
def replica_lost(tx: Transaction, w: Whole) -> None:
    tx.delete(REPLICA, (w.block_ids[0], w.storage_id))


@damage("bad-replica", mended=False)
def replica_from_the_future(tx: Transaction, w: Whole) -> None:
    tx.put(REPLICA, (w.block_ids[0], w.storage_id), Replica(9))


@damage("replica-without-block")
def replica_of_nothing(tx: Transaction, w: Whole) -> None:
    tx.put(REPLICA, (999, w.storage_id), Replica(1))


@damage("replica-without-storage")
def replica_on_nothing(tx: Transaction, w: Whole) -> None:
    tx.put(REPLICA, (w.block_ids[0], 999), Replica(1))
    tx.put(REPLICATION_NEED, (w.block_ids[0],), ReplicationNeed(w.blocks, 0, 0))


@damage("need-without-block")
def need_of_nothing(tx: Transaction, w: Whole) -> None:
    tx.put(REPLICATION_NEED, (999,), ReplicationNeed(1, 0, 0))


@damage("command-without-datanode")
def command_to_nobody(tx: Transaction, w: Whole) -> None:
    tx.put(DATANODE_COMMAND, (999, 1, 1), DatanodeCommand(1, 1))


@damage("datanode-name")
def datanode_name_lost(tx: Transaction, w: Whole) -> None:
    tx.delete(DATANODE_NAME, ("datanode-1",))


@damage("datanode-name")
def datanode_name_of_nothing(tx: Transaction, w: Whole) -> None:
    tx.put(DATANODE_NAME, ("nothing",), DatanodeName(99))


@damage("storage-name")
def storage_name_lost(tx: Transaction, w: Whole) -> None:
    tx.delete(STORAGE_NAME, ("storage-of-datanode-1",))


@damage("storage-name")
def storage_name_of_nothing(tx: Transaction, w: Whole) -> None:
    tx.put(STORAGE_NAME, ("nothing",), StorageName(99))


@damage("storage-without-datanode", mended=False)
def datanode_lost(tx: Transaction, w: Whole) -> None:
    tx.delete(DATANODE, (1,))
    tx.delete(DATANODE_NAME, ("datanode-1",))


# --- names and counters ---------------------------------------------------------------------------


def someone(tx: Transaction) -> tuple[tuple[int | str, ...], PrincipalId]:
    return next(iter(tx.scan(PRINCIPAL_ID)))


@damage("principal")
def principal_name_lost(tx: Transaction, w: Whole) -> None:
    key, row = someone(tx)
    tx.delete(PRINCIPAL_NAME, (key[0], row.id))


@damage("principal")
def principal_id_lost(tx: Transaction, w: Whole) -> None:
    tx.delete(PRINCIPAL_ID, someone(tx)[0])


@damage("principal")
def two_names_of_one_id(tx: Transaction, w: Whole) -> None:
    tx.put(PRINCIPAL_ID, ("user", "impostor"), someone(tx)[1])


@pytest.mark.parametrize("counter", ["inode", "block", "datanode", "storage"])
def test_counters(whole: Whole, counter: str) -> None:
    whole.store.write(lambda tx: tx.put(COUNTER, (counter,), Counter(1)))
    assert whole.check().counts == {"counter": 1}
    repair(whole.store)
    whole.check().raise_if_problems()
    whole.namespace = Namespace(whole.store, clock_ns=whole.clock)
    assert whole.namespace.write_file(ROOT, "/new", b"").inode_id > whole.open


# --- the tests ------------------------------------------------------------------------------------


def test_a_whole_filesystem_is_clean(whole: Whole) -> None:
    report = whole.check()
    report.raise_if_problems(health=True)
    assert report.clean and report.checked["inode"] == 11 and report.checked["block"] == 3
    assert repair(whole.store).repaired == []


@pytest.mark.parametrize("name", DAMAGES)
def test_damage(whole: Whole, name: str) -> None:
    code, mended, break_it = DAMAGES[name]
    whole.store.write(lambda tx: break_it(tx, whole))
    report = whole.check()
    assert report.counts[code], f"found instead: {report.problems}"
    with pytest.raises(DamagedError, match=code):
        report.raise_if_problems()
    found = [problem for problem in report.problems if problem.code == code]
    assert all(problem.repairable == mended for problem in found), found
    after = whole.repair()
    if mended:
        after.raise_if_problems()
        assert code in {problem.code for problem in after.repaired}
    else:
        assert after.counts[code]


@pytest.mark.parametrize("name", DAMAGES)
def test_mending_keeps_everything_else(whole: Whole, name: str) -> None:
    """Files that the damage did not touch read as before."""
    whole.namespace.mkdirs(ROOT, "/apart")
    whole.namespace.write_file(ROOT, "/apart/file", b"content")
    write(whole.namespace, whole.fleet, "/apart/blocks", [4096, 7])
    before = whole.namespace.open(ROOT, "/apart/blocks").blocks
    whole.store.write(lambda tx: DAMAGES[name][2](tx, whole))
    whole.repair()
    if name in ("root_is_a_file", "datanode_lost"):
        return
    assert whole.namespace.open(ROOT, "/apart/file").data == b"content"
    assert whole.namespace.open(ROOT, "/apart/blocks").blocks == before


def test_what_lost_its_place_is_found_again(whole: Whole) -> None:
    for name in ("entry_in_nothing", "directory_entry_lost", "all_names_lost"):
        whole.store.write(lambda tx, one=DAMAGES[name][2]: one(tx, whole))
    whole.repair().raise_if_problems()
    names = {one.name for one in whole.namespace.listdir(ROOT, "/lost+found").entries}
    assert names == {f"#{whole.small}", f"#{whole.e}", f"#{whole.linked}"}
    assert whole.namespace.open(ROOT, f"/lost+found/#{whole.small}").data == b"0123456789"
    assert whole.namespace.open(ROOT, f"/lost+found/#{whole.linked}").data == b"linked"
    assert whole.namespace.stat(ROOT, f"/lost+found/#{whole.e}/f").is_directory


def test_content_is_never_given_up_for_blocks_that_are_not_there(whole: Whole) -> None:
    whole.store.write(lambda tx: blocks_promised(tx, whole))
    whole.repair().raise_if_problems()
    assert whole.namespace.open(ROOT, "/d/small").data == b"0123456789"


def test_many_damages_at_once(whole: Whole) -> None:
    chosen = ("place_lost", "subdirectories_miscounted", "links_miscounted", "owner_lost", "lease_lost",
              "writers_hidden", "replica_lost", "content_of_nothing", "principal_name_lost")  # fmt: skip
    for name in chosen:
        whole.store.write(lambda tx, one=DAMAGES[name][2]: one(tx, whole))
    assert {DAMAGES[name][0] for name in chosen} <= set(whole.check().counts)
    whole.repair().raise_if_problems()


def test_a_dead_datanode_is_no_damage(whole: Whole) -> None:
    whole.clock.advance(31)
    for node in whole.fleet.nodes:
        if node.storage_id != whole.storage_id:
            node.beat()
    report = whole.check()
    report.raise_if_problems()
    assert report.health_counts["under-replicated"] >= 1
    whole.clock.advance(31)
    report = whole.check()
    assert report.health_counts == {"missing": 2}
    with pytest.raises(DamagedError, match="missing"):
        report.raise_if_problems(health=True)


def test_bad_and_stale_replicas_are_told(whole: Whole) -> None:
    whole.namespace.report_bad_blocks(ROOT, [(whole.block_ids[0], whole.storage_id)])
    report = whole.check()
    assert report.health_counts == {"corrupt": 1, "under-replicated": 1}
    update = whole.namespace.update_block(ROOT, "/d/blocks", "w", 4096, whole.block_ids[1])
    kept = update.locations[0].storage_id
    whole.namespace.complete(ROOT, "/d/blocks", "w", [whole.fleet.write_block(update, 100, on={kept})])
    assert whole.check().health_counts["corrupt"] == 2
    whole.check().raise_if_problems()


def test_problems_are_counted_beyond_what_is_kept(whole: Whole, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("oastfs.namenode.fsck.report.PROBLEMS_MAX", 5)

    def lose(tx: Transaction) -> None:
        for number in range(20):
            tx.put(CONTENT, (NOWHERE + number,), Content(b"x"))
            tx.put(DIRECTORY, (NOWHERE + number,), Directory(0, 0))

    whole.store.write(lose)
    report = whole.check()
    assert len(report.problems) == 5 and report.counts.total() == 40
    with pytest.raises(DamagedError, match="35 more"):
        report.raise_if_problems()


def test_principals_of_one_id(whole: Whole) -> None:
    """The name that the id leads to stays."""
    key, row = whole.store.read(someone)
    whole.store.write(lambda tx: tx.put(PRINCIPAL_ID, ("user", "aaa"), PrincipalId(row.id)))
    whole.repair().raise_if_problems()
    assert whole.store.read(lambda tx: tx.get(PRINCIPAL_ID, key)) == row
    named = whole.store.read(lambda tx: tx.get(PRINCIPAL_NAME, (key[0], row.id)))
    assert named == PrincipalName(str(key[1]))
