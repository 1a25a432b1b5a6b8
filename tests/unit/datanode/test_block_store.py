"""Who may make, write, settle and remove a replica."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from oastfs.core.errors import (
    AlreadyExists,
    BlockNotFound,
    CorruptBlock,
    InvalidArgument,
    StaleBlock,
)
from oastfs.datanode.block_store import BlockStore, Change
from oastfs.datanode.replica import Replica
from oastfs.datanode.volume import Volume
from tests.unit.datanode.home import Home


def make(home: Home, block_id: int = 1024, stamp: int = 5, content: bytes = b"content") -> Replica:
    writer = home.store.create(block_id, stamp)
    writer.write(0, [content], None)
    writer.finalize()
    return writer.replica


def test_a_final_replica_is_not_made_again(home: Home) -> None:
    make(home)
    with pytest.raises(AlreadyExists):
        home.store.create(1024, 5)
    with pytest.raises(AlreadyExists):
        home.store.create(1024, 6)
    with pytest.raises(AlreadyExists):
        home.store.create(1024, 5, temporary=True)


def test_an_incomplete_attempt_is_replaced_by_a_newer_one(home: Home) -> None:
    first = home.store.create(1024, 5)
    first.write(0, [b"old"], None)
    with pytest.raises(AlreadyExists):
        home.store.create(1024, 5)
    first.on_fence(lambda: threading.Thread(target=first.abort).start())
    second = home.store.create(1024, 6)
    assert first.closed.is_set()
    second.write(0, [b"new"], None)
    second.finalize()
    home.reopen()
    assert home.store.get(1024).data_path.read_bytes() == b"new"


def test_a_copy_replaces_a_stale_or_corrupt_replica(home: Home) -> None:
    old = make(home)
    inode = old.data_path.stat().st_ino
    with old.data_path.open("rb") as held:
        writer = home.store.create(1024, 6, temporary=True)
        writer.write(0, [b"copied"], None)
        writer.finalize()
        assert held.read() == b"content"
        assert writer.replica.data_path.stat().st_ino != inode
    home.store.mark_corrupt(home.store.get(1024))
    writer = home.store.create(1024, 6, temporary=True)
    writer.write(0, [b"again"], None)
    writer.finalize()
    assert home.store.get(1024, 6).data_path.read_bytes() == b"again"


def test_stamps_of_readers(home: Home) -> None:
    make(home)
    assert home.store.get(1024, 4) is home.store.get(1024, 5)
    with pytest.raises(BlockNotFound, match="older than 6"):
        home.store.get(1024, 6)
    with pytest.raises(BlockNotFound, match="not here"):
        home.store.get(2048)


def test_stamps_of_writers(home: Home) -> None:
    make(home)
    with pytest.raises(StaleBlock, match="too old"):
        home.store.reopen(1024, 3, 4, 7)
    with pytest.raises(BlockNotFound, match="older"):
        home.store.reopen(1024, 6, 7, 7)
    with pytest.raises(CorruptBlock, match="fewer"):
        home.store.reopen(1024, 5, 6, 8)
    # An unchanged stamp is what hdfs-native appends with.
    home.store.reopen(1024, 5, 5, 7).abort()
    writer = home.store.reopen(1024, 5, 6, 7)
    with pytest.raises(StaleBlock):
        home.store.reopen(1024, 5, 6, 7)
    writer.abort()


def test_a_newer_writer_fences_an_older_one(home: Home) -> None:
    make(home)
    old = home.store.reopen(1024, 5, 6, 7)
    old.on_fence(lambda: threading.Thread(target=old.abort).start())
    new = home.store.reopen(1024, 5, 7, 7)
    with pytest.raises(StaleBlock):
        old.write(0, [b"late"], None)
    new.write(0, [b"now"], None)
    new.finalize()
    replica = home.store.get(1024, 7)
    assert replica.data_path.read_bytes() == b"nowtent"
    assert replica.meta_path.name == "blk_1024_7.meta"


def test_committed_length_cuts_what_was_not_acknowledged(home: Home) -> None:
    make(home, content=b"x" * 1500)
    writer = home.store.reopen(1024, 5, 6, 600)
    assert writer.replica.length == writer.replica.visible_length == 600
    writer.finalize()
    home.reopen()
    assert home.store.get(1024).data_path.read_bytes() == b"x" * 600


def test_recovery_makes_an_abandoned_replica_final(home: Home) -> None:
    writer = home.store.create(1024, 5)
    writer.write(0, [b"flushed"], None)
    writer.abort()
    home.reopen()
    replica = home.store.recover(1024, 3, 9)
    assert (replica.final, replica.generation_stamp, replica.length) == (True, 9, 7)
    assert home.store.recover(1024, 3, 9) is replica
    home.reopen()
    assert home.store.get(1024, 9).final


def test_recovery_is_refused_where_it_would_lose_bytes_or_go_back(home: Home) -> None:
    make(home)
    with pytest.raises(CorruptBlock):
        home.store.recover(1024, 8, 9)
    with pytest.raises(StaleBlock):
        home.store.recover(1024, 7, 4)
    with pytest.raises(BlockNotFound):
        home.store.recover(2048, 0, 9)


def test_deletion_respects_newer_stamps(home: Home) -> None:
    replica = make(home)
    with pytest.raises(StaleBlock):
        home.store.delete(1024, 4)
    assert home.store.delete(1024, 5) is replica
    assert home.store.delete(1024, 5) is None
    assert list((home.path / "v" / "blocks").rglob("blk_*")) == []


def test_deletion_ends_a_writer(home: Home) -> None:
    writer = home.store.create(1024, 5)
    writer.on_fence(lambda: threading.Thread(target=writer.abort).start())
    assert home.store.delete(1024, 5) is writer.replica
    home.reopen()
    assert len(home.store) == 0


def test_files_that_disappeared_are_reported_once(home: Home) -> None:
    replica = make(home)
    home.store.mark_missing(replica)
    assert home.store.find(1024) is replica
    replica.data_path.unlink()
    home.store.mark_missing(replica)
    home.store.mark_missing(replica)
    assert home.changes == [(Change.MISSING, 1024)]
    assert home.store.find(1024) is None


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[BlockStore]:
    volumes = [Volume.open(tmp_path / name, "datanode", 0) for name in ("a", "b")]
    store = BlockStore(volumes, lambda change, replica: None)
    store.load()
    yield store
    store.close()


def test_new_blocks_go_to_the_asked_storage_or_in_turn(pair: BlockStore) -> None:
    a, b = pair.volumes
    assert pair.create(1 << 10, 1, b.storage_uuid).replica.volume is b
    with pytest.raises(InvalidArgument, match="not here"):
        pair.create(2 << 10, 1, "unknown")
    turns = [pair.create(number << 10, 1).replica.volume for number in range(3, 7)]
    assert turns.count(a) == turns.count(b) == 2
    for replica in list(pair.replicas()):
        assert replica.writer is not None
        replica.writer.abort()


def test_a_much_fuller_volume_is_passed_over(pair: BlockStore) -> None:
    a, b = pair.volumes
    a.reserved_bytes = a.space()[1] * 2 // 3
    for number in range(3):
        writer = pair.create(number << 10, 1)
        assert writer.replica.volume is b
        writer.abort()


def test_a_failed_volume_takes_its_replicas_along_and_others_go_on(pair: BlockStore) -> None:
    a, b = pair.volumes
    for number, volume in ((1, a), (2, b)):
        pair.create(number << 10, 1, volume.storage_uuid).finalize()
    shutil.rmtree(a.path)
    with pytest.raises(OSError):
        pair.create(3 << 10, 1, a.storage_uuid)
    assert a.failed
    assert pair.find(1 << 10) is None
    assert pair.drop_failed() == 1
    assert [replica.block_id for replica in pair.replicas()] == [2 << 10]
    for number in range(4, 8):
        writer = pair.create(number << 10, 1)
        assert writer.replica.volume is b
        writer.finalize()


def test_reports_are_in_order_without_copies_under_way(home: Home) -> None:
    for block_id in (5 << 10, 1 << 10, 3 << 10):
        make(home, block_id)
    copy = home.store.create(2 << 10, 1, temporary=True)
    writing = home.store.create(4 << 10, 1)
    assert [one.block_id >> 10 for one in home.store.replicas()] == [1, 3, 4, 5]
    copy.abort()
    writing.abort()
