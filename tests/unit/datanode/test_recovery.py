"""What a crash between two writes leaves, put on disk by hand, and what the next start makes of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from oastfs.core.errors import BlockNotFound
from oastfs.datanode import layout
from oastfs.datanode.block_store import Change
from oastfs.datanode.journal import Journal
from oastfs.datanode.replica import Replica
from oastfs.wire.transfer.checksum import ChecksumKind, checksum_chunks
from tests.unit.datanode.home import Home

DATA = bytes(range(256)) * 20  # ten chunks


def written(home: Home, content: bytes = DATA, *, final: bool = False, length: int | None = None) -> Replica:
    """A replica with this content; if final, it was opened again for an update under stamp 2."""
    writer = home.store.create(1024, 1)
    writer.write(0, [content], None)
    if final:
        writer.finalize()
        writer = home.store.reopen(1024, 1, 2, len(content) if length is None else length)
    writer.abort()
    return writer.replica


def tear(replica: Replica, offset: int, data: bytes) -> None:
    """Data reached the file, its checksums did not."""
    with replica.data_path.open("r+b") as file:
        file.seek(offset)
        file.write(data)


def settled(home: Home) -> Replica:
    home.reopen()
    replica = home.store.get(1024)
    stored = replica.data_path.read_bytes()
    assert len(stored) == replica.length
    if not replica.corrupt:
        sums = layout.META_HEADER + checksum_chunks(ChecksumKind.CRC32C, 512, stored)
        assert replica.meta_path.read_bytes() == sums
    return replica


def test_appended_data_without_checksums_is_cut_off(home: Home) -> None:
    replica = written(home, DATA[:5000])
    tear(replica, 5000, b"more" * 1000)
    assert settled(home).length == 5000
    assert not home.store.get(1024).final


def test_checksums_without_data_are_cut_off(home: Home) -> None:
    replica = written(home, DATA[:5000])
    with replica.meta_path.open("ab") as meta:
        meta.write(b"torn")
    os.truncate(replica.data_path, 3000)
    # The last chunk's checksum covered bytes that are gone.
    assert settled(home).length == 3000 - 3000 % 512


def test_partial_chunk_is_found_by_its_checksum(home: Home) -> None:
    replica = written(home, DATA[:700])
    tear(replica, 700, b"x" * 50)
    assert settled(home).length == 700


def test_overwritten_region_is_given_new_checksums(home: Home) -> None:
    replica = written(home, final=True)
    journal = Journal.load(replica.journal_path)
    journal.mark(100, 900)
    journal.close()
    tear(replica, 100, b"y" * 800)
    found = settled(home)
    assert found.length == len(DATA) and not found.corrupt
    assert found.data_path.read_bytes() == DATA[:100] + b"y" * 800 + DATA[900:]
    assert home.changes == []


def test_damage_outside_overwritten_regions_is_corruption(home: Home) -> None:
    content = os.urandom(3 << 20)
    replica = written(home, content, final=True)
    journal = Journal.load(replica.journal_path)
    journal.mark(1 << 20, (1 << 20) + 10)
    journal.close()
    tear(replica, (2 << 20) + 1000, b"rot")
    found = settled(home)
    assert found.corrupt and found.length == len(content)
    assert home.changes == [(Change.CORRUPT, 1024)]


def test_durable_bytes_that_are_gone_are_corruption(home: Home) -> None:
    replica = written(home, final=True)
    os.truncate(replica.data_path, 1000)
    assert settled(home).corrupt


def test_append_to_a_partial_chunk_that_is_torn_keeps_the_durable_bytes(home: Home) -> None:
    writer = home.store.create(1024, 1)
    writer.write(0, [DATA[:700]], None)
    writer.finalize()
    writer = home.store.reopen(1024, 1, 2, 700)
    writer.write(700, [b"z" * 100], None)
    writer.abort()
    # The checksum of 800 bytes is there, the last 60 of them are not.
    os.truncate(writer.replica.data_path, 740)
    found = settled(home)
    assert found.length == 740 and not found.corrupt


def test_torn_header_of_a_new_replica(home: Home) -> None:
    replica = written(home, b"")
    os.truncate(replica.meta_path, 3)
    tear(replica, 0, b"data")
    found = settled(home)
    assert found.length == 0 and not found.corrupt


def test_torn_journal_marks_nothing(home: Home) -> None:
    replica = written(home)
    os.truncate(replica.journal_path, 5)
    assert settled(home).length == len(DATA)


def test_unfinished_copy_is_removed(home: Home) -> None:
    writer = home.store.create(1024, 1, temporary=True)
    writer.write(0, [DATA], None)
    with pytest.raises(BlockNotFound):
        home.store.get(1024)
    writer.abort()
    home.reopen()
    assert home.store.find(1024) is None
    assert files(home) == []


def files(home: Home) -> list[str]:
    return sorted(path.name for path in (home.path / "v" / "blocks").rglob("blk_*"))


@pytest.mark.parametrize("kept", ["blk_1024", "blk_1024_1.meta", "blk_1024.open"])
def test_litter_of_creations_and_deletions_is_cleared(home: Home, kept: str) -> None:
    replica = written(home)
    directory = replica.data_path.parent
    home.store.close()
    for path in directory.iterdir():
        if path.name not in (kept, "blk_1024.open" if kept == "blk_1024" else kept):
            path.unlink()
    home.open()
    assert home.store.find(1024) is None
    assert files(home) == []


def test_final_replica_with_a_short_checksum_file_is_reported(home: Home) -> None:
    writer = home.store.create(1024, 1)
    writer.write(0, [DATA], None)
    writer.finalize()
    os.truncate(writer.replica.meta_path, 20)
    home.reopen()
    assert home.store.get(1024).corrupt
    assert home.changes == [(Change.CORRUPT, 1024)]


def test_strange_files_are_left_alone(home: Home, tmp_path: Path) -> None:
    replica = written(home)
    strange = replica.data_path.parent / "notes.txt"
    strange.write_text("keep")
    home.reopen()
    assert strange.read_text() == "keep"
    assert len(home.store) == 1


def test_marks_survive_a_broken_pipeline(home: Home) -> None:
    """A second update does not forget what the first had overwritten, not yet on disk."""
    replica = written(home, final=True)
    writer = home.store.reopen(1024, 2, 3, len(DATA))
    writer.write(0, [b"first"], None)
    writer.abort()
    writer = home.store.reopen(1024, 3, 4, len(DATA))
    writer.abort()
    journal = Journal.load(replica.journal_path)
    assert journal.is_marked(0, 5)
    journal.close()
