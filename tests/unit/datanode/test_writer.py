"""Replicas on disk against a plain bytearray, whatever is written where."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oastfs.core.errors import CorruptBlock, FileTooLarge, NoDatanodes, StaleBlock
from oastfs.datanode.block_store import Change
from oastfs.datanode.layout import META_HEADER, meta_length
from oastfs.datanode.replica import Replica
from oastfs.wire.transfer.checksum import ChecksumKind, checksum_chunks
from tests.unit.datanode.home import Home


def check(replica: Replica, content: bytes) -> None:
    """Data, checksums and lengths on disk are those of ``content``."""
    assert replica.length == len(content)
    assert replica.data_path.read_bytes() == content
    meta = replica.meta_path.read_bytes()
    assert meta == META_HEADER + checksum_chunks(ChecksumKind.CRC32C, 512, content)
    assert len(meta) == meta_length(len(content))


edits = st.one_of(
    st.tuples(st.just("write"), st.integers(0, 4000), st.binary(min_size=1, max_size=2100)),
    st.tuples(st.just("append"), st.just(0), st.binary(min_size=1, max_size=1500)),
    st.tuples(st.just("truncate"), st.integers(0, 5000), st.just(b"")),
    st.tuples(st.just("sync"), st.just(0), st.just(b"")),
    st.tuples(st.just("finalize"), st.just(0), st.just(b"")),
    st.tuples(st.just("restart"), st.just(0), st.just(b"")),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(edits, max_size=12), st.booleans())
def test_any_sequence_of_edits(sequence: list[tuple[str, int, bytes]], replay: bool) -> None:
    """As bytes of a bytearray, with checksums that came along or are computed here; restarts in between."""
    path = Path(tempfile.mkdtemp())
    home = Home(path)
    model, stamp = bytearray(), 1
    writer = home.store.create(1024, stamp)
    for what, number, data in sequence:
        if what in ("write", "append"):
            at = len(model) if what == "append" else number
            sums = checksum_chunks(ChecksumKind.CRC32C, 512, data)
            writer.write(at, [data], [sums] if replay else None)
            model.extend(bytes(max(0, at - len(model))))
            model[at : at + len(data)] = data
        elif what == "truncate":
            writer.truncate(number)
            del model[number:]
        elif what == "sync":
            writer.sync()
        else:
            if what == "finalize":
                writer.finalize()
            else:
                writer.abort()
                home.reopen()
            stamp += 1
            writer = home.store.reopen(1024, stamp - 1, stamp, len(model))
        check(writer.replica, bytes(model))
    writer.finalize()
    home.reopen()
    replica = home.store.get(1024, stamp)
    assert replica.final and not replica.corrupt
    check(replica, bytes(model))
    home.store.close()
    shutil.rmtree(path)


def test_pieces_are_written_as_one(home: Home) -> None:
    writer = home.store.create(1024, 1)
    pieces = [b"a" * 1024, b"b" * 512, b"c" * 100]
    sums = [checksum_chunks(ChecksumKind.CRC32C, 512, piece) for piece in pieces]
    writer.write(0, pieces, sums)
    check(writer.replica, b"".join(pieces))
    writer.write(512, [b"x" * 100, b"y" * 100], None)
    check(writer.replica, b"a" * 512 + b"x" * 100 + b"y" * 100 + b"a" * 312 + b"b" * 512 + b"c" * 100)
    writer.finalize()


def test_a_gap_is_a_hole_with_checksums_of_zeros(home: Home) -> None:
    writer = home.store.create(1024, 1)
    writer.write(0, [b"x" * 700], None)
    writer.write(40_000_000, [b"end"], None)
    check(writer.replica, b"x" * 700 + bytes(40_000_000 - 700) + b"end")
    assert writer.replica.data_path.stat().st_blocks * 512 < 1_000_000
    writer.finalize()


def test_a_corrupt_chunk_is_not_given_a_good_checksum(home: Home) -> None:
    writer = home.store.create(1024, 1)
    writer.write(0, [b"x" * 1024], None)
    writer.finalize()
    path = home.store.get(1024).data_path
    content = bytearray(path.read_bytes())
    content[600] ^= 1
    path.write_bytes(content)
    writer = home.store.reopen(1024, 1, 2, 1024)
    with pytest.raises(CorruptBlock, match="at byte 512"):
        writer.write(700, [b"y"], None)
    writer.abort()
    with pytest.raises(CorruptBlock):
        home.store.reopen(1024, 1, 3, 700)
    assert home.store.get(1024).corrupt and (Change.CORRUPT, 1024) in home.changes
    assert path.read_bytes() == content


def test_blocks_have_an_end(home: Home) -> None:
    writer = home.store.create(1024, 1)
    with pytest.raises(FileTooLarge):
        writer.write(1 << 62, [b"x"], None)
    check(writer.replica, b"")
    writer.abort()


def test_a_gap_whose_checksums_would_not_fit_is_refused(home: Home) -> None:
    writer = home.store.create(1024, 1)
    volume = home.store.volumes[0]
    volume.reserved_bytes = volume.space()[0] - (1 << 20)
    with pytest.raises(NoDatanodes, match="full"):
        writer.write((1 << 40) - 1, [b"x"], None)
    check(writer.replica, b"")
    writer.abort()


def test_a_full_volume_ends_a_write(home: Home) -> None:
    writer = home.store.create(1024, 1)
    home.store.volumes[0].reserved_bytes = 1 << 60
    with pytest.raises(NoDatanodes, match="full"):
        for number in range(20):
            writer.write(number << 20, [bytes(1 << 20)], None)
    writer.abort()
    with pytest.raises(NoDatanodes, match="no volume"):
        home.store.create(2048, 1)


def test_after_fencing_nothing_is_written(home: Home) -> None:
    writer = home.store.create(1024, 1)
    writer.write(0, [b"old"], None)
    called = []
    writer.on_fence(lambda: called.append(True))
    writer.fence()
    assert called
    uses: tuple[Callable[[], object], ...] = (
        lambda: writer.write(0, [b"new"], None),
        writer.sync,
        writer.finalize,
        lambda: writer.truncate(0),
    )
    for use in uses:
        with pytest.raises(StaleBlock):
            use()
    check(writer.replica, b"old")
    writer.abort()


def test_used_bytes_are_counted(home: Home) -> None:
    volume = home.store.volumes[0]
    writer = home.store.create(1024, 1)
    writer.write(1000, [b"x" * 500], None)
    assert volume.used_bytes == 1500
    writer.truncate(200)
    assert volume.used_bytes == 200
    writer.finalize()
    home.reopen()
    assert home.store.volumes[0].used_bytes == 200
    home.store.delete(1024, 1)
    assert home.store.volumes[0].used_bytes == 0
